"""Written files: what deepvis, Hydra and their launchers write into a sweep's folder, by name.

Everything else there is the user's.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from deepvis.core.files import PARTIAL
from deepvis.results import result_folder

# In the folder of a sweep, when it is closed or launched; and of a job.
OF_SWEEP = ("summary.csv", "contact.png", "report.html", "report.md", "results.csv", "multirun.yaml")
OF_JOB = ("result", "live.png", result_folder.FAILED, ".hydra")


def _any(names: Iterable[str]) -> str:
    return "|".join(map(re.escape, names))


_PICTURES = r"(filters|best|progress/step_\d+|twins/\d+)/f\d+\.png"
_EXAMPLES = r"examples/(examples\.(json|npz)|units/f\d+\.png)"
_RESULT = rf"{_PICTURES}|{_EXAMPLES}|(gallery|best|examples)\.png|animation\.webp|{_any(result_folder.TEXTS)}"
_JOB = (
    rf"live\.png|{re.escape(result_folder.FAILED)}|deepvis\.log|\.hydra/(config|hydra|overrides)\.yaml"
    rf"|result/({_RESULT})"
)
_SWEEP = (
    rf"{_any(OF_SWEEP)}|sweep\.json|\.sweep\.json\.lock|deepvis\.log|optimization_results\.yaml"
    r"|\.votes\.json\.lock|\.checkpoint-\w+\.npz|\.alive/.*|\.submitit/.*"
)
_LEFT = rf"(.*/)?\.[^/]*{re.escape(PARTIAL)}(/.*)?"  # by a process that was killed while it wrote


def split(folder: Path, jobs: Sequence[str]) -> tuple[list[Path], list[Path]]:
    """The files of a sweep's folder: those that deepvis wrote, and the others; no link is followed.

    Args:
      folder: of the sweep.
      jobs: folders of its jobs there; ``.`` where the folder is its one job's.
    """
    prefixes = "|".join(re.escape(f"{job}/") for job in jobs if job != ".")
    job = rf"({prefixes}){'?' if '.' in jobs else ''}({_JOB})" if prefixes else f"({_JOB})"
    known = re.compile(f"{_SWEEP}|{job}|{_LEFT}")
    written: list[Path] = []
    others: list[Path] = []
    for path in _entries(folder):
        ours = not path.is_symlink() and known.fullmatch(path.relative_to(folder).as_posix())
        (written if ours else others).append(path)
    return written, others


def _entries(folder: Path) -> Iterator[Path]:
    """Files and links below a folder."""
    for where, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(where) / name).is_symlink()]
        yield from (Path(where) / name for name in (*links, *files))


def remove(folder: Path, written: Sequence[Path]) -> None:
    """Remove files of a folder, the manifest last, and the folders that only they were in."""
    last = folder / "sweep.json"
    for path in written:
        if path != last:
            path.unlink(missing_ok=True)
    emptied = {parent for path in written for parent in path.relative_to(folder).parents}
    for parent in sorted(emptied, key=lambda each: -len(each.parts)):
        with suppress(OSError):  # the user's files are in there, or the manifest
            (folder / parent).rmdir()
    last.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
