"""The terminal: deepvis alone speaks there; everything else that is printed goes to a log file.

TensorFlow, oneDNN, absl, Alembic and MLflow write to the file descriptors 1 and 2, some of them from C++.
So `take` keeps copies of the two for deepvis and points the originals at the log. Messages go through the
logger ``deepvis``, whose handler here writes them on standard error.
"""

import logging
import os
import pdb
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_copies: dict[int, TextIO] = {}  # file descriptor -> our copy of the terminal's
_early: list[int] = []  # file of what is printed before there is a log
_bars: list[Progress] = []  # that are drawn now
_log = logging.getLogger("deepvis")

# (steps just done, images in the batch, mean score, images with zero gradient) -> None
Update = Callable[[int, int, float, int], None]


def take(log: Path | None = None) -> None:
    """Point the process's output at a log file, or nowhere yet; deepvis keeps the terminal.

    What was printed since the last call without a log goes to the log's top.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    for fd in (1, 2):
        if fd not in _copies:
            _copies[fd] = os.fdopen(os.dup(fd), "w", buffering=1)
    sys.breakpointhook = _breakpoint
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


def say(line: str) -> None:
    """One line on standard output, however long."""
    console().print(line, soft_wrap=True)


def error(message: str) -> None:
    """One line on standard error."""
    _log.error(message)


class _OnStandardError(logging.Handler):
    """Writes what deepvis has to say on the terminal's standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"deepvis: {record.getMessage()}", file=_copies.get(2, sys.stderr), flush=True)


if not _log.handlers:
    _log.addHandler(_OnStandardError(logging.WARNING))


def _breakpoint(*args: Any, **kwargs: Any) -> None:
    """``breakpoint()``: give the process its terminal back, then start the debugger where it was called."""
    sys.stdout.flush()
    sys.stderr.flush()
    while _bars:
        _bars.pop().stop()
    for fd, copy in _copies.items():
        os.dup2(copy.fileno(), fd)
    if os.environ.get("PYTHONBREAKPOINT"):  # another debugger
        sys.__breakpointhook__(*args, **kwargs)
    else:
        pdb.Pdb().set_trace(sys._getframe(1))


@contextmanager
def progress(name: str, total: int) -> Iterator[Update]:
    """A bar, or plain lines where there is no terminal; what it yields is to be called after each chunk."""
    out, began = console(), time.perf_counter()
    steps_done = images_done = 0
    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
        TextColumn("[cyan]{task.fields[speed]}"), TimeRemainingColumn(), TextColumn("{task.fields[state]}"),
    )  # fmt: skip
    bar = Progress(*columns, console=out)
    task = bar.add_task(name if len(name) <= 40 else f"{name[:39]}…", total=total, speed="", state="")

    def update(steps: int, images: int, score: float, stuck: int) -> None:
        nonlocal steps_done, images_done
        steps_done, images_done = steps_done + steps, images_done + steps * images
        seconds = time.perf_counter() - began
        speed = f"{images_done / seconds:.1f} images x steps/s"
        state = f"mean score {score:.4g}  zero gradient: {stuck} of {images} images"
        if out.is_terminal:
            bar.update(task, advance=steps, speed=speed, state=state)
        else:
            left = (total - steps_done) * seconds / steps_done
            out.print(f"{name}  step {steps_done}/{total}  {speed}  {left:.0f} s left  {state}")

    if out.is_terminal:
        _bars.append(bar)
    with bar if out.is_terminal else nullcontext():
        yield update
    _bars.clear()
