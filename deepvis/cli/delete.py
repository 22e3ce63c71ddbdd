"""``deepvis delete``: a sweep's folder and its runs are removed, after asking."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepvis.cli import sweep_words, sweeps
from deepvis.config import compose
from deepvis.core import credentials, terminal
from deepvis.core.errors import ConfigError
from deepvis.results import manifest, written_files
from deepvis.sweeps import process_locks

HELP = """deepvis delete <sweep> ...    remove the folders and the MLflow runs of sweeps, after asking

  --yes            do not ask
  folder=outputs   where sweeps are, or one's own folder
  tracker=none     remove the folder alone, if the store is gone
  tracker.uri=...  the store, if it is not the one that the sweep was started with

Files that deepvis did not write stay, and are named. MLflow keeps a deleted run until mlflow gc removes it;
the command for that is printed."""
SHOWN = 5  # files that are named


def main(typed: Sequence[str]) -> int:
    """Delete the sweeps of these ids; returns the exit code."""
    tracker = [each for each in typed if each.startswith("tracker")]
    rest = [each for each in typed if each not in tracker]
    given = sweep_words.read("delete", rest, ("--yes", "-y"))
    if not given.words:
        print(HELP)
        return 2
    folders = list(dict.fromkeys(given.sweep(each, "delete") for each in given.words))
    entries = {folder: _entry(folder) for folder in folders}
    for folder, entry in entries.items():
        written, others = written_files.split(folder, _jobs(folder, entry))
        _describe(folder, entry, others)
        if not given.flags and not _agreed():
            terminal.error(f"{folder} was not deleted; --yes deletes without asking")
            return 1
        settings = _tracker([*entry["overrides"], *tracker])
        runs = _delete_runs(settings, str(entry["id"]))
        if "uri" in settings and not runs and any(sweeps.is_done(folder, entry, j) for j in entry["jobs"]):
            raise ConfigError(
                f"delete {entry['id']}: {credentials.masked(settings['uri'])} has no run of it; "
                "run this in the folder where it was started, give tracker.uri=..., or tracker=none, which "
                "removes the folder alone"
            )
        written_files.remove(folder, written)
        left = f", {len(others)} files of yours are still there" if others else ""
        terminal.say(f"deleted   {folder}{left}")
        if runs:
            command = ["mlflow", "gc", "--backend-store-uri", settings["uri"], "--run-ids", ",".join(runs)]
            removal = shlex.join(command)
            terminal.say(
                f"{len(runs)} runs are marked as deleted; this removes them for good: {removal}", True
            )
    return 0


def _entry(folder: Path) -> Mapping[str, Any]:
    """The manifest of a sweep that may be deleted."""
    if folder.is_symlink():
        raise ConfigError(f"delete {folder}: got a link; delete what it points to, {folder.resolve()}")
    entry = manifest.read(folder)
    if running := process_locks.alive(folder):
        raise ConfigError(
            f"delete {entry['id']}: a process still runs it ({running[0]}: host, process); end it first"
        )
    return entry


def _jobs(folder: Path, entry: Mapping[str, Any]) -> list[str]:
    """The folders of a sweep's jobs, below its own."""
    return ["."] if entry.get("own_folder") else [job["folder"] for job in entry["jobs"]]


def _describe(folder: Path, entry: Mapping[str, Any], others: Sequence[Path]) -> None:
    done = sum(sweeps.is_done(folder, entry, job) for job in entry["jobs"])
    size = sweeps.shown_size(sweeps.size(folder))
    terminal.say(f"{folder}: deepvis {manifest.typed(entry)}")
    terminal.say(f"{done} of {len(entry['jobs'])} jobs done, {size}")
    if others:
        names = ", ".join(str(path.relative_to(folder)) for path in others[:SHOWN])
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        terminal.say(f"not written by deepvis, stays: {names}{more}")


def _agreed() -> bool:
    terminal.console().print("delete it and its runs? [y/N] ", end="", markup=False)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _tracker(typed: Sequence[str]) -> Mapping[str, Any]:
    """The settings of the tracker that a sweep was started with."""
    chosen = [each for each in typed if each.startswith(("tracker=", "tracker."))]
    return compose.plain_mapping(compose.config(chosen).tracker)


def _delete_runs(settings: Mapping[str, Any], sweep: str) -> list[str]:
    if "uri" not in settings:  # tracker=none
        return []
    terminal.take()  # MLflow talks while it is imported
    from deepvis.tracking import removal

    return removal.remove(settings["uri"], settings["artifacts"], settings["experiment"], sweep)
