"""``deepvis embedding``: photographs in a plane, those with like codes in a layer beside one another."""

from collections.abc import Sequence

from deepvis.analyses import embedding, photographs, unit_networks
from deepvis.cli import analyses
from deepvis.core import progress

HELP = """deepvis embedding [embedding=...] [data=...]    photographs by their codes in a layer

  deepvis embedding data=folder data.path=photos/ size=224       t-SNE of the codes in block5_conv1 of VGG16
  deepvis embedding embedding=umap                               UMAP (the extra umap)
  deepvis embedding -m layer=block3_conv1,block5_conv1           both layers

A code is the mean of each map of the layer behind its nonlinearity. Writes outputs/<id>: embedding.png,
the photographs on a grid where none lies over another; embedding.html, the same at their places, to zoom;
embedding.csv, codes.npy [n, C]. One MLflow run."""


def main(typed: Sequence[str]) -> int:
    """Compute, write and log; returns the exit code."""
    return analyses.run(
        "embedding", typed, _compute, ["data", "embedding"], complete=analyses.in_float32,
        check=lambda task: unit_networks.check_precision(task.job.cfg),
    )  # fmt: skip


def _compute(task: analyses.Task) -> analyses.Found:
    with progress.doing("reading photographs"):
        read = photographs.of_config(task.job.cfg)
    with analyses.counting("computing", len(read.names)) as tell:
        codes = embedding.codes_of(task.job.cfg, read, tell)
    with progress.doing(f"placing {len(read.names)} photographs in a plane"):
        found = embedding.embedding(task.job.cfg, task.methods["embedding"], read, codes)
    return analyses.Found.of(found, read)
