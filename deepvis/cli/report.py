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
        outputs = next((Path(each[7:]) for each in typed if each.startswith("folder=")), Path("outputs"))
        sweeps = [each for each in typed if not each.startswith("folder=")] or ["latest"]
        folders = list(dict.fromkeys(_folder(each, outputs) for each in sweeps))
        files = page.make(folders, page.target(folders))
    except Exception as err:
        messages.report(err, typed)
        return 1
    terminal.console().print(f"report    {files[0]}", soft_wrap=True)
    return 0


def _folder(sweep: str, outputs: Path) -> Path:
    """Of a sweep: its path as it was printed, or its id."""
    printed = Path(sweep)
    return printed if (printed / manifest.FILE).is_file() else manifest.locate(sweep, outputs, "report")
