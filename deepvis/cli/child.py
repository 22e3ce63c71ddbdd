"""A sweep that another Python process has started: the command line, and a pipe on which it is followed.

    python -m deepvis.cli.child PIPE ARGUMENTS

The pipe gets a JSON object a line: ``status``, what a bar shows; at the end ``code``, ``sweep``, ``folder``,
and of an error that ended it ``error``, its class, and ``message``. When standard input ends, the other
process is gone, and the sweep is ended as by a signal.
"""

import dataclasses
import json
import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from deepvis.cli import main as command
from deepvis.cli import messages, resume, signals
from deepvis.core import credentials, progress, terminal
from deepvis.core.progress import Status

PAUSE = 0.1  # s between two states that are sent


class Pipe:
    """What the other process reads."""

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)  # workers outlive this process
        self.fd, self.sent = fd, 0.0

    def send(self, **what: Any) -> None:
        """Send an object; the other process may be gone."""
        with suppress(OSError):
            os.write(self.fd, f"{json.dumps(what)}\n".encode())

    def show(self, status: Status) -> None:
        """Send what a bar shows, not too often."""
        if time.monotonic() - self.sent > PAUSE:
            self.sent = time.monotonic()
            self.send(status=dataclasses.asdict(status))


def main() -> None:
    """Run the sweep of the arguments; leave with the exit code that the command has."""
    pipe, typed = Pipe(int(sys.argv[1])), [credentials.taken(each) for each in sys.argv[2:]]
    sys.argv = ["deepvis", *typed]
    terminal.open_closed()
    logging.raiseExceptions = False
    signals.catch(terminal.error)
    threading.Thread(target=_watch, daemon=True).start()
    if not os.isatty(1):
        progress.tell(pipe.show)
    code = command.sweep(typed)
    error = dict(zip(("error", "message"), messages.last() or (), strict=False))
    sweep, folder = os.environ.get("DEEPVIS_SWEEP"), os.environ.get("DEEPVIS_FOLDER")
    if code == 0 and folder is None and (sought := resume.sought(typed)):  # nothing was left to do
        sweep, folder = sought.id, str(sought.folder.absolute())
    pipe.send(code=code, sweep=sweep, folder=folder, **error)
    sys.exit(code)


def _watch() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
