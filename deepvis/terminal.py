"""The terminal: deepvis alone speaks there; everything else that is printed goes to a log file.

TensorFlow, oneDNN, absl, Alembic and MLflow write to the file descriptors 1 and 2, some of them from C++.
So `take` keeps copies of the two for deepvis and points the originals at the log.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from deepvis.metrics import ENDS
from deepvis.results import Result

_copies: dict[int, TextIO] = {}  # file descriptor -> our copy of the terminal's
_early: list[int] = []  # file of what is printed before there is a log

Update = Callable[[int, float, int], None]  # (steps just done, mean score, stuck) -> None


def take(log: Path | None = None) -> None:
    """Point the process's output at a log file; deepvis keeps the terminal.

    Args:
      log: appended to; what was printed since the last call without one goes to its top. None: there is
        no log yet.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    for fd in (1, 2):
        if fd not in _copies:
            _copies[fd] = os.fdopen(os.dup(fd), "w", buffering=1)
    with tempfile.TemporaryFile(buffering=0) if log is None else log.open("ab", buffering=0) as target:
        if log is not None and _early:
            target.write(os.pread(_early.pop(), 1 << 20, 0))
        for fd in (1, 2):
            os.dup2(target.fileno(), fd)
        if log is None:
            _early.append(os.dup(target.fileno()))


def console() -> Console:
    """What deepvis writes on."""
    file = _copies.get(1, sys.stdout)
    # In a file or a pipe a line may be as long as it is.
    return Console(file=file, highlight=False, width=None if file.isatty() else 200)


def error(message: str) -> None:
    """One line on standard error."""
    print(f"deepvis: {message}", file=_copies.get(2, sys.stderr), flush=True)


@contextmanager
def progress(name: str, total: int, images: int) -> Iterator[Update]:
    """A bar for one batch, or plain lines where there is no terminal.

    Args:
      name: of what is computed.
      total: steps of the batch.
      images: in the batch, for the speed.

    Yields:
      To be called after each chunk.
    """
    out, began, done = console(), time.perf_counter(), 0

    def speed():
        return images * done / (time.perf_counter() - began)

    if not out.is_terminal:

        def line(steps, score, stuck):
            nonlocal done
            done += steps
            left = (total - done) * (time.perf_counter() - began) / max(done, 1)
            out.print(f"{name}  step {done}/{total}  {speed():.1f} images x steps/s  "
                      f"{left:.0f} s left  score {score:.2f}  stuck {stuck}")  # fmt: skip

        yield line
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
        TextColumn("[cyan]{task.fields[speed]:.1f}[/] images x steps/s"), TimeRemainingColumn(),
        TextColumn("score [bold]{task.fields[score]:.2f}[/]  stuck {task.fields[stuck]}"),
    )  # fmt: skip
    with Progress(*columns, console=out) as bar:
        task = bar.add_task(name, total=total, speed=0.0, score=float("nan"), stuck=0)

        def redraw(steps, score, stuck):
            nonlocal done
            done += steps
            bar.update(task, advance=steps, speed=speed(), score=score, stuck=stuck)

        yield redraw


def summary(results: Sequence[Result], folder: Path) -> None:
    """A table of a sweep's jobs, and where their pictures are."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("job")
    for heading in ("score", "activation", "top of layer", "steps to 90 %", *ENDS):
        table.add_column(heading, justify="right")
    for result in results:
        figure = result.figures.get
        table.add_row(
            result.name,
            f"{figure('final/score', float('nan')):.2f}",
            f"{figure('final/activation', float('nan')):.2f}",
            f"{100 * figure('filters/top_share', 0.0):.0f} %",
            f"{figure('final/steps_to_90', float('nan')):.0f}",
            *(f"{figure(f'filters/{end}', 0):.0f}" for end in ENDS),
        )
    out = console()
    out.print(table)
    out.print(f"pictures  {folder}")
