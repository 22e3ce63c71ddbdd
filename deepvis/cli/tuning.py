"""``deepvis tuning``: the score of units by position, scale, rotation and brightness of photographs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepvis import networks
from deepvis.ascent import units
from deepvis.attribution import tuning
from deepvis.attribution.tuning import ATTRIBUTES
from deepvis.attribution.unit import Unit, compiled
from deepvis.cli import analyses, read_photographs
from deepvis.cli.attribution import captions, in_float32
from deepvis.config import schema
from deepvis.core import files, progress
from deepvis.report import tuning_curves
from deepvis.sweeps.jobs import Job

HELP = """deepvis tuning [data=...]    the score of units by attributes of photographs

  deepvis tuning layer.filters=0-3 size=128                    VGG16, block5_conv1
  deepvis tuning model=efficientnet_lite0 layer=named layer.name=predictions layer.filters=flamingo

Each photograph is moved, scaled, turned and lit otherwise, as a whole: an object with its ground. What comes
in from outside has the mean colour of the training set. Writes outputs/<id>: a picture for each unit (a panel
an attribute, a line a photograph, the median), curves.csv; and logs one MLflow run."""


def main(typed: Sequence[str]) -> int:
    """Compute, write and log; returns the exit code."""
    return analyses.run("tuning", in_float32(typed), _compute, check=lambda job: units.check(job.cfg))


def _compute(job: Job, checkpoint: Path) -> analyses.Found:
    del checkpoint
    cfg, read, names = job.cfg, read_photographs.read(job.cfg), captions(job)
    layers = units.layers(cfg)
    network = networks.network(schema.plain(cfg.model)).build(layers, cfg.sides, "float32")
    program = compiled(network, layers, units.score(cfg))
    mean = np.array(network.mean, np.float32)
    found: list[dict[str, np.ndarray]] = []  # by unit and attribute, [levels, photographs]
    for index in job.filters:
        unit = Unit(program, units.numbers(cfg, index), cfg.batch_size, cfg.device)
        with progress.doing(f"tuning {names[len(found)]} with {len(read.names)} photographs"):
            curves = {}
            for name, each in ATTRIBUTES.items():
                shown = (x - mean for image in read.images for x in tuning.changed(each, image, network.mean))
                curves[name] = unit.scores(shown).reshape(len(read.names), -1).T
            found.append(curves)

    def write(folder: Path) -> None:
        rows = [
            {"unit": unit, "photograph": photograph, "attribute": name, "level": level,
             "score": float(curves[name][at, k])}
            for unit, curves in zip(names, found, strict=True)
            for name, each in ATTRIBUTES.items()
            for at, level in enumerate(each.levels)
            for k, photograph in enumerate(read.names)
        ]  # fmt: skip
        files.write_csv(folder / "curves.csv", rows)

    levels = {name: each.levels for name, each in ATTRIBUTES.items()}
    words = {name: each.unit for name, each in ATTRIBUTES.items()}
    pictures = {
        name: tuning_curves.sheet(curves, levels, words, read.names, f"{name} of {cfg.layer.name}")
        for name, curves in zip(names, found, strict=True)
    }
    plain = np.array([curves["scale"][levels["scale"].index(1)] for curves in found])
    metrics = {"score/mean": float(plain.mean()), "photographs": float(len(read.names))}
    return analyses.Found({"data.digest": read.digest}, metrics, pictures, write, read.said)
