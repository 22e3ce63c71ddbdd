"""The terminal: deepvis alone speaks there; everything else that is printed goes to a log file.

TensorFlow, oneDNN, absl, Alembic and MLflow write to the file descriptors 1 and 2, some of them from C++.
So `take` keeps copies of the two for deepvis and points the originals at the log. Messages go through the
logger ``deepvis``, whose handler here writes them on standard error. Where nobody is at a terminal the log
has the words, too: a pipe's reader may leave, a disk may be full, and the sweep goes on.
"""

import io
import logging
import os
import pdb
import select
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from deepvis.core import credentials

_copies: dict[int, "Stream"] = {}  # file descriptor -> our copy of the terminal's
_early: list[int] = []  # file of what is printed before there is a log
_bars: list[Progress] = []  # that are drawn now
_log = logging.getLogger("deepvis")

# (steps just done, images in the batch, mean score, images with zero gradient) -> None
Update = Callable[[int, int, float, int], None]


class Stream(io.TextIOBase):
    """A copy of standard output or error, that may be closed by the other side at any time."""

    def __init__(self, fd: int) -> None:
        self.fd = os.dup(fd)
        self.lost: OSError | None = None  # why the stream takes no more
        self.has_person = os.isatty(fd)

    @property
    def encoding(self) -> str:  # type: ignore[override]  # read-only here
        """Of the stream that it is a copy of."""
        return getattr(sys.__stdout__, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        return self.has_person

    def writable(self) -> bool:
        """Always: what cannot be written is in the log."""
        return True

    def write(self, text: str) -> int:
        """Write a text to the stream, and to the log where no person has seen it."""
        data = text.encode(self.encoding, "backslashreplace")
        if self.lost is None:
            try:
                _write(self.fd, data)
            except OSError as err:
                self.lost = err
        if self.lost is not None or not self.has_person:
            with suppress(OSError):  # the log's disk may be full, too
                _write(1, data)
        return len(text)


def _write(fd: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:  # the other side has made it so, and reads slowly
            select.select([], [fd], [])


def open_closed() -> None:
    """Give the process the standard streams that its parent has closed; a file would take their place."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != fd:
                os.dup2(null, fd)
                os.close(null)
            setattr(sys, name, os.fdopen(fd, "w" if fd else "r", closefd=False))


def is_taken() -> bool:
    """Whether what is printed goes to a log."""
    return bool(_copies)


def lost() -> OSError | None:
    """Why standard output has not taken all that was said; None where it has."""
    return _copies[1].lost if 1 in _copies else None


def take(log: Path | None = None) -> None:
    """Point the process's output at a log file, or nowhere yet; deepvis keeps the terminal.

    What was printed since the last call without a log goes to the log's top.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    for fd in (1, 2):
        if fd not in _copies:
            _copies[fd] = Stream(fd)
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
    file = cast(TextIO, _copies.get(1, sys.stdout))
    # In a file or a pipe a line may be as long as it is.
    return Console(file=file, highlight=False, width=None if file.isatty() else 200)


def say(line: str) -> None:
    """One line on standard output, however long."""
    console().print(credentials.masked(line), soft_wrap=True)


def error(message: str) -> None:
    """One line on standard error."""
    _log.error(message)


class _OnStandardError(logging.Handler):
    """Writes what deepvis has to say on the terminal's standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        print(
            f"deepvis: {credentials.masked(record.getMessage())}",
            file=cast(TextIO, _copies.get(2, sys.stderr)),
            flush=True,
        )


if not _log.handlers:
    _log.addHandler(_OnStandardError(logging.WARNING))


def _breakpoint(*args: Any, **kwargs: Any) -> None:
    """``breakpoint()``: give the process its terminal back, then start the debugger where it was called."""
    sys.stdout.flush()
    sys.stderr.flush()
    while _bars:
        _bars.pop().stop()
    for fd, copy in _copies.items():
        os.dup2(copy.fd, fd)
    if os.environ.get("PYTHONBREAKPOINT"):  # another debugger
        sys.__breakpointhook__(*args, **kwargs)
    else:
        pdb.Pdb().set_trace(sys._getframe(1))


def duration(seconds: float) -> str:
    """A time for a person.

    Example:
      >>> duration(8), duration(200), duration(9000), duration(4e5)
      ('8 s', '3 min', '2.5 h', '4.6 days')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


@contextmanager
def progress(name: str, total: int, work: int) -> Iterator[Update]:
    """A bar, or plain lines where there is no terminal; what it yields is to be called after each chunk.

    The first chunk takes longer, since graphs are compiled in it: it gives an upper bound for the whole, and
    later ones are not averaged with it.

    Args:
      name: of what is computed.
      total: its steps.
      work: its images x steps.
    """
    out, began = console(), time.perf_counter()
    steps_done = images_done = 0
    first: list[float] = []  # when the first chunk was done, and its images x steps
    columns = (
        TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
        TextColumn("[cyan]{task.fields[speed]}"), TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[state]}"),
    )  # fmt: skip
    bar = Progress(*columns, console=out)
    short = name if len(name) <= 40 else f"{name[:39]}…"
    task = bar.add_task(short, total=total, speed="", left="", state="")

    def update(steps: int, images: int, score: float, stuck: int) -> None:
        nonlocal steps_done, images_done
        steps_done, images_done = steps_done + steps, images_done + steps * images
        now = time.perf_counter()
        if first:
            rate = (images_done - first[1]) / max(now - first[0], 1e-9)
        else:
            rate = images_done / max(now - began, 1e-9)
        speed, left = f"{rate:.1f} images x steps/s", f"{duration((work - images_done) / rate)} left"
        state = f"mean score {score:.4g}  zero gradient: {stuck} of {images} images"
        if not first:
            first.extend((now, images_done))
            if images_done < work:
                out.print(
                    f"estimate  at most {duration(work / rate)} for {name}: {work} images x steps at {speed}"
                )
        if out.is_terminal:
            bar.update(task, advance=steps, speed=speed, left=left, state=state)
        else:
            out.print(f"{name}  step {steps_done}/{total}  {speed}  {left}  {state}")

    if out.is_terminal:
        _bars.append(bar)
    with bar if out.is_terminal else nullcontext():
        yield update
    _bars.clear()
