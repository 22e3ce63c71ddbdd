"""Comparisons: the results of one sweep or several -> `Comparison`, every measure by setting and unit.

A setting is one value of each factor, and factors are the keys whose values differ between resolved configs,
without seeds and filters: jobs that differ in these only share a setting. A unit is a filter of a layer. The
seeds of a unit are averaged here, once, for two seeds of a filter are not two filters.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepvis.config import params
from deepvis.core.errors import ConfigError
from deepvis.metrics import across_seeds
from deepvis.report import factors
from deepvis.report.factors import Level
from deepvis.results import finished_jobs, manifest, result_folder
from deepvis.results.result_folder import Result

Unit = tuple[str, int]  # layer and filter

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
class ComparedJob:
    """One job of a comparison."""

    sweep: str
    folder: Path  # <job folder>/result
    result: Result
    setting: int
    seed: Level


@dataclass(frozen=True)
class Comparison:
    """Jobs by setting."""

    levels: Mapping[str, Sequence[Level]]  # by factor
    settings: Sequence[tuple[Level, ...]]  # one level a factor, in the order of the grid
    jobs: Sequence[ComparedJob]
    units: Sequence[Unit]
    seeds: Sequence[Level]
    left_out: int  # units that not every setting has
    values: Mapping[str, np.ndarray]  # by measure, [settings, units]; NaN where there is none
    floor: Mapping[str, np.ndarray]  # likewise: the numerical noise floor of each value

    def name(self, setting: int) -> str:
        """``decay=0.8 blur=3``; of a comparison without factors, the layer."""
        keys = (factor.rpartition(".")[2] for factor in self.levels)
        pairs = zip(keys, self.settings[setting], strict=True)
        return " ".join(f"{key}={level}" for key, level in pairs) or self.units[0][0]

    def label(self, unit: Unit) -> str:
        """``f012``, or ``flamingo (130)`` of a class; with its layer where there are several."""
        layer, index = unit
        results = (job.result for job in self.jobs)
        text = result_folder.captions_of(each for each in results if each.layer == layer)[index]
        several = len({name for name, _ in self.units}) > 1
        return f"{layer} {text}" if several else text

    def medians(self, measure: str) -> np.ndarray:
        """Over units, by setting; NaN where no unit has a number."""
        finite = [row[np.isfinite(row)] for row in self.values[measure]]
        return np.array([np.median(row) if len(row) else np.nan for row in finite])

    def is_grid(self) -> bool:
        """Whether every combination of levels was run, and there is more than one."""
        return len(self.settings) == int(np.prod([len(levels) for levels in self.levels.values()])) > 1


def of_sweeps(folders: Sequence[Path], results: Mapping[Path, Result]) -> Comparison:
    """Compare the finished jobs of some sweeps.

    Args:
      folders: of the sweeps.
      results: by result folder, those that are in memory; the others are read.

    Raises:
      ConfigError: no job of them is finished, or a result is broken, or of a deepvis that measured less.
    """
    finished = []
    for folder in folders:
        entry = manifest.read(folder)
        found = finished_jobs.read(folder, entry, results)
        finished += [(entry["id"], path, result) for path, result in found.items()]
    if not finished:
        raise ConfigError(f"{', '.join(map(str, folders))}: no job of it is finished")
    return compare(finished)


def compare(results: Sequence[tuple[str, Path, Result]]) -> Comparison:
    """Lay results out by setting and unit: sweep, result folder and result of each, at least one.

    Of several sweeps the sweep is a factor where they share a setting, seed and unit.
    """
    varied = factors.of_jobs([result for _, _, result in results])
    sweeps = [sweep for sweep, _, _ in results]
    if len(set(sweeps)) > 1 and _overlap(results, varied):
        varied = {"sweep": [sweep.rpartition("-")[2] for sweep in sweeps], **varied}
    levels = {factor: factors.ordered(factor, by_job) for factor, by_job in varied.items()}
    by_job = [tuple(varied[factor][i] for factor in varied) for i in range(len(results))]
    rank = {
        setting: tuple(levels[factor].index(level) for factor, level in zip(varied, setting, strict=True))
        for setting in by_job
    }
    settings = sorted(rank, key=lambda setting: rank[setting])
    jobs = [
        ComparedJob(sweep, folder, result, settings.index(setting), _seed(result))
        for (sweep, folder, result), setting in zip(results, by_job, strict=True)
    ]
    units, left_out = _common(jobs, len(settings))
    values, floor = _averaged(jobs, len(settings), units)
    values |= _across(jobs, len(settings), units)
    return Comparison(
        levels=levels,
        settings=settings,
        jobs=jobs,
        units=units,
        seeds=factors.ordered("seed", [job.seed for job in jobs]),
        left_out=left_out,
        values={name: values[name] for name in MEASURES if name in values},
        floor=floor,
    )


def _seed(result: Result) -> Level:
    return params.written(result.params.get("seed", 0))


def _units(result: Result) -> list[Unit]:
    return [(result.layer, index) for index in result.filters]


def _common(jobs: Sequence[ComparedJob], settings: int) -> tuple[list[Unit], int]:
    """The units that every setting has, and the number of others; all of them, if none is common."""
    by_setting: list[set[Unit]] = [set() for _ in range(settings)]
    for job in jobs:
        by_setting[job.setting] |= set(_units(job.result))
    union = set.union(*by_setting)
    common = set.intersection(*by_setting) or union
    return sorted(common), len(union) - len(common)


def _overlap(results: Sequence[tuple[str, Path, Result]], varied: Mapping[str, Sequence[Level]]) -> bool:
    """Whether two sweeps have run the same setting, seed and unit."""
    first: dict[Hashable, str] = {}
    for i, (sweep, _, result) in enumerate(results):
        setting = tuple(by_job[i] for by_job in varied.values())
        for unit in _units(result):
            if first.setdefault((unit, _seed(result), setting), sweep) != sweep:
                return True
    return False


def _averaged(
    jobs: Sequence[ComparedJob], settings: int, units: Sequence[Unit]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Means over the seeds that have a number; and floors, which shrink with the number of seeds."""
    position = {unit: i for i, unit in enumerate(units)}
    sums: dict[str, np.ndarray] = {}
    counts: dict[str, np.ndarray] = {}
    for job in jobs:
        common = [unit in position for unit in _units(job.result)]
        columns = [position[unit] for unit in _units(job.result) if unit in position]
        for name, column in (result_folder.last(job.result) | result_folder.floor(job.result)).items():
            total = sums.setdefault(name, np.zeros((settings, len(units))))
            count = counts.setdefault(name, np.zeros((settings, len(units))))
            # A filter that diverged has no final value to be compared by.
            valid = np.isfinite(column) & (np.array(job.result.ends) != "diverged")
            total[job.setting, columns] += np.where(valid, column, 0)[common]
            count[job.setting, columns] += valid[common]
    with np.errstate(invalid="ignore"):
        means = {name: sums[name] / counts[name] for name in sums}
    floors = {
        name.removesuffix("_floor"): means[name] / np.sqrt(np.maximum(counts[name], 1))
        for name in means
        if name.endswith("_floor")
    }
    return {name: value for name, value in means.items() if not name.endswith("_floor")}, floors


def _across(jobs: Sequence[ComparedJob], settings: int, units: Sequence[Unit]) -> dict[str, np.ndarray]:
    """Diversity and reproducibility over the seeds of one setting, layer and set of filters."""
    values = {name: np.full((settings, len(units)), np.nan) for name in ("diversity", "reproducibility")}
    groups: dict[tuple[int, str, tuple[int, ...]], list[Result]] = {}
    for job in jobs:
        groups.setdefault((job.setting, job.result.layer, tuple(job.result.filters)), []).append(job.result)
    for (setting, layer, filters), results in groups.items():
        common = [(layer, index) in units for index in filters]
        columns = [units.index((layer, index)) for index in filters if (layer, index) in units]
        features = np.stack([result.features["post"] for result in results])
        values["diversity"][setting, columns] = across_seeds.diversity(features)[common]
        values["reproducibility"][setting, columns] = across_seeds.reproducibility(features)[common]
    return {name: table for name, table in values.items() if np.isfinite(table).any()}
