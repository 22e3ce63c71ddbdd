"""The page of a benchmark: verdicts, a table a budget, and the pictures of all methods, in one file."""

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from deepvis.report.analysis_page import STYLE

WIDE, HIGH = 1600, 6000  # px of a sheet of pictures; the PNGs beside the page are whole
TABLE = """
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.6rem; text-align: right; white-space: nowrap; }
tr:nth-child(even) { background: #8881; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: Canvas; }
td.typed { text-align: left; } small { opacity: 0.75; } th { vertical-align: bottom; white-space: normal; }
"""


def page(
    place: str,
    measures: Sequence[tuple[str, str]],
    results: Sequence[Mapping[str, Any]],
    verdicts: Mapping[str, Sequence[str]],
    notes: Sequence[str],
    pictures: Mapping[str, np.ndarray],
    overrides: Mapping[str, str],
    headings: Mapping[str, str],
) -> str:
    """The page.

    Args:
      place: what the units are of.
      measures: column and heading of each.
      results: a row a budget and method.
      verdicts: lines of a terminal, by budget.
      notes: lines of a terminal: what should be known.
      pictures: uint8 [H, W, 3] by name.
      overrides: what each method sets.
      headings: of a budget's table.
    """
    title = html.escape(f"Methods compared on {place}")
    tables = "".join(
        f"<h2>{html.escape(headings[budget].capitalize())}</h2>{_list(said)}"
        + _table(measures, [row for row in results if row["budget"] == budget])
        for budget, said in verdicts.items()
    )
    sheets = "".join(_figure(name, sheet) for name, sheet in pictures.items())
    methods = "".join(
        f"<tr><td>{html.escape(name)}</td><td class='typed'><code>{html.escape(typed)}</code></td></tr>"
        for name, typed in overrides.items()
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<style>{STYLE}{TABLE}</style></head>\n<body><h1>{title}</h1>\n{_list(notes)}\n{tables}\n"
        "<p>Each cell: the typical unit (Hodges and Lehmann's estimate; of a share the mean), with the 95 % "
        "interval over units; fewer than ten units have none. A method is established as better or worse "
        "where p, adjusted over all pairs and measures, is below 0.05. results.csv has the noise floor, "
        "pairs.csv each pair of methods, units.csv each image.</p>\n"
        f"<h2>Methods</h2><div class='scroll'><table>{methods}</table></div>\n"
        f"<h2>Pictures</h2>{sheets}</body></html>\n"
    )


def _list(lines: Sequence[str]) -> str:
    """Lines of a terminal without the word that they begin with."""
    return (
        "<ul>"
        + "".join(f"<li>{html.escape(each.partition(' ')[2].strip())}</li>" for each in lines)
        + "</ul>"
    )


def _table(measures: Sequence[tuple[str, str]], rows: Sequence[Mapping[str, Any]]) -> str:
    shown = [(name, said) for name, said in measures if any(name in row for row in rows)]
    heads = ["method", "steps", "passes", "CPU s", *(html.escape(said) for _, said in shown)]
    body = ""
    for row in rows:
        cells = [
            html.escape(str(row["method"])),
            str(row["steps"] or "–"),
            _said(row["passes"]),
            _said(row["seconds"]),
        ]
        for name, _ in shown:
            low, high = row.get(f"{name}_low", math.nan), row.get(f"{name}_high", math.nan)
            span = "" if math.isnan(low) else f"<br><small>{_said(low)} to {_said(high)}</small>"
            cells.append(_said(row.get(name, math.nan)) + span)
        body += "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>\n"
    head = "".join(f"<th>{each}</th>" for each in heads)
    return f'<div class="scroll"><table><tr>{head}</tr>\n{body}</table></div>'


def _said(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"


def _figure(name: str, sheet: np.ndarray) -> str:
    image = Image.fromarray(sheet)
    if image.width > WIDE or image.height > HIGH:
        image = ImageOps.contain(image, (WIDE, HIGH))
    content = io.BytesIO()
    image.save(content, "webp", quality=75)
    data, said = base64.b64encode(content.getvalue()).decode(), html.escape(name.replace("_", " "))
    return (
        f'<figure><figcaption>{said}</figcaption><img alt="{said}" width="{image.width}" '
        f'height="{image.height}" src="data:image/webp;base64,{data}"></figure>\n'
    )
