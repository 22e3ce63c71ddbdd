"""``deepvis embedding``: photographs in a plane, those with like codes in a layer beside one another."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepvis import embedding, networks
from deepvis.attribution import layer_maps
from deepvis.cli import analyses, read_photographs
from deepvis.cli.attribution import in_float32
from deepvis.config import compose, knobs, schema
from deepvis.config.params import flatten
from deepvis.config.schema import Target
from deepvis.core import files, progress
from deepvis.report import thumbnail_map
from deepvis.sweeps.jobs import Job

HELP = """deepvis embedding [embedding=...] [data=...]    photographs by their codes in a layer

  deepvis embedding data=folder data.path=photos/ size=224       t-SNE of the codes in block5_conv1 of VGG16
  deepvis embedding embedding=umap                               UMAP (pip install umap-learn)
  deepvis embedding -m layer=block3_conv1,block5_conv1           both layers

A code is the mean of each map of the layer behind its nonlinearity. Writes outputs/<id>: embedding.png,
the photographs on a grid where none lies over another; embedding.html, the same at their places, to zoom;
embedding.csv, codes.npy [n, C]. One MLflow run."""


def main(typed: Sequence[str]) -> int:
    """Compute, write and log; returns the exit code."""
    return analyses.run("embedding", in_float32(typed), _compute, read=["embedding"], check=_method)


def _method(job: Job) -> Target:
    return schema.choice("embedding", compose.plain_mapping(compose.config(job.overrides))["embedding"])


def _compute(job: Job, checkpoint: Path) -> analyses.Found:
    del checkpoint
    cfg, read, method = job.cfg, read_photographs.read(job.cfg), _method(job)
    network = networks.network(schema.plain(cfg.model)).build([cfg.layer.name], cfg.sides, "float32")
    with progress.doing(f"computing the codes of {len(read.names)} photographs"):
        every = layer_maps.maps(network, [cfg.layer.name], read.images)
        codes = np.stack([found[cfg.layer.name].mean(axis=(0, 1), dtype=float) for found in every])
    component = knobs.component("embedding", method.target)
    options = {key: getattr(method, key) for key in component.knobs}
    places = component.function(codes, **options)
    cells = embedding.grid(places)

    def write(folder: Path) -> None:
        rows = [
            {"photograph": name, "x": float(x), "y": float(y), "row": int(i), "column": int(j)}
            for name, (x, y), (i, j) in zip(read.names, places, cells, strict=True)
        ]
        files.write_csv(folder / "embedding.csv", rows)
        np.save(folder / "codes.npy", codes)
        page = thumbnail_map.page(read.images, places, read.names, f"{cfg.layer.name} of {cfg.model.name}")
        files.write_text(folder / "embedding.html", page)

    kept = embedding.neighbours_kept(codes, places)
    said = [
        *read.said,
        f"of each photograph's nearest neighbour by its code {kept:.0%} are nearest in the plane, too",
    ]
    flat = flatten(
        {"embedding": {"_target_": f".{component.name}", **options}, "data": {"digest": read.digest}}
    )
    metrics = {"photographs": float(len(read.names)), "neighbours_kept": kept}
    return analyses.Found(
        flat, metrics, {"embedding": thumbnail_map.picture(read.images, cells)}, write, said
    )
