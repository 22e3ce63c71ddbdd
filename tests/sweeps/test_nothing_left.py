"""Laws of nothing_left: it says so only of a sweep whose results, summary, inputs and store are all there."""

import sqlite3

import numpy as np
import pytest

from deepvis.results import manifest, result_folder
from deepvis.results.result_folder import Pictures, Result
from deepvis.sweeps import contents, nothing_left

NONE = {"_target_": "deepvis.tracking.none.NoTracker"}


@pytest.fixture
def sweep(tmp_path):
    folder, picture = tmp_path / "s", [np.zeros((4, 4, 3), np.uint8)]
    values = {"score": np.zeros((2, 1), np.float32)}
    result = Result("a", "k", "layer", (0,), ("converged",), {}, {}, {}, values, {}, {}, {}, "")
    result_folder.write(folder / "0_a", result, Pictures(picture, picture, {1: picture}))
    for name in ("summary.csv", "contact.png", "report.html"):
        (folder / name).write_text("made")
    (tmp_path / "cat #1.png").write_bytes(b"read")
    files = {f"start.path={tmp_path / 'cat #1.png'}": contents.of(str(tmp_path / "cat #1.png"))}
    jobs = [{"name": "a", "key": "k", "folder": "0_a"}]
    entry = manifest.identity("s", [], jobs, {}, files=files, tracker=NONE) | {nothing_left.CLOSED: True}
    manifest.write(folder, entry)
    return folder


def finished(folder, **changes):
    return nothing_left.is_finished(folder, manifest.read(folder) | changes)


def test_of_a_whole_sweep_it_says_so(sweep):
    assert finished(sweep)


@pytest.mark.parametrize("name", [
    "summary.csv", "contact.png", "report.html", "../cat #1.png",
    "0_a/result/result.json", "0_a/result/best/f000.png", "0_a/result/history.npz",
])  # fmt: skip
def test_whatever_is_missing_or_torn_is_not_passed_over(sweep, name):
    (sweep / name).unlink()
    assert not finished(sweep)


def test_what_is_not_as_it_was_is_left_to_the_long_way(sweep):
    assert not finished(sweep, closed=False)
    assert not finished(sweep, versions=manifest.read(sweep)["versions"] | {"deepvis": "9"})
    assert not finished(sweep, jobs=[])
    assert not finished(sweep, tracker={"uri": "http://127.0.0.1:1"})
    assert not nothing_left.is_finished(sweep, None)
    (sweep.parent / "cat #1.png").write_bytes(b"changed")
    assert not finished(sweep)


def test_a_store_that_lost_a_run_is_filled_again(sweep, tmp_path):
    file = tmp_path / "m.db"
    tracker = {"uri": f"sqlite:///{file}"}
    assert not finished(sweep, tracker=tracker) and not file.exists()
    with sqlite3.connect(file) as store:
        store.execute("CREATE TABLE runs (run_uuid, status, lifecycle_stage)")
        store.execute("CREATE TABLE tags (run_uuid, key, value)")
        assert not finished(sweep, tracker=tracker)
        store.execute("INSERT INTO runs VALUES ('r', 'FINISHED', 'active')")
        store.executemany("INSERT INTO tags VALUES ('r', ?, ?)", [("sweep", "s"), ("job", "0_a")])
    assert finished(sweep, tracker=tracker)
    for change in ("status = 'RUNNING'", "status = 'FINISHED', lifecycle_stage = 'deleted'"):
        with sqlite3.connect(file) as store:
            store.execute(f"UPDATE runs SET {change}")
        assert not finished(sweep, tracker=tracker), change
