"""``deepvis trust``: whether the pictures of a layer's units can be believed, beside photographs."""

import functools
from collections.abc import Sequence

from deepvis import data, random_networks, trusted
from deepvis.analyses.photographs import left_out
from deepvis.cli import analyses, arguments
from deepvis.config import schema
from deepvis.trust import random_weights
from deepvis.trust.verdicts import BELIEVABLE

READS = (*analyses.UNITS, "optimizer", "param", "reg", "seed", "start", "steps", "transform")
HELP = """deepvis trust [data=...]    whether the pictures of units can be believed

  deepvis trust layer.filters=0-15                             block5_conv1 of VGG16, the default regularizers
  deepvis trust data=folder data.path=photos/ reg=combined     your photographs, other regularizers
  deepvis trust -m layer=block4_conv1,block5_conv1             one layer after the other
  deepvis trust seeds=12                                       12 starts: one thing or several?
  deepvis trust randomized=3                                   also with random weights, in 3 stages

Optimizes each filter from several starts (3) and compares it with photographs: how strongly both excite it,
whether they do it by the same way, whether the pictures tell a machine which photographs excite it, and
whether photographs, or starts, of several kinds do. Writes outputs/<id>: trust.png (a row a filter),
trust.csv, paths.csv, with randomized also randomized.png and randomized.csv; and logs one MLflow run."""


def main(typed: Sequence[str]) -> int:
    """Compute, write and log; returns the exit code."""
    words, stages = arguments.number_taken(typed, "randomized", random_weights.STAGES)
    words, seeds = arguments.number_taken(words, "seeds", trusted.SEEDS)

    def check(task: analyses.Task) -> None:
        trusted.check(task.job.cfg)
        random_networks.check(task.job.cfg, stages)

    compute = functools.partial(_compute, seeds=seeds, stages=stages)
    return analyses.run("trust", words, compute, READS, check)


def _compute(task: analyses.Task, seeds: int, stages: int) -> analyses.Found:
    job = task.job
    photographs = data.photographs(schema.plain(job.cfg.data))
    found = trusted.assess(job.cfg, job.filters, job.classes, photographs, seeds, analyses.counting)
    if stages:
        seen = found.evidence.examples[:, 0]
        random = random_networks.assess(
            job.cfg, job.filters, found.captions, photographs, seen, stages, counting=analyses.counting
        )
        found = found.beside(random)
    return analyses.Found(
        {"data.digest": photographs.digest, "trust.observer": found.observer, "trust.seeds": seeds,
         "trust.randomized": stages},
        found.metrics(), found.pictures(), found.write, _lines(found, photographs),
    )  # fmt: skip


def _lines(found: trusted.Trusted, photographs: data.Photographs) -> list[str]:
    said = left_out([*photographs.broken, *found.evidence.broken])
    said += [f"{caption}  {verdict}" for caption, verdict in zip(found.captions, found.verdicts, strict=True)]
    count = sum(each == BELIEVABLE for each in found.verdicts)
    said.append(
        f"trust     {count} of {len(found.captions)} filters are believable, beside "
        f"{found.evidence.photographs} photographs; {found.observer} looked at the pictures"
    )
    if found.evidence.photographs < 1000:
        said.append(
            "advice    so few photographs may lack what excites a filter: what is said holds for them"
        )
    if found.randomized is not None:
        said += [f"random    {line}" for line in found.randomized.told()]
    return said
