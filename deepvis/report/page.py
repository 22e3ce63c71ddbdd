"""The page of a report: results -> one self-contained HTML file, its Markdown, and every number as a table.

``deepvis report latest``, or the ids of sweeps; a sweep makes its own when it ends.
"""

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from deepvis.core.files import write_csv, write_text
from deepvis.metrics import convergence, signed_rank
from deepvis.report import comparison, conclusions, effects, figures, front, thumbnails, votes
from deepvis.report.comparison import MEASURES, Comparison, Unit
from deepvis.report.conclusions import Conclusions
from deepvis.results import manifest, result_folder
from deepvis.results.result_folder import Result

FILES = ("report.html", "report.md", "results.csv")
SEARCH = "optimization_results.yaml"  # written by Optuna in the sweep's folder
KINDS = {
    "main effect": "Main effects: two levels of a factor, the other factors averaged",
    "interaction": "Interactions: differences of differences",
    "pair": "Every two settings",
}

Row = dict[str, Any]


def target(folders: Sequence[Path]) -> Path:
    """The folder of the report of some sweeps: the sweep's own, or one beside the first that is made here."""
    if len(folders) == 1:
        return folders[0]
    beside = folders[0].parent / "-".join(["report", *(folder.name for folder in folders)])
    beside.mkdir(exist_ok=True)
    return beside


def make(folders: Sequence[Path], target: Path, results: Mapping[Path, Result] | None = None) -> list[Path]:
    """Write the report of some sweeps.

    Args:
      folders: of the sweeps.
      target: folder of the report.
      results: by result folder, those that are in memory; the others are read.

    Returns:
      ``report.html``, ``report.md``, ``results.csv``.

    Raises:
      ConfigError: no job of them is finished, or one is of a deepvis that measured less.
    """
    entries = [manifest.read(folder) for folder in folders]
    compared = comparison.of_sweeps(folders, results or {})
    tests = effects.tested(compared)
    concluded = conclusions.of(compared, tests)
    medians = setting_medians(compared)
    units = compared.units[: thumbnails.ROWS]
    images = thumbnails.make(compared.jobs[: thumbnails.COLUMNS], units)
    heatmaps = figures.heatmaps(compared) if compared.is_grid() else {}
    tradeoff = trade_off(compared, medians, folders, concluded)
    ends = {convergence.ENDS[end]: conclusions.problems(compared, end) for end in conclusions.PROBLEMS}
    context = {
        "compared": compared,
        "question": _question(compared),
        "conclusions": conclusions.sentences(concluded),
        "thumbnails": images,
        "earlier": [uris[:-1] for uris in images.images],  # the last ones are in the page
        "labels": [compared.label(unit) for unit in units],
        "captions": _captions(compared),
        "gap": thumbnails.GAP,
        "curves": figures.svg(figures.curves(compared), "score by step, a panel a setting"),
        "heatmaps": [
            figures.svg(each, f"medians by {' and '.join(names)}") for names, each in heatmaps.items()
        ],
        "tradeoff": figures.svg(*tradeoff) if tradeoff else None,
        "measures": {name: text for name, text in MEASURES.items() if name in compared.values},
        "votes": votes.judged(compared, folders),
        "medians": medians,
        "tests": tests,
        "few": signed_rank.FEW,
        "kinds": KINDS,
        "lines": min(6, max(math.ceil(len(job.result.name) / 9) for job in compared.jobs)),
        "problems": ends,
        "failed": [job for entry in entries for job in entry["jobs"] if job["state"] == "FAILED"],
        "entries": entries,
        "tags": [manifest.tags(entry) for entry in entries],
        "commands": [f"deepvis {manifest.typed(entry)}" for entry in entries],
        "command": shlex.join(["deepvis", "report", *(entry["id"] for entry in entries)]),
    }
    pages = Environment(
        loader=PackageLoader("deepvis.report", "."),
        autoescape=lambda name: str(name).endswith("html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"number": _number, "share": _share}
    files = [target / name for name in FILES]
    for file in files[:2]:
        write_text(file, pages.get_template(file.name).render(context))
    write_csv(files[2], [*_settings(compared, medians), *(test.row() for test in tests)])
    return files


def _question(compared: Comparison) -> str:
    """The question that the factors and their levels ask."""
    networks = list(dict.fromkeys(part.network for part in compared.parts))
    names = ", ".join(compared.part_names())
    units = f"{len(compared.units)} filters of {names if len(networks) > 1 else f'{networks[0]} {names}'}"
    varied = [
        f"{factor} ({', '.join(map(str, levels)) if len(levels) <= 12 else f'{levels[0]} to {levels[-1]}'})"
        for factor, levels in compared.levels.items()
        if factor != "sweep"
    ]
    if "sweep" in compared.levels:
        units += f", in the sweeps {', '.join(map(str, compared.levels['sweep']))}"
    if not varied:
        return f"What do {units} look for?"
    return f"What {'do' if len(varied) > 1 else 'does'} {' and '.join(varied)} do to {units}?"


def setting_medians(compared: Comparison) -> list[Row]:
    """A row a setting: medians over its filters, and how many have a zero gradient or diverged."""
    rows, by_measure = [], {name: compared.medians(name) for name in compared.values}
    for setting in range(len(compared.settings)):
        ends = [end for job in compared.jobs if job.setting == setting for end in job.result.ends]
        row = {"setting": compared.name(setting), "images": len(ends)}
        row |= {name: float(medians[setting]) for name, medians in by_measure.items()}
        rows.append(row | {end: ends.count(end) for end in conclusions.PROBLEMS})
    return rows


def _settings(compared: Comparison, medians: Sequence[Row]) -> Iterator[Row]:
    """Medians as rows of results.csv."""
    for row in medians:
        for name in (*compared.values, *conclusions.PROBLEMS):
            yield {"kind": "setting", "measure": name, "comparison": row["setting"], "n": row["images"],
                   "median": row[name], "unit": ""}  # fmt: skip


def _captions(compared: Comparison) -> list[Row]:
    """The caption of each picture of the contact sheet, by job and row."""
    row_of = {unit: row for row, unit in enumerate(compared.units[: thumbnails.ROWS])}
    jobs = []
    for job in compared.jobs[: thumbnails.COLUMNS]:
        result = job.result
        final, rows = result_folder.last(result), {}
        for i, index in enumerate(result.filters):
            if (unit := Unit(job.network, result.layer, index)) in row_of:
                shown = [name for name in ("score", "robustness") if name in final]
                words = [f"{name} {_number(float(final[name][i]))}" for name in shown]
                rank = [] if np.isnan(final["rank"][i]) else [f"rank {final['rank'][i]:.0f}"]
                end = convergence.ENDS[result.ends[i]]
                rows[row_of[unit]] = ", ".join([*words, *rank, end])
        jobs.append({"job": result.name, "rows": rows})
    return jobs


def _number(value: float) -> str:
    """Three digits; a dash for a missing one."""
    return f"{value:.3g}" if math.isfinite(value) else "–"


def _share(value: float) -> str:
    return f"{_number(100 * value)} %" if math.isfinite(value) else "–"


def trade_off(
    compared: Comparison, medians: Sequence[Row], folders: Sequence[Path], concluded: Conclusions
) -> tuple[Figure, str] | None:
    """Score against robustness by setting; of a search, its two values by trial, with Optuna's front.

    With what it shows, in words.
    """
    searched = folders[0] / SEARCH
    if len(folders) == 1 and searched.is_file():
        best = yaml.safe_load(searched.read_text()).get("solutions", [])
        names = yaml.safe_load(compared.jobs[0].result.config)["objective_value"]
        if len(best) and len(names) == 2:
            points = np.array(
                [[job.result.figures.get(name, math.nan) for name in names] for job in compared.jobs]
            )
            on_front = np.array([any(np.allclose(values, b["values"]) for b in best) for values in points])
            trials = [job.result.name for job in compared.jobs]
            return figures.tradeoff(points, trials, tuple(names), on_front), f"{names[1]} against {names[0]}"
    if len(compared.settings) < 2 or "robustness" not in compared.values:
        return None
    points = np.array([[row["score"], row["robustness"]] for row in medians])
    names = [row["setting"] for row in medians]
    kinds = dict(concluded.front)
    on_front = np.array([kinds.get(i) != front.DOMINATED for i in range(len(names))])
    figure = figures.tradeoff(points, names, ("score", "robustness"), on_front)
    return figure, "robustness against score"
