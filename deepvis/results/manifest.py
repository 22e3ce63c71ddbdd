"""The manifest: a sweep's identity, its jobs and their states, in ``sweep.json`` in its folder.

It is written whole or not at all, by the process that was started on the command line, with what is needed to
go on: what was typed, the tracker's settings, the content of the files. Its states are those of the last time
the sweep was closed; whether a job is finished its result folder says. Passwords in addresses are left out.
"""

import json
import os
import platform
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deepvis.core.credentials import masked
from deepvis.core.errors import ConfigError, first_line
from deepvis.core.files import locked, write_text
from deepvis.core.names import is_plain
from deepvis.core.version import __version__, installed

FILE = "sweep.json"
FOLDER_KEYS = ("hydra.sweep.dir", "hydra.run.dir")  # choose a sweep's folder
PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "hydra-core", "mlflow")


@dataclass(frozen=True)
class JobState:
    """How far a job is."""

    status: str  # MLflow's word: RUNNING, FINISHED, FAILED or KILLED
    reason: str = ""  # of a failure


def identity(
    sweep: str,
    typed: Sequence[str],
    jobs: Sequence[Mapping[str, str]],
    weights: Mapping[str, str],
    *,
    files: Mapping[str, str] | None = None,
    tracker: Mapping[str, Any] | None = None,
    multirun: bool | None = None,
    own_folder: bool = False,
) -> dict[str, Any]:
    """The manifest of a new sweep, which starts now.

    Args:
      sweep: its id.
      typed: overrides as typed.
      jobs: ``name``, ``key`` and ``folder`` of each, in order.
      weights: digest by network and layer.
      files: digest of each file that a job reads, by ``key=path``.
      tracker: its settings, resolved.
      multirun: whether ``-m`` was typed.
      own_folder: whether its one job is in the sweep's folder itself.
    """
    return {
        "id": sweep,
        "overrides": list(typed),
        "multirun": len(jobs) != 1 if multirun is None else multirun,
        "tracker": dict(tracker or {}),
        "git": _git(),
        "versions": {"deepvis": __version__, "python": platform.python_version()}
        | {name: installed(name) for name in PACKAGES},
        "machine": {"host": socket.gethostname(), "system": platform.platform(), "cores": os.cpu_count()},
        "weights": dict(weights),
        "files": dict(files or {}),
        "start": _now(),
        "end": None,
        "own_folder": own_folder,
        "jobs": _pending(jobs),
    }


def _pending(jobs: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    return [dict(job, state="PENDING", reason="") for job in jobs]


def write(folder: Path, entry: Mapping[str, Any]) -> None:
    """Write a sweep's manifest whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / FILE, masked(json.dumps(entry, indent=1)))


def read(folder: Path) -> dict[str, Any]:
    """A sweep's manifest.

    Raises:
      ConfigError: there is none, or it is broken.
    """
    path = folder / FILE
    try:
        entry = json.loads(path.read_bytes())
        when(entry["start"])
        names = [str(entry["id"]), *(job["folder"] for job in entry["jobs"] if job["key"] and job["name"])]
        wrong = [name for name in names if not is_plain(name)]
        _ = entry["overrides"], entry["versions"]["deepvis"], entry["weights"]
    except FileNotFoundError as err:
        raise ConfigError(f"resume: {folder} has no {FILE}, so there is no sweep to go on with") from err
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise ConfigError(
            f"{path}: torn or not a manifest of deepvis ({first_line(err)}); type the whole command of that "
            f"sweep again with resume={folder.absolute().name}, which makes it anew from the results there"
        ) from err
    if wrong:
        raise ConfigError(
            f"{path}: got {wrong[0]!r}, expected a name that stays inside of the sweep's folder"
        )
    return entry


def when(text: str) -> datetime:
    """A time of a manifest; older ones have it in the zone of their machine, with its offset."""
    return datetime.fromisoformat(text)


def result_of(folder: Path, entry: Mapping[str, Any], job: Mapping[str, str]) -> Path:
    """The result folder of a job in a sweep's folder."""
    return (folder if entry.get("own_folder") else folder / job["folder"]) / "result"


def folder_name(folder: Path) -> str:
    """What a manifest and a store call a job's folder; `hydra.run.dir` may be ``.`` or have any name."""
    return re.sub(r"^[.,]|[^\w.,=+-]", "_", folder.absolute().name) or "_"


def of_job(folder: Path) -> Path:
    """The sweep's folder, of a job's: that of the entry point, where this process has its environment."""
    return Path(os.environ.get("DEEPVIS_FOLDER", folder.parent))


def add_jobs(folder: Path, jobs: Sequence[Mapping[str, str]]) -> None:
    """Add the jobs, as in `identity`, that a search has made since; the others are there already."""

    def missing(entry):
        known = {job["folder"] for job in entry["jobs"]}
        return _pending(job for job in jobs if job["folder"] not in known)

    if missing(read(folder)):
        with locked(folder):  # its jobs may be in several processes
            entry = read(folder)
            entry["jobs"] += missing(entry)
            write(folder, entry)


def close(folder: Path, states: Mapping[str, JobState], is_drawn: bool = False) -> dict[str, Any]:
    """Write down how a sweep's jobs ended, by job folder; a job that has no state there keeps its own.

    Args:
      folder: of the sweep.
      states: of its jobs.
      is_drawn: whether a search has drawn all that it will, which may be less than its trials.
    """
    entry = read(folder)
    for job in entry["jobs"]:
        if state := states.get(job["folder"]):
            job["state"], job["reason"] = state.status, state.reason
    if is_drawn and entry.get("search"):
        entry["trials"] = len(entry["jobs"])
    entry["end"] = _now()
    write(folder, entry)
    return entry


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
    flag = "-m " if entry.get("multirun", len(entry["jobs"]) != 1) else ""
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
    return datetime.now(UTC).isoformat(timespec="milliseconds")
