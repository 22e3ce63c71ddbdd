"""Contact data: (`Comparison`, `Selection`, thumbnails) -> what the page's script draws from."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from deepvis.metrics import convergence
from deepvis.report.comparison import ComparedJob, Comparison, Unit
from deepvis.report.selection import Cell, Selection, highest
from deepvis.report.thumbnails import Thumbnails
from deepvis.results import result_folder

Data = dict[str, Any]


def of(compared: Comparison, selection: Selection, thumbnails: Thumbnails, beside: Path) -> Data:
    """Pictures, captions and the values that rows are sorted and filtered by, as JSON has them.

    Args:
      compared: the comparison.
      selection: what of it is shown.
      thumbnails: its pictures.
      beside: folder of the page; picture files are named as seen from there.
    """
    shown = {job.folder: job for job, _ in (_job(selection, cell) for cell in _cells(selection)) if job}
    number = {folder: k for k, folder in enumerate(shown)}
    last = {name: result_folder.last(job.result) for name, job in shown.items()}

    def caption(setting: int, row: int, unit: Unit) -> list[Any] | None:
        """Number of the job, score, further words and end."""
        job, column = _job(selection, (setting, row, unit))
        if job is None:
            return None
        final, end = last[job.folder], job.result.ends[column]
        rank, robustness = (
            float(final[name][column]) if name in final else math.nan for name in ("rank", "robustness")
        )
        return [
            number[job.folder],
            _finite(final["score"][column]),
            f"rank {rank:.0f}" if math.isfinite(rank) else "",
            convergence.ENDS[end],
            f"robustness {robustness:.3g}" if math.isfinite(robustness) else "",
        ]

    effects = differences(compared, selection)
    return {
        "height": thumbnails.height,
        "width": thumbnails.width,
        "whole": thumbnails.whole,
        "steps": selection.steps,
        "settings": [compared.name(setting) for setting in selection.settings],
        "seeds": [str(compared.seeds[row]) for row in selection.rows],
        "best": _best(compared, selection),
        "units": [
            {
                "label": compared.label(unit),
                "file": f"{result_folder.label(unit.index)}.png",
                "effect": _finite(effects[k]),
            }
            for k, unit in enumerate(selection.units)
        ],
        "jobs": [
            {"folder": os.path.relpath(folder, beside), "steps": selection.taken[folder]} for folder in shown
        ],
        "captions": [
            [[caption(setting, row, unit) for setting in selection.settings] for unit in selection.units]
            for row in selection.rows
        ],
        "strips": thumbnails.strips,
    }


def differences(compared: Comparison, selection: Selection) -> np.ndarray:
    """How far the score of each unit differs between settings: its range, as a share of its mean size."""
    position = {unit: k for k, unit in enumerate(compared.units)}
    scores = compared.values["score"][:, [position[unit] for unit in selection.units]]
    found = np.full(scores.shape[1], np.nan)
    for k, column in enumerate(scores.T):
        known = column[np.isfinite(column)]
        if len(known) > 1 and (size := np.abs(known).mean()) > 0:
            found[k] = np.ptp(known) / size
    return found


def _cells(selection: Selection) -> list[Cell]:
    return [
        (setting, row, unit)
        for row in selection.rows
        for unit in selection.units
        for setting in selection.settings
    ]


def _job(selection: Selection, cell: Cell) -> tuple[ComparedJob | None, int]:
    return selection.jobs.get(cell, (None, 0))


def _best(compared: Comparison, selection: Selection) -> int:
    """Which of the settings that are shown has the highest median score."""
    best = highest(compared, "score", 0)
    return selection.settings.index(best) if best in selection.settings else 0


def _finite(value: float) -> float | None:
    """A number as JSON has it: none that is not finite."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
