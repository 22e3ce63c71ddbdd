"""Placement: the results of one sweep or several -> the setting, part and seed of each job.

The order of jobs is that of everything that shows them: part by part as they were run, in a part by setting,
the levels of a factor sorted, and then by seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from deepvis.config import params
from deepvis.report import factors, final_values, lineages
from deepvis.report.factors import Level
from deepvis.results.result_folder import Result


class Part(NamedTuple):
    """The units of one layer of one network."""

    network: str  # its lineage: the units of networks that can be paired are the same
    layer: str


@dataclass(frozen=True, order=True)
class Unit:
    """A filter."""

    network: str
    layer: str
    index: int

    @property
    def part(self) -> Part:
        """Its layer and network."""
        return Part(self.network, self.layer)


@dataclass(frozen=True)
class ComparedJob:
    """One job of a comparison."""

    sweep: str
    folder: Path  # <job folder>/result
    result: Result
    setting: int
    seed: Level
    network: str  # its lineage
    part: int
    row: int  # place among the seeds
    repeats: bool  # whether an earlier job gave the same numbers: it counts once

    def shows(self, unit: Unit) -> bool:
        """Whether a unit is one of its filters."""
        return unit.part == (self.network, self.result.layer) and unit.index in self.result.filters


@dataclass(frozen=True)
class Placement:
    """Jobs by setting, before their values are; see `Comparison`."""

    levels: Mapping[str, Sequence[Level]]
    settings: Sequence[tuple[Level, ...]]
    jobs: Sequence[ComparedJob]
    parts: Sequence[Part]
    seeds: Sequence[Level]
    unpaired: str
    others: Sequence[str]


def of(
    results: Sequence[tuple[str, Path, Result]], versions: Mapping[str, Mapping[str, str | None]]
) -> Placement:
    """Place jobs.

    Jobs of one setting, seed and unit, as two sweeps may have them, are replicas, and have rows of their own
    among the seeds. If nothing else varies and their results differ, the sweep is the factor.

    Args:
      results: sweep, result folder and result of each job, at least one.
      versions: of packages, by sweep.
    """
    sweeps, found = [sweep for sweep, _, _ in results], [result for _, _, result in results]
    networks = lineages.of_jobs(found)
    part_of_job = [Part(lineage, each.layer) for lineage, each in zip(networks.lineages, found, strict=True)]
    parts = list(dict.fromkeys(part_of_job))
    part = [parts.index(each) for each in part_of_job]
    told = [versions.get(sweep, {}) for sweep in sweeps]
    varied, others = factors.of_jobs(found, part, networks.models, told)
    seeds = [params.written(each.params.get("seed", 0)) for each in found]
    if (
        not varied
        and len(set(sweeps)) > 1
        and max(final_values.turns([(s,) for s in seeds], part, found))[0] > 0
    ):
        varied = {"sweep": factors.sweep_names(sweeps)}
    levels = {factor: factors.ordered(factor, by_job) for factor, by_job in varied.items()}
    by_job = [tuple(varied[factor][i] for factor in varied) for i in range(len(results))]
    settings = sorted(set(by_job), key=lambda each: [
        levels[factor].index(level) for factor, level in zip(varied, each, strict=True)
    ])  # fmt: skip
    turns = final_values.turns([(s, *own) for s, own in zip(seeds, by_job, strict=True)], part, found)
    rank = {seed: i for i, seed in enumerate(factors.ordered("seed", seeds))}
    rows = sorted(
        {(seed, turn) for seed, (turn, _) in zip(seeds, turns, strict=True)},
        key=lambda row: (rank[row[0]], row[1]),
    )
    jobs = [
        ComparedJob(
            *results[i], settings.index(by_job[i]), seeds[i], networks.lineages[i], part[i],
            rows.index((seeds[i], turns[i][0])), turns[i][1],
        )
        for i in range(len(results))
    ]  # fmt: skip
    return Placement(
        levels=levels,
        settings=settings,
        jobs=sorted(jobs, key=lambda job: (job.part, job.setting, rank[job.seed])),
        parts=parts,
        seeds=[seed if turn == 0 else f"{seed} (repetition {turn})" for seed, turn in rows],
        unpaired=networks.unpaired,
        others=others,
    )


def in_order(results: Mapping[Path, Result]) -> dict[Path, Result]:
    """The results of a sweep, by folder, in the order of a report."""
    placed = of([("", folder, result) for folder, result in results.items()], {}) if results else None
    return {job.folder: job.result for job in placed.jobs} if placed else {}
