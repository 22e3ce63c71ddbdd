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
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast

from rich.console import Console
from rich.live import Live

from deepvis.core import credentials

INDENT = 10  # characters of the word that begins what is said

_copies: dict[int, "Stream"] = {}  # file descriptor -> our copy of the terminal's
_early: list[int] = []  # file of what is printed before there is a log
_lives: list[Live] = []  # that are drawn now
_notes: dict[str, None] = {}  # that are not said yet
_others: list[bool] = []  # not empty: other processes write on this terminal, too
_log = logging.getLogger("deepvis")


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


def share() -> None:
    """Note that other processes write on this terminal, too: nothing is drawn there."""
    _others.append(True)


def is_alone() -> bool:
    """Whether this process may draw on the terminal."""
    return not _others


@contextmanager
def above(live: Live) -> Iterator[None]:
    """Print above what is drawn, as long as the block runs."""
    _lives.append(live)
    try:
        yield
    finally:
        if live in _lives:
            _lives.remove(live)


def console() -> Console:
    """What deepvis writes on."""
    if _lives and not _lives[-1].console.stderr:
        return _lives[-1].console
    file = cast(TextIO, _copies.get(1, sys.stdout))
    # In a file or a pipe a line may be as long as it is.
    return Console(file=file, highlight=False, width=None if file.isatty() else 200)


def say(line: str, is_command: bool = False) -> None:
    """One line on standard output; at a terminal broken at spaces, but for a command, which may be copied."""
    out, text = console(), credentials.masked(line)
    out.print(text if is_command else _broken(text, out, INDENT), soft_wrap=True, markup=False)


def _broken(text: str, out: Console, indent: int) -> str:
    """A line in several where it is longer than a terminal's; a longer word, an address, stays whole."""
    if not out.is_terminal or len(text) <= out.width:
        return text
    lines = textwrap.wrap(text, out.width, subsequent_indent=" " * indent, break_long_words=False,
                          break_on_hyphens=False, replace_whitespace=False, drop_whitespace=True)  # fmt: skip
    return "\n".join(lines)


def note(line: str) -> None:
    """One line that is said once it is known that nothing is wrong: what is refused is an error alone."""
    _notes[line] = None


def say_notes() -> None:
    """Say what was noted."""
    for line in list(_notes):
        say(line)
    _notes.clear()


def error(message: str) -> None:
    """One line on standard error."""
    _log.error(message)


class _OnStandardError(logging.Handler):
    """Writes what deepvis has to say on the terminal's standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        line = f"deepvis: {credentials.masked(record.getMessage())}"
        file = cast(TextIO, _copies.get(2, sys.stderr))
        if _lives and file.isatty():  # above what is drawn on the same terminal
            out = _lives[-1].console
            out.print(_broken(line, out, 0), soft_wrap=True, markup=False)
        else:
            print(line, file=file, flush=True)


if not _log.handlers:
    _log.addHandler(_OnStandardError(logging.WARNING))


def _breakpoint(*args: Any, **kwargs: Any) -> None:
    """``breakpoint()``: give the process its terminal back, then start the debugger where it was called."""
    sys.stdout.flush()
    sys.stderr.flush()
    while _lives:
        _lives.pop().stop()
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
