"""A sweep that is stopped at any point, and its resume too, ends whole: a sample of benchmarks/faults.py."""

import signal
from collections.abc import Iterator

import pytest
from helpers import faults


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Iterator[faults.Bench]:
    made = faults.bench(tmp_path_factory.mktemp("faults"))
    yield made
    made.forker.close()


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
    assert sorted(path.name for path in (cwd / "mlruns").iterdir()) == [
        ".mlflow.db.lock",
        "artifacts",
        "mlflow.db",
    ]
