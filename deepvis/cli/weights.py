"""``deepvis weights``: the kernels of a network's first layer as pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepvis import networks
from deepvis.ascent import units
from deepvis.attribution import linear_kernels
from deepvis.attribution.unit import Unit, compiled
from deepvis.cli import analyses
from deepvis.config import compose, schema
from deepvis.core import images
from deepvis.core.errors import ConfigError
from deepvis.results import result_folder
from deepvis.sweeps.jobs import Job

HELP = """deepvis weights [model=...]    the kernels of the first convolution as pictures

  deepvis weights                                    those of VGG16
  deepvis weights model=keras model.name=ResNet50    any network; its kernels as they act on RGB
  deepvis weights layer=named layer.name=stem_conv   another layer that is linear in the image

Each kernel has a scale of its own: middle grey is 0, its largest weight is black or white. Writes
outputs/<id>: weights.png, weights.npy [kernels, h, w, C] in score per grey level; and logs one MLflow run."""
SHOWN = 48  # px: a kernel is enlarged at least to this, each weight a square


def main(typed: Sequence[str]) -> int:
    """Compute, write and log; returns the exit code."""
    return analyses.run("weights", _completed(typed), _compute)


def _completed(typed: Sequence[str]) -> list[str]:
    """Overrides, and the first convolution and all of its units where nobody names others."""
    keys = {each.partition("=")[0] for each in typed}
    added = ["precision=float32", "objective=neuron"]
    if not keys & {"layer", "layer.name"}:
        model = compose.plain_mapping(compose.config([each for each in typed if "=" in each])).get("model")
        layers = networks.network(model or {}).layers().values()
        first = next((each.name for each in layers if "conv" in each.kind), None)
        if first is None:
            raise ConfigError("deepvis weights: got a network without convolutions, expected layer.name=...")
        added += ["layer=named", f"layer.name={first}"]
    added += [] if "layer.filters" in keys else ["layer.filters=all"]
    return [*typed, *(each for each in added if each.partition("=")[0] not in keys)]


def _compute(job: Job, checkpoint: Path) -> analyses.Found:
    del checkpoint
    cfg, network = job.cfg, networks.network(schema.plain(job.cfg.model))
    built = network.build([cfg.layer.name], cfg.sides, "float32")
    if cfg.layer.name in built.without_pre_activation:
        raise ConfigError(f"layer {cfg.layer.name}: {built.without_pre_activation[cfg.layer.name]}")
    program = compiled(built, [cfg.layer.name], units.score(cfg))

    def unit(index: int) -> Unit:
        return Unit(program, units.numbers(cfg, index), cfg.batch_size, cfg.device)

    found = linear_kernels.kernels(unit, job.filters, cfg.sides, network.channels, cfg.layer.name)
    times = max(1, -(-SHOWN // found.shape[2]))
    pictures = [linear_kernels.picture(each).repeat(times, 0).repeat(times, 1) for each in found]
    gallery = images.gallery(pictures, [result_folder.label(index) for index in job.filters])
    size = f"{found.shape[1]} x {found.shape[2]} px"
    said = f"{len(found)} kernels of {cfg.layer.name}, {size}, each with its own scale"
    return analyses.Found({}, {"weights/largest": float(np.abs(found).max())}, {"weights": gallery},
                          lambda folder: np.save(folder / "weights.npy", found), [said])  # fmt: skip
