"""Benchmarks: what deepvis costs beside the bare network, Gildenblat's loop and two libraries.

    make bench                   # every figure, and docs/reference/benchmarks.md; 40 minutes on two cores
    make bench K=demo            # the tests with that name; printed only
    make bench BENCH_QUICK=1     # small sizes, one round: does it run? printed only

A figure is a ratio or a difference of two things that took turns in one run (A B A B A B), so that whatever
else the machine does meets both alike: the median over the rounds, and their range. Nothing here passes or
fails by a time; what can be counted, such as retraces, is asserted in the ordinary tests.

`bare` is the network alone, `gildenblat_loop` the loop of Gildenblat 2016, `libraries` tf-keras-vis and
xplique, `ours` the only module that knows deepvis; all optimize filters of VGG16's block5_conv1 with the same
weights. Each test leaves rows for `table`, which writes docs/reference/benchmarks.md. This module measures.
"""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

QUICK = bool(os.environ.get("BENCH_QUICK"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS") or (1 if QUICK else 3))
SIZE, FILTERS, STEPS = (32, 2, 2) if QUICK else (128, 16, 20)
LAYER = "block5_conv1"
TICKS = os.sysconf("SC_CLK_TCK")
SAID = "said.txt"  # what a process printed, in its folder


class Spent(NamedTuple):
    """What something cost."""

    cpu: float  # s, user and system, of all threads
    wall: float  # s
    memory: float = 0.0  # GB, the most that a process had


Work = Callable[[], Spent]


def timed(work: Callable[[], Any]) -> Work:
    """Something in this process, and what it cost."""

    def run():
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        return Spent(time.process_time() - cpu, time.perf_counter() - wall)

    return run


def process(command: Sequence[str], folder: Path) -> Spent:
    """A whole process and its children, in that folder."""
    began, peak, ended = time.perf_counter(), 0, 0
    child = _start(command, folder)
    while not ended:
        # Not the kernel's ru_maxrss: a process inherits that from the one that started it, this one.
        peak = max(peak, _peak(child.pid))
        time.sleep(0.01)
        ended, status, usage = os.wait4(child.pid, os.WNOHANG)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{command} ended with {child.returncode}: {(folder / SAID).read_text()[-2000:]}")
    return Spent(usage.ru_utime + usage.ru_stime, time.perf_counter() - began, peak / 2**20)


def until(command: Sequence[str], folder: Path, sign: Path) -> Spent:
    """A process from its start until a file appears; then it is ended."""
    began = time.perf_counter()
    child = _start(command, folder)
    while not sign.exists():
        if child.poll() is not None:
            raise RuntimeError(f"{command} left no {sign}: {(folder / SAID).read_text()[-2000:]}")
        time.sleep(0.002)
    wall = time.perf_counter() - began
    fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    child.terminate()
    child.wait()
    return Spent((int(fields[11]) + int(fields[12])) / TICKS, wall)  # utime and stime


def _peak(pid: int) -> int:
    """The most memory that a process has had so far, kB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def _start(command: Sequence[str], folder: Path) -> subprocess.Popen:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / SAID).open("wb") as said:
        return subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)


def interleaved(benchmark, works: Mapping[Any, Work], rounds: int = ROUNDS) -> dict[Any, list[Spent]]:
    """Let things take turns.

    Args:
      benchmark: pytest-benchmark's; its own time is that of a round.
      works: by name, in the order of their turns.
      rounds: how often.

    Returns:
      What each cost, by round.
    """
    spent: dict[Any, list[Spent]] = {name: [] for name in works}

    def one_round():
        for name, work in works.items():
            spent[name].append(work())

    benchmark.pedantic(one_round, rounds=rounds, iterations=1)
    return spent


def ratio(figure: str, precision: str, at_most: str, ours: Sequence[Spent], theirs: Sequence[Spent]) -> dict:
    """A row: ours / theirs, round by round."""
    pairs = list(zip(ours, theirs, strict=True))
    cpu, wall = [a.cpu / b.cpu for a, b in pairs], [a.wall / b.wall for a, b in pairs]
    medians = (statistics.median(each.cpu for each in side) for side in (ours, theirs))
    row = _row(figure, precision, at_most, cpu, wall)
    return row | {"seconds": " / ".join(f"{each:.3g}" for each in medians)}


def difference(
    figure: str, precision: str, at_most: str, ours: Sequence[Spent], theirs: Sequence[Spent], per: int = 1
) -> dict:
    """A row: (ours - theirs) / per, in seconds, round by round."""
    pairs = list(zip(ours, theirs, strict=True))
    cpu, wall = ([(a[i] - b[i]) / per for a, b in pairs] for i in (0, 1))
    return _row(figure, precision, at_most, cpu, wall, " s")


def plain(figure: str, precision: str, at_most: str, measured: str, wall: str = "") -> dict:
    """A row of something that is no time, or is measured once."""
    return {"figure": figure, "precision": precision, "at_most": at_most, "cpu": measured, "wall": wall}


def report(benchmark, *rows: dict) -> None:
    """Leave rows for the table, in pytest-benchmark's file."""
    benchmark.extra_info.setdefault("rows", []).extend(rows)


def _row(figure, precision, at_most, cpu, wall, unit=""):
    return plain(figure, precision, at_most, _middle(cpu, unit), _middle(wall, unit))


def _middle(values: Sequence[float], unit: str) -> str:
    spread = f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
    return f"{statistics.median(values):.2f}{unit}{spread}"
