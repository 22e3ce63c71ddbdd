"""``deepvis maps``: the activation maps of photographs, layer by layer, and which channels are dead."""

from collections.abc import Sequence

from deepvis.analyses import maps, photographs, unit_networks
from deepvis.cli import analyses
from deepvis.core import progress

HELP = """deepvis maps [data=...]    activation maps of photographs, from the first layer up to layer.name

  deepvis maps                                       the photographs of scikit-learn and scikit-image, VGG16
  deepvis maps layer=block3_conv1 data=folder data.path=photos/ size=224

Writes outputs/<id>: for each layer a picture of all its channels behind the nonlinearity (black is 0 or less,
white what 99.5 % of the values are below), of the first photograph; of the others in photographs/. Arrays of
the first one in maps/*.npy [h, w, C]. channels.csv has the largest magnitude of each channel over all
photographs; one that is 0 on all of them is dead, and has a red frame. One MLflow run."""


def main(typed: Sequence[str]) -> int:
    """Compute, write and log; returns the exit code."""
    return analyses.run(
        "maps", typed, _compute, ["data"], complete=analyses.in_float32,
        check=lambda task: unit_networks.check_precision(task.job.cfg),
    )  # fmt: skip


def _compute(task: analyses.Task) -> analyses.Found:
    with progress.doing("reading photographs"):
        read = photographs.of_config(task.job.cfg)
    with analyses.counting("computing", len(read.names)) as tell:
        return analyses.Found.of(maps.maps(task.job.cfg, read, tell), read)
