"""``deepvis directions``: directions of a layer by its values on photographs, with heat maps and pictures."""

from collections.abc import Sequence

from deepvis.analyses import direction_pictures, directions, layer_values, photographs
from deepvis.cli import analyses, ascents
from deepvis.core import progress

READS = (
    "data",
    "directions",
    "optimizer",
    "param",
    "reg",
    "seed",
    "start",
    "steps",
    "transform",
)
HELP = """deepvis directions [directions=nmf|pca] [data=...]    directions of a layer, and channel groups

  deepvis directions data=folder data.path=photos/ size=224  six channel groups of block5_conv1 of VGG16 (NMF)
  deepvis directions directions=pca directions.k=4           principal components, positive and negative
  deepvis objective=direction objective.vectors=outputs/<id>/vectors.npz layer.filters=0-5

A position of a photograph is a vector of the layer's channels behind their nonlinearity; size is that of the
photographs, directions.picture that of the pictures. Writes outputs/<id>: directions.png, the picture of each
direction and its heat map over photographs; vectors.npz, which objective.vectors takes (directions [k, C],
how they were made); directions.csv. One MLflow run. Pictures are optimized by experiment=distill_2017 in 128
steps, or as you say."""


def main(typed: Sequence[str]) -> int:
    """Compute, write and log; returns the exit code."""
    return analyses.run(
        "directions", typed, _compute, READS, complete=ascents.completed,
        check=lambda task: direction_pictures.check(task.job.cfg, task.methods["directions"].picture),
    )  # fmt: skip


def _compute(task: analyses.Task) -> analyses.Found:
    cfg = task.job.cfg
    with progress.doing("reading photographs"):
        read = photographs.of_config(cfg)
    with progress.doing(f"factorizing the layer on {len(read.names)} photographs"):
        values = layer_values.of(cfg, read)
    return analyses.Found.of(directions.directions(cfg, task.methods["directions"], values), read)
