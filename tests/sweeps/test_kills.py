"""Laws of resume inside a job: a process that is killed at random moments loses nothing and changes nothing.

Real processes, ended by SIGKILL, whose checkpoints are not 30 seconds apart but are written at each snapshot.
"""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from helpers.processes import TINY, newest, pixels, same

from deepvis.results import checkpoint_file

# Its snapshots take a while, so that a kill meets any part of one; steps are counted in the file `computed`.
OFTEN = """
import numpy, time
from deepvis.ascent import gradient_ascent
from deepvis.sweeps import checkpoints
checkpoints.INTERVAL, checkpoints.SHARE = 0, numpy.inf
real = checkpoints.Checkpoints.note
def note(self, rows, snapshot, recorders):
    time.sleep(0.02)
    real(self, rows, snapshot, recorders)
    with open("computed", "a") as file:
        print(len(snapshot.record["score"]) * len(rows), file=file)
checkpoints.Checkpoints.note = note
"""


def written(cwd: Path) -> set[tuple[Path, int]]:
    return {(path, path.stat().st_mtime_ns) for folder in (cwd / "outputs").glob("*")
            for path in checkpoint_file.paths(folder)}  # fmt: skip


def kill(process, cwd: Path, chance: random.Random) -> None:
    """Kill a process some time after its next checkpoint."""
    before = written(cwd)

    def has_another() -> bool:
        try:
            return bool(written(cwd) - before)
        except FileNotFoundError:  # replaced at this moment
            return True

    process.until(has_another, seconds=240)
    time.sleep(chance.uniform(0, 0.15))
    os.kill(process.pid, signal.SIGKILL)


def killed_and_resumed(forker, cwd: Path, typed: list[str], kills: int) -> None:
    """Run a sweep that is killed so many times, and once in one go; both are to give the same."""
    chance, more = random.Random(len(typed) + kills), []
    for _ in range(kills):
        process = forker.start(cwd, *typed, *more, change=OFTEN)
        kill(process, cwd, chance)
        assert process.wait().code == -signal.SIGKILL, "it was done before it was killed: take more steps"
        more = ["resume=latest"]
    said = forker.run(cwd, *typed, *more, change=OFTEN)
    assert (said.code, said.err) == (0, "")
    folder = newest(cwd)
    assert [path for path in folder.rglob(".*") if path.name != ".hydra"] == []
    fresh = cwd / "fresh"
    assert forker.run(fresh, *typed, change=OFTEN).code == 0
    same(pixels(folder), pixels(newest(fresh)))
    # Of each kill at most what one process had computed since its last checkpoint was computed again.
    count, whole = (sum(map(int, (each / "computed").read_text().split())) for each in (cwd, fresh))
    assert whole <= count + kills * whole // 10 and count < 1.5 * whole, (count, whole)


SWEPT = [
    "-m",
    *TINY,
    "tracker=none",
    "seed=0,1",
    "steps=20,30",
    "snapshot_every=2",
    "batch_size=4",
    "twins=1",
]


@pytest.mark.parametrize("more", [["optimizer=adam"], ["optimizer=lbfgs", "reg.clip_pixels=true"]], ids=str)
def test_a_sweep_that_is_killed_three_times_is_the_one_that_was_not(more, forker, tmp_path):
    killed_and_resumed(forker, tmp_path, [*SWEPT, *more], 3)


@pytest.mark.slow
@pytest.mark.parametrize("more", [["reg=combined"], ["experiment=distill_2017", "steps=60"]], ids=str)
def test_vgg16_that_is_killed_ten_times_is_the_one_that_was_not(more, forker, tmp_path):
    typed = [
        "layer=block2_conv2",
        "layer.filters=0-3",
        "size=64",
        "steps=60",
        "snapshot_every=2",
        "tracker=none",
    ]
    killed_and_resumed(forker, tmp_path, [*typed, *more], 10)
