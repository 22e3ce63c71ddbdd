"""Text of the page beside its conclusions: question, medians, captions, rows of results.csv."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from deepvis.metrics import convergence
from deepvis.report import conclusions, thumbnails
from deepvis.report.comparison import Comparison
from deepvis.report.effects import TestedEffect
from deepvis.results import result_folder


def question(compared: Comparison) -> str:
    """The question that the factors and their levels ask."""
    layers = sorted({layer for layer, _ in compared.units})
    models = sorted({str(job.result.params["model"]) for job in compared.jobs})
    units = f"{len(compared.units)} filters of {', '.join(models)} {', '.join(layers)}"
    if not compared.levels:
        return f"What do {units} look for?"
    varied = " and ".join(
        f"{factor} ({', '.join(map(str, levels)) if len(levels) <= 12 else f'{levels[0]} to {levels[-1]}'})"
        for factor, levels in compared.levels.items()
        if factor != "sweep"
    )
    if "sweep" in compared.levels:
        units += f", in the sweeps {', '.join(map(str, compared.levels['sweep']))}"
    if not varied:
        return f"What do {units} look for?"
    return f"What {'do' if ' and ' in varied else 'does'} {varied} do to {units}?"


def medians(compared: Comparison) -> list[dict[str, Any]]:
    """A row a setting: medians over its filters, and how many have a zero gradient or diverged."""
    rows, by_measure = [], {name: compared.medians(name) for name in compared.values}
    for setting in range(len(compared.settings)):
        ends = [end for job in compared.jobs if job.setting == setting for end in job.result.ends]
        row = {"setting": compared.name(setting), "images": len(ends)}
        row |= {name: float(medians[setting]) for name, medians in by_measure.items()}
        rows.append(row | {end: ends.count(end) for end in conclusions.PROBLEMS})
    return rows


def captions(compared: Comparison) -> list[dict[str, Any]]:
    """The caption of each picture of the contact sheet, by job and row."""
    row_of = {unit: row for row, unit in enumerate(compared.units[: thumbnails.ROWS])}
    jobs = []
    for result in (job.result for job in compared.jobs[: thumbnails.COLUMNS]):
        final, rows = result_folder.last(result), {}
        for i, index in enumerate(result.filters):
            if (result.layer, index) in row_of:
                words = [
                    f"{name} {number(float(final[name][i]))}"
                    for name in ("score", "robustness")
                    if name in final
                ]
                rank = [] if np.isnan(final["rank"][i]) else [f"rank {final['rank'][i]:.0f}"]
                rows[row_of[result.layer, index]] = ", ".join([*words, *rank, end(result.ends[i])])
        jobs.append({"job": result.name, "rows": rows})
    return jobs


def end(key: str) -> str:
    """How a filter ended, in words."""
    return convergence.IN_WORDS.get(key, key)


def settings(compared: Comparison, medians: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Medians as rows of results.csv."""
    rows = [("setting", name, row["setting"], row["images"], row[name], "")
            for row in medians for name in (*compared.values, *conclusions.PROBLEMS)]  # fmt: skip
    return [
        dict(zip(("kind", "measure", "comparison", "n", "median", "unit"), row, strict=True)) for row in rows
    ]


def row(test: TestedEffect) -> dict[str, Any]:
    """A tested effect as a row of results.csv."""
    fixed = {"kind": test.kind, "measure": test.measure, "comparison": test.comparison, "unit": test.unit}
    return fixed | asdict(test.effect) | {"p_holm": test.p, "floor": test.floor}


def number(value: float) -> str:
    """Three digits; a dash for a missing one."""
    return f"{value:.3g}" if math.isfinite(value) else "–"
