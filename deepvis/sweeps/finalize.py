"""A sweep's end: result folders -> the contact sheet, the table, the sweep's own run and its saved view.

A single job is a sweep of one. What is made here is made of the result folders alone, so it does not
matter which process ran the jobs.
"""

import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from deepvis.core import images, terminal
from deepvis.core.errors import one_line
from deepvis.core.files import write_csv
from deepvis.results import manifest, result_folder
from deepvis.results.result_folder import Result
from deepvis.sweeps import process_locks, summary
from deepvis.tracking.base import Tracker

ROWS, COLUMNS = 64, 32  # of a contact sheet that a person can still look at


def close(sweep: str, folder: Path, tracker: Tracker) -> None:
    """Sum a sweep up in its folder, in its tracker and on the terminal.

    Args:
      sweep: its id.
      folder: of the sweep; ``*/result`` are its jobs'.
      tracker: where its runs are.
    """
    entry = manifest.close(folder, tracker.states(sweep))
    process_locks.tidy(folder)
    places = result_folder.finished(folder)
    for job in entry["jobs"]:
        if job["state"] == "FAILED":
            terminal.console().print(f"FAILED    {job['name']}  {job['reason']}", soft_wrap=True)
    open_jobs = Counter(job["state"] for job in entry["jobs"] if job["state"] not in ("FINISHED", "FAILED"))
    for state, count in sorted(open_jobs.items()):
        terminal.console().print(f"{state:<8}  {count} of {len(entry['jobs'])} jobs", soft_wrap=True)
    if any(job["state"] != "FINISHED" for job in entry["jobs"]):
        go_on(entry, folder)
    if not places:
        return
    done = [result_folder.read(place) for place in places]
    files = [folder / "summary.csv", folder / "contact.png", folder / manifest.FILE]
    write_csv(files[0], [row for result in done for row in result_folder.rows(result)])
    images.save(files[1], contact(places, done))
    report = _report(folder) if len(places) > 1 else []
    place = tracker.close(sweep, places, [*files, *report], manifest.tags(entry))
    summary.show(done, _shown(folder))
    if report:
        terminal.console().print(f"report    {_shown(report[0])}", soft_wrap=True)
    if place:
        terminal.console().print(f"compare   deepvis ui   opens {place}", soft_wrap=True)


def _report(folder: Path) -> list[Path]:
    """The sweep's report; what goes wrong with it is told, and takes nothing else with it."""
    from deepvis.report import page

    try:
        return page.make([folder], folder)
    except Exception as err:
        traceback.print_exc()  # to the log
        terminal.error(f"no report: {one_line(err)}; deepvis report {folder.name} tries again")
        return []


def go_on(entry: Mapping[str, Any], folder: Path) -> None:
    """Tell the person at the terminal how to go on with a sweep."""
    terminal.console().print(f"go on with  {manifest.command(entry, _shown(folder))}", soft_wrap=True)


def _shown(folder: Path) -> Path:
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def contact(places: Sequence[Path], done: Sequence[Result]) -> np.ndarray:
    """Filters down, jobs across; the first of each, if they are too many to look at."""
    rows = sorted({index for result in done for index in result.filters})[:ROWS]
    with Image.open(next(places[0].glob("filters/*.png"))) as first:
        size = first.size

    def cell(place, index):
        path = place / "filters" / f"{result_folder.label(index)}.png"
        if not path.exists():  # a job with other filters
            return np.full((size[1], size[0], 3), 255, np.uint8)
        with Image.open(path) as picture:
            return np.asarray(picture if picture.size == size else picture.resize(size))

    cells = [[cell(place, index) for place in places[:COLUMNS]] for index in rows]
    return images.contact_sheet(
        cells, [result_folder.label(i) for i in rows], [r.name for r in done[:COLUMNS]]
    )
