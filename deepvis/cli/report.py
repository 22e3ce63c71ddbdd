"""``deepvis report``: the report of a sweep, or of several, made again."""

from collections.abc import Sequence

from deepvis.cli import sweep_words
from deepvis.core import terminal
from deepvis.report import page

HELP = """deepvis report latest           the latest sweep of outputs/
deepvis report <sweep> ...      one sweep, or several compared; their ids are the names of their folders
  folder=outputs                where sweeps are, or one's own folder"""


def main(typed: Sequence[str]) -> int:
    """Make the report of ``latest`` or of the sweeps of these ids; returns the exit code."""
    if not typed:
        print(HELP)
        return 2
    given = sweep_words.read("report", typed)
    folders = list(dict.fromkeys(given.sweep(each, "report") for each in given.words or ["latest"]))
    terminal.say(f"report    {page.make(folders, page.target(folders))[0]}")
    return 0
