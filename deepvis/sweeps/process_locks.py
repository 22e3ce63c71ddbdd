"""Process locks: which processes of a sweep still run, by locks that the system releases when they end.

A process number is not enough: the system gives it again.
"""

import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from deepvis.core.errors import ConfigError

FOLDER = ".alive"  # in a sweep's folder
_held: dict[Path, FileLock] = {}  # this process's locks, by sweep folder


def sign(folder: Path) -> str:
    """This process's name in a sweep, and the lock behind it."""
    if folder not in _held:
        token = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        _held[folder] = FileLock(folder / FOLDER / token)
        _held[folder].acquire()
    return Path(_held[folder].lock_file).name


def holds(folder: Path, token: str) -> bool:
    """Whether the process of that name still runs; one of another machine that left no lock here does."""
    file = folder / FOLDER / token
    if not file.exists():
        return token.rsplit("-", 2)[0] != socket.gethostname()
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    file.unlink(missing_ok=True)
    return False


def refuse(folder: Path, sweep: str) -> None:
    """Raise a `ConfigError` if a process of the sweep still runs: two must not share its remaining jobs."""
    others = [file.name for file in (folder / FOLDER).glob("*") if holds(folder, file.name)]
    if others:
        raise ConfigError(
            f"resume={sweep}: another process still runs it ({others[0]}: host, process); "
            "wait for it, or end it first"
        )


def tidy(folder: Path) -> None:
    """Release this process's lock, and remove those of processes that have ended."""
    if folder in _held:
        _held.pop(folder).release()
    for file in (folder / FOLDER).glob("*"):
        holds(folder, file.name)
    with suppress(OSError):  # others may still run
        (folder / FOLDER).rmdir()
