"""Nothing left: whether a sweep that is resumed is finished already, told without composing its jobs again.

That takes seconds where a thousand jobs take a minute. It is told of a sweep that was closed with all of it
in its store; whatever is not plain is left to the long way.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from deepvis.core.version import __version__, installed
from deepvis.results import manifest, result_folder
from deepvis.sweeps import contents

CLOSED = "closed"  # in a manifest: summed up, with nothing failed and all of it logged
LOGGED = """
SELECT count(DISTINCT job.value) FROM tags sweep JOIN runs ON runs.run_uuid = sweep.run_uuid
JOIN tags job ON job.run_uuid = sweep.run_uuid AND job.key = 'job'
WHERE sweep.key = 'sweep' AND sweep.value = ? AND status = 'FINISHED' AND lifecycle_stage = 'active'
"""


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
    made = ["summary.csv", "contact.png", *(["report.html"] if len(jobs) > 1 else [])]
    if not all((folder / name).is_file() for name in made):
        return False
    folders = {manifest.result_of(folder, entry, job): job["key"] for job in jobs}
    return all(result_folder.problem(path, key) is None for path, key in folders.items())


def _is_logged(entry: Mapping[str, Any]) -> bool:
    """Whether a store in a file has a finished run of each job; of a server that would have to be asked."""
    uri = entry["tracker"].get("uri")
    if uri is None:
        return str(entry["tracker"].get("_target_", "")).endswith(".NoTracker")
    file = Path(str(uri).removeprefix("sqlite:///"))
    if not str(uri).startswith("sqlite:///") or not file.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"file:{file.absolute()}?mode=ro", uri=True, timeout=1)) as store:
            ((count,),) = store.execute(LOGGED, (entry["id"],)).fetchall()
    except sqlite3.Error:
        return False
    return count == len(entry["jobs"])
