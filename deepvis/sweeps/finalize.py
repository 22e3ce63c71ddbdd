"""A sweep's end: results -> the contact sheet, the table, the report, the sweep's own run and its saved view.

A single job is a sweep of one. Results come from memory, or from their folders where other processes ran the
jobs; both give the same.
"""

import itertools
import traceback
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from deepvis.core import images, terminal
from deepvis.core.errors import one_line
from deepvis.core.files import write_csv
from deepvis.results import manifest, result_folder
from deepvis.results.result_folder import Result
from deepvis.sweeps import events, process_locks, summary
from deepvis.tracking.base import Tracker

ROWS, COLUMNS = 64, 32  # of a contact sheet that a person can still look at


def close(sweep: str, folder: Path, tracker: Tracker) -> None:
    """Summarize a sweep in its folder, in its tracker and on the terminal.

    Args:
      sweep: its id.
      folder: of the sweep; ``*/result`` are its jobs'.
      tracker: where its runs are.
    """
    entry = manifest.close(folder, tracker.states(sweep))
    process_locks.tidy(folder)
    results = {path: events.result(path) for path in result_folder.finished(folder)}
    for job in entry["jobs"]:
        if job["state"] == "FAILED":
            terminal.console().print(f"FAILED    {job['name']}  {job['reason']}", soft_wrap=True)
    open_jobs = Counter(job["state"] for job in entry["jobs"] if job["state"] not in ("FINISHED", "FAILED"))
    for state, count in sorted(open_jobs.items()):
        terminal.console().print(f"{state:<8}  {count} of {len(entry['jobs'])} jobs", soft_wrap=True)
    if any(job["state"] != "FINISHED" for job in entry["jobs"]):
        go_on(entry, folder)
    if not results:
        return
    files = [folder / "summary.csv", folder / "contact.png", folder / manifest.FILE]
    write_csv(files[0], result_folder.table(list(results.values())))
    images.save(files[1], contact(results))
    report = _report(folder, results) if len(results) > 1 else []
    by_job = {path.parent.name: result for path, result in results.items()}
    address = tracker.close(sweep, by_job, [*files, *report], manifest.tags(entry))
    summary.show(list(results.values()), _shown(folder))
    if report:
        terminal.console().print(f"report    {_shown(report[0])}", soft_wrap=True)
    if address:
        terminal.console().print(f"compare   deepvis ui   opens {address}", soft_wrap=True)


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
    terminal.console().print(f"go on with  {manifest.command(entry, _shown(folder))}", soft_wrap=True)


def _shown(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def contact(results: Mapping[Path, Result]) -> np.ndarray:
    """Filters down, jobs across; the first of each, if they are too many to look at.

    Args:
      results: by result folder.
    """
    filters = sorted({index for result in results.values() for index in result.filters})[:ROWS]
    with Image.open(next(next(iter(results)).glob("filters/*.png"))) as first:
        size = first.size

    def cell(folder: Path, index: int) -> np.ndarray:
        path = folder / "filters" / f"{result_folder.label(index)}.png"
        if not path.exists():  # a job with other filters
            return np.full((size[1], size[0], 3), 255, np.uint8)
        with Image.open(path) as picture:
            return np.asarray(picture if picture.size == size else picture.resize(size))

    shown = dict(itertools.islice(results.items(), COLUMNS))
    cells = [[cell(folder, index) for folder in shown] for index in filters]
    names = [result.name for result in shown.values()]
    return images.contact_sheet(cells, [result_folder.label(index) for index in filters], names)
