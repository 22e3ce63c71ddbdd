"""The summary's table: results -> a row a job, with a column for each option that varies, on a terminal."""

import math
from collections.abc import Sequence
from typing import Any

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from deepvis.config import params
from deepvis.core import terminal
from deepvis.metrics.convergence import ENDS
from deepvis.results.result_folder import Result

MOST = 40  # rows that a person still reads; the others are in summary.csv
GAP = 2  # characters between two columns
# Figures and their headings; of a narrow terminal the last ones are left out first.
FIGURES = {"final/score": "score", "filters/top_share": "top-1\nshare", "final/activation": "activation",
           "final/steps_to_90": "steps\nto 90 %"}  # fmt: skip
Column = tuple[str, list[str], bool]  # heading, cells, whether they are numbers


def show(results: Sequence[Result]) -> None:
    """Print a table of jobs."""
    out, shown = terminal.console(), results[:MOST]
    named = varied(shown) if len(results) > 1 else []
    if len(set(zip(*(cells for _, cells, _ in named), strict=True))) < len(shown):
        named = [("job", [result.name for result in shown], False)]
    figures, ends = list(map(_figure, FIGURES, [shown] * len(FIGURES))), _ends(shown)
    while len(figures) > 1 and _width([*named, *figures, *ends]) > out.width:
        figures.pop()
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim")
    for heading, cells, is_number in (*named, *figures, *ends):
        # A name that is too long is folded, never cut: its end is what tells it from the others.
        justify: Any = "right" if is_number else "left"
        width = None if heading == "job" or not is_number else _width([(heading, cells, True)])
        table.add_column(heading, justify=justify, overflow="fold", min_width=width, vertical="bottom")
    for row in zip(*(cells for _, cells, _ in (*named, *figures, *ends)), strict=True):
        table.add_row(*map(Text, row))
    out.print(table)
    if len(shown) < len(results):
        terminal.say(f"{len(results) - len(shown)} more jobs are in summary.csv")


def varied(results: Sequence[Result]) -> list[Column]:
    """A column for each option whose values differ, under the shortest name that tells it from the others."""
    keys = params.varied([result.params for result in results])
    chosen = {key for result in results for key in result.choices}
    # Of a group that was chosen by file its knobs follow from the choice.
    keys = [key for key in keys if key in chosen or key.partition(".")[0] not in chosen & set(keys)]
    short = [key.rpartition(".")[2] for key in keys]
    columns = []
    for key, name in zip(keys, short, strict=True):
        values = [result.params.get(key, "none") for result in results]
        is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        cells = aligned(list(map(float, values))) if is_number else [str(params.written(v)) for v in values]
        columns.append((name if short.count(name) == 1 else key, cells, is_number))
    return columns


def aligned(values: Sequence[float], digits: int = 4) -> list[str]:
    """Numbers with as many decimals each, so that their points are below one another; NaN is left out.

    Example:
      >>> aligned([35.031, 0.5, 123.456]), aligned([0.8, 1.0]), aligned([1e-7, 12.0])
      (['35.03', '0.50', '123.46'], ['0.8', '1.0'], ['1e-07', '12'])
    """
    if all(math.isfinite(value) and value.is_integer() and abs(value) < 1e15 for value in values):
        return [f"{value:.0f}" for value in values]
    finite = [abs(value) for value in values if math.isfinite(value) and value]
    short = [f"{value:.{digits}g}" for value in values]
    if finite and (max(finite) / min(finite) > 1e4 or max(finite) >= 1e6 or min(finite) < 1e-3):
        return [text if math.isfinite(value) else "" for text, value in zip(short, values, strict=True)]
    decimals = max((len(text.partition(".")[2]) for text in short if "e" not in text), default=0)
    return [f"{value:.{decimals}f}" if math.isfinite(value) else "" for value in values]


def _figure(name: str, results: Sequence[Result]) -> Column:
    values = [result.figures.get(name, math.nan) for result in results]
    if name == "filters/top_share":
        cells = ["" if math.isnan(value) else f"{100 * value:.0f} %" for value in values]
    elif name == "final/steps_to_90":
        cells = ["" if math.isnan(value) else f"{value:.0f}" for value in values]
    else:
        cells = aligned(values)
    return FIGURES[name], cells, True


def _ends(results: Sequence[Result]) -> list[Column]:
    """How many filters ended in which way, of the ways that occur."""
    columns = []
    for end, words in ENDS.items():
        counts = [int(result.figures.get(f"filters/{end}", 0)) for result in results]
        if any(counts):
            columns.append((words.replace(" ", "\n"), list(map(str, counts)), True))
    return columns


def _width(columns: Sequence[Column]) -> int:
    """Characters that some columns take side by side."""
    lines = [[*heading.split("\n"), *cells] for heading, cells, _ in columns]
    return sum(max(map(cell_len, each)) + GAP for each in lines) - GAP
