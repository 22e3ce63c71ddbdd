"""``deepvis fooling``: photographs changed little by little until a unit takes them for its own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deepvis import networks
from deepvis.ascent import units
from deepvis.attribution import fooling
from deepvis.attribution.fooling import Fooled
from deepvis.attribution.unit import Unit, compiled
from deepvis.cli import analyses, read_photographs
from deepvis.cli.attribution import captions, in_float32
from deepvis.config import compose, knobs, schema
from deepvis.config.params import flatten
from deepvis.config.schema import Target
from deepvis.core import files, progress
from deepvis.core.errors import ConfigError
from deepvis.report import fooling_pictures
from deepvis.sweeps.jobs import Job

HELP = """deepvis fooling [fooling=...] [data=...]    photographs changed a little for a unit

  deepvis fooling layer.filters=2 size=224                   VGG16, block5_conv1
  deepvis fooling model=efficientnet_lite0 layer=named layer.name=predictions layer.filters=flamingo
  deepvis fooling -m fooling.rate=0.25,0.5,1 ...

Each step follows the gradient of the unit's score; the objective says which, before its nonlinearity.
Confidence is the unit's activation behind it: of a class its probability. Writes outputs/<id>: a picture for
each unit (photograph, what was added, fooling image, confidence by step), curves.csv, images/*.npy
[n, H, W, C] in grey levels. One MLflow run."""


def main(typed: Sequence[str]) -> int:
    """Compute, write and log; returns the exit code."""
    return analyses.run("fooling", in_float32(typed), _compute, read=["fooling"], check=_check)


def _method(job: Job) -> Target:
    return schema.choice("fooling", compose.plain_mapping(compose.config(job.overrides))["fooling"])


def _check(job: Job) -> None:
    _method(job)
    units.check(job.cfg)
    if not hasattr(job.cfg.objective, "pre_activation"):
        raise ConfigError("objective: got one that does not say pre_activation, expected one of deepvis'")


def _compute(job: Job, checkpoint: Path) -> analyses.Found:
    del checkpoint
    cfg, read, method = job.cfg, read_photographs.read(job.cfg), _method(job)
    component, names = knobs.component("fooling", method.target), captions(job)
    rule = component.function(**{key: getattr(method, key) for key in component.knobs if key != "steps"})
    layers = units.layers(cfg)
    network = networks.network(schema.plain(cfg.model)).build(layers, cfg.sides, "float32")
    program = compiled(network, layers, units.score(cfg))
    objective: Any = cfg.objective
    cfg_behind = replace(cfg, objective=replace(objective, pre_activation=False))
    behind = compiled(network, layers, units.score(cfg_behind))
    found: list[Fooled] = []
    for index in job.filters:
        numbers = units.numbers(cfg, index)
        with progress.doing(f"fooling {names[len(found)]} with {len(read.names)} photographs"):
            raised, told = (Unit(each, numbers, cfg.batch_size, cfg.device) for each in (program, behind))
            found.append(fooling.fool(raised, told, rule, read.images, method.steps))

    def write(folder: Path) -> None:
        (folder / "images").mkdir()
        rows = []
        for name, each in zip(names, found, strict=True):
            np.save(folder / "images" / f"{name}.npy", each.images)
            for step, k in np.ndindex(*each.scores.shape):
                row = {
                    "unit": name,
                    "photograph": read.names[k],
                    "step": step,
                    "score": float(each.scores[step, k]),
                }
                row |= {key: float(getattr(each, key)[step, k]) for key in ("confidence", "rms", "largest")}
                rows.append(row)
        files.write_csv(folder / "curves.csv", rows)

    pictures = {
        name: fooling_pictures.sheet(read.images, each, read.names)
        for name, each in zip(names, found, strict=True)
    }
    said = []
    for name, each in zip(names, found, strict=True):
        first, last = np.median(each.confidence[0]), np.median(each.confidence[-1])
        size = f"{np.median(each.rms[-1]):.2g} grey levels (root mean square), {each.largest[-1].max():.2g}"
        said.append(f"{name}: confidence {first:.3g} -> {last:.3g} (median), changed by {size} at most")
    metrics = {"confidence/first": float(np.mean([each.confidence[0] for each in found])),
               "confidence/last": float(np.mean([each.confidence[-1] for each in found])),
               "rms": float(np.mean([each.rms[-1] for each in found])),
               "largest": float(max(each.largest[-1].max() for each in found))}  # fmt: skip
    options = {key: getattr(method, key) for key in component.knobs}
    flat = flatten(
        {"fooling": {"_target_": f".{component.name}", **options}, "data": {"digest": read.digest}}
    )
    return analyses.Found(flat, metrics, pictures, write, [*read.said, *said])
