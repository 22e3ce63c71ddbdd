"""A sweep's end: results -> the contact sheet, the table, the report, the sweep's own run and its saved view.

A single job is a sweep of one. Results come from memory, or from their folders where other processes ran the
jobs; both give the same.
"""

import itertools
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from deepvis.core import images, progress, terminal
from deepvis.core.errors import DeepvisError, one_line
from deepvis.core.files import write_csv
from deepvis.report import placement
from deepvis.results import checkpoint_file, manifest, result_folder
from deepvis.results.manifest import JobState
from deepvis.results.result_folder import Result
from deepvis.sweeps import events, job_trust, logging_queue, nothing_left, summary_table
from deepvis.tracking.base import JobRun, Tracker

ROWS, COLUMNS = 64, 32  # of a contact sheet that a person can still look at


def close(sweep: str, folder: Path, tracker: Tracker, is_drawn: bool = False) -> bool:
    """Summarize a sweep in its folder, in its tracker and on the terminal; whether the tracker has it all.

    Args:
      sweep: its id.
      folder: of it.
      tracker: that it is logged in.
      is_drawn: whether a search has drawn all that it will.
    """
    states, found = _from_folders(folder)
    results = placement.in_order(found)  # as the report has them
    entry = manifest.close(folder, states, is_drawn)
    for job in entry["jobs"]:
        if job["state"] == "FAILED":
            terminal.say(f"FAILED    {job['name']}  {job['reason']}")
    open_jobs = Counter(job["state"] for job in entry["jobs"] if job["state"] not in ("FINISHED", "FAILED"))
    for state, count in sorted(open_jobs.items()):
        terminal.say(f"{state:<8}  {count} of {len(entry['jobs'])} jobs")
    is_finished = all(job["state"] == "FINISHED" for job in entry["jobs"])
    if not is_finished:
        go_on(entry, folder)
    if len(results) == len(entry["jobs"]):  # an interrupt may have written some of what was finished since
        for path in checkpoint_file.paths(folder):
            path.unlink(missing_ok=True)
    failed = [
        events.failed_run(sweep, job, path.parent)
        for job in entry["jobs"]
        if job["state"] == "FAILED" and (path := manifest.result_of(folder, entry, job)) not in results
    ]
    with progress.doing("logging"):
        unlogged = _log_missing(sweep, results, tracker, failed) if results or failed else ""
    if not results:
        if unlogged:
            terminal.error(f"{unlogged}; resume=latest tries again")
        return not unlogged
    files = [folder / "summary.csv", folder / "contact.png", folder / manifest.FILE]
    write_csv(files[0], result_folder.table(list(results.values())))
    images.save(files[1], contact(results))
    with progress.doing("report"):
        report = _report(folder, results)
    address = None
    if not unlogged:
        try:
            queue = logging_queue.of(tracker)
            with progress.doing("logging the sweep"):
                address = queue.call(
                    lambda: tracker.close(sweep, results, [*files, *report], manifest.tags(entry))
                )
        except DeepvisError as err:
            unlogged = f"the sweep's own run is not logged ({err})"
    summary_table.show(list(results.values()))
    for told, count in Counter(result.tags["advice"] for result in results.values()
                               if "advice" in result.tags).most_common(1):  # fmt: skip
        of = f"in {count} of {len(results)} jobs " if len(results) > 1 else ""
        terminal.say(f"advice    {of}{told}")
    if said := job_trust.line(list(results.values())):
        terminal.say(f"trust     {said}")
    terminal.say(f"pictures  {_shown(folder)}")
    if report:
        terminal.say(f"report    {_shown(report[0])}")
    if address:
        terminal.say(f"compare   deepvis ui   opens {address}")
    if unlogged:
        terminal.error(f"{unlogged}; results are in {_shown(folder)}, and resume=latest logs them")
        if is_finished:
            go_on(entry, folder)
    elif is_finished and not entry.get("search") and report:
        manifest.write(folder, entry | {nothing_left.CLOSED: True})
    return not unlogged


def _log_missing(
    sweep: str, results: Mapping[Path, Result], tracker: Tracker, failed: Sequence[JobRun]
) -> str:
    """Log what the tracker has not; a line where some of it is still missing."""
    count = len(results) + len(failed)
    try:
        unlogged = events.log_missing(sweep, results, tracker, failed)
    except DeepvisError as err:
        return f"{count} of {count} jobs may not be logged ({err})"
    if not unlogged:
        return ""
    reason = next(iter(unlogged.values()))
    return f"{len(unlogged)} of {count} jobs are not logged ({reason})"


def _from_folders(folder: Path) -> tuple[dict[str, JobState], dict[Path, Result]]:
    """How far the jobs of a sweep are, by job folder, and their results, in order: as their folders say."""
    entry, states, results = manifest.read(folder), {}, {}
    for job in entry["jobs"]:
        path = manifest.result_of(folder, entry, job)
        problem = None if events.is_known(path) else result_folder.problem(path, job["key"])
        failed = path.with_name(result_folder.FAILED)
        if problem is None:
            results[path] = events.result(path)
            reason = events.failure(results[path])
            states[job["folder"]] = JobState("FAILED" if reason else "FINISHED", reason or "")
            continue
        if path.exists():
            terminal.error(f"{job['name']}: {problem}")
        if failed.is_file():
            states[job["folder"]] = JobState("FAILED", failed.read_text(encoding="utf-8"))
        else:
            begun = path.with_name("live.png").exists()
            states[job["folder"]] = JobState("KILLED" if begun else "PENDING")
    return states, results


def _report(folder: Path, results: Mapping[Path, Result]) -> list[Path]:
    """The sweep's report; if it fails, the error is shown and the rest of the summary goes on."""
    from deepvis.report import page

    try:
        return page.make([folder], folder, results)
    except Exception as err:
        traceback.print_exc()  # to the log
        terminal.error(f"no report: {one_line(err)}; deepvis report {folder.name} tries again")
        return []


def go_on(entry: Mapping[str, Any], folder: Path) -> None:
    """Print the command that resumes a sweep."""
    terminal.say(f"go on with  {manifest.command(entry, _shown(folder))}", is_command=True)


def _shown(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def contact(results: Mapping[Path, Result]) -> np.ndarray:
    """Filters down, jobs across, by result folder; the first of each, if they are too many to look at."""
    captions = result_folder.captions_of(results.values())
    filters = sorted(captions)[:ROWS]
    with Image.open(next(next(iter(results)).glob("filters/*.png"))) as first:
        size = first.size

    def cell(folder: Path, index: int) -> np.ndarray:
        path = folder / "filters" / f"{result_folder.label(index)}.png"
        if not path.exists():  # a job with other filters
            return np.full((size[1], size[0], 3), 255, np.uint8)
        return np.asarray(
            ImageOps.pad(images.opened(path), size, color="white")
        )  # of another size, it may be

    shown = dict(itertools.islice(results.items(), COLUMNS))
    cells = [[cell(folder, index) for folder in shown] for index in filters]
    names = [result.name for result in shown.values()]
    return images.contact_sheet(cells, [captions[index] for index in filters], names)
