"""Contrasts: the settings of a comparison -> which of them are subtracted from which.

A main effect compares two levels of a factor in all settings that agree in everything else, an interaction
two such differences at two levels of another factor. A grid may have holes: what has no partner is left out.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deepvis.report.factors import Level

LEVELS = 16  # of a factor that has more, so many are compared, evenly spaced in their order
INTERACTIONS = 64  # of a comparison that has more, none is tested
PAIRS = 24  # settings of which every two are compared

Settings = tuple[int, ...]  # a, b: a minus b; a, b, c, d: (a minus b) minus (c minus d)


@dataclass(frozen=True)
class Contrast:
    """One comparison, in all settings where it can be made."""

    kind: str  # main effect, interaction, pair
    factor: str  # ``reg.decay``, ``reg.decay x reg.blur``; empty of a pair
    name: str  # ``reg.decay: 0.9 against 0.8``
    levels: tuple[Level, ...]  # the first against the second; of a pair their settings
    settings: Sequence[Settings]


def of(
    levels: Mapping[str, Sequence[Level]], settings: Sequence[tuple[Level, ...]], names: Sequence[str]
) -> list[Contrast]:
    """All contrasts of these settings: main effects and interactions, then pairs."""
    number = {setting: i for i, setting in enumerate(settings)}
    compared = spaced(levels)
    found = [*main_effects(compared, number)]
    interactions = [*itertools.islice(_interactions(compared, number), INTERACTIONS + 1)]
    found += interactions if len(interactions) <= INTERACTIONS else []
    if len(levels) != 1 and len(settings) <= PAIRS:
        found += [
            Contrast("pair", "", f"{names[j]} against {names[i]}", (j, i), [(j, i)])
            for i, j in itertools.combinations(range(len(settings)), 2)
        ]
    return found


def differences(contrast: Contrast, by_seed: np.ndarray) -> np.ndarray:
    """``[units, replicates]`` of values ``[settings, seeds, units]``: one a seed and combination of settings.

    Where settings share no seed, the means over their seeds are compared.
    """
    found = _subtracted(contrast, by_seed)
    if np.isnan(found).all():
        finite = np.isfinite(by_seed).any(axis=1)
        means = np.full(finite.shape, np.nan)
        means[finite] = np.nanmean(np.moveaxis(by_seed, 1, 2)[finite], axis=-1)
        found = _subtracted(contrast, means[:, None])
    return np.moveaxis(found, 2, 0).reshape(by_seed.shape[2], -1)


def _subtracted(contrast: Contrast, values: np.ndarray) -> np.ndarray:
    """``[combinations, seeds, units]``; of two values of -inf (zeros, as logarithms) the difference is 0."""
    a, b, *rest = (values[list(column)] for column in zip(*contrast.settings, strict=True))
    with np.errstate(invalid="ignore"):
        first = np.where((a == b) & ~np.isnan(a), 0.0, a - b)
        if not rest:
            return first
        second = rest[0] - rest[1]
        return first - second


def spaced(levels: Mapping[str, Sequence[Level]]) -> dict[str, Sequence[Level]]:
    """The levels of each factor that are compared."""
    return {factor: _spread(values) for factor, values in levels.items()}


def _spread(values: Sequence[Level]) -> Sequence[Level]:
    if len(values) <= LEVELS:
        return values
    return [values[i] for i in np.linspace(0, len(values) - 1, LEVELS).round().astype(int)]


def main_effects(
    levels: Mapping[str, Sequence[Level]], number: Mapping[tuple[Level, ...], int]
) -> Iterator[Contrast]:
    """Every two levels of each factor, in the settings, by their number, that agree in everything else."""
    for axis, (factor, values) in enumerate(levels.items()):
        for one, other in itertools.combinations(values, 2):
            found = [
                (number[partner], i)
                for setting, i in number.items()
                if setting[axis] == one and (partner := _at(setting, axis, other)) in number
            ]
            if found:
                yield Contrast("main effect", factor, f"{factor}: {other} against {one}", (other, one), found)


def _interactions(levels: Mapping[str, Sequence[Level]], number: Mapping[tuple, int]) -> Iterator[Contrast]:
    for (a, (one, mine)), (b, (other, others)) in itertools.combinations(enumerate(levels.items()), 2):
        for low, high in itertools.combinations(mine, 2):
            for left, right in itertools.combinations(others, 2):
                found = []
                for setting in number:
                    corners = (
                        _at(_at(setting, a, high), b, right), _at(_at(setting, a, low), b, right),
                        _at(_at(setting, a, high), b, left), _at(_at(setting, a, low), b, left),
                    )  # fmt: skip
                    if setting == corners[3] and all(corner in number for corner in corners):
                        found.append(tuple(number[corner] for corner in corners))
                if found:
                    name = f"{one} x {other}: {high} against {low} at {right} against {left}"
                    yield Contrast("interaction", f"{one} x {other}", name, (high, low, right, left), found)


def _at(setting: tuple[Level, ...], axis: int, level: Level) -> tuple[Level, ...]:
    return (*setting[:axis], level, *setting[axis + 1 :])
