"""Signals: the first unwinds the command, so that it closes what is open; a second ends it at once.

After the second nothing is closed: what was written is whole, and `resume` goes on from there.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WORDS = {
    signal.SIGINT: "interrupted",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "terminated, for its terminal was closed",
}
_received: list[int] = []


def catch(tell: Callable[[str], None]) -> None:
    """Let signals end this process as `tell` says; one that is ignored (nohup) stays so."""

    def end(number: int, _: FrameType | None) -> None:
        _received.append(number)
        what = WORDS[signal.Signals(number)]
        if len(_received) > 1:
            tell(f"{what} again; ended at once, resume=latest goes on")
            os._exit(code(_received[0]))
        tell(f"{what}; what had finished is kept")
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(code(number))

    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


def code(number: int) -> int:
    """The exit code of a process that a signal has ended, as shells have it."""
    return 128 + number
