"""Passages: a `Comparison` -> what its page says beside the verdict: question, medians, cells, rows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deepvis.report import conclusions, thumbnails
from deepvis.report.comparison import Comparison
from deepvis.report.effects import Finding
from deepvis.results import result_folder


def question(compared: Comparison) -> str:
    """What was asked, as the factors and their levels ask it."""
    layers = sorted({layer for layer, _ in compared.units})
    models = sorted({str(member.result.params["model"]) for member in compared.members})
    of = f"{len(compared.units)} filters of {', '.join(models)} {', '.join(layers)}"
    if not compared.levels:
        return f"What do {of} look for?"
    varied = " and ".join(
        f"{factor} ({', '.join(map(str, levels)) if len(levels) <= 12 else f'{levels[0]} to {levels[-1]}'})"
        for factor, levels in compared.levels.items()
        if factor != "from"
    )
    if "from" in compared.levels:
        of += f", in the sweeps {', '.join(map(str, compared.levels['from']))}"
    if not varied:
        return f"What do {of} look for?"
    return f"What {'do' if ' and ' in varied else 'does'} {varied} do to {of}?"


def medians(compared: Comparison) -> list[dict[str, Any]]:
    """A row a setting: medians over its filters, and how many are stuck or diverged."""
    rows, by_setting = [], {name: compared.medians(name) for name in compared.values}
    for setting in range(len(compared.settings)):
        own = [member.result for member in compared.members if member.setting == setting]
        ends = [end for result in own for end in result.ends]
        row = {"setting": compared.name(setting), "images": len(ends)}
        row |= {name: float(medians[setting]) for name, medians in by_setting.items()}
        rows.append(row | {end: ends.count(end) for end in conclusions.RESISTING})
    return rows


def cells(compared: Comparison) -> list[Mapping[str, Any]]:
    """What is said of each picture of the contact sheet, by job."""
    rows = compared.units[: thumbnails.ROWS]
    cells = []
    for member in compared.members[: thumbnails.COLUMNS]:
        last, own = result_folder.last(member.result), {}
        for i, index in enumerate(member.result.filters):
            if (member.result.layer, index) in rows:
                said = [
                    f"{name} {number(float(last[name][i]))}"
                    for name in ("score", "robustness")
                    if name in last
                ]
                row = rows.index((member.result.layer, index))
                ranked = [] if np.isnan(last["rank"][i]) else [f"rank {last['rank'][i]:.0f}"]
                own[row] = ", ".join([*said, *ranked, member.result.ends[i]])
        cells.append({"job": member.result.name, "said": own})
    return cells


def settings(compared: Comparison, medians: Sequence[Mapping]) -> list[dict[str, Any]]:
    """Medians as rows of the table of findings."""
    rows = [("setting", name, row["setting"], row["images"], row[name], "")
            for row in medians for name in (*compared.values, *conclusions.RESISTING)]  # fmt: skip
    return [
        dict(zip(("kind", "measure", "comparison", "n", "median", "unit"), row, strict=True)) for row in rows
    ]


def row(finding: Finding) -> dict[str, Any]:
    """A finding as a row of the table."""
    fixed = {k: v for k, v in finding._asdict().items() if k not in ("effect", "p", "floor")}
    return fixed | finding.effect._asdict() | {"p_holm": finding.p, "floor": finding.floor}


def number(value: float) -> str:
    """Three digits; a dash for what there is not."""
    return f"{value:.3g}" if math.isfinite(value) else "–"
