"""Figures and tables for a paper: the results of sweeps -> a folder of PDF, SVG, PNG, LaTeX and Markdown.

The folder is written whole or not at all. ``export.json`` in it has the command and a checksum of each file,
so that a later export replaces what an earlier one wrote, and nothing else.
"""

import hashlib
import json
import math
import re
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.figure import Figure

from deepvis.core import files, names
from deepvis.core.errors import ConfigError
from deepvis.core.version import __version__
from deepvis.report import (
    comparison,
    contact,
    curves,
    effects,
    figures,
    heat_maps,
    medians,
    page,
    selection,
    trade_off,
)
from deepvis.report.comparison import Comparison, Unit
from deepvis.results import manifest

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

RECORD = "export.json"
ROWS, COLUMNS = 64, 64  # of a contact sheet
# Text is text: TrueType in a PDF, which journals ask for, and letters in an SVG. No date, so that an export
# that is made again is the same to the last byte.
STYLE: "dict[RcKeyType, Any]" = {
    **figures.STYLE, "pdf.fonttype": 42, "image.composite_image": False, "svg.hashsalt": "deepvis",
}  # fmt: skip
COUNTS = {"images": "images", "zero gradient": "stuck", "diverged": "diverged"}


def export(sweeps: Sequence[Path], target: Path, filters: str | None) -> list[str]:
    """Write the figures and tables of some sweeps.

    Args:
      sweeps: their folders.
      target: folder to write, that is made here.
      filters: rows of the contact sheet, as ``layer.filters`` takes them; None: all.

    Returns:
      What a reader of the folder should be told, a line each.

    Raises:
      ConfigError: no job is finished, a filter is not there, or the folder holds files of the user's.
    """
    check(target)
    compared = comparison.of_sweeps(sweeps, {})
    units = chosen(compared, filters)
    notes = []
    with files.replacing_folder(target) as partial:
        with warnings.catch_warnings(record=True) as told, matplotlib.rc_context(STYLE):
            warnings.simplefilter("always", UserWarning)
            notes += _contact(compared, units, partial)
            notes += _figures(compared, sweeps, partial)
        missing = {
            glyph for each in told for glyph in re.findall(r"Glyph \d+ \(([^)]*)\)", str(each.message))
        }
        if missing:
            notes.append(f"no letter in the font, an empty box is shown: {', '.join(sorted(missing))}")
        _tables(compared, sweeps, partial)
        _record(sweeps, filters, partial)
    return notes


def check(target: Path) -> None:
    """Refuse a folder that holds anything but an earlier export, as it was written.

    Raises:
      ConfigError: names a file.
    """
    if not target.exists() and not target.is_symlink():
        return files.check_folder(target, "name another folder")
    if not target.is_dir() or target.is_symlink():
        raise ConfigError(f"export {target}: got a file or link, expected a folder that does not exist yet")
    try:
        known = json.loads((target / RECORD).read_bytes())["files"] | {RECORD: None}
    except (OSError, ValueError, KeyError, TypeError):
        known = {}
    for path in sorted(target.iterdir()):
        is_ours = path.name in known and path.is_file() and not path.is_symlink()
        if not is_ours or (path.name != RECORD and _digest(path) != known[path.name]):
            what = "was changed since it was exported" if is_ours else "was not written by deepvis export"
            raise ConfigError(f"export {target}: {path.name} {what}; name another folder, or move it away")
    return None


def chosen(compared: Comparison, filters: str | None) -> list[Unit]:
    """The units that ``filters`` names, in that order; all of them without it."""
    if filters is None:
        return list(compared.units)
    layers = ", ".join(compared.part_names())
    known = sorted({unit.index for unit in compared.units})
    labels = [""] * (known[-1] + 1)
    for job in compared.jobs:
        for index, name in zip(job.result.filters, job.result.classes, strict=False):
            if index in known:
                labels[index] = name
    indices = names.filters(
        filters, known[-1] + 1, layers, "filters", "filters", labels if any(labels) else ()
    )
    if lacking := [str(index) for index in indices if index not in known]:
        has = ", ".join(map(str, known[:20])) + (" ..." if len(known) > 20 else "")
        raise ConfigError(f"filters={filters}: the sweep has no filter {', '.join(lacking)}; it has {has}")
    return [unit for index in indices for unit in compared.units if unit.index == index]


def _contact(compared: Comparison, units: Sequence[Unit], folder: Path) -> list[str]:
    shown, jobs = units[:ROWS], compared.jobs[:COLUMNS]
    columns = [job.result.name for job in jobs]
    if len(set(columns)) < len(columns):  # of several sweeps
        columns = [f"{job.sweep.rpartition('-')[2]} {job.result.name}" for job in jobs]
    cells = contact.pictures(jobs, shown)
    figure, dpi = contact.sheet(cells, [compared.label(unit) for unit in shown], columns)
    figure.savefig(folder / "contact.pdf", metadata={"CreationDate": None})
    figure.savefig(folder / "contact.png", dpi=dpi)
    notes = []
    if len(units) > ROWS:
        notes.append(f"contact sheet: {ROWS} of {len(units)} filters; filters=... chooses")
    if len(compared.jobs) > COLUMNS:
        notes.append(f"contact sheet: {COLUMNS} of {len(compared.jobs)} jobs")
    return notes


def _figures(compared: Comparison, sweeps: Sequence[Path], folder: Path) -> list[str]:
    drawn: dict[str, Figure] = {}
    for title, part in compared.each_part():
        drawn[_file("curves", title)] = curves.sheet(part, selection.settings(part))
        for factors, maps in (heat_maps.drawn(part) if part.is_grid() else {}).items():
            drawn |= {_file("heatmap", title, *factors, name): figure for name, figure in maps.items()}
    for title, traded in page.trade_offs(compared, sweeps, effects.tested(compared)):
        drawn[_file("tradeoff", title)] = trade_off.figure(traded)
    for name, figure in drawn.items():
        # Beside the panels there may be a key.
        figure.savefig(folder / f"{name}.pdf", bbox_inches="tight", metadata={"CreationDate": None})
        figure.savefig(folder / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
    if len(compared.settings) > selection.SETTINGS:
        return [
            f"curves: {selection.SETTINGS} of {len(compared.settings)} settings, "
            "and as many names in the trade-off"
        ]
    return []


def _file(*words: str) -> str:
    """The name of a figure's file, of the words that are not empty."""
    return "-".join(re.sub(r"[^\w-]", "_", word) for word in words if word)


def _tables(compared: Comparison, sweeps: Sequence[Path], folder: Path) -> None:
    """A row a setting, medians over its filters, in LaTeX and in Markdown."""
    rows = medians.of(compared)
    measures = list(compared.values)
    head = ["setting", *(name.replace("_", " ") for name in measures), *COUNTS]
    body = [[str(row["setting"]), *(_number(row[name]) for name in measures),
             *(str(row[key]) for key in COUNTS.values())] for row in rows]  # fmt: skip
    told = (
        f"medians over {len(compared.units)} filters; sweeps {', '.join(path.name for path in sweeps)}; "
        f"deepvis {__version__}"
    )
    columns = f"l{'r' * (len(head) - 1)}"
    lines = [f"% {told}", r"% needs \usepackage{booktabs}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    lines.append(" & ".join(map(_latex, head)) + r" \\")
    lines += [r"\midrule", *(" & ".join(map(_latex, row)) + r" \\" for row in body)]
    files.write_text(folder / "table.tex", "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""]))
    ruler = ["---", *["---:"] * (len(head) - 1)]
    table = [f"| {' | '.join(map(_markdown, row))} |" for row in (head, ruler, *body)]
    files.write_text(folder / "table.md", "\n".join([*table, "", f"{told[0].upper()}{told[1:]}.", ""]))


def _record(sweeps: Sequence[Path], filters: str | None, folder: Path) -> None:
    """The checksums of the files, and how they can be made again."""
    ids = [manifest.read(each)["id"] for each in sweeps]
    command = ["deepvis", "export", *ids, "...", *([f"filters={filters}"] if filters is not None else [])]
    entry = {"command": shlex.join(command), "deepvis": __version__}
    digests = {path.name: _digest(path) for path in sorted(folder.iterdir())}
    files.write_text(folder / RECORD, json.dumps(entry | {"files": digests}, indent=1))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "–"


LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--"}
LATEX |= {letter: f"\\{letter}" for letter in "&%$#_{}"}


def _latex(text: str) -> str:
    """A text as LaTeX shows it; 1.2e-05 as a power of ten."""
    if power := re.fullmatch(r"(-?[\d.]+)e([+-]\d+)", text):
        return rf"${power[1]} \times 10^{{{int(power[2])}}}$"
    if re.fullmatch(r"-[\d.]+", text):
        return f"${text}$"
    return "".join(LATEX.get(letter, letter) for letter in text)


def _markdown(text: str) -> str:
    return re.sub(r"([\\|*_`<])", r"\\\1", text).replace("\n", " ")
