"""Reports: result folders -> one self-contained page, its Markdown, and every number of both as a table.

``deepvis report latest``, or the ids of sweeps; a sweep makes its own when it ends.
"""

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from deepvis.core.errors import ConfigError
from deepvis.core.files import write_csv, write_text
from deepvis.core.version import __version__
from deepvis.metrics import statistics
from deepvis.report import comparison, conclusions, effects, figures, page_text, thumbnails
from deepvis.report.comparison import MEASURES, Comparison
from deepvis.results import manifest, result_folder

FILES = ("report.html", "report.md", "results.csv")
OF_SEARCH = "optimization_results.yaml"  # what Optuna leaves in the sweep's folder
KINDS = {
    "main effect": "Main effects: two levels of a factor, the other factors averaged",
    "any level": "Any difference between the levels of a factor (Friedman's test)",
    "interaction": "Interactions: differences of differences",
    "pair": "Every two settings",
}


def _read(place: Path, version: str) -> result_folder.Result:
    try:
        return result_folder.read(place)
    except FileNotFoundError as err:
        raise ConfigError(
            f"report: {err.filename} is missing; the sweep ran with deepvis {version}, this is "
            f"{__version__}: run it again"
        ) from err


def make(folders: Sequence[Path], target: Path) -> list[Path]:
    """Write the report of some sweeps.

    Args:
      folders: of the sweeps.
      target: folder that it goes to.

    Returns:
      ``report.html``, ``report.md``, ``results.csv``.

    Raises:
      ConfigError: no job of them is finished, or one was left by a deepvis that measured less.
    """
    entries = [manifest.read(folder) for folder in folders]
    found = [
        (entry["id"], place, _read(place, entry["versions"]["deepvis"]))
        for entry, folder in zip(entries, folders, strict=True)
        for place in result_folder.finished(folder)
    ]
    if not found:
        raise ConfigError(f"report: no job of {', '.join(map(str, folders))} is finished")
    compared = comparison.of(found)
    tested = effects.findings(compared)
    medians = page_text.medians(compared)
    seen = thumbnails.of(compared.members[: thumbnails.COLUMNS], compared.units[: thumbnails.ROWS])
    told = {
        "compared": compared,
        "question": page_text.question(compared),
        "verdict": conclusions.sentences(compared, tested),
        "sheets": seen,
        "earlier": [own[:-1] for own in seen.images],  # the last ones are in the page
        "rows": min(len(compared.units), thumbnails.ROWS),
        "gap": thumbnails.GAP,
        "curves": figures.curves(compared),
        "heat": figures.heat(compared) if compared.is_grid() else [],
        "tradeoff": _tradeoff(compared, medians, folders),
        "measures": {name: said for name, said in MEASURES.items() if name in compared.values},
        "medians": medians,
        "findings": tested,
        "few": statistics.FEW,
        "kinds": KINDS,
        "lines": min(6, max(math.ceil(len(member.result.name) / 9) for member in compared.members)),
        "resisting": {end: conclusions.resisting(compared, end) for end in conclusions.RESISTING},
        "lost": [job for entry in entries for job in entry["jobs"] if job["state"] == "FAILED"],
        "entries": entries,
        "tags": [manifest.tags(entry) for entry in entries],
        "commands": [f"deepvis {manifest.typed(entry)}" for entry in entries],
        "again": shlex.join(["deepvis", "report", *(entry["id"] for entry in entries)]),
        "labels": [compared.label(unit) for unit in compared.units[: thumbnails.ROWS]],
        "cells": page_text.cells(compared),
    }
    pages = Environment(
        loader=PackageLoader("deepvis.report", "."), autoescape=lambda name: name.endswith("html"),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    pages.filters["number"] = page_text.number
    files = [target / name for name in FILES]
    for file in files[:2]:
        write_text(file, pages.get_template(file.name).render(told))
    write_csv(
        files[2], [*page_text.settings(compared, medians), *(page_text.row(finding) for finding in tested)]
    )
    return files


def _tradeoff(compared: Comparison, medians: Sequence[Mapping], folders: Sequence[Path]) -> str | None:
    """Score against robustness by setting; of a search, its two values by trial, with Optuna's own front."""
    searched = folders[0] / OF_SEARCH
    if len(folders) == 1 and searched.is_file():
        best = yaml.safe_load(searched.read_text()).get("solutions", [])
        names = yaml.safe_load(compared.members[0].result.config)["objective_value"]
        if len(best) and len(names) == 2:
            points = np.array(
                [[m.result.figures.get(name, math.nan) for name in names] for m in compared.members]
            )
            on_front = np.array([any(np.allclose(own, one["values"]) for one in best) for own in points])
            trials = [member.result.name for member in compared.members]
            return figures.tradeoff(points, trials, tuple(names), on_front)
    if len(compared.settings) < 2 or "robustness" not in compared.values:
        return None
    points = np.array([[row["score"], row["robustness"]] for row in medians])
    names = [row["setting"] for row in medians]
    return figures.tradeoff(points, names, ("score", "robustness"), statistics.front(points))
