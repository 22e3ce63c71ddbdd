"""Comparisons: the results of one sweep or several -> `Comparison`, every measure by setting and unit.

A setting is one value of each factor, and factors are the keys whose values differ between resolved configs,
without seeds and filters: jobs that differ in these only share a setting. A unit is a filter of a layer of a
network. Units of one layer and network, a part, are never pooled with those of another, nor paired.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from deepvis.core.errors import ConfigError
from deepvis.report import factors, final_values, gaps, placement
from deepvis.report.factors import Level
from deepvis.report.placement import ComparedJob as ComparedJob
from deepvis.report.placement import Part as Part
from deepvis.report.placement import Unit as Unit
from deepvis.results import finished_jobs, manifest, result_folder
from deepvis.results.result_folder import Result

# What is compared, in the order of the report.
MEASURES = {
    "score": "the objective at the end",
    "margin": "distance above the layer's best other channel, in standard deviations",
    "robustness": "share of the score retained under small changes",
    "retained_translation": "share of the score retained under translation, the mean of four directions",
    "diversity": "difference between the seeds of a filter",
    "reproducibility": "how well the filter can be told from an image of another seed",
    "total_variation": "difference between neighbouring pixels; of images of one size in px",
    "high_frequency": "share of high-frequency power; of images of one size in px; one outlier can double it",
    "spectral_slope": "slope of the spectrum; of a smooth image, the slope of its faintest noise",
    "sparsity": "concentration in few pixels",
    "saturation": "share of the variance that is colour",
}


@dataclass(frozen=True)
class Comparison:
    """Jobs by setting. Arrays are NaN where there is no value."""

    levels: Mapping[str, Sequence[Level]]  # by factor
    settings: Sequence[tuple[Level, ...]]  # one level a factor, in the order of the grid
    jobs: Sequence[ComparedJob]
    parts: Sequence[Part]
    units: Sequence[Unit]  # part by part
    part_of: np.ndarray  # [units], the part of each
    seeds: Sequence[str | Level]  # one of several jobs that repeat a seed is ``0 (2nd)``
    left_out_by_part: Sequence[int]  # units that not every setting of their part has
    by_seed: Mapping[
        str, np.ndarray
    ]  # by measure, [settings, seeds, units], of those that a job has by itself
    values: Mapping[str, np.ndarray]  # by measure, [settings, units]: means over the seeds
    twin_differences: Mapping[str, np.ndarray]  # by measure, replica - image: [settings, seeds, twins, units]
    unpaired: str  # why parts are compared as distributions only, a sentence; empty of one part
    others: Sequence[str]  # what a reader should know of the jobs: what else differs, what is missing

    @property
    def left_out(self) -> int:
        """Units that not every setting of their part has."""
        return sum(self.left_out_by_part)

    def name(self, setting: int) -> str:
        """``decay=0.8 blur=3``; of a comparison without factors, the parts."""
        pairs = zip(factors.short(list(self.levels)), self.settings[setting], strict=True)
        return " ".join(f"{key}={level}" for key, level in pairs) or ", ".join(self.part_names())

    def part_names(self) -> list[str]:
        """``block1_conv1``, or ``vgg16 block1_conv1`` where networks differ, of each part."""
        several = len({part.network for part in self.parts}) > 1
        return [" ".join(part) if several else part.layer for part in self.parts]

    def label(self, unit: Unit) -> str:
        """``f012``, or ``flamingo (130)`` of a class; with its part where there are several."""
        part = self.parts.index(unit.part)
        text = self._captions[part][unit.index]
        return f"{self.part_names()[part]} {text}" if len(self.parts) > 1 else text

    @functools.cached_property
    def _captions(self) -> list[dict[int, str]]:
        """By part, what its filters are called."""
        by_part = ((job.result for job in self.jobs if job.part == k) for k in range(len(self.parts)))
        return [result_folder.captions_of(results) for results in by_part]

    def medians(self, measure: str) -> np.ndarray:
        """Over units, by setting; NaN where no unit has a number."""
        finite = [row[np.isfinite(row)] for row in self.values[measure]]
        return np.array([np.median(row) if len(row) else np.nan for row in finite])

    def is_grid(self) -> bool:
        """Whether every combination of levels was run, and there is more than one."""
        return len(self.settings) == int(np.prod([len(levels) for levels in self.levels.values()])) > 1

    def each_part(self) -> list[tuple[str, "Comparison"]]:
        """Each layer of each network by itself, with its name; without one, where there is no other."""
        if len(self.parts) == 1:
            return [("", self)]
        return [(name, self.of_part(part)) for part, name in enumerate(self.part_names())]

    def of_part(self, part: int) -> "Comparison":
        """One part by itself: its units and jobs, the settings that it has, what varies between them."""
        jobs = [job for job in self.jobs if job.part == part]
        rows = sorted({job.setting for job in jobs})
        seeds = sorted({job.row for job in jobs})
        units = [i for i, own in enumerate(self.part_of) if own == part]
        varied = [k for k in range(len(self.levels)) if len({self.settings[row][k] for row in rows}) > 1]
        names = list(self.levels)

        def cut(tables: Mapping[str, np.ndarray], by_seed: bool) -> dict[str, np.ndarray]:
            own = {name: table[rows][..., units] for name, table in tables.items()}
            own = {name: table[:, seeds] for name, table in own.items()} if by_seed else own
            return {name: each for name, each in own.items() if name == "score" or np.isfinite(each).any()}

        return replace(
            self,
            levels={names[k]: [level for level in self.levels[names[k]]
                               if level in {self.settings[row][k] for row in rows}] for k in varied},
            settings=[tuple(self.settings[row][k] for k in varied) for row in rows],
            jobs=[replace(job, setting=rows.index(job.setting), part=0,
                          row=seeds.index(job.row)) for job in jobs],
            parts=[self.parts[part]],
            units=[self.units[i] for i in units],
            part_of=np.zeros(len(units), int),
            seeds=[self.seeds[row] for row in seeds],
            left_out_by_part=[self.left_out_by_part[part]],
            by_seed=cut(self.by_seed, True),
            values=cut(self.values, False),
            twin_differences=cut(self.twin_differences, True),
            unpaired="",
            others=(),
        )  # fmt: skip


def of_sweeps(folders: Sequence[Path], results: Mapping[Path, Result]) -> Comparison:
    """Compare the finished jobs of some sweeps.

    Args:
      folders: of the sweeps.
      results: by result folder, those that are in memory; the others are read.

    Raises:
      ConfigError: no job of them is finished, or a result is broken, or of a deepvis that measured less.
    """
    finished, versions, unfinished = [], {}, []
    for folder in folders:
        entry = manifest.read(folder)
        found = finished_jobs.read(folder, entry, results)
        finished += [(entry["id"], path, result) for path, result in found.items()]
        versions[entry["id"]] = entry["versions"]
        unfinished += [job for job in entry["jobs"] if manifest.result_of(folder, entry, job) not in found]
    if not finished:
        raise ConfigError(f"{', '.join(map(str, folders))}: no job of it is finished")
    return compare(finished, versions, [f"{job['name']} ({job['state'].lower()})" for job in unfinished])


def compare(
    results: Sequence[tuple[str, Path, Result]],
    versions: Mapping[str, Mapping[str, str | None]] | None = None,
    unfinished: Sequence[str] = (),
) -> Comparison:
    """Lay results out by setting and unit.

    Args:
      results: sweep, result folder and result of each job, at least one.
      versions: of packages, by sweep.
      unfinished: names of jobs that have no result.
    """
    placed = placement.of(results, versions or {})
    units: list[Unit] = []
    left_out = []
    for number, part in enumerate(placed.parts):
        by_setting: dict[int, set[int]] = {}
        for job in placed.jobs:
            if job.part == number:
                by_setting.setdefault(job.setting, set()).update(job.result.filters)
        union = set.union(*by_setting.values())
        common = set.intersection(*by_setting.values()) or union
        units += [Unit(*part, index) for index in sorted(common)]
        left_out.append(len(union) - len(common))
    part_of = np.array([placed.parts.index(unit.part) for unit in units], int)
    columns = {(int(part), unit.index): i for i, (part, unit) in enumerate(zip(part_of, units, strict=True))}
    shape = (len(placed.settings), len(placed.seeds), len(units))
    by_seed = final_values.by_seed(placed.jobs, shape, columns)
    twins = final_values.twin_differences(placed.jobs, shape, columns)
    values = {name: final_values.averaged(table, axis=1) for name, table in by_seed.items()}
    values |= final_values.across(placed.jobs, shape, columns)
    compared = Comparison(
        levels=placed.levels,
        settings=placed.settings,
        jobs=placed.jobs,
        parts=placed.parts,
        units=units,
        part_of=part_of,
        seeds=placed.seeds,
        left_out_by_part=left_out,
        by_seed={name: by_seed[name] for name in MEASURES if name in by_seed},
        values={name: values[name] for name in MEASURES if name in values},
        twin_differences={name: twins[name] for name in MEASURES if name in twins},
        unpaired=placed.unpaired,
        others=[],
    )
    missing = [*gaps.unfinished(unfinished, len(results)), *gaps.of(compared)]
    return replace(compared, others=[*placed.others, *missing])
