"""``deepvis report``: the report of a sweep, or of several, made again."""

from collections.abc import Sequence
from pathlib import Path

from deepvis.cli import sweep_words
from deepvis.core import terminal
from deepvis.report import analysis_page, page
from deepvis.results import analysis_folder

HELP = """deepvis report latest           the latest sweep of outputs/
deepvis report <sweep> ...      one sweep, or several compared; their ids are the names of their folders
deepvis report <analysis>       of deepvis attribution, maps, trust ...: the page of its folder
  folder=outputs                where sweeps are, or one's own folder"""


def main(typed: Sequence[str]) -> int:
    """Make the report of ``latest`` or of the sweeps of these ids; returns the exit code."""
    if not typed:
        print(HELP)
        return 2
    given = sweep_words.read("report", typed)
    analyses = {each: found for each in given.words if (found := _analysis(each, given.outputs))}
    for folder in analyses.values():
        terminal.say(f"report    {analysis_page.make(folder)}")
    words = [each for each in given.words if each not in analyses]
    if analyses and not words:
        return 0
    folders = list(dict.fromkeys(given.sweep(each, "report") for each in words or ["latest"]))
    terminal.say(f"report    {page.make(folders, page.target(folders))[0]}")
    return 0


def _analysis(word: str, outputs: Path) -> Path | None:
    """The folder of the analysis that a word means; None: it means none."""
    for folder in (Path(word), outputs / word):
        if (folder / analysis_folder.FILE).is_file():
            return folder
    return None
