"""Nothing left: whether a sweep that is resumed is finished already, told without composing its jobs again.

That takes seconds where a thousand jobs take a minute. It is told of a sweep that was closed with all of it
in its store; whatever is not plain is left to the long way.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepvis.core.version import __version__, installed
from deepvis.results import manifest, result_folder
from deepvis.sweeps import contents
from deepvis.tracking import database, store

CLOSED = "closed"  # in a manifest: summed up, with nothing failed and all of it logged


def is_finished(folder: Path, entry: Mapping[str, Any] | None) -> bool:
    """Whether every job of a sweep has a whole result, and its store and its summary are there.

    Args:
      folder: of the sweep.
      entry: its manifest; None: it is broken.
    """
    if entry is None:
        return False
    jobs, versions = entry["jobs"], entry["versions"]
    same = (versions["deepvis"], versions.get("tensorflow")) == (__version__, installed("tensorflow"))
    if not (entry.get(CLOSED) and jobs and same and _is_logged(entry)):
        return False
    if any(contents.of(name.partition("=")[2]) != digest for name, digest in entry["files"].items()):
        return False
    made = ["summary.csv", "contact.png", "report.html"]
    if not all((folder / name).is_file() for name in made):
        return False
    folders = {manifest.result_of(folder, entry, job): job["key"] for job in jobs}
    return all(result_folder.problem(path, key) is None for path, key in folders.items())


def _is_logged(entry: Mapping[str, Any]) -> bool:
    """Whether a store in a file has a finished run of each job; of a server that would have to be asked."""
    uri = entry["tracker"].get("uri")
    if uri is None:
        return str(entry["tracker"].get("_target_", "")).endswith(".NoTracker")
    file = store.file(str(uri))
    if file is None or not file.is_file():
        return False
    return database.finished_jobs(file, entry["id"]) == len(entry["jobs"])
