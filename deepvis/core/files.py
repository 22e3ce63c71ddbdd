"""Files written whole or not at all: to a temporary name beside them, then renamed."""

import csv
import io
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepvis.core.errors import ConfigError

ROOM = 16 * 2**20  # bytes that must be free before a job starts; a job of 16 filters at 128 px takes 5 MB


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], digits: int = 6) -> None:
    """Write rows as a CSV, whole or not at all; numbers that are not whole with so many digits."""
    text = io.StringIO()
    out = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    out.writeheader()
    for row in rows:
        out.writerow({k: f"{v:.{digits}g}" if isinstance(v, float) else v for k, v in row.items()})
    write_text(path, text.getvalue())


def check_folder(folder: Path) -> None:
    """Refuse an output folder that could not be made or filled; nothing is written to find out.

    Raises:
      ConfigError: it is below a file, read-only, or on a full disk.
    """
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    elsewhere = "write elsewhere with hydra.run.dir=... (hydra.sweep.dir=... for -m)"
    if not there.is_dir():
        raise ConfigError(f"output folder {folder}: {there} is not a folder; {elsewhere}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"output folder {folder}: {there} is read-only; {elsewhere}")
    free = shutil.disk_usage(there).free
    if free < ROOM:
        raise ConfigError(
            f"output folder {folder}: {free / 2**20:.1f} MB free, expected {ROOM >> 20}; {elsewhere}"
        )
