"""``deepvis tuning``: the score of units by position, scale, rotation and brightness of photographs."""

from collections.abc import Sequence

from deepvis.analyses import photographs, tuning
from deepvis.attribution.tuning import ATTRIBUTES
from deepvis.cli import analyses
from deepvis.core import progress

HELP = """deepvis tuning [data=...]    the score of units by attributes of photographs

  deepvis tuning layer.filters=0-3 size=128                    VGG16, block5_conv1
  deepvis tuning model=efficientnet_lite0 layer=named layer.name=predictions layer.filters=flamingo

Each photograph is moved, scaled, turned and lit otherwise, as a whole: an object with its ground. What comes
in from outside has the mean colour of the training set. Writes outputs/<id>: a picture for each unit (a panel
an attribute, a line a photograph, the median), curves.csv; and logs one MLflow run."""


def main(typed: Sequence[str]) -> int:
    """Compute, write and log; returns the exit code."""
    return analyses.run(
        "tuning", typed, _compute, analyses.UNITS, complete=analyses.of_few_units,
        check=lambda task: tuning.check(task.job.cfg),
    )  # fmt: skip


def _compute(task: analyses.Task) -> analyses.Found:
    job = task.job
    with progress.doing("reading photographs"):
        read = photographs.of_config(job.cfg)
    with analyses.counting("changing", len(job.filters) * len(read.names), len(ATTRIBUTES)) as tell:
        return analyses.Found.of(tuning.tuning(job.cfg, job.filters, task.captions, read, tell), read)
