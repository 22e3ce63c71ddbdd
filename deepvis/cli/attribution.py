"""``deepvis attribution``: which pixels of photographs the units of a layer respond to."""

from collections.abc import Sequence

from deepvis.analyses import attribution, photographs
from deepvis.cli import analyses
from deepvis.core import progress

HELP = """deepvis attribution [attribution=...] [data=...]    which pixels of photographs a unit responds to

  deepvis attribution layer.filters=0-3                        saliency, block5_conv1 of VGG16
  deepvis attribution attribution=grad_cam data=folder data.path=photos/
  deepvis attribution -m attribution=saliency,occlusion        both, one after the other
  deepvis attribution objective=neuron layer.filters=5         one neuron; direction, sum and layer likewise

Writes outputs/<id>: a picture for each unit (a row a photograph: the photograph, the map over it, the map
with its colour bar), overview.png, maps/*.npy, table.csv; and logs one MLflow run. deepvis --help lists the
methods, the files of conf/attribution."""


def main(typed: Sequence[str]) -> int:
    """Compute, write and log; returns the exit code."""
    return analyses.run(
        "attribution", typed, _compute, [*analyses.UNITS, "attribution"], complete=analyses.of_few_units,
        check=lambda task: attribution.check(task.job.cfg, task.methods["attribution"]),
    )  # fmt: skip


def _compute(task: analyses.Task) -> analyses.Found:
    job, method = task.job, task.methods["attribution"]
    with progress.doing("reading photographs"):
        read = photographs.of_config(job.cfg)
    with analyses.counting("attributing", len(job.filters) * len(read.names)) as tell:
        found = attribution.attribute(job.cfg, method, job.filters, task.captions, read, tell)
    return analyses.Found.of(found, read, "advice    ")
