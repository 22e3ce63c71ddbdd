"""Laws of a job's identity: the content of every file that it reads, not its path, and nothing else."""

import sys

import numpy as np
import pytest
from helpers.configs import typed_of
from PIL import Image

from deepvis.sweeps import contents, jobs

TINY = ("model=tiny", "layer=block2_conv1", "layer.filters=0-1", "size=16", "steps=2", "tracker=none",
        "precision=float32")  # fmt: skip


def job(*typed, weights=""):
    typed_of.cache_clear()
    return jobs.make(typed_of(*TINY, *typed), typed, None, weights)


def picture(path, grey):
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(np.full((20, 20, 3), grey, np.uint8)).save(path)
    return path


def vectors(path, value):
    np.save(path, np.full((2, 12), value, np.float32))
    return path


READS = {
    "start": (lambda path, n: picture(path.with_suffix(".png"), n), "start=picture", "start.path={}"),
    "guide": (
        lambda path, n: picture(path.with_suffix(".png"), n),
        "objective=guided", "objective.pictures.guide={}",
    ),
    "vectors": (
        lambda path, n: vectors(path.with_suffix(".npy"), n),
        "objective=direction", "objective.vectors={}",
    ),
    "spectrum": (lambda path, n: picture(path / "a.png", n).parent, "param=maco", "param.spectrum={}"),
}  # fmt: skip


@pytest.mark.parametrize("kind", READS)
def test_the_key_is_of_the_content_of_a_file_and_not_of_its_path(tmp_path, kind):
    write, choice, option = READS[kind]

    def key(path):
        return job(choice, option.format(f"'{path}'")).key

    first = write(tmp_path / "a", 10)
    before = key(first)
    assert key(first) == before
    assert key(write(tmp_path / "b #1 é", 10)) == before, "moved is the same"
    assert key(write(tmp_path / "c", 11)) != before
    assert key(write(tmp_path / "a", 11)) != before, "changed is another"
    assert key(write(tmp_path / "a", 10)) == before


def test_the_files_are_named_as_typed(tmp_path):
    path = picture(tmp_path / "a.png", 3)
    made = job("start=picture", f"start.path={path}")
    assert list(made.files) == [f"start.path={path}"]
    assert job().files == {}


def test_a_word_that_is_by_chance_a_files_name_changes_nothing(tmp_path, monkeypatch):
    before = job().key
    monkeypatch.chdir(tmp_path)
    for name in ("tiny", "block2_conv1", "float32", "auto", "none", "pixel", "chain"):
        (tmp_path / name).write_text("by chance")
    assert job().key == before


def test_weights_and_the_version_are_part_of_it(monkeypatch):
    before = job(weights="a").key
    assert job(weights="b").key != before
    monkeypatch.setattr(jobs, "__version__", "9.9.9")
    assert job(weights="a").key != before


def test_the_source_of_a_users_module_is_part_of_it(tmp_path):
    source = tmp_path / "module_of_mine.py"
    source.write_text("def function():\n    return 1\n")
    sys.path.insert(0, str(tmp_path))
    try:
        first = contents._of_name("module_of_mine.function")
        source.write_text("def function():\n    return 22\n")
        assert first is not None and contents._of_name("module_of_mine.function") != first
        assert contents._of_name("deepvis.ascent.starts.noise") is None
        assert contents._of_name("no.such.module") is None
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("module_of_mine", None)
