"""The output folder, checked before anything is written to it."""

import os
import shutil
from pathlib import Path

from deepvis.core.errors import ConfigError

ROOM = 16 * 2**20  # bytes that must be free before a job starts; a job of 16 filters at 128 px takes 5 MB


def check_folder(folder: Path) -> None:
    """Refuse an output folder that could not be made or filled; nothing is written to find out.

    Args:
      folder: of the results; it need not exist.

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
