"""The manifest: a sweep's identity, its jobs and their states, in ``sweep.json`` in its folder.

It is written whole or not at all, by the process that was started on the command line. Its states are those
of the last time the sweep was closed: a process that was killed did not write them.
"""

import json
import os
import platform
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from deepvis.core.errors import ConfigError
from deepvis.core.files import write_text
from deepvis.core.version import __version__, installed
from deepvis.results import result_folder

FILE = "sweep.json"
FOLDER_KEYS = ("hydra.sweep.dir", "hydra.run.dir")  # choose a sweep's folder
FOLDER_HINT = "that hydra.sweep.dir=... (hydra.run.dir=... without -m)"
PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "hydra-core", "mlflow")


@dataclass(frozen=True)
class JobState:
    """How far a job is."""

    status: str  # MLflow's word: RUNNING, FINISHED, FAILED or KILLED
    reason: str = ""  # of a failure


def identity(sweep: str, typed: Sequence[str], jobs: Sequence[Mapping[str, str]],
             weights: Mapping[str, str]) -> dict[str, Any]:  # fmt: skip
    """The manifest of a new sweep, which starts now.

    Args:
      sweep: its id.
      typed: overrides as typed.
      jobs: ``name``, ``key`` and ``folder`` of each, in order.
      weights: digest by network and layer.
    """
    return {
        "id": sweep,
        "overrides": list(typed),
        "git": _git(),
        "versions": {"deepvis": __version__, "python": platform.python_version()}
        | {name: installed(name) for name in PACKAGES},
        "machine": {"host": socket.gethostname(), "system": platform.platform(), "cores": os.cpu_count()},
        "weights": dict(weights),
        "start": _now(),
        "end": None,
        "jobs": _pending(jobs),
    }


def _pending(jobs: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    return [dict(job, state="PENDING", reason="") for job in jobs]


def write(folder: Path, entry: Mapping[str, Any]) -> None:
    """Write a sweep's manifest whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / FILE, json.dumps(entry, indent=1))


def read(folder: Path) -> dict[str, Any]:
    """A sweep's manifest.

    Raises:
      ConfigError: there is none.
    """
    try:
        return json.loads((folder / FILE).read_text())
    except FileNotFoundError as err:
        raise ConfigError(f"resume: {folder} has no {FILE}, so there is no sweep to go on with") from err


def of_job(folder: Path) -> Path:
    """The sweep's folder, of a job's: that of the entry point, where this process has its environment."""
    return Path(os.environ.get("DEEPVIS_FOLDER", folder.parent))


def add_jobs(folder: Path, jobs: Sequence[Mapping[str, str]]) -> None:
    """Add the jobs, as in `identity`, that a search has made since; the others are there already."""

    def missing(entry):
        known = {job["folder"] for job in entry["jobs"]}
        return _pending(job for job in jobs if job["folder"] not in known)

    if missing(read(folder)):
        with FileLock(folder / f".{FILE}.lock"):  # its jobs may be in several processes
            entry = read(folder)
            entry["jobs"] += missing(entry)
            write(folder, entry)


def close(folder: Path, states: Mapping[str, JobState]) -> dict[str, Any]:
    """Write down how a sweep's jobs ended, by job folder; a job that has no state there keeps its own."""
    entry = read(folder)
    for job in entry["jobs"]:
        if state := states.get(job["folder"]):
            job["state"], job["reason"] = state.status, state.reason
        elif (failed := folder / job["folder"] / result_folder.FAILED).is_file():
            job["state"], job["reason"] = "FAILED", failed.read_text()
    entry["end"] = _now()
    write(folder, entry)
    return entry


def find(word: str, folders: Sequence[Path], key: str = "resume", hint: str = FOLDER_HINT) -> str:
    """The id of the sweep that ``latest`` or an id means.

    Args:
      word: what was given.
      folders: that may be a sweep's.
      key: that the word was given to.
      hint: how to name a sweep's folder.

    Raises:
      ConfigError: no such sweep.
    """
    known = [read(folder) for folder in folders if (folder / FILE).is_file()]
    ids = [entry["id"] for entry in sorted(known, key=lambda entry: entry["start"])]
    if word == "latest" and ids:
        return ids[-1]
    if word in ids:
        return word
    raise ConfigError(
        f"{key}={word}: no such sweep; the latest are: {', '.join(ids[-5:]) or 'none'}; "
        f"one in another folder needs {hint}"
    )


def locate(word: str, folder: Path, key: str) -> Path:
    """The folder of the sweep that a word means, in a folder of sweeps or being that folder; see `find`."""
    folders = [path for path in (folder, *folder.glob("*")) if (path / FILE).is_file()]
    sweep = find(word, folders, key, hint="folder=...")
    return next(path for path in folders if read(path)["id"] == sweep)


def check(old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuse to resume a sweep that would not be the same.

    Raises:
      ConfigError: names the first difference.
    """
    what = f"resume={old['id']}"
    for name in ("deepvis", "tensorflow"):
        was, now = old["versions"][name], new["versions"][name]
        if was != now:
            raise ConfigError(f"{what}: it ran with {name} {was}, this is {now}; start a new sweep")
    if old["weights"] != new["weights"]:
        was, now = (", ".join(f"{k} {v}" for k, v in entry["weights"].items()) for entry in (old, new))
        raise ConfigError(f"{what}: it ran on the weights {was}, these are {now}; start a new sweep")
    was, now = ([(job["folder"], job["key"]) for job in entry["jobs"]] for entry in (old, new))
    if was != now:
        typed, this = (shlex.join(entry["overrides"]) for entry in (old, new))
        raise ConfigError(f"{what}: its jobs are others; it was started with: {typed}; this is: {this}")


def tags(entry: Mapping[str, Any]) -> dict[str, str]:
    """A sweep's identity as tags of its run; the whole of it is an artifact there."""
    git = entry["git"] or {"commit": "none", "dirty": False}
    return {
        "overrides": shlex.join(entry["overrides"]),
        "git": git["commit"] + (" and changes" if git["dirty"] else ""),
        "start": entry["start"],
        "end": entry["end"],
        "machine": f"{entry['machine']['system']}, {entry['machine']['cores']} cores",
        **{f"version.{name}": str(number) for name, number in entry["versions"].items()},
    }


def command(entry: Mapping[str, Any], folder: Path) -> str:
    """The command that resumes a sweep; ``hydra.sweep.dir=outputs/${now:%H}`` would be another folder now."""
    fixed = {f"{key}=": f"{key}={folder}" for key in FOLDER_KEYS}
    overrides = [fixed.get(o[: o.find("=") + 1], o) if "${" in o else o for o in entry["overrides"]]
    program = "python -m deepvis.run" if Path(sys.argv[0]).name == "run.py" else "deepvis"
    return f"{program} {typed({**entry, 'overrides': overrides})} resume={entry['id']}".replace("  ", " ")


def typed(entry: Mapping[str, Any]) -> str:
    """The arguments with which a sweep was started."""
    flag = "-m " if len(entry["jobs"]) != 1 else ""
    return flag + shlex.join(o for o in entry["overrides"] if not o.startswith("resume="))


def _git() -> dict[str, Any] | None:
    def git(*args: str) -> str:
        return subprocess.run(["git", *args], capture_output=True, text=True, check=True, timeout=10).stdout

    try:
        dirty = bool(git("status", "--porcelain", "--untracked-files=no").strip())
        return {"commit": git("rev-parse", "HEAD").strip(), "dirty": dirty}
    except (OSError, subprocess.SubprocessError):  # no git, or not a checkout
        return None


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
