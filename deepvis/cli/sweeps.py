"""``deepvis sweeps``: the sweeps of a folder, how far each is, and how large."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from deepvis.cli import sweep_words
from deepvis.core import terminal
from deepvis.core.errors import ConfigError
from deepvis.results import manifest, result_folder
from deepvis.sweeps import process_locks

HELP = """deepvis sweeps [folder=outputs]    the sweeps of a folder, the latest last

  sweep     its id, which report, export, delete and resume= take; its folder has that name
  start     in your time zone
  state     running, finished, failed (some job), unfinished (resume=<sweep> goes on), damaged
  jobs      with a result, of all; of a search, of all trials
  size      of its folder; what MLflow keeps of it is not in there"""
NARROW = 110  # characters a line, below which the command has a line of its own


@dataclass(frozen=True)
class Listed:
    """A sweep as it is listed."""

    sweep: str
    start: datetime | None  # in the reader's time zone
    state: str
    done: int
    jobs: int
    size: int  # bytes
    command: str


def main(typed: Sequence[str]) -> int:
    """List the sweeps of a folder; returns the exit code."""
    given = sweep_words.read("sweeps", typed)
    if given.words:
        raise ConfigError(f"deepvis sweeps {given.words[0]}: expected nothing, or folder=... of the sweeps")
    faults: list[str] = []
    found = sorted((_listed(folder, faults) for folder in _folders(given.outputs)), key=_order)
    for line in _lines(found, terminal.console().width):
        terminal.say(line, is_command=True)
    if not found:
        terminal.say(f"no sweeps in {given.outputs}; folder=... names another folder")
    for fault in faults:
        terminal.error(fault)
    return 0


def size(folder: Path) -> int:
    """Bytes of a folder's files; a file with two names counts once, what a link points to not at all."""
    sizes = {}
    for where, _, names in os.walk(folder):
        for name in names:
            stat = (Path(where) / name).lstat()
            sizes[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(sizes.values())


def shown_size(count: int) -> str:
    """``1.2 MB``."""
    value, units = float(count), iter(("B", "kB", "MB", "GB"))
    unit = next(units)
    while value >= 999.5 and (larger := next(units, "")):
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 9.95 else f"{value:.1f} {unit}"


def _folders(outputs: Path) -> Iterator[Path]:
    """Those that are a sweep's, also where its manifest is missing."""
    for folder in [outputs, *sorted(outputs.glob("*"))]:
        has_jobs = folder != outputs and any(folder.glob("*/result/result.json"))
        if folder.is_dir() and (has_jobs or os.path.lexists(folder / manifest.FILE)):
            yield folder


def _listed(folder: Path, faults: list[str]) -> Listed:
    try:
        entry = manifest.read(folder)
    except ConfigError as err:
        faults.append(str(err))
        done = len(result_folder.finished(folder))
        return Listed(folder.name, None, "damaged", done, 0, size(folder), "")
    jobs = entry["jobs"]
    total = max(len(jobs), entry.get("trials") or 0)  # a search draws its jobs one after the other
    done = sum(is_done(folder, entry, job) for job in jobs)
    has_failed = any(job["state"] == "FAILED" for job in jobs)
    state = "finished" if jobs and done == total else "failed" if has_failed else "unfinished"
    if process_locks.alive(folder):
        state = "running"
    start = manifest.when(entry["start"]).astimezone()
    command = f"deepvis {manifest.typed(entry)}".rstrip()
    return Listed(str(entry["id"]), start, state, done, total, size(folder), command)


def is_done(folder: Path, entry: Mapping[str, Any], job: Mapping[str, str]) -> bool:
    """Whether a job of the sweep in this folder has a valid result."""
    return result_folder.problem(manifest.result_of(folder, entry, job), job["key"]) is None


def _order(listed: Listed) -> tuple[float, str]:
    return listed.start.timestamp() if listed.start else 0.0, listed.sweep


def _lines(found: Sequence[Listed], width: int) -> Iterator[str]:
    rows = [("sweep", "start", "state", "jobs", "size", "command")] if found else []
    for each in found:
        start = each.start.strftime("%Y-%m-%d %H:%M") if each.start else "?"
        jobs = f"{each.done}/{each.jobs}" if each.start else f"{each.done}/?"
        rows.append((each.sweep, start, each.state, jobs, shown_size(each.size), each.command))
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    for sweep, start, state, jobs, byte, command in rows:
        cells = [sweep.ljust(widths[0]), start.ljust(widths[1]), state.ljust(widths[2])]
        line = "  ".join([*cells, jobs.rjust(widths[3]), byte.rjust(widths[4])])
        if width < NARROW:
            yield line
            yield f"  {command}"
        else:
            yield f"{line}  {command}".rstrip()
