"""Process locks: which processes of a sweep still run.

Each process of a sweep holds a lock in the sweep's folder, which the system releases when the process ends,
and rewrites a heartbeat beside it. Processes under one kernel, in whatever containers, are told apart by the
lock alone. Of another machine the lock may be unknown here, and clocks may differ: it runs if its heartbeat
changes while it is watched. Host names and process numbers are for people to read; nothing depends on them.
"""

import fcntl
import os
import re
import secrets
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from deepvis.core import terminal
from deepvis.core.errors import ConfigError
from deepvis.core.names import is_plain

FOLDER = ".alive"  # in a sweep's folder
BEAT = ".beat"  # suffix of a heartbeat
INTERVAL = 2.0  # s between two heartbeats
PATIENCE = 10.0  # s for which a heartbeat is watched: a process that compiles may miss some
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class _Held:
    token: str
    lock: int  # an open file, locked
    ended: threading.Event


_held: dict[Path, _Held] = {}  # of this process, by sweep folder


def sign(folder: Path) -> str:
    """This process's name in a sweep, and the lock and the heartbeat behind it."""
    folder = folder.absolute()
    if folder not in _held:
        host = re.sub(r"[^\w.]", "_", socket.gethostname()).lstrip(".") or "host"
        token = f"{host}-{os.getpid()}-{secrets.token_hex(3)}"
        file = folder / FOLDER / token
        file.parent.mkdir(parents=True, exist_ok=True)
        held = _Held(token, os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), threading.Event())
        kernel = _kernel() if _locked(held.lock) else ""
        beat = file.with_name(f"{token}{BEAT}")
        beat.write_text(f"{kernel} 0")
        threading.Thread(target=_beat, args=(beat, kernel, held.ended), daemon=True).start()
        _held[folder] = held
    return _held[folder].token


def enter(folder: Path, sweep: str) -> None:
    """Take a sweep's folder for this process, or refuse: two must not share its remaining jobs.

    Args:
      folder: of the sweep; it is made.
      sweep: its id, for the message.

    Raises:
      ConfigError: another process still runs it. What dead ones left is removed.
    """
    with _entry(folder, sweep):
        own = sign(folder)
        others = [token for token in tokens(folder) if token != own]
        if living := running(folder, others):
            tidy(folder)
            raise ConfigError(
                f"sweep {sweep}: another process still runs it, or another sweep, in {folder} "
                f"({living[0]}: host, process); wait for it, or end it first"
            )
        for token in others:
            _remove(folder, token)


def holds(folder: Path, token: str) -> bool:
    """Whether the process of that name still runs; one that has no lock in the sweep's folder does not.

    Args:
      folder: of the sweep.
      token: as `sign` gave it, or whatever else a store holds: what is no name is no process.
    """
    return bool(running(folder, [token]))


def running(folder: Path, tokens: list[str]) -> list[str]:
    """Which of these processes still run; of another machine they are watched for `PATIENCE` seconds."""
    known = [token for token in tokens if is_plain(token) and (folder / FOLDER / token).is_file()]
    locked = [token for token in known if not _is_free(folder / FOLDER / token)]
    kernel = _kernel()
    unsure = {
        token: beat
        for token in known
        if token not in locked and ((beat := _read(folder, token)).split(" ")[0] != kernel or not kernel)
    }
    if unsure and not locked:
        terminal.say(f"waiting   {PATIENCE:.0f} s: does {next(iter(unsure))} of another machine still run?")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not locked:
            time.sleep(INTERVAL / 4)
            locked = [token for token, beat in unsure.items() if _read(folder, token) not in (beat, "")]
    return locked


def alive(folder: Path) -> list[str]:
    """The processes of the sweep in this folder that still run."""
    return running(folder, tokens(folder))


def tidy(folder: Path) -> None:
    """Release this process's lock, and remove those of processes under this kernel that have ended."""
    folder = folder.absolute()
    if held := _held.pop(folder, None):
        held.ended.set()
        os.close(held.lock)
        _remove(folder, held.token)
    kernel = _kernel()
    for token in tokens(folder) if kernel else ():
        if _read(folder, token).split(" ")[0] == kernel and _is_free(folder / FOLDER / token):
            _remove(folder, token)
    with suppress(OSError):  # others may still run
        (folder / FOLDER).rmdir()


def _beat(file: Path, kernel: str, ended: threading.Event) -> None:
    """Rewrite a heartbeat until its process ends; end the process whose sweep another one has taken."""
    count = 0
    while not ended.wait(INTERVAL):
        count += 1
        try:
            with file.open("r+") as stream:  # it is never made again: who removed it has taken the sweep
                stream.write(f"{kernel} {count}")
        except FileNotFoundError:
            if not ended.is_set():
                terminal.error(f"{file.parent.parent}: another process has taken this sweep, or it is gone")
                os.kill(os.getpid(), signal.SIGTERM)
            return
        except OSError:  # a full disk, a server that is away for a while
            continue


@contextmanager
def _entry(folder: Path, sweep: str) -> Iterator[None]:
    """One at a time asks whether it may begin: by a lock on the folder itself, which leaves no file."""
    folder.mkdir(parents=True, exist_ok=True)
    lock, end = os.open(folder, os.O_RDONLY | os.O_CLOEXEC), time.monotonic() + 2 * PATIENCE
    try:
        while _locked(lock) is False:
            if time.monotonic() > end:
                raise ConfigError(f"sweep {sweep}: another process is just beginning it; wait for it")
            time.sleep(0.05)
        yield
    finally:
        os.close(lock)


@contextmanager
def abandoned(folder: Path) -> Iterator[bool]:
    """Whether no process runs or begins in a folder; none can meanwhile. Locks of dead ones are removed."""
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        is_abandoned = bool(_locked(lock)) and not alive(folder)
        if is_abandoned:
            for token in tokens(folder):
                _remove(folder, token)
            with suppress(OSError):  # it holds what is no lock
                (folder / FOLDER).rmdir()
        yield is_abandoned
    finally:
        os.close(lock)


def _locked(opened: int) -> bool | None:
    """Lock an open file, until it is closed; False if another process has it, None if files have no locks."""
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_free(file: Path) -> bool:
    """Whether no process that this kernel knows of holds a lock."""
    try:
        opened = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except OSError:  # of another user
        return False
    try:
        return _locked(opened) is not False
    finally:
        os.close(opened)


def tokens(folder: Path) -> list[str]:
    """The names of the processes that have signed in a sweep, running or not."""
    names = (path.name for path in (folder / FOLDER).glob("[!.]*"))
    return sorted(name for name in names if not name.endswith(BEAT))


def _read(folder: Path, token: str) -> str:
    """A heartbeat: the kernel it is from, and a count; empty where there is none."""
    with suppress(OSError):
        return (folder / FOLDER / f"{token}{BEAT}").read_text()
    return ""


def _remove(folder: Path, token: str) -> None:
    for name in (f"{token}{BEAT}", token):
        (folder / FOLDER / name).unlink(missing_ok=True)


def _kernel() -> str:
    """What processes under one kernel have in common until it is booted again; empty where it is not told."""
    with suppress(OSError):
        return BOOT_ID.read_text().strip()
    return ""
