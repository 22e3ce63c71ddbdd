"""A sweep that is stopped at any point, and its resume too, ends whole: a sample of benchmarks/faults.py."""

import shutil
import signal
import sqlite3
from collections.abc import Iterator

import pytest
from helpers import faults
from helpers.fault_points import Fault


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Iterator[faults.Bench]:
    made = faults.bench(tmp_path_factory.mktemp("faults"))
    yield made
    made.forker.close()


@pytest.fixture(scope="module")
def prepared(bench):
    return bench.prepare()


def middle(points, kind: str, target: str = "") -> tuple[str, str, int]:
    """Of all points of a kind, the one in the middle."""
    found = [each for each in points if each[0] == kind and target in each[1]]
    assert found, f"no point of the kind {kind} {target}"
    return found[len(found) // 2]


# Of every kind of call one; a change of how runs are logged may add kinds, which the last test then names.
KINDS = (
    ("replace", "result"), ("replace", "sweep.json"), ("replace", "report.html"), ("link", ""),
    ("remote create_run", "decay"), ("remote log_batch", ""), ("remote set_terminated", ""),
    ("write", "artifacts/report.html"), ("remote commit", "create_run"),
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=" ".join)
def test_killed_at_a_point_and_once_more_while_it_is_resumed(kind, bench, prepared):
    expected, points = prepared
    number = KINDS.index(kind)
    fault = Fault("kill", "after" if number % 2 else "before", *middle(points, *kind))
    outcome = bench.case(f"kill{number}", fault, expected, Fault("kill", number=11 * number))
    assert outcome.hit and outcome.wrong == []


def test_terminated_while_a_result_is_written(bench, prepared):
    """The checkpoint that an interrupt writes goes when the job that it was written for has its result."""
    expected, points = prepared
    fault = Fault(
        "SIGTERM", "before", *middle(points, "write", "1_decay=0.8_blur=3/.result.PARTIAL/best/f000.png")
    )
    outcome = bench.case("terminated", fault, expected)
    assert outcome.hit and outcome.wrong == []


def test_a_job_that_fails_by_a_full_disk_is_as_any_other_once_it_is_resumed(bench, prepared):
    """Its run has the tags of its result then, and no reason."""
    expected, points = prepared
    outcome = bench.case("full", Fault("full", "before", *middle(points, "replace", "result")), expected)
    assert outcome.hit and outcome.wrong == []


def test_killed_behind_its_last_file(bench, prepared):
    """All is there but the lock, which the resume removes, though nothing is left to do."""
    expected, points = prepared
    last = [each for each in points if each[:2] == ("replace", "outputs/SWEEP/sweep.json")][-1]
    outcome = bench.case("last", Fault("kill", "after", *last), expected)
    assert outcome.hit and outcome.wrong == []


def test_killed_before_a_sweep_has_its_manifest(bench, prepared):
    """The same command is a sweep of another name then; the folder of the first is nobody's."""
    expected, points = prepared
    cwd = bench.folder("unbegun")
    first = next(each for each in points if each[:2] == ("replace", "outputs/SWEEP/sweep.json"))
    bench.stopped(cwd, *faults.TYPED, fault=Fault("kill", "before", *first))
    (left,) = (cwd / "outputs").iterdir()
    assert bench.run(cwd, *faults.TYPED).code == 0
    assert not left.exists() and faults.wrong(faults.left(cwd), expected) == []


def test_killed_while_the_store_is_made(bench):
    """Its tables take seconds, one migration after the other; half of them would be no store for good."""
    change = """
import os, signal
from alembic.runtime.migration import HeadMaintainer
real, steps = HeadMaintainer.update_to_step, []
def update_to_step(*given):
    steps.append(real(*given))
    if len(steps) == 20:
        os.kill(os.getpid(), signal.SIGKILL)
HeadMaintainer.update_to_step = update_to_step
"""
    cwd = bench.folder("store")
    typed = [*faults.TYPED, "reg.blur=0"]
    assert bench.forker.run(cwd, *typed, change=change).code == -signal.SIGKILL
    said = bench.forker.run(cwd, *typed)
    assert (said.code, said.err) == (0, "")
    assert faults.stored(cwd)[1] == {("job", "FINISHED"): 2, ("sweep", "FINISHED"): 1}
    assert {path.name for path in (cwd / "mlruns").iterdir()} == {".mlflow.db.lock", "artifacts", "mlflow.db"}


def test_killed_while_the_store_commits(bench):
    """SQLite's journal is left beside its file; whoever opens it next has to be able to undo it."""
    cwd, file = bench.folder("journal"), bench.place / "journal.db"
    shutil.copyfile(bench.place / "template.db", file)
    with sqlite3.connect(file) as store:
        store.execute("PRAGMA cache_size = 1")  # so that pages are written before the commit
        store.executemany(
            "INSERT INTO experiments (experiment_id, name) VALUES (?, ?)",
            [(100 + k, f"{k} {'x' * 200}") for k in range(200)],
        )
        (cwd / "mlruns").mkdir()
        for suffix in ("", "-journal"):
            shutil.copyfile(f"{file}{suffix}", cwd / "mlruns" / f"mlflow.db{suffix}")
        store.rollback()
    store.close()
    said = bench.run(cwd, *faults.TYPED, "reg.blur=0")
    assert (said.code, said.err) == (0, "")
    with sqlite3.connect(cwd / "mlruns" / "mlflow.db") as store:
        assert store.execute("SELECT count(*) FROM experiments WHERE experiment_id >= 100").fetchone() == (0,)
    store.close()
