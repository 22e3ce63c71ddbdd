"""``deepvis fooling``: photographs changed little by little until a unit takes them for its own."""

from collections.abc import Sequence

from deepvis.analyses import fooling, photographs
from deepvis.cli import analyses
from deepvis.core import progress

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
    return analyses.run(
        "fooling", typed, _compute, [*analyses.UNITS, "fooling"], complete=analyses.of_few_units,
        check=lambda task: fooling.check(task.job.cfg),
    )  # fmt: skip


def _compute(task: analyses.Task) -> analyses.Found:
    job, method = task.job, task.methods["fooling"]
    with progress.doing("reading photographs"):
        read = photographs.of_config(job.cfg)
    with analyses.counting("changing", len(job.filters) * len(read.names), method.steps + 1) as tell:
        found = fooling.fooling(job.cfg, method, job.filters, task.captions, read, tell)
    return analyses.Found.of(found, read)
