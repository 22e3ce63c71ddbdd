"""``deepvis report``: the report of a sweep, or of several, made again."""

from collections.abc import Sequence
from pathlib import Path

from deepvis.core import terminal
from deepvis.report import page
from deepvis.results import known_sweeps, manifest

HELP = """deepvis report latest           the latest sweep of outputs/
deepvis report <sweep> ...      one sweep, or several compared; their ids are the names of their folders
  folder=outputs                where sweeps are, or one's own folder"""
FOLDER = "folder="


def main(typed: Sequence[str]) -> int:
    """Make the report of ``latest`` or of the sweeps of these ids; returns the exit code."""
    if not typed:
        print(HELP)
        return 2
    outputs = next(
        (Path(each.removeprefix(FOLDER)) for each in typed if each.startswith(FOLDER)), Path("outputs")
    )
    sweeps = [each for each in typed if not each.startswith(FOLDER)] or ["latest"]
    folders = list(dict.fromkeys(_folder(each, outputs) for each in sweeps))
    terminal.say(f"report    {page.make(folders, page.target(folders))[0]}")
    return 0


def _folder(sweep: str, outputs: Path) -> Path:
    """Of a sweep: its path as it was printed, or its id."""
    printed = Path(sweep)
    return printed if (printed / manifest.FILE).is_file() else known_sweeps.locate(sweep, outputs, "report")
