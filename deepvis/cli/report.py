"""``deepvis report``: the report of a sweep, or of several, made again."""

from collections.abc import Sequence
from pathlib import Path

from deepvis.cli import messages
from deepvis.core import terminal
from deepvis.report import page
from deepvis.results import manifest

HELP = """deepvis report latest           the newest sweep of outputs/
deepvis report <sweep> ...      one sweep, or several compared; their ids are the names of their folders
  folder=outputs                where sweeps are, or one's own folder"""


def main(typed: Sequence[str]) -> int:
    """The command.

    Args:
      typed: ``latest`` or ids; ``folder=...``.

    Returns:
      Exit code.
    """
    if not typed or {"-h", "--help"} & set(typed):
        print(HELP)
        return 0 if typed else 2
    try:
        place = next((Path(word[7:]) for word in typed if word.startswith("folder=")), Path("outputs"))
        words = [word for word in typed if not word.startswith("folder=")] or ["latest"]
        folders = list(dict.fromkeys(_folder(word, place) for word in words))
        target = folders[0]
        if len(folders) > 1:
            target = folders[0].parent / "-".join(["report", *(folder.name for folder in folders)])
            target.mkdir(exist_ok=True)
        files = page.make(folders, target)
    except Exception as err:
        terminal.error(messages.line(err, typed))
        return 1
    terminal.console().print(f"report    {files[0]}", soft_wrap=True)
    return 0


def _folder(word: str, place: Path) -> Path:
    """Of a sweep: its path as it was printed, or its id."""
    return Path(word) if (Path(word) / manifest.FILE).is_file() else manifest.locate(word, place, "report")
