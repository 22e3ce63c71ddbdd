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

from deepvis import (
    __version__,
    charts,
    comparison,
    errors,
    findings,
    ledger,
    outcome,
    passages,
    sheets,
    stats,
    terminal,
    units,
    verdict,
)  # fmt: skip
from deepvis.comparison import MEASURES, Comparison

FILES = ("report.html", "report.md", "results.csv")
OF_SEARCH = "optimization_results.yaml"  # what Optuna leaves in the sweep's folder
KINDS = {
    "main effect": "Main effects: two levels of a factor, the other factors averaged",
    "any level": "Any difference between the levels of a factor (Friedman's test)",
    "interaction": "Interactions: differences of differences",
    "pair": "Every two settings",
}
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
        place = next((Path(word[7:]) for word in typed if word.startswith("folder=")), Path("outputs"))
        words = [word for word in typed if not word.startswith("folder=")] or ["latest"]
        folders = list(dict.fromkeys(_folder(word, place) for word in words))
        target = folders[0]
        if len(folders) > 1:
            target = folders[0].parent / "-".join(["report", *(folder.name for folder in folders)])
            target.mkdir(exist_ok=True)
        files = make(folders, target)
    except Exception as err:
        terminal.error(errors.line(err, typed))
        return 1
    terminal.console().print(f"report    {files[0]}", soft_wrap=True)
    return 0


def _folder(word: str, place: Path) -> Path:
    """Of a sweep: its path as it was printed, or its id."""
    return Path(word) if (Path(word) / ledger.FILE).is_file() else ledger.locate(word, place, "report")


def _read(place: Path, version: str) -> outcome.Result:
    try:
        return outcome.read(place)
    except FileNotFoundError as err:
        raise units.ConfigError(
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
    entries = [ledger.read(folder) for folder in folders]
    found = [
        (entry["id"], place, _read(place, entry["versions"]["deepvis"]))
        for entry, folder in zip(entries, folders, strict=True)
        for place in outcome.finished(folder)
    ]
    if not found:
        raise units.ConfigError(f"report: no job of {', '.join(map(str, folders))} is finished")
    compared = comparison.of(found)
    tested = findings.findings(compared)
    medians = passages.medians(compared)
    seen = sheets.of(compared.members[: sheets.COLUMNS], compared.units[: sheets.ROWS])
    told = {
        "compared": compared,
        "question": passages.question(compared),
        "verdict": verdict.sentences(compared, tested),
        "sheets": seen,
        "earlier": [own[:-1] for own in seen.images],  # the last ones are in the page
        "rows": min(len(compared.units), sheets.ROWS),
        "gap": sheets.GAP,
        "curves": charts.curves(compared),
        "heat": charts.heat(compared) if compared.is_grid() else [],
        "tradeoff": _tradeoff(compared, medians, folders),
        "measures": {name: said for name, said in MEASURES.items() if name in compared.values},
        "medians": medians,
        "findings": tested,
        "few": stats.FEW,
        "kinds": KINDS,
        "lines": min(6, max(math.ceil(len(member.result.name) / 9) for member in compared.members)),
        "resisting": {end: verdict.resisting(compared, end) for end in verdict.RESISTING},
        "lost": [job for entry in entries for job in entry["jobs"] if job["state"] == "FAILED"],
        "entries": entries,
        "tags": [ledger.tags(entry) for entry in entries],
        "commands": [f"deepvis {ledger.typed(entry)}" for entry in entries],
        "again": shlex.join(["deepvis", "report", *(entry["id"] for entry in entries)]),
        "labels": [compared.label(unit) for unit in compared.units[: sheets.ROWS]],
        "cells": passages.cells(compared),
    }
    pages = Environment(
        loader=PackageLoader("deepvis", "."), autoescape=lambda name: name.endswith("html"),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    pages.filters["number"] = passages.number
    files = [target / name for name in FILES]
    for file in files[:2]:
        outcome.put(file, pages.get_template(file.name).render(told))
    outcome.table(
        files[2], [*passages.settings(compared, medians), *(passages.row(finding) for finding in tested)]
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
            return charts.tradeoff(points, trials, tuple(names), on_front)
    if len(compared.settings) < 2 or "robustness" not in compared.values:
        return None
    points = np.array([[row["score"], row["robustness"]] for row in medians])
    names = [row["setting"] for row in medians]
    return charts.tradeoff(points, names, ("score", "robustness"), stats.front(points))
