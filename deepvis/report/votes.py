"""Votes in a report: how people rank the settings, and which measures agree with them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import special

from deepvis.metrics import bradley_terry
from deepvis.metrics.bradley_terry import Votes
from deepvis.metrics.shares import Share
from deepvis.report.comparison import Comparison, Unit
from deepvis.results import manifest, votes

OUTCOME = {"left": 1.0, "right": 0.0, "tie": 0.5}


@dataclass(frozen=True)
class Ranked:
    """A setting, as people judged it."""

    setting: str
    votes: int
    wins: float  # a tie is half a win
    chance: float  # to win against an average setting
    low: float
    high: float


@dataclass(frozen=True)
class Judged:
    """The votes of a report."""

    count: int
    ties: int
    filters: int
    stale: int  # votes on jobs that are not those of the report, which do not count
    ranking: Sequence[Ranked]  # the strongest first
    agreement: Sequence[tuple[str, Share]]  # by measure, that which agrees most first


def judged(compared: Comparison, folders: Sequence[Path]) -> Judged | None:
    """The votes on some sweeps; None where there are none.

    Raises:
      ConfigError: a file of votes is broken.
    """
    at = {(job.sweep, manifest.folder_name(job.folder.parent), job.result.key): job for job in compared.jobs}
    place = {unit: i for i, unit in enumerate(compared.units)}
    first, second, outcome, filters, stale = [], [], [], [], 0
    for folder in folders:
        sweep = manifest.read(folder)["id"]
        for vote in votes.read(folder):
            left = at.get((sweep, vote.left, vote.left_key))
            right = at.get((sweep, vote.right, vote.right_key))
            unit = None if left is None else place.get(Unit(left.network, vote.layer, vote.filter))
            if left is None or right is None or unit is None or left.setting == right.setting:
                stale += 1
                continue
            first.append(left.setting)
            second.append(right.setting)
            outcome.append(OUTCOME[vote.choice])
            filters.append(unit)
    if not first:
        return None if not stale else Judged(0, 0, 0, stale, [], [])
    cast = Votes(np.array(first), np.array(second), np.array(outcome), np.array(filters))
    found = bradley_terry.strengths(cast, len(compared.settings))
    # Against a setting of mean strength, which is 0.
    chances = [special.expit(each) for each in (found.estimate, found.low, found.high)]
    ranking = [
        Ranked(compared.name(i), int(found.votes[i]), float(found.wins[i]), *(float(c[i]) for c in chances))
        for i in np.argsort(-found.estimate)
    ]
    shares = [(name, bradley_terry.agreement(cast, values)) for name, values in compared.values.items()]
    shares = sorted((each for each in shares if each[1].n), key=lambda each: -each[1].estimate)
    ties = int((cast.outcome == 0.5).sum())
    return Judged(len(first), ties, len(set(filters)), stale, ranking, shares)
