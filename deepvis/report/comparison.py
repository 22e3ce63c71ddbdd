"""Comparisons: the results of one sweep or several -> `Comparison`, every measure by setting and unit.

A setting is what was varied, except seeds and filters: jobs that differ in these only share one. A unit is a
filter of a layer. Seeds of a unit are averaged here, once, for two seeds of a filter are no two filters.
"""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from deepvis.metrics import across_seeds
from deepvis.results import result_folder
from deepvis.results.result_folder import Result

BROUGHT = ("model", "steps", "size", "precision")  # told of every job, typed or not
DESCENDING = {"reg.decay"}  # factors whose highest level is off, and the baseline
NOT_VARIED = ("seed", "layer", "layer.name", "layer.filters", "sweep")  # make no setting of their own
# What is compared, in the order of the report.
MEASURES = {
    "score": "the objective at the end",
    "margin": "how far above the layer's best other channel, in standard deviations",
    "robustness": "share of the score kept under small changes",
    "retained_translation": "share kept under shifts",
    "diversity": "how different the seeds of a filter are",
    "reproducibility": "how surely an image tells its filter",
    "total_variation": "how much neighbouring pixels differ",
    "high_frequency": "share of high-frequency power",
    "spectral_slope": "slope of the spectrum",
    "sparsity": "how much few pixels hold",
    "saturation": "share of the variance that is colour",
}


class Member(NamedTuple):
    """One job of a comparison."""

    sweep: str
    place: Path  # <job folder>/result
    result: Result
    setting: int
    seed: object


class Comparison(NamedTuple):
    """Jobs laid out by what was varied."""

    levels: Mapping[str, Sequence[object]]  # by factor
    settings: Sequence[tuple]  # one level a factor, in the order of the grid
    members: Sequence[Member]
    units: Sequence[tuple[str, int]]  # layer and filter
    seeds: Sequence[object]
    left_out: int  # units that not every setting has
    values: Mapping[str, np.ndarray]  # by measure, [settings, units]; NaN where there is none
    floor: Mapping[str, np.ndarray]  # likewise: how far one rounding of the start moves each value

    def name(self, setting: int) -> str:
        """``decay=0.8 blur=3``; of a comparison without factors, the layer."""
        said = zip(self.levels, self.settings[setting], strict=True)
        return " ".join(f"{short(factor)}={level}" for factor, level in said) or self.units[0][0]

    def label(self, unit: tuple[str, int]) -> str:
        """``f012``, with its layer where there are several."""
        layer, index = unit
        several = len({name for name, _ in self.units}) > 1
        return f"{layer} {result_folder.label(index)}" if several else result_folder.label(index)

    def medians(self, measure: str) -> np.ndarray:
        """Over units, by setting; NaN where no unit has a number."""
        known = [row[np.isfinite(row)] for row in self.values[measure]]
        return np.array([np.median(each) if len(each) else np.nan for each in known])

    def is_grid(self) -> bool:
        """Whether every combination of levels was run, and there is more than one."""
        return len(self.settings) == int(np.prod([len(each) for each in self.levels.values()])) > 1


def short(factor: str) -> str:
    """``decay`` of ``reg.decay``."""
    return factor.rpartition(".")[2]


def of(found: Sequence[tuple[str, Path, Result]]) -> Comparison:
    """Lay results out.

    Args:
      found: sweep, result folder and result, at least one.

    Returns:
      The comparison; of several sweeps the sweep is a factor where they share a setting, seed and unit.
    """
    params = [_hashable(result_folder.numbers(result.params)) for _, _, result in found]
    varied = _varied(params)
    if len({sweep for sweep, _, _ in found}) > 1 and _collide(found, params, varied):
        params = [each | {"from": _tail(sweep)} for each, (sweep, _, _) in zip(params, found, strict=True)]
        varied = ["from", *varied]
    levels = {factor: _sorted([each.get(factor) for each in params]) for factor in varied}
    for factor in DESCENDING & levels.keys():
        levels[factor].reverse()
    own = [tuple(each.get(factor) for factor in varied) for each in params]
    ranks = [tuple(levels[f].index(v) for f, v in zip(varied, setting, strict=True)) for setting in own]
    settings = [own[ranks.index(rank)] for rank in sorted(set(ranks))]
    members = [
        Member(sweep, place, result, settings.index(setting), each.get("seed"))
        for (sweep, place, result), setting, each in zip(found, own, params, strict=True)
    ]
    units, left_out = _common(members, len(settings))
    values, floor = _averaged(members, len(settings), units)
    values |= _across(members, len(settings), units)
    return Comparison(
        levels=levels,
        settings=settings,
        members=members,
        units=units,
        seeds=_sorted([member.seed for member in members]),
        left_out=left_out,
        values={name: values[name] for name in MEASURES if name in values},
        floor=floor,
    )


def _varied(params: Sequence[Mapping[str, object]]) -> list[str]:
    """The factors: what differs, except what an experiment or another network brings along."""
    keys = dict.fromkeys(key for each in params for key in each)
    found = [k for k in keys if k not in NOT_VARIED and len({each.get(k) for each in params}) > 1]
    for key in BROUGHT:
        others = [each for each in found if each != key]
        settings = {tuple(each.get(k) for k in others) for each in params}
        with_it = {tuple(each.get(k) for k in (*others, key)) for each in params}
        if others and len(settings) == len(with_it):
            found = others
    return found


def _hashable(row: Mapping[str, object]) -> dict[str, Hashable]:
    """A list that was typed stands for itself as text."""
    return {key: each if isinstance(each, Hashable) else str(each) for key, each in row.items()}


def _units(result: Result) -> list[tuple[str, int]]:
    return [(result.layer, index) for index in result.filters]


def _common(members: Sequence[Member], settings: int) -> tuple[list[tuple[str, int]], int]:
    """The units that every setting has, and how many others there are; all of them, if none is common."""
    by_setting = [set() for _ in range(settings)]
    for member in members:
        by_setting[member.setting] |= set(_units(member.result))
    every = set.union(*by_setting)
    common = set.intersection(*by_setting) or every
    return sorted(common), len(every) - len(common)


def _tail(sweep: str) -> str:
    """The end of a sweep's id, which is drawn by chance."""
    return sweep.rpartition("-")[2]


def _collide(found, params, varied) -> bool:
    """Whether two sweeps have run the same thing."""
    run: dict[Hashable, str] = {}
    for (sweep, _, result), each in zip(found, params, strict=True):
        for unit in _units(result):
            same = (unit, each.get("seed"), *(each.get(factor) for factor in varied))
            if run.setdefault(same, sweep) != sweep:
                return True
    return False


def _averaged(members, settings, units) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Means over the seeds that have a number; and floors, which shrink with the number of seeds."""
    place = {unit: i for i, unit in enumerate(units)}
    sums: dict[str, np.ndarray] = {}
    counts: dict[str, np.ndarray] = {}
    for member in members:
        own = [unit in place for unit in _units(member.result)]
        columns = [place[unit] for unit in _units(member.result) if unit in place]
        for name, column in (result_folder.last(member.result) | result_folder.floor(member.result)).items():
            total = sums.setdefault(name, np.zeros((settings, len(units))))
            known = counts.setdefault(name, np.zeros((settings, len(units))))
            # A filter that diverged has no end to be compared by.
            fine = np.isfinite(column) & (np.array(member.result.ends) != "diverged")
            total[member.setting, columns] += np.where(fine, column, 0)[own]
            known[member.setting, columns] += fine[own]
    with np.errstate(invalid="ignore"):
        means = {name: sums[name] / counts[name] for name in sums}
    floors = {
        name.removesuffix("_floor"): means[name] / np.sqrt(np.maximum(counts[name], 1))
        for name in means
        if name.endswith("_floor")
    }
    return {name: value for name, value in means.items() if not name.endswith("_floor")}, floors


def _across(members, settings, units) -> dict[str, np.ndarray]:
    """Diversity and reproducibility over the seeds of one setting, layer and set of filters."""
    found = {name: np.full((settings, len(units)), np.nan) for name in ("diversity", "reproducibility")}
    groups: dict[tuple, list[Result]] = {}
    for member in members:
        key = member.setting, member.result.layer, tuple(member.result.filters)
        groups.setdefault(key, []).append(member.result)
    for (setting, layer, filters), results in groups.items():
        own = [(layer, index) in units for index in filters]
        columns = [units.index((layer, index)) for index in filters if (layer, index) in units]
        features = np.stack([result.features["post"] for result in results])
        found["diversity"][setting, columns] = across_seeds.diversity(features)[own]
        found["reproducibility"][setting, columns] = across_seeds.reproducibility(features)[own]
    return {name: values for name, values in found.items() if np.isfinite(values).any()}


def _sorted(levels: Sequence[object]) -> list:
    """Each once: numbers by size, anything else as it came."""
    once = list(dict.fromkeys(levels))
    return sorted(once) if all(isinstance(each, int | float) for each in once) else once
