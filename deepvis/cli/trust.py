"""``deepvis trust``: whether the pictures of a layer's units can be believed, beside photographs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepvis import data, trusted
from deepvis.cli import analyses
from deepvis.config import schema
from deepvis.core import files, progress
from deepvis.trust.verdicts import BELIEVABLE

HELP = """deepvis trust [data=...]    whether the pictures of units can be believed

  deepvis trust layer.filters=0-15                             block5_conv1 of VGG16, the default regularizers
  deepvis trust data=folder data.path=photos/ reg=combined     your photographs, other regularizers
  deepvis trust -m layer=block4_conv1,block5_conv1             one layer after the other

Optimizes each filter from three starts and compares it with photographs: how strongly both excite it, whether
they do it by the same way, whether the pictures tell a machine which photographs excite it, and whether
photographs of several kinds do. Writes outputs/<id>: trust.png (a row a filter), trust.csv, paths.csv; and
logs one MLflow run."""


def main(typed: Sequence[str]) -> int:
    """Compute, write and log; returns the exit code."""
    return analyses.run("trust", typed, _compute, check=lambda task: trusted.check(task.job.cfg))


def _compute(task: analyses.Task) -> analyses.Found:
    job = task.job
    photographs = data.photographs(schema.plain(job.cfg.data))
    with progress.doing(f"comparing {len(job.filters)} filters with {len(photographs)} photographs"):
        found = trusted.assess(job.cfg, job.filters, job.classes, photographs)

    def write(folder: Path) -> None:
        files.write_csv(folder / "trust.csv", found.rows())
        files.write_csv(folder / "paths.csv", found.path_rows())

    believed = [each == BELIEVABLE for each in found.verdicts]
    metrics = {"believable": float(np.mean(believed)), "photographs": float(found.evidence.photographs)}
    for name in ("strength", "path", "choice_natural", "choice_synthesized"):
        values = getattr(found.evidence, name)
        if np.isfinite(values).any():
            metrics[f"{name}/median"] = float(np.median(values[np.isfinite(values)]))
    return analyses.Found(
        {"data.digest": photographs.digest, "trust.observer": found.observer}, metrics,
        {"trust": found.sheet()}, write, _lines(found, photographs),
    )  # fmt: skip


def _lines(found: trusted.Trusted, photographs: data.Photographs) -> list[str]:
    said = [f"left out  {path}: {reason}" for path, reason in photographs.broken]
    said += [f"{caption}  {verdict}" for caption, verdict in zip(found.captions, found.verdicts, strict=True)]
    count = sum(each == BELIEVABLE for each in found.verdicts)
    said.append(
        f"trust     {count} of {len(found.captions)} filters are believable, beside "
        f"{found.evidence.photographs} photographs; {found.observer} looked at the pictures"
    )
    if found.evidence.photographs < 1000:
        said.append(
            "advice    so few photographs may lack what excites a filter: what is said holds for them"
        )
    return said
