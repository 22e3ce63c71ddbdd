"""``deepvis weights``: the kernels of a network's first layer, or weights between two layers, as pictures."""

from collections.abc import Sequence

from deepvis.analyses import expanded_weights, kernels, unit_networks
from deepvis.cli import analyses
from deepvis.config import compose

HELP = """deepvis weights [model=...]    the kernels of the first convolution as pictures
deepvis weights weights=expanded weights.below=...    weights from a lower layer's channels to units

  deepvis weights                                    those of VGG16's first convolution
  deepvis weights model=keras model.name=ResNet50    any network; its kernels as they act on RGB
  deepvis weights layer=named layer.name=stem_conv   another layer that is linear in the image
  deepvis weights weights=expanded weights.below=block4_conv3 layer=block5_conv2 layer.filters=0-3
  deepvis weights weights=expanded weights.below=block1_conv2 weights.groups=4 layer=block2_conv2

Each kernel has a scale of its own: middle grey is 0, its largest weight is black or white. Expanded weights
go through all layers between, where ReLUs are left out and the mean of a window is taken for its maximum
(Voss et al. 2021): for each unit the channels with the largest weights, red above 0, blue below, with one
scale for each unit; weights.groups puts the channels into groups. Writes outputs/<id>: pictures, weights.npy
[units, h, w, C] (of kernels in score per grey level); and logs one MLflow run."""


def main(typed: Sequence[str]) -> int:
    """Compute, write and log; returns the exit code."""
    return analyses.run(
        "weights", typed, _compute, [analyses.FILTERS, "weights"], complete=_completed, check=_check,
    )  # fmt: skip


def _completed(typed: Sequence[str]) -> list[str]:
    """Overrides, and the first convolution and all of its units where nobody names others."""
    if "weights=expanded" in typed:
        return analyses.in_float32([*typed, "objective=neuron"])
    keys = {each.partition("=")[0] for each in typed}
    added = ["objective=neuron"]
    if not keys & {"layer", "layer.name"}:
        model = compose.plain_mapping(compose.config([each for each in typed if "=" in each])).get("model")
        added += ["layer=named", f"layer.name={kernels.first_convolution(model or {})}"]
    added += [] if "layer.filters" in keys else ["layer.filters=all"]
    return analyses.in_float32([*typed, *(each for each in added if each.partition("=")[0] not in keys)])


def _check(task: analyses.Task) -> None:
    unit_networks.check_precision(task.job.cfg)
    if hasattr(task.methods["weights"], "below"):
        expanded_weights.check(task.job.cfg, task.methods["weights"])


def _compute(task: analyses.Task) -> analyses.Found:
    cfg, method = task.job.cfg, task.methods["weights"]
    if hasattr(method, "below"):
        return analyses.Found.of(expanded_weights.weights(cfg, method, task.job.filters, task.captions))
    return analyses.Found.of(kernels.kernels(cfg, task.job.filters))
