"""Progress: how many images are done, what is being done, and how long it still takes.

A terminal and a notebook have a bar that is drawn again and again; a pipe has a line for each snapshot, where
the command writes to it, and nothing where a script of the user's does.
"""

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.jupyter import JupyterMixin
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from deepvis.core import terminal
from deepvis.core.terminal import duration

BAR = 24  # characters of a bar, where there is room
WIDE = 110  # characters a line, from which on the speed and the zero gradients are shown, too
SOON = 10  # s
BETWEEN = 10.0  # s between two lines of work that has no snapshots
PAUSE = 0.2  # s between two drawings in a notebook

_current: list["Progress"] = []  # of this process
_listeners: list[Callable[["Status"], None]] = []  # that draw in its place


@dataclass(frozen=True)
class Status(JupyterMixin):
    """What a bar shows."""

    what: str  # is being done
    share: float = 0.0  # of the work that is done
    images: str = ""
    left: str = ""
    rate: str = ""
    score: str = ""
    zero: str = ""  # how many images have no gradient

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self.images:
            yield Text(f"{self.what} ...", "dim")
            return
        parts = [self.images, self.left]
        if options.max_width >= WIDE:
            parts += [self.rate, f"median {self.score}" if self.score else "", self.zero]
        else:
            parts.append(self.score)
        texts = "  ".join(filter(None, parts))
        what = self.what.ljust(12)
        room = options.max_width - len(what) - len(texts) - 4
        row: list[Any] = [Text(what, no_wrap=True, overflow="crop")]
        if room >= 4:
            row.append(ProgressBar(total=1.0, completed=self.share, width=min(BAR, room)))
        table = Table.grid(padding=(0, 2))
        table.add_row(*row, Text(texts, no_wrap=True, overflow="crop"))
        yield table


@dataclass
class Progress:
    """How far some images are."""

    name: str
    images: int
    work: int  # their images x steps
    expected: float | None = None  # s for all of it, by earlier sweeps
    show: Callable[[Status], None] = lambda status: None  # is called often
    is_listed: bool = False  # whether lines are printed
    began: float = field(default_factory=lambda: time.perf_counter())
    what: str = "starting"
    images_done: int = 0
    work_done: int = 0
    batch: int = 0  # images of the batch that is optimized
    step: int = 0
    steps: int = 0  # of that batch
    score: str = ""
    zero: str = ""
    measured: int = 0  # images x steps whose time is known, without steps that were traced
    seconds: float = 0.0
    last: float | None = None  # when the last step ended; None: the next one is traced first
    bound: float | None = None  # images x steps a second of a step that was traced
    said: float = field(default_factory=lambda: time.perf_counter())  # when the last line was printed
    unit: str = "images x steps"  # of work

    def doing(self, what: str) -> None:
        """Say what is being done."""
        self.what = what
        self.show(self.status())

    def trace(self) -> None:
        """Say that the next step is of another graph: it takes longer than the others."""
        self.last, self.step = None, 0
        self.doing("tracing")

    def begin(self, images: int, done: int, steps: int) -> None:
        """Begin a batch of so many images, which have done some of their steps."""
        self.batch, self.step, self.steps = images, done, steps

    def advance(self) -> None:
        """A step of the batch is done."""
        is_first = self.measured == 0
        self._measure(self.batch)
        self.step += 1
        self.what = f"step {self.step}/{self.steps}"
        self.show(self.status())
        # Else the line of a snapshot comes before anybody asks.
        if self.is_listed and is_first and self.measured and self.rest() > SOON:
            terminal.say(self.line())

    def count(self, work: int, images: int) -> None:
        """So much more work is done, and so many images; a list has a line now and then."""
        self._measure(work)
        self.finish(images)
        self.show(self.status())
        if self.is_listed and self.last is not None and self.last - self.said >= BETWEEN:
            self.said = self.last
            terminal.say(self.line())

    def _measure(self, work: int) -> None:
        now = time.perf_counter()
        if self.last is not None:
            self.measured, self.seconds = self.measured + work, self.seconds + now - self.last
        elif self.bound is None:
            self.bound = work / max(now - self.began, 1e-9)
        self.last, self.work_done = now, self.work_done + work

    def skip(self, images: int, work: int) -> None:
        """Leave out what was done before, or what has failed."""
        self.images, self.work = self.images - images, self.work - work

    def finish(self, images: int) -> None:
        """So many images have done their steps."""
        self.images_done += images

    def snapshot(self, score: float, zero: int) -> None:
        """Take over what is known of the images: their median score, and how many have no gradient."""
        self.score = "" if math.isnan(score) else f"score {score:.4g}"
        self.zero = f"zero gradient: {zero} of {self.batch} images"
        self.show(self.status())
        if self.is_listed:
            terminal.say(self.line())

    def rest(self) -> float:
        """Seconds that it still takes, once steps are measured."""
        return (self.work - self.work_done) * max(self.seconds, 1e-9) / self.measured

    def left(self) -> str:
        """How long it still takes, and how that is known."""
        if self.measured:
            return f"{duration(self.rest())} left"
        if self.expected is not None:
            rest = self.expected - (time.perf_counter() - self.began)
            if rest >= 1:
                return f"about {duration(rest)} left"
        if self.bound is not None:
            return f"at most {duration((self.work - self.work_done) / self.bound)} left"
        return ""

    def rate(self) -> str:
        """Images x steps a second."""
        rate = self.measured / max(self.seconds, 1e-9) if self.measured else self.bound
        return "" if rate is None else f"{rate:.1f} {self.unit}/s"

    def line(self) -> str:
        """All of it as a line of a log."""
        now = self.status()
        score = f"median {now.score}" if now.score else ""
        parts = (self.name, now.what, now.images, now.rate, now.left, score, now.zero)
        return "  ".join(part for part in parts if part)

    def status(self) -> Status:
        """All of it, to be drawn."""
        share = min(1.0, self.work_done / max(self.work, 1))
        images = f"{self.images_done}/{self.images} images"
        return Status(self.what, share, images, self.left(), self.rate(), self.score, self.zero)


@contextmanager
def progress(
    name: str, images: int, work: int, expected: float | None = None, of_command: bool = True
) -> Iterator[Progress]:
    """Show how far some images are, as long as the block runs.

    Args:
      name: of what is computed.
      images: how many.
      work: their images x steps.
      expected: s that all of it takes, by what was measured before.
      of_command: whether standard output is the command's own; a script's or a notebook's is not.
    """
    shown = Progress(name, images, work, expected)
    _current.append(shown)
    try:
        if _listeners:
            shown.show = _listeners[-1]
            yield shown
        elif not of_command and is_notebook():
            with in_notebook() as shown.show:
                yield shown
        elif _is_drawn(out := terminal.console() if of_command else _of_script()):
            with _drawn(out, get_renderable=shown.status):
                yield shown
        else:
            shown.is_listed = of_command
            yield shown
    finally:
        _current.remove(shown)


@contextmanager
def doing(what: str) -> Iterator[None]:
    """Say at a terminal what is being done, as long as the block runs."""
    if _current:
        shown, before = _current[-1], _current[-1].what
        shown.doing(what)
        try:
            yield
        finally:
            shown.doing(before)
    elif _listeners:
        _listeners[-1](Status(what))
        yield
    elif terminal.is_taken() and _is_drawn(out := terminal.console()):
        with _drawn(out, Status(what)):
            yield
    else:
        yield


def tell(listener: Callable[[Status], None]) -> None:
    """Have another function draw all that is to be drawn in this process."""
    _listeners.append(listener)


@contextmanager
def in_notebook() -> Iterator[Callable[[Status], None]]:
    """A place in a notebook's output: what it is called with is drawn there; at the end it is empty."""
    display, drawn = sys.modules["IPython"].display.display, 0.0
    handle = display(Status("starting"), display_id=True)

    def show(status: Status) -> None:
        nonlocal drawn
        if time.monotonic() - drawn > PAUSE:
            drawn = time.monotonic()
            handle.update(status)

    try:
        yield show
    finally:
        handle.update({"text/plain": ""}, raw=True)


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    module = sys.modules.get("IPython")
    return module is not None and getattr(module.get_ipython(), "kernel", None) is not None


def _of_script() -> Console:
    """A script's standard error; of a terminal by another descriptor, for `quiet` keeps that one."""
    if not os.isatty(2):
        return Console(stderr=True)
    return Console(file=os.fdopen(os.dup(2), "w"), stderr=True, highlight=False)


def _is_drawn(out: Console) -> bool:
    """Whether there is a terminal, and no other process that draws there."""
    return out.is_terminal and terminal.is_alone()


@contextmanager
def _drawn(out: Console, *drawn: Status, **options: Any) -> Iterator[None]:
    """Draw something at the end of a terminal; what deepvis prints meanwhile comes above it."""
    # What others print goes where they print it: to the log.
    live = Live(*drawn, console=out, refresh_per_second=5, transient=True, redirect_stdout=False,
                redirect_stderr=False, **options)  # fmt: skip
    with live, terminal.above(live):
        yield
