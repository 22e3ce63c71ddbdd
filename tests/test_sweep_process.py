"""Laws of `deepvis.sweep`: what ``deepvis -m`` leaves, to the last bit; what it refuses, as an exception."""

import os
from pathlib import Path

import numpy as np
import pytest
from helpers.processes import newest, pixels, same, statuses

import deepvis
from deepvis import sweep_process
from deepvis.core.errors import ConfigError, SweepError
from deepvis.results import manifest

SETTINGS = {"model": "tiny", "layer": {"preset": "block2_conv1", "filters": "0-1"}, "size": 16, "steps": 2,
            "precision": "float32", "optimizer": {"learning_rate": [1.0, 1e38]}}  # fmt: skip
TYPED = ["model=tiny", "layer=block2_conv1", "layer.filters=0-1", "size=16", "steps=2", "precision=float32",
         "optimizer.learning_rate=1.0,1e+38"]  # fmt: skip


@pytest.fixture(scope="module")
def both(forker, tmp_path_factory):
    """The same sweep from Python and from the command line, one of whose jobs diverges."""
    python, typed = tmp_path_factory.mktemp("python"), tmp_path_factory.mktemp("typed")
    before = Path.cwd()
    os.chdir(python)
    try:
        with pytest.raises(SweepError) as failed:
            deepvis.sweep(**SETTINGS)
    finally:
        os.chdir(before)
    said = forker.run(typed, "-m", *TYPED)
    assert said.code == 1
    return failed.value, python, typed


def test_it_leaves_what_the_command_leaves(both):
    _, python, typed = both
    ours, theirs = newest(python), newest(typed)
    one, other = manifest.read(ours), manifest.read(theirs)
    for key in ("overrides", "multirun", "jobs", "weights", "tracker"):
        assert one[key] == other[key], key
    same(pixels(ours), pixels(theirs))
    assert statuses(python, one["id"]) == statuses(typed, other["id"])
    assert {path.name for path in ours.iterdir()} == {path.name for path in theirs.iterdir()}


def test_jobs_that_failed_are_an_error_that_has_the_others(both):
    failed, python, _ = both
    found = failed.sweep
    assert str(failed).startswith(f"sweep {found.id}: 1 of 2 jobs failed: learning_rate=1e+38: not finite: ")
    assert found.folder == newest(python) and found.report == found.folder / "report.html"
    assert [job["state"] for job in found.jobs] == ["FINISHED", "FAILED"]
    assert repr(found) == f"<Sweep {found.id}: 1 finished, 1 failed; {found.folder}>"
    results = found.results()
    assert results.equals(deepvis.results(found.id, folder=python / "outputs")) and len(results) == 4
    table = found.table()
    assert list(table.job) == ["learning_rate=1.0", "learning_rate=1e+38"]
    whole = results[results.job == "learning_rate=1.0"]
    assert table.score[0] == pytest.approx(np.median(whole.score)) and "<table" in found._repr_html_()


def test_a_mistake_is_the_commands_line_and_leaves_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ConfigError, match=r"^reg\.decya: no such option, .* did you mean reg\.decay\?"
    ) as err:
        deepvis.sweep({"reg.decya": [1, 0.9]}, "seed=0,1", model="tiny")
    assert "\n" not in str(err.value) and capfd.readouterr() == ("", "") and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("setting", "typed"),
    [
        (("seed", [0, 1]), ["seed=0,1"]),
        (("size", (48, 192)), ["size=[48,192]"]),
        (("size", [16, (16, 32)]), ["size=16,[16,32]"]),
        (("layer.filters", "0,3"), ["layer.filters='0,3'"]),
        (("reg.decay", np.linspace(0.5, 1, 3)), ["reg.decay=0.5,0.75,1.0"]),
        (("twins", np.int64(1)), ["twins=1"]),
        (("resume_force", True), ["resume_force=true"]),
        (("experiment", None), ["experiment=null"]),
        (("start", {"preset": "picture", "path": "it's.jpg"}), ["start=picture", r"start.path='it\'s.jpg'"]),
        (("reg", {"weights": {"blur": [1, 2]}}), ["reg.weights.blur=1,2"]),
    ],
    ids=lambda each: str(each)[:40],
)
def test_settings_are_typed_as_the_command_takes_them(setting, typed):
    assert list(sweep_process._typed(*setting)) == typed


def test_what_cannot_be_typed_is_refused():
    for key, value, says in (("seed", [], "got no value"), ("reg", len, r"got builtin_function_or_method")):
        with pytest.raises(ConfigError, match=f"^{key}.*{says}"):
            list(sweep_process._typed(key, value))
