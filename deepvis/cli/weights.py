"""``deepvis weights``: the kernels of a network's first layer as pictures."""

from collections.abc import Sequence

from deepvis.analyses import kernels, unit_networks
from deepvis.cli import analyses
from deepvis.config import compose

HELP = """deepvis weights [model=...]    the kernels of the first convolution as pictures

  deepvis weights                                    those of VGG16
  deepvis weights model=keras model.name=ResNet50    any network; its kernels as they act on RGB
  deepvis weights layer=named layer.name=stem_conv   another layer that is linear in the image

Each kernel has a scale of its own: middle grey is 0, its largest weight is black or white. Writes
outputs/<id>: weights.png, weights.npy [kernels, h, w, C] in score per grey level; and logs one MLflow run."""


def main(typed: Sequence[str]) -> int:
    """Compute, write and log; returns the exit code."""
    return analyses.run(
        "weights", typed, _compute, [analyses.FILTERS], complete=_completed,
        check=lambda task: unit_networks.check_precision(task.job.cfg),
    )  # fmt: skip


def _completed(typed: Sequence[str]) -> list[str]:
    """Overrides, and the first convolution and all of its units where nobody names others."""
    keys = {each.partition("=")[0] for each in typed}
    added = ["objective=neuron"]
    if not keys & {"layer", "layer.name"}:
        model = compose.plain_mapping(compose.config([each for each in typed if "=" in each])).get("model")
        added += ["layer=named", f"layer.name={kernels.first_convolution(model or {})}"]
    added += [] if "layer.filters" in keys else ["layer.filters=all"]
    return analyses.in_float32([*typed, *(each for each in added if each.partition("=")[0] not in keys)])


def _compute(task: analyses.Task) -> analyses.Found:
    return analyses.Found.of(kernels.kernels(task.job.cfg, task.job.filters))
