"""The page of a report: results -> one self-contained HTML file, its Markdown, and every number as a table.

``deepvis report latest``, or the ids of sweeps; a sweep makes its own when it ends.
"""

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from deepvis.core.files import write_csv, write_text
from deepvis.metrics import convergence, signed_rank
from deepvis.report import (
    comparison,
    conclusions,
    contact_data,
    curves,
    effects,
    endings,
    figures,
    forest,
    front,
    heat_maps,
    medians,
    natural_pictures,
    seed_facets,
    selection,
    thumbnails,
    trade_off,
    trust,
    votes,
)
from deepvis.report.comparison import MEASURES, Comparison
from deepvis.report.effects import TestedEffect
from deepvis.report.trade_off import TradeOff
from deepvis.results import manifest
from deepvis.results.result_folder import Result

FILES = ("report.html", "report.md", "results.csv")
SEARCH = "optimization_results.yaml"  # written by Optuna in the sweep's folder
KINDS = {
    "main effect": "Main effects: two levels of a factor, the other factors averaged",
    "interaction": "Interactions: differences of differences",
    "pair": "Every two settings",
    "between layers": "Layers and networks against one another, as distributions (Mann-Whitney)",
}

FINDINGS = 3  # that are seen at once

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
    rows = medians.of(compared)
    seeds = seed_facets.of(compared)
    told = conclusions.of(compared, tests)
    parts = compared.each_part()
    traded = trade_offs(compared, folders, tests)
    selected = selection.of(compared, [k for k, status in told.front if status == front.OPTIMAL])
    images = thumbnails.make(selected)
    context = {
        "compared": compared,
        "question": _question(compared),
        "counts": _counts(compared),
        "conclusions": told,
        "forest": [*forest.rows(told.findings[:FINDINGS]), *forest.rows(told.findings[FINDINGS:])],
        "findings": FINDINGS,
        "selection": selected,
        "settings": [compared.name(setting) for setting in selected.settings],
        "thumbnails": images,
        "data": contact_data.of(compared, selected, images, target),
        "natural": natural_pictures.of(compared),
        "trust": trust.of(compared),
        "seed_facets": seeds,
        "several": seed_facets.MEANING if seeds and seeds.shares else "",
        "curves": [_curves(title, part) for title, part in parts],
        "panels": max(len(part.settings) for _, part in parts),
        "most": selection.SETTINGS,
        "heatmaps": [drawn for title, part in parts for drawn in _heat_maps(title, part)],
        "tradeoffs": [(title, *_traded(each), _traded_words(each)) for title, each in traded],
        "votes": votes.judged(compared, folders),
        "measures": {name: text for name, text in MEASURES.items() if name in compared.values},
        "medians": rows,
        "tests": tests,
        "few": signed_rank.FEW,
        "kinds": KINDS,
        "ends": list(convergence.ENDS.values()),
        "problems": {convergence.ENDS[end]: endings.problems(compared, end) for end in endings.PROBLEMS},
        "failed": [job for entry in entries for job in entry["jobs"] if job["state"] == "FAILED"],
        "entries": entries,
        "tags": [manifest.tags(entry) for entry in entries],
        "commands": [f"deepvis {manifest.typed(entry)}" for entry in entries],
        "command": shlex.join(["deepvis", "report", *(entry["id"] for entry in entries)]),
    }
    loader = PackageLoader("deepvis.report", ".")
    pages = Environment(
        loader=loader,
        autoescape=lambda name: str(name).endswith("html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"number": _number, "share": _share, "breakable": _breakable, "kept": _kept}
    # Inlined, for the page is one file; no templates, for braces are theirs.
    context |= {
        "style": loader.get_source(pages, "report.css")[0],
        "script": loader.get_source(pages, "report.js")[0],
    }
    files = [target / name for name in FILES]
    for file in files[:2]:
        write_text(file, pages.get_template(file.name).render(context))
    of_seeds = seeds.rows if seeds else ()
    write_csv(files[2], [*medians.as_table(compared, rows), *(test.row() for test in tests), *of_seeds])
    return files


def _counts(compared: Comparison) -> str:
    """What was run, in a line."""

    def some(count: int, noun: str) -> str:
        return f"{count} {noun}" if count == 1 else f"{count} {noun}s"

    said = [
        some(len(compared.jobs), "job"),
        some(len(compared.units), "filter"),
        some(len({job.seed for job in compared.jobs}), "seed"),
    ]
    text = f"{', '.join(said)}; filters are the unit of repetition"
    if len(compared.seeds) > 1:
        text += ", the seeds of a filter are averaged"
    if compared.left_out:
        are = "that not every setting has " + ("is" if compared.left_out == 1 else "are")
        text += f"; {some(compared.left_out, 'filter')} {are} left out"
    return f"{text}."


def _question(compared: Comparison) -> str:
    """The question that the factors and their levels ask."""
    networks = list(dict.fromkeys(part.network for part in compared.parts))
    names = ", ".join(compared.part_names())
    count = len(compared.units)
    of = names if len(networks) > 1 else f"{networks[0]} {names}"
    units = f"{count} filter{'s' if count != 1 else ''} of {of}"
    varied = [
        f"{factor} ({', '.join(map(str, levels)) if len(levels) <= 12 else f'{levels[0]} to {levels[-1]}'})"
        for factor, levels in compared.levels.items()
        if factor != "sweep"
    ]
    if "sweep" in compared.levels:
        units += f", in the sweeps {', '.join(map(str, compared.levels['sweep']))}"
    if not varied:
        return f"What {'do' if count != 1 else 'does'} {units} look for?"
    return f"What {'do' if len(varied) > 1 else 'does'} {' and '.join(varied)} do to {units}?"


def _number(value: float) -> str:
    """Three digits; a dash for a missing one."""
    return f"{value:.3g}" if math.isfinite(value) else "–"


def _share(value: float) -> str:
    return f"{_number(100 * value)} %" if math.isfinite(value) else "–"


def _kept(sentence: str) -> str:
    """A sentence of which no line ends between a number and its unit."""
    return sentence.replace(" %", "\u00a0%").replace("p < ", "p\u00a0<\u00a0").replace(" px", "\u00a0px")


def _breakable(name: str) -> Markup:
    """A name that a line may end in, behind an underscore or an equals sign: no number is broken."""
    return Markup(re.sub("([_=])", r"\1<wbr>", str(escape(name))))


def _curves(title: str, part: Comparison) -> tuple[str, list[tuple[str, str]]]:
    """The panels of a part, each with its name."""
    drawn = curves.panels(part, selection.settings(part))
    return title, [(name, figures.svg(figure, f"score by step, {title} {name}")) for name, figure in drawn]


def _heat_maps(title: str, part: Comparison) -> list[tuple[str, list[tuple[str, str]]]]:
    """The maps of a part, those of the same factors under one heading."""
    if not part.is_grid():
        return []
    found = []
    for factors, maps in heat_maps.drawn(part).items():
        heading = ", ".join(filter(None, [title, " and ".join(factors) if len(part.levels) > 2 else ""]))
        shown = [(name, f"median {name} by {' and '.join(factors)}", figure) for name, figure in maps.items()]
        found.append(
            (heading, [(name, figures.svg(figure, f"{text} {title}")) for name, text, figure in shown])
        )
    return found


def _traded(traded: TradeOff) -> tuple[str, str]:
    """The trade-off for a wide page, and for a narrow one."""
    title = f"{traded.axes[1]} against {traded.axes[0]}"
    wide, narrow = (trade_off.figure(traded, inches) for inches in (9.0, 4.2))
    return figures.svg(wide, title), figures.svg(narrow, f"{title}, narrow")


def _traded_words(traded: TradeOff) -> str:
    """What the trade-off shows."""
    said = f"{traded.axes[1]} against {traded.axes[0]}, medians over filters."
    if np.isfinite(traded.intervals).any():
        said += (
            " Whiskers: 95 % intervals, after the mean of each filter over the settings was taken out, for "
            "settings are compared filter by filter."
        )
    said += "".join(f" {words}" for kind, words in front.MEANING.items() if kind in traded.status)
    if len(traded.named) < len(traded.names):
        said += f" {len(traded.named)} of {len(traded.names)} points have names."
    return said


def trade_offs(
    compared: Comparison, folders: Sequence[Path], tests: Sequence[TestedEffect]
) -> list[tuple[str, TradeOff]]:
    """Score against robustness by setting, of each part; of a search, its two values by trial."""
    searched = folders[0] / SEARCH
    if len(folders) == 1 and searched.is_file():
        best = yaml.safe_load(searched.read_text()).get("solutions", [])
        names = yaml.safe_load(compared.jobs[0].result.config)["objective_value"]
        if len(best) and len(names) == 2:
            points = np.array(
                [[job.result.figures.get(name, math.nan) for name in names] for job in compared.jobs]
            )
            on_front = [any(np.allclose(values, b["values"]) for b in best) for values in points]
            searched_for = TradeOff(
                axes=(str(names[0]), str(names[1])),
                names=[job.result.name for job in compared.jobs],
                points=points,
                intervals=np.full((*points.shape, 2), np.nan),
                status=[front.OPTIMAL if on else front.DOMINATED for on in on_front],
                named=sorted(range(len(points)), key=lambda k: not on_front[k])[: selection.SETTINGS],
            )
            return [("", searched_for)]
    found = []
    for title, part in compared.each_part():
        own = [test for test in tests if test.part == title]
        status = trade_off.statuses(own, len(part.settings))
        named = selection.settings(part, [k for k, words in enumerate(status) if words == front.OPTIMAL])
        if traded := trade_off.of(part, status, named):
            found.append((title, traded))
    return found
