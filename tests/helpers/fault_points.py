"""Fault points: the calls at which a process of deepvis may be stopped, found by wrapping them.

`install` runs in a forked process, before deepvis' main. It wraps every call that leaves something on the
disk or in MLflow, writes a line for each into a file (a killed process has left all lines up to its death),
and makes one of them fail. A point is named by what is called and for what, not by its number alone, because
threads take turns: ``replace outputs/SWEEP/0_decay=0.8/result 1`` is the second such call.
"""

import builtins
import errno
import functools
import inspect
import io
import os
import re
import signal
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILES = ("replace", "rename", "link", "symlink")  # functions of os
CLIENT = re.compile(
    r"(create|log|set|update|delete|restore|rename|record|finish|end)_\w+"
)  # what changes a store
REMOTE = "remote"  # kinds of MLflow begin with this


@dataclass(frozen=True)
class Fault:
    """What happens at a point: the first call of that name, or of the number if that is given."""

    what: str  # see `strike`
    when: str = "before"  # before or after the call
    kind: str = ""
    target: str = ""
    nth: int = 0
    number: int = -1  # of all calls, in place of kind, target and nth
    times: int = 1  # how many calls from there on fail


_open = io.open
_guard = threading.Lock()
_inside = threading.local()  # a wrapped call inside another is no point of its own kind
_seen: Counter[tuple[str, str]] = Counter()
_total = 0
_left = 0  # calls that are still to fail
_names: dict[str, str] = {}  # run id -> name


def install(log: str, cwd: str, fault: Fault | None) -> None:
    """Wrap the calls; every point is a line of `log`: kind, target, number among those."""
    lines = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    root = os.path.realpath(cwd)

    def point(kind: str, target: str, call: Callable[[], Any]) -> Any:
        global _total, _left
        with _guard:
            nth, number = _seen[kind, target], _total
            _seen[kind, target] += 1
            _total += 1
            os.write(lines, f"{kind}\t{target}\t{nth}\n".encode())
            hit = fault is not None and (
                number == fault.number
                if fault.number >= 0
                else (kind, target, nth) == (fault.kind, fault.target, fault.nth)
            )
            if hit:
                _left = fault.times
                os.write(lines, b"HIT\n")
            failing = _left > 0 and (hit or fault.what in REPEATED[kind.startswith(REMOTE)])
            _left -= failing
        if not failing:
            return call()
        return strike(fault, kind, call)

    def strike(fault: Fault, kind: str, call: Callable[[], Any]) -> Any:
        value = call() if fault.when == "after" else None
        if fault.what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif fault.what.startswith("SIG"):
            name, _, twice = fault.what.partition(" ")
            for _ in range(2 if twice else 1):
                os.kill(os.getpid(), getattr(signal, name))
        elif fault.what == "disk full":
            fill(Path(cwd).parent / FILLER)
        elif fault.what == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        elif fault.what == "locked":
            from sqlalchemy.exc import OperationalError

            raise OperationalError("COMMIT", None, sqlite3.OperationalError("database is locked"))
        elif fault.what == "server error":
            from mlflow.exceptions import MlflowException

            raise MlflowException(
                "API request failed with error code 500 != 200. Response body: 'Internal error'"
            )
        return value if fault.when == "after" else call()

    def below(path: Any) -> str | None:
        """A path in the sweep's project, as points name it."""
        if isinstance(path, int) or path is None:
            return None
        full = str(Path(os.fsdecode(path)).absolute())
        if not full.startswith((root + os.sep, str(cwd) + os.sep)):
            return None
        return normalised(os.path.relpath(full, root if full.startswith(root) else cwd))

    wrap_files(point, below, FILES)
    wrap_writing(point, below)
    wrap_mlflow(point)


FILLER = "filler"  # beside a project, on a disk of its own


def fill(file: Path) -> None:
    """Leave no byte free on a disk."""
    with suppress(OSError), _open(file, "ab", buffering=0) as stream:
        while stream.write(b"\0" * 4096):
            pass


REPEATED = {False: ("full",), True: ("server error", "locked", "full")}  # by whether a call is MLflow's


def normalised(text: str) -> str:
    """Without what is another at every run: ids, times, numbers of processes."""
    text = re.sub(r"\b\d{8}-\d{6}-[0-9a-f]{4}\b", "SWEEP", text)
    text = re.sub(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "UUID", text)
    text = re.sub(r"\b[0-9a-f]{32}\b", lambda found: _names.get(found[0], "RUN"), text)
    text = re.sub(r"timestamp\+\d+", "timestamp+T", text)
    text = re.sub(rf"\.{os.getpid()}\b", ".PID", text)
    text = re.sub(r"\.\d{2,7}\b(?!\.)(?=$|/)", ".PID", text)
    text = re.sub(r"\.[0-9a-f]{8}\.deepvis-partial\b", ".PARTIAL", text)
    text = re.sub(r"[\w-]+-\d+-[0-9a-f]{6}\b", "TOKEN", text)
    return re.sub(r"tmp\w{8}\b", "TMP", text)


def nested(kind: str) -> bool:
    return kind in getattr(_inside, "kinds", ())


def once(kind: str, call: Callable[[], Any]) -> Any:
    """Do a call, and know meanwhile that it is one of that kind."""
    _inside.kinds = (*getattr(_inside, "kinds", ()), kind)
    try:
        return call()
    finally:
        _inside.kinds = _inside.kinds[:-1]


def wrap_files(point: Callable, below: Callable, names: tuple[str, ...]) -> None:
    for name in names:
        real = getattr(os, name)

        @functools.wraps(real)
        def wrapped(*args, _real=real, _name=name, **more):
            target = below(args[1])
            if target is None:
                return _real(*args, **more)
            return point(_name, target, lambda: _real(*args, **more))

        setattr(os, name, wrapped)


def wrap_writing(point: Callable, below: Callable) -> None:
    """A file that is opened to be written: then the disk may be full."""
    real = io.open

    @functools.wraps(real)
    def opened(file, mode="r", *args, **more):
        target = below(file) if set(mode) & set("wax+") else None
        return (
            real(file, mode, *args, **more)
            if target is None
            else point("write", target, lambda: real(file, mode, *args, **more))
        )

    io.open = builtins.open = opened


def wrap_mlflow(point: Callable) -> None:
    """MLflow's client, and what commits to the store below it, whoever calls it."""
    from mlflow import MlflowClient
    from sqlalchemy.orm import Session

    def target(args: dict[str, Any]) -> str:
        run = args.get("run_id")
        words = [_names.get(run, "RUN")] if run else []
        words += [Path(str(args[key])).name for key in ("local_path", "local_dir") if args.get(key)]
        words += [str(args[key]) for key in ("key", "name", "run_name", "status") if args.get(key)]
        words += [key for key in ("metrics", "params", "tags") if args.get(key) and run]
        return normalised(" ".join(words))

    for name, real in inspect.getmembers(MlflowClient, inspect.isfunction):
        if not CLIENT.fullmatch(name):
            continue
        signature = inspect.signature(real)

        @functools.wraps(real)
        def wrapped(*args, _real=real, _name=name, _signature=signature, **more):
            kind = f"{REMOTE} {_name}"
            if any(nested(k) for k in _kinds()):
                return _real(*args, **more)
            given = _signature.bind(*args, **more).arguments
            value = point(kind, target(given), lambda: once(kind, lambda: _real(*args, **more)))
            if _name == "create_run":
                _names[value.info.run_id] = normalised(given.get("run_name") or "unnamed")
            return value

        setattr(MlflowClient, name, wrapped)
    real_commit = Session.commit

    @functools.wraps(real_commit)
    def commit(self):
        if not (self.new or self.dirty or self.deleted or getattr(self, "_flushed", False) or _writes(self)):
            return real_commit(self)
        kind = f"{REMOTE} commit"
        return point(kind, _caller(), lambda: real_commit(self))

    Session.commit = commit


def _kinds() -> tuple[str, ...]:
    return tuple(kind for kind in getattr(_inside, "kinds", ()) if kind.startswith(REMOTE))


def _writes(session: Any) -> bool:
    """Whether what the session has sent to SQLite is not yet committed."""
    try:
        return bool(
            session.in_transaction() and session.connection().connection.dbapi_connection.in_transaction
        )
    except Exception:
        return False


def _caller() -> str:
    """The function of MLflow's store that commits."""
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code.co_filename.endswith("sqlalchemy_store.py"):
            return frame.f_code.co_name
        frame = frame.f_back
    return "commit"
