"""Laws of the amount of work: it is known before anything is made, and too much is refused in one line."""

import itertools
import os
import tracemalloc

import pytest
from helpers.configs import job_of
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from deepvis.config import compose
from deepvis.core import names
from deepvis.core.errors import ConfigError
from deepvis.sweeps import amount


@pytest.fixture
def loader():
    with initialize_config_dir(config_dir=str(names.CONF), version_base="1.3"):
        yield GlobalHydra.instance().config_loader()


@pytest.mark.parametrize(
    "typed",
    [["seed=1"], ["seed=range(0,7)"], ["seed=range(1,8,3)"], ["reg.decay=range(0.1,1,0.1)"],
     ["seed=1,2,3"], ["reg=glob(*)"], ["seed=range(0,3)", "reg.decay=0.8,0.9"],
     ["seed=0,1,2", "seed=5,6"], ["seed=range(3,3)"], ["seed=range(5,0,-2)"],
     ["reg.decay=range(0.8,1.0,0.05)"], ["seed=choice(1,2)"],
     ["layer.filters=[0,1]"]],
    ids=" ".join,
)  # fmt: skip
def test_as_many_are_counted_as_are_made_and_the_first_is_the_first(loader, typed):
    try:
        made = compose.expand(loader, typed).jobs
    except ConfigError:
        with pytest.raises(ConfigError):
            compose.count(loader, typed)
        return
    count, first = compose.count(loader, typed)
    assert count == len(made)
    assert first == made[0]


def test_a_count_takes_no_memory(loader):
    tracemalloc.start()
    count, first = compose.count(loader, ["reg.decay=range(0.1,1,1e-9)", "seed=range(0,1000000)"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 900_000_000 * 1_000_000 and first == ("reg.decay=0.1", "seed=0")
    assert peak < 10e6


def test_too_many_jobs_are_refused_with_their_number_and_that_of_images(tmp_path):
    job = job_of(tmp_path, "layer.filters=0-2", "twins=1")
    amount.check_jobs(100, 100, job, tmp_path)
    with pytest.raises(ConfigError) as refused:
        amount.check_jobs(101, 100, job, tmp_path)
    said = str(refused.value)
    assert "\n" not in said and "max_jobs=101" in said and "101 jobs" in said and "606 images" in said


@pytest.mark.parametrize(
    ("typed", "word"),
    [(["size=100000"], "size=100000"), (["size=20000", "twins=200"], "twins=200"),
     (["steps=1000000", "snapshot_every=1", "size=256"], "snapshot_every=1"),
     (["steps=1000000", "twins=1000", "size=8"], "steps=1000000")],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)  # fmt: skip
def test_what_no_memory_holds_is_refused_by_name(tmp_path, typed, word, monkeypatch):
    monkeypatch.setattr(amount.os, "sysconf", lambda name: 4096 if "SIZE" in name else 16 * 2**30 // 4096)
    job = job_of(tmp_path, *typed)
    with pytest.raises(ConfigError, match="GiB of memory") as refused:
        amount.check_memory(job.cfg, len(job.filters))
    assert word in str(refused.value) and "\n" not in str(refused.value)


def test_what_people_run_is_not_refused(tmp_path):
    for size, steps in itertools.product((16, 128, 512), (20, 1000)):
        job = job_of(tmp_path, f"size={size}", f"steps={steps}")
        amount.check_memory(job.cfg, len(job.filters))


@pytest.mark.parametrize(
    "typed", ["steps=1000000000", "twins=100000", "reg.blur_every=1099511627776", "seed=4294967296"]
)
def test_a_number_that_no_tensor_holds_is_refused(tmp_path, typed):
    with pytest.raises(ConfigError, match=typed.partition("=")[0]):
        job_of(tmp_path, typed)


def test_a_containers_limit_counts_as_the_machines_memory(tmp_path, monkeypatch):
    whole = amount._memory()
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(amount, "CGROUP", (limit, tmp_path / "none"))
    for text, expected in (("1048576\n", 1048576), ("max\n", None), (f"{2**62}\n", None)):
        limit.write_text(text)
        assert amount._memory() == (expected or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    assert whole > 0
