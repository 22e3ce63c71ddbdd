"""Files written whole or not at all: to a temporary name beside them, on the disk, then renamed.

The one place where deepvis decides what outlives a crash: `replacing` for a file, `replacing_folder` for a
folder. Temporary names end in `PARTIAL`, so that what a killed process left is known from the user's files.
"""

import csv
import fcntl
import io
import os
import secrets
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from deepvis.core.errors import ConfigError

ROOM = 16 * 2**20  # bytes that must be free before a job starts; a job of 16 filters at 128 px takes 5 MB
PARTIAL = ".deepvis-partial"  # what temporary names end in
ELSEWHERE = "write elsewhere with hydra.run.dir=... (hydra.sweep.dir=... for -m)"
CHUNK = 1 << 20  # bytes read at once


def partial(path: Path) -> Path:
    """A hidden name beside a path for what is not whole yet; no other process or thread has it."""
    return path.with_name(f".{path.name[:80]}.{secrets.token_hex(4)}{PARTIAL}")


def remove_partials(folder: Path, name: str = "") -> None:
    """Remove what a killed process left half written in a folder, or of one file there, and nothing else."""
    for left in folder.glob(f".{name}*{PARTIAL}"):
        shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink(missing_ok=True)


def remove_left(folder: Path) -> None:
    """Remove what killed processes left half written in a folder; what is being written stays."""
    with locked(folder):
        for left in folder.glob(f".*{PARTIAL}"):
            with suppress(OSError):  # a process holds it, or has just renamed it; or it is a link
                opened = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
                finally:
                    os.close(opened)


@contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[Path]:
    """A temporary path to write to; it becomes the file once the block has ended without an error.

    Args:
      path: of the file; what was there before stays there until then.
      durable: whether it has to outlive a crash of the machine. Without, such a crash may leave it empty.
    """
    temporary = partial(path)
    try:
        with _held_file(temporary):
            yield temporary
            if durable:
                sync(temporary)
            temporary.replace(path)
        if durable:
            sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to fill; it takes the place of the folder once the block has ended without an error.

    Args:
      path: of the folder; what was there before stays there until then.
    """
    temporary, replaced = partial(path), partial(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _held(temporary):
            yield temporary
            with locked(path.parent):  # else `remove_left` could take what is put aside
                if path.exists():
                    path.replace(replaced)
                try:
                    temporary.replace(path)
                except OSError:
                    if replaced.exists():
                        replaced.replace(path)
                    raise
        sync(path.parent)
        shutil.rmtree(replaced, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _held_file(file: Path) -> Iterator[None]:
    """Make a file, and hold the lock on it in the block: see `remove_left`."""
    while True:
        opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        with suppress(OSError):  # some file systems have no locks
            fcntl.flock(opened, fcntl.LOCK_EX)
        if file.exists():  # else it was taken for left before it was locked
            break
        os.close(opened)
    try:
        yield
    finally:
        os.close(opened)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Make a folder, and hold the lock on it in the block: see `remove_left`."""
    with ExitStack() as lock:
        with locked(folder.parent):
            folder.mkdir()
            lock.enter_context(locked(folder))
        yield


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time is in the block, by a lock on the folder itself, which leaves no file there."""
    opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some file systems have no locks
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def sync(path: Path) -> None:
    """Have a file's content, or a folder's names, written to the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError:
        if not path.is_dir():  # some file systems cannot do this for folders
            raise
    finally:
        os.close(opened)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], digits: int = 6) -> None:
    """Write rows as a CSV, whole or not at all; numbers that are not whole with so many digits."""
    text = io.StringIO()
    out = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    out.writeheader()
    for row in rows:
        out.writerow({k: f"{v:.{digits}g}" if isinstance(v, float) else _inert(v) for k, v in row.items()})
    write_text(path, text.getvalue())


def _inert(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: a text that begins like one gets an apostrophe.

    Example:
      >>> _inert("=1+1"), _inert("-0.5"), _inert("decay=1")
      ("'=1+1", '-0.5', 'decay=1')
    """
    if not isinstance(value, str):
        return value
    text = value.replace("\r", " ")  # which the csv module does not quote, and readers take for a new row
    if not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return text
    try:
        float(value)
    except ValueError:
        return f"'{text}"
    return value


def checksums(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and CRC-32 of every file below a folder, by its path there."""
    known: dict[int, tuple[int, int]] = {}  # by inode: many pictures are one file under several names
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        inode = path.stat().st_ino
        known[inode] = known.get(inode) or checksum(path)
        found[path.relative_to(folder).as_posix()] = known[inode]
    return found


def checksum(path: Path) -> tuple[int, int]:
    """Size of a file, and its CRC-32: against damage, not against malice."""
    size = value = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            size, value = size + len(chunk), zlib.crc32(chunk, value)
    return size, value


def check_folder(folder: Path, elsewhere: str = ELSEWHERE) -> None:
    """Refuse an output folder that could not be made or filled; nothing is written to find out.

    Raises:
      ConfigError: it is below a file, read-only, or on a full disk.
    """
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if not there.is_dir():
        raise ConfigError(f"output folder {folder}: {there} is not a folder; {elsewhere}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"output folder {folder}: {there} is read-only; {elsewhere}")
    free = shutil.disk_usage(there).free
    if free < ROOM:
        raise ConfigError(
            f"output folder {folder}: {free / 2**20:.1f} MB free, expected {ROOM >> 20}; {elsewhere}"
        )
