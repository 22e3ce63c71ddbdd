"""Sweep folders: who may write where, decided before anything is written.

Each job has one folder of its own in its sweep's folder, and a folder has one sweep. What is there and was
not written by that sweep is left alone.
"""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from deepvis.core import files, terminal
from deepvis.core.errors import ConfigError
from deepvis.core.names import is_plain
from deepvis.results import known_sweeps, manifest, result_folder, written_files
from deepvis.sweeps import process_locks
from deepvis.sweeps.jobs import Job

# What is in a sweep's folder before its manifest is.
UNBEGUN = re.compile(
    rf"{re.escape(process_locks.FOLDER)}(/[\w.]+-\d+-[0-9a-f]{{6}}({re.escape(process_locks.BEAT)})?)?"
    rf"|\.{re.escape(manifest.FILE)}\.[0-9a-f]{{8}}{re.escape(files.PARTIAL)}"
)
ELSEWHERE = "choose another folder with hydra.sweep.dir=... (hydra.run.dir=... without -m)"


def check_plans(folder: Path, jobs: Sequence[Path]) -> None:
    """Refuse jobs whose folders are not each one of its own, directly in the sweep's folder.

    Args:
      folder: of the sweep, absolute.
      jobs: their folders, absolute; a single job may have the sweep's.

    Raises:
      ConfigError: names the first that is not.
    """
    if list(jobs) == [folder]:
        return
    hint = "expected one new name for each job, such as hydra.sweep.subdir='${hydra.job.num}'"
    known: dict[str, Path] = {}
    for job in jobs:
        if (
            job.parent != folder
            or not is_plain(job.name)
            or job.name in written_files.OF_SWEEP + written_files.OF_JOB
        ):
            raise ConfigError(f"hydra.sweep.subdir: got {job} in {folder}; {hint}")
        if known.setdefault(job.name.casefold(), job) is not job:
            raise ConfigError(f"hydra.sweep.subdir: got {job.name} for two jobs; {hint}")


def check_different(queue: Sequence[Job]) -> None:
    """Refuse a sweep that would compute the same twice.

    Raises:
      ConfigError: names the two jobs.
    """
    known: dict[str, Job] = {}
    for job in queue:
        same = known.setdefault(job.key, job)
        if same is not job:
            both = same.name if same.name == job.name else f"{same.name} and {job.name}"
            raise ConfigError(f"{both}: got the same settings for two jobs, expected them to differ; "
                              "type each value once")  # fmt: skip


def check_new(folder: Path, entry: Mapping[str, Any]) -> None:
    """Refuse to begin a sweep where something is that it would overwrite; say if the same sweep exists.

    Args:
      folder: of the sweep.
      entry: its manifest.

    Raises:
      ConfigError: names what is there.
    """
    check_no_sweep(folder)
    results = [manifest.result_of(folder, entry, job) for job in entry["jobs"]]
    mine = [folder / name for name in written_files.OF_SWEEP] + [
        path.parent / name for path in results for name in written_files.OF_JOB
    ]
    for path in mine:
        if path.exists() or path.is_symlink():
            raise ConfigError(
                f"output folder {folder}: {path} is there already and would be overwritten; {ELSEWHERE}"
            )
    identity = [(job["folder"], job["key"]) for job in entry["jobs"]]
    for each in reversed(known_sweeps.known(folder.parent.glob("*"))):
        if each.entry and identity and [(j["folder"], j["key"]) for j in each.entry["jobs"]] == identity:
            results = [manifest.result_of(each.folder, each.entry, job) for job in each.entry["jobs"]]
            finished = sum((path / "result.json").is_file() for path in results)
            terminal.say(f"note      the same sweep is there, {finished} of {len(identity)} jobs finished: "
                         f"resume={each.id} goes on with it; this is a new one")  # fmt: skip
            return


def check_no_sweep(folder: Path) -> None:
    """Refuse a folder that has a sweep.

    Raises:
      ConfigError: it has.
    """
    if (folder / manifest.FILE).exists():
        (there,) = known_sweeps.known([folder])
        if there.entry is None:
            raise ConfigError(
                f"output folder {folder}: {manifest.FILE} is there already, and it is torn or not deepvis'; "
                f"{ELSEWHERE}, or, if a sweep was here, go on with it: resume={there.id}"
            )
        raise ConfigError(f"output folder {folder}: it has the sweep {there.id}; add resume={there.id} to "
                          f"go on with that, or {ELSEWHERE}")  # fmt: skip


def remove_unbegun(folder: Path) -> None:
    """Remove what processes that were killed before a sweep had its manifest left in a folder of sweeps."""
    for each in folder.glob("*"):
        with suppress(OSError):  # another start removes it, too, or it is another user's
            if each.is_symlink() or not (each / process_locks.FOLDER).is_dir():
                continue
            if not all(UNBEGUN.fullmatch(path.relative_to(each).as_posix()) for path in each.rglob("*")):
                continue
            with process_locks.abandoned(each) as is_abandoned:
                if is_abandoned and not (each / manifest.FILE).exists():
                    files.remove_partials(each, manifest.FILE)
                    each.rmdir()


def manifest_of(folder: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """The manifest of the sweep that is resumed; made again of what was typed where it is broken.

    Args:
      folder: of the sweep.
      entry: the manifest of what is typed now.

    Raises:
      ConfigError: there is no sweep, or it is broken and the results there are of another one.
    """
    try:
        return {"files": {}} | manifest.read(folder)
    except ConfigError as err:
        if not (folder / manifest.FILE).is_file():
            raise
        _check_results(folder, entry)
        terminal.say(
            f"again     {str(err).partition(';')[0]}: made again from what was typed and the results"
        )
        return dict(entry, overrides=[each for each in entry["overrides"] if not each.startswith("resume=")])


def _check_results(folder: Path, entry: Mapping[str, Any]) -> None:
    """Refuse to take a folder for a sweep's that has results of others; a search draws its jobs later."""
    keys = {manifest.result_of(folder, entry, job): job["key"] for job in entry["jobs"]}
    for path in result_folder.begun(folder) if keys else ():
        key = None
        with suppress(OSError, ValueError, KeyError, TypeError):
            key = json.loads((path / "result.json").read_bytes())["key"]
        if path not in keys or key not in (None, keys[path]):
            raise ConfigError(
                f"{folder / manifest.FILE} is broken, and {path.parent} is of another job than what is typed "
                "now; type the whole command of that sweep again"
            )
