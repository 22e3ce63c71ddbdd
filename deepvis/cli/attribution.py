"""``deepvis attribution``: which pixels of photographs the units of a layer respond to."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepvis import attributed
from deepvis.attributed import Attributed
from deepvis.cli import analyses, read_photographs
from deepvis.config import compose, schema
from deepvis.config.params import flatten
from deepvis.config.schema import Target
from deepvis.core import files, progress
from deepvis.report import heat_pictures
from deepvis.results import result_folder
from deepvis.sweeps.jobs import Job

HELP = """deepvis attribution [attribution=...] [data=...]    which pixels of photographs a unit responds to

  deepvis attribution layer.filters=0-3                        saliency, block5_conv1 of VGG16
  deepvis attribution attribution=grad_cam data=folder data.path=photos/
  deepvis attribution -m attribution=saliency,occlusion        both, one after the other
  deepvis attribution objective=neuron layer.filters=5         one neuron; direction, sum and layer likewise

Writes outputs/<id>: a picture for each unit (a row a photograph: the photograph, the map over it, the map
with its colour bar), overview.png, maps/*.npy, table.csv; and logs one MLflow run. deepvis --help lists the
methods, the files of conf/attribution."""
OVERVIEW = 400  # pictures of an overview, at most


def main(typed: Sequence[str]) -> int:
    """Compute, write and log; returns the exit code."""
    return analyses.run("attribution", in_float32(typed), _compute, read=["attribution"], check=_check)


def in_float32(typed: Sequence[str]) -> list[str]:
    """Overrides, and float32 where nobody says another precision."""
    return [*typed, *([] if any("precision=" in each for each in typed) else ["precision=float32"])]


def _method(job: Job) -> Target:
    return schema.choice("attribution", compose.plain_mapping(compose.config(job.overrides))["attribution"])


def _check(job: Job) -> None:
    attributed.check(job.cfg, _method(job))


def _compute(job: Job, checkpoint: Path) -> analyses.Found:
    del checkpoint
    read, method = read_photographs.read(job.cfg), _method(job)
    units = captions(job)
    with progress.doing(f"attributing {len(units)} units in {len(read.names)} photographs"):
        found = attributed.attribute(job.cfg, method, job.filters, units, read.names, read.images)
    pictures = {caption: found.sheet(k) for k, caption in enumerate(units)}
    if len(units) > 1 and len(units) * len(read.names) <= OVERVIEW:
        pictures["overview"] = heat_pictures.overview(
            found.images, found.maps, found.signed, found.names, found.captions
        )
    options = {
        "attribution": {"_target_": f".{found.method}", **found.options},
        "data": {"digest": read.digest},
    }
    errors = [row["completeness_error"] for row in found.rows() if "completeness_error" in row]
    metrics = {"score/mean": float(found.scores.mean()), "photographs": float(len(read.names))}
    metrics |= {"completeness_error/max": max(errors)} if errors else {}
    return analyses.Found(
        flatten(options), metrics, pictures, lambda folder: _write(folder, found),
        [*read.said, *(f"advice    {line}" for line in found.told())],
    )  # fmt: skip


def captions(job: Job) -> list[str]:
    """Names of the units in files: ``f012``, or the class and its number."""
    named = result_folder.captions_for(job.filters, job.classes)
    return ["".join(c if c.isalnum() or c in " ()-_" else "_" for c in name) for name in named]


def _write(folder: Path, found: Attributed) -> None:
    """Arrays of each unit, all images in one: [n, H, W], gradients [n, H, W, C], coarse maps [n, h, w]."""
    for caption, each in zip(found.captions, found.found, strict=True):
        for name, array in (("maps", each.maps), ("gradients", each.gradients), ("coarse", each.coarse)):
            if array is not None:
                (folder / name).mkdir(exist_ok=True)
                np.save(folder / name / f"{caption}.npy", array)
    files.write_csv(folder / "table.csv", found.rows())
