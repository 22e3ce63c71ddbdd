"""The page of a report: results -> one self-contained HTML file, its Markdown, and every number as a table.

``deepvis report latest``, or the ids of sweeps; a sweep makes its own when it ends.
"""

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
from deepvis.results.result_folder import Result

FILES = ("report.html", "report.md", "results.csv")
SEARCH = "optimization_results.yaml"  # written by Optuna in the sweep's folder
KINDS = {
    "main effect": "Main effects: two levels of a factor, the other factors averaged",
    "any level": "Any difference between the levels of a factor (Friedman's test)",
    "interaction": "Interactions: differences of differences",
    "pair": "Every two settings",
}


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
    known = results or {}
    finished = [
        (entry["id"], path, known.get(path) or _read(path, entry["versions"]["deepvis"]))
        for entry, folder in zip(entries, folders, strict=True)
        for path in result_folder.finished(folder)
    ]
    if not finished:
        raise ConfigError(f"report: no job of {', '.join(map(str, folders))} is finished")
    compared = comparison.compare(finished)
    tests = effects.tested(compared)
    medians = page_text.medians(compared)
    images = thumbnails.make(compared.jobs[: thumbnails.COLUMNS], compared.units[: thumbnails.ROWS])
    context = {
        "compared": compared,
        "question": page_text.question(compared),
        "conclusions": conclusions.sentences(compared, tests),
        "thumbnails": images,
        "earlier": [uris[:-1] for uris in images.images],  # the last ones are in the page
        "rows": min(len(compared.units), thumbnails.ROWS),
        "gap": thumbnails.GAP,
        "curves": figures.curves(compared),
        "heatmaps": figures.heatmaps(compared) if compared.is_grid() else [],
        "tradeoff": _tradeoff(compared, medians, folders),
        "measures": {name: text for name, text in MEASURES.items() if name in compared.values},
        "medians": medians,
        "tests": tests,
        "few": statistics.FEW,
        "kinds": KINDS,
        "lines": min(6, max(math.ceil(len(job.result.name) / 9) for job in compared.jobs)),
        "problems": {
            words: conclusions.problems(compared, end) for end, words in conclusions.PROBLEMS.items()
        },
        "failed": [job for entry in entries for job in entry["jobs"] if job["state"] == "FAILED"],
        "entries": entries,
        "tags": [manifest.tags(entry) for entry in entries],
        "commands": [f"deepvis {manifest.typed(entry)}" for entry in entries],
        "command": shlex.join(["deepvis", "report", *(entry["id"] for entry in entries)]),
        "labels": [compared.label(unit) for unit in compared.units[: thumbnails.ROWS]],
        "captions": page_text.captions(compared),
    }
    pages = Environment(
        loader=PackageLoader("deepvis.report", "."),
        autoescape=lambda name: str(name).endswith("html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["number"] = page_text.number
    files = [target / name for name in FILES]
    for file in files[:2]:
        write_text(file, pages.get_template(file.name).render(context))
    write_csv(files[2], [*page_text.settings(compared, medians), *map(page_text.row, tests)])
    return files


def _read(path: Path, version: str) -> Result:
    try:
        return result_folder.read(path)
    except FileNotFoundError as err:
        raise ConfigError(
            f"report: {err.filename} is missing; the sweep ran with deepvis {version}, this is "
            f"{__version__}: run it again"
        ) from err


def _tradeoff(
    compared: Comparison, medians: Sequence[Mapping[str, Any]], folders: Sequence[Path]
) -> str | None:
    """Score against robustness by setting; of a search, its two values by trial, with Optuna's front."""
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
            return figures.tradeoff(points, trials, tuple(names), on_front)
    if len(compared.settings) < 2 or "robustness" not in compared.values:
        return None
    points = np.array([[row["score"], row["robustness"]] for row in medians])
    names = [row["setting"] for row in medians]
    return figures.tradeoff(points, names, ("score", "robustness"), statistics.front(points))
