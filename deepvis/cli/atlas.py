"""``deepvis atlas``: an activation atlas of a layer, from photographs."""

from collections.abc import Sequence

from deepvis.analyses import atlas, direction_pictures, layer_values, photographs
from deepvis.cli import analyses, ascents
from deepvis.cli.directions import READS
from deepvis.core import progress

HELP = """deepvis atlas [data=...] [embedding=tsne|umap]    an activation atlas of a layer

  deepvis atlas data=folder data.path=photos/ size=224      of block5_conv1 of VGG16
  deepvis atlas atlas.grid=20 atlas.positions=1             one position of each of many photographs

Activations at random positions of photographs are placed in a plane, those with like ones together; each cell
of a grid gets an icon, optimized for the mean of its activations (Carter et al. 2019). size is that of the
photographs, atlas.picture that of the icons. Writes outputs/<id>: atlas.html, to zoom, which says on how many
photographs it rests; atlas.png; cells.csv, positions.csv; vectors.npz, which objective.vectors takes. One
MLflow run. Icons are optimized by experiment=distill_2017 in 128 steps, or as you say."""


def main(typed: Sequence[str]) -> int:
    """Compute, write and log; returns the exit code."""
    return analyses.run(
        "atlas", typed, _compute, [*(each for each in READS if each != "directions"), "atlas", "embedding"],
        complete=ascents.completed,
        check=lambda task: direction_pictures.check(task.job.cfg, task.methods["atlas"].picture),
    )  # fmt: skip


def _compute(task: analyses.Task) -> analyses.Found:
    cfg = task.job.cfg
    with progress.doing("reading photographs"):
        read = photographs.of_config(cfg)
    values = layer_values.of(cfg, read)
    return analyses.Found.of(atlas.atlas(cfg, task.methods["atlas"], task.methods["embedding"], values), read)
