"""Finished jobs of a sweep: those of its manifest that have a result, and no other folder that lies there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from deepvis.core.errors import ConfigError, first_line
from deepvis.core.version import __version__
from deepvis.results import manifest, result_folder
from deepvis.results.result_folder import Result


def read(folder: Path, entry: Mapping[str, Any], known: Mapping[Path, Result]) -> dict[Path, Result]:
    """The results of a sweep's jobs by result folder, in the order of the jobs.

    Args:
      folder: of the sweep.
      entry: its manifest.
      known: results that are in memory; the others are read.

    Raises:
      ConfigError: one cannot be read, is of another job, or of a deepvis that measured less.
    """
    found = {}
    for job in entry["jobs"]:
        path = manifest.result_of(folder, entry, job)
        if path in known or (path / "result.json").is_file():
            found[path] = known.get(path) or _read(path, entry, job["key"])
    return found


def _read(path: Path, entry: Mapping[str, Any], key: str) -> Result:
    hint = f"resume={entry['id']} computes this job again"
    try:
        result = result_folder.read(path)
    except FileNotFoundError as err:
        was = entry["versions"]["deepvis"]
        other = f"; the sweep ran with deepvis {was}, this is {__version__}: run it again"
        raise ConfigError(f"{err.filename} is missing{other if was != __version__ else f'; {hint}'}") from err
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, BadZipFile) as err:
        problem = result_folder.problem(path, key) or f"{path}: cannot be read ({first_line(err)})"
        raise ConfigError(f"{problem}; {hint}") from err
    if result.key != key:
        raise ConfigError(f"{path}: got the result of the job {result.key}, expected {key}; {hint}")
    return result
