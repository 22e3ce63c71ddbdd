"""``deepvis export``: figures and tables of a sweep for a paper."""

from collections.abc import Sequence
from pathlib import Path

from deepvis.cli import sweep_words
from deepvis.core import terminal
from deepvis.core.errors import ConfigError

HELP = """deepvis export <sweep> ... <folder>    figures and tables of a sweep, or of several, for a paper

  filters=0-3,7    rows of the contact sheet; all by default
  folder=outputs   where sweeps are, or one's own folder

Written to the folder: contact.pdf and .png (filters down, jobs across), curves, tradeoff and heatmap-...
as .pdf and .svg, table.tex and table.md (medians of each setting), export.json. It is written whole or not
at all, and replaces nothing but an earlier export."""


def main(typed: Sequence[str]) -> int:
    """Export sweeps; returns the exit code."""
    if not typed:
        print(HELP)
        return 2
    given = sweep_words.read("export", typed, keys=("filters",))
    if len(given.words) < 2:
        raise ConfigError(f"deepvis export {' '.join(given.words)}: expected a sweep and a folder to write, "
                          "deepvis export latest figures")  # fmt: skip
    *sweeps, target = given.words
    folders = list(dict.fromkeys(given.sweep(each, "export") for each in sweeps))
    from deepvis.report import paper  # matplotlib

    for note in paper.export(folders, Path(target).expanduser(), given.settings.get("filters")):
        terminal.say(note)
    terminal.say(f"exported  {target}")
    return 0
