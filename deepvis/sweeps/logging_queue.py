"""The queue of what is to be logged: jobs are computed meanwhile, and never wait for the store.

A call of a store may fail, hang, or be done although it failed. Logging is idempotent, so it is repeated,
with growing pauses, until the tracker's ``timeout``; what is still not logged then stays in the result
folders, from which it is logged at the end of the sweep, or when the sweep is resumed.
"""

import itertools
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from deepvis.core import terminal
from deepvis.core.errors import TrackingError, first_line
from deepvis.tracking.base import JobRun, Tracker

PAUSES = (0.2, 0.5, 1, 2, 4, 8, 15)  # seconds between attempts; the last one is repeated
MOST_PICTURES = 4  # jobs whose pictures may wait in memory; those of the others are read from their folders

T = TypeVar("T")
_queues: list["LoggingQueue"] = []  # of this process


@dataclass
class Attempts:
    """How often something was tried that failed."""

    count: int = 0
    since: float | None = None
    ready_at: float = 0


class LoggingQueue:
    """What waits to be logged by a tracker, and the threads that log it."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.unlogged: dict[tuple[str, str, str], str] = {}  # why, by sweep, job folder and key
        self.waiting: list[tuple[JobRun, Attempts]] = []
        self.active = 0  # jobs that are logged right now
        self.calls: dict[int, float] = {}  # when each call of the store began
        self.numbers = itertools.count()
        self.failing_since: float | None = None  # beginning of the outage
        self.reason = ""
        self.has_told = self.has_given_up = False
        self.next_attempt = 0.0  # of an outage that was given up
        self.changed = threading.Condition()
        self.threads: list[threading.Thread] = []

    def add(self, run: JobRun) -> None:
        """Log a job as soon as the store takes it; returns at once."""
        with self.changed:
            if self.has_given_up and time.monotonic() < self.next_attempt:
                self.unlogged[_key(run)] = self.reason
                return
            self.next_attempt = time.monotonic() + PAUSES[-1]
            if len(self.waiting) >= MOST_PICTURES:
                run = replace(run, pictures=None)
            self.waiting.append((run, Attempts()))
            self._start_threads()
            self.changed.notify_all()

    def drain(self) -> Mapping[tuple[str, str, str], str]:
        """Wait until everything is logged or given up; returns what is not, and why."""
        with self.changed:
            while self.waiting or self.active:
                self.changed.wait(1)
            return dict(self.unlogged)

    def call(self, function: Callable[[], T]) -> T:
        """Call the store from here, again and again until the timeout.

        Raises:
          TrackingError: it still fails.
        """
        attempts = Attempts()
        with self.changed:
            self._start_threads()
        with suppress(Exception):  # what is wrong is said by the call
            self.tracker.load()
        while True:
            try:
                with self._timed():
                    return function()
            except Exception as err:
                if self._was_last(attempts, err):
                    raise TrackingError(f"{self.tracker.place}: {first_line(err)}") from err
            time.sleep(max(0.0, attempts.ready_at - time.monotonic()))

    def _start_threads(self) -> None:
        while len(self.threads) < 1 + self.tracker.writers:
            work = self._log_jobs if self.threads else self._watch
            # Daemons: a process that ends does not wait for a store, and what is half logged is repeated.
            self.threads.append(threading.Thread(target=work, name="deepvis-logging", daemon=True))
            self.threads[-1].start()

    def _log_jobs(self) -> None:
        with suppress(Exception):
            self.tracker.load()
        while True:
            run, attempts = self._next()
            try:
                with self._timed():
                    self.tracker.log(run)
            except Exception as err:
                is_last = self._was_last(attempts, err)
                with self.changed:
                    if is_last or self.has_given_up:
                        self.unlogged[_key(run)] = first_line(err)
                    else:
                        self.waiting.append((run, attempts))
            else:
                with self.changed:
                    self.unlogged.pop(_key(run), None)
            with self.changed:
                self.active -= 1
                self.changed.notify_all()

    def _next(self) -> tuple[JobRun, Attempts]:
        with self.changed:
            while True:
                now = time.monotonic()
                for index, (_, attempts) in enumerate(self.waiting):
                    if attempts.ready_at <= now:
                        self.active += 1
                        return self.waiting.pop(index)
                self.changed.wait(0.1 if self.waiting else None)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        """A call of the store; that it works ends an outage."""
        with self.changed:
            number = next(self.numbers)
            self.calls[number] = time.monotonic()
            self.changed.notify_all()  # the watch begins
        try:
            yield
        finally:
            with self.changed:
                del self.calls[number]
        with self.changed:
            has_told, self.failing_since = self.has_told, None
            self.has_told = self.has_given_up = False
        if has_told:
            terminal.error(f"{self.tracker.place} answers again")

    def _was_last(self, attempts: Attempts, err: Exception) -> bool:
        """Take down a failure; whether it was the last attempt."""
        traceback.print_exception(err)  # to the log
        with self.changed:
            now = time.monotonic()
            self.reason = first_line(err)
            self.failing_since = now if self.failing_since is None else self.failing_since
            attempts.since = now if attempts.since is None else attempts.since
            attempts.ready_at = now + PAUSES[min(attempts.count, len(PAUSES) - 1)]
            attempts.count += 1
            if attempts.ready_at - self.failing_since > self.tracker.timeout and not self.has_given_up:
                self._give_up()
            return self.has_given_up or attempts.ready_at - attempts.since > self.tracker.timeout

    def _give_up(self) -> None:
        self.has_given_up = self.has_told = True
        self.next_attempt = time.monotonic() + PAUSES[-1]
        self.unlogged |= {_key(run): self.reason for run, _ in self.waiting}
        self.waiting.clear()
        terminal.error(
            f"{self.tracker.place}: given up after {self.tracker.timeout:g} s ({self.reason}); "
            "jobs go on, and are logged at the end of the sweep if it answers then"
        )

    def _watch(self) -> None:
        """Say it where the store does not answer for a while."""
        while True:
            with self.changed:
                stuck = [*self.calls.values()]
                stuck += [] if self.failing_since is None else [self.failing_since]
                if not stuck:
                    self.changed.wait()
                    continue
                patience = self.tracker.patience
                is_due = not self.has_told and time.monotonic() - min(stuck) > patience
                self.has_told |= is_due
                reason = "" if self.failing_since is None else self.reason
                self.changed.wait(0 if is_due else 0.25)
            if is_due:
                terminal.error(
                    f"{self.tracker.place} does not answer for {patience:g} s: "
                    f"{reason or self.tracker.obstacle()}; jobs go on, logging is tried again for "
                    f"{self.tracker.timeout:g} s"
                )


def of(tracker: Tracker) -> LoggingQueue:
    """This process's queue for a tracker."""
    for queue in _queues:
        if queue.tracker is tracker:
            return queue
    _queues.append(LoggingQueue(tracker))
    return _queues[-1]


def _key(run: JobRun) -> tuple[str, str, str]:
    return run.sweep, run.job, run.key
