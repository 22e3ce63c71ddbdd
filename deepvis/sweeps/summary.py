"""The summary: a sweep's results as a table on the terminal."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from deepvis.core import terminal
from deepvis.metrics.convergence import ENDS, IN_WORDS
from deepvis.results.result_folder import Result

NARROW = 100  # characters a line, below which the counts of how optimizations ended are one column


def show(results: Sequence[Result], folder: Path) -> None:
    """Print a table of jobs, and where their pictures are."""
    out = terminal.console()
    narrow = out.width < NARROW
    table = Table(box=None, pad_edge=False, header_style="dim")
    # A name that is too long is folded, never cut: its end is what tells it from the others.
    table.add_column("job", overflow="fold", min_width=min(24, max(len(each.name) for each in results)))
    for heading in ("score", "activation", "top-1 share", "steps to 90 %"):
        table.add_column(heading, justify="right")
    words = {end: IN_WORDS.get(end, end) for end in ENDS}
    for heading in ("ends",) if narrow else words.values():
        table.add_column(heading, justify="left" if narrow else "right")
    for result in results:
        figure = result.figures.get
        top = result.figures.get("filters/top_share")
        counts = {end: f"{figure(f'filters/{end}', 0):.0f}" for end in ENDS}
        ends = ", ".join(f"{count} {words[end]}" for end, count in counts.items() if count != "0")
        table.add_row(
            result.name,
            f"{figure('final/score', float('nan')):.4g}",
            f"{figure('final/activation', float('nan')):.4g}",
            "" if top is None else f"{100 * top:.0f} %",
            f"{figure('final/steps_to_90', float('nan')):.0f}",
            *([ends] if narrow else counts.values()),
        )
    out.print(table)
    out.print(f"pictures  {folder}", soft_wrap=True)
