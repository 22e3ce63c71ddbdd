"""Contrasts subtract what they say they do."""

import itertools

import numpy as np
import pytest

from deepvis.report import contrasts

LEVELS = {"reg.decay": [1, 0.9, 0.8], "reg.blur": [0, 3]}
SETTINGS = [*itertools.product(*LEVELS.values())]
NAMES = [f"decay={decay} blur={blur}" for decay, blur in SETTINGS]


def planted(interaction: float) -> np.ndarray:
    """``[settings, 2 seeds, 5 units]``: a level of decay adds 2, blur 5, both at once what is given."""
    decay, blur = np.meshgrid(range(3), range(2), indexing="ij")
    cells = (2.0 * decay + 5.0 * blur + interaction * (decay == 2) * blur).ravel()
    return cells[:, None, None] + np.random.default_rng(0).normal(0, 3, 5) + np.array([0.0, 100.0])[:, None]


def medians(values: np.ndarray, settings=SETTINGS) -> dict[str, float]:
    found = contrasts.of(LEVELS, settings, NAMES)
    return {c.name: float(np.nanmedian(contrasts.differences(c, values))) for c in found if c.kind != "pair"}


def test_a_grid_gives_back_what_was_planted():
    found = medians(planted(7))
    assert found == pytest.approx(
        {
            "reg.decay: 0.9 against 1": 2, "reg.decay: 0.8 against 1": 7.5, "reg.decay: 0.8 against 0.9": 5.5,
            "reg.blur: 3 against 0": 5,
            "reg.decay x reg.blur: 0.9 against 1 at 3 against 0": 0,
            "reg.decay x reg.blur: 0.8 against 1 at 3 against 0": 7,
            "reg.decay x reg.blur: 0.8 against 0.9 at 3 against 0": 7,
        }
    )  # fmt: skip
    pairs = [c for c in contrasts.of(LEVELS, SETTINGS, NAMES) if c.kind == "pair"]
    assert len(pairs) == 15 and pairs[0].name == "decay=1 blur=3 against decay=1 blur=0"
    np.testing.assert_allclose(contrasts.differences(pairs[0], planted(7)), 5)


def test_a_hole_in_the_grid_leaves_out_what_has_no_partner_and_shifts_nothing():
    kept = [i for i, setting in enumerate(SETTINGS) if setting != (0.8, 3)]
    found = medians(planted(7)[kept], [SETTINGS[i] for i in kept])
    assert found == pytest.approx(
        {
            "reg.decay: 0.9 against 1": 2, "reg.decay: 0.8 against 1": 4, "reg.decay: 0.8 against 0.9": 2,
            "reg.blur: 3 against 0": 5, "reg.decay x reg.blur: 0.9 against 1 at 3 against 0": 0,
        }
    )  # fmt: skip


def test_settings_that_are_no_grid_are_compared_two_by_two():
    found = contrasts.of({"a": [1, 2], "b": [1, 2]}, [(1, 1), (2, 2)], ["a=1 b=1", "a=2 b=2"])
    assert [(c.kind, c.name) for c in found] == [("pair", "a=2 b=2 against a=1 b=1")]


def test_seeds_are_paired_where_they_are_shared_and_averaged_where_they_are_not():
    values = planted(0)
    (blur,) = [c for c in contrasts.of(LEVELS, SETTINGS, NAMES) if c.factor == "reg.blur"]
    assert contrasts.differences(blur, values).shape == (5, 6)  # three decays, two seeds
    apart = values.copy()
    apart[::2, 1] = np.nan  # without blur the first seed alone, with it the second
    apart[1::2, 0] = np.nan
    np.testing.assert_allclose(contrasts.differences(blur, apart), 105)


def test_many_levels_are_compared_evenly_spaced():
    settings = [(i,) for i in range(40)]
    found = contrasts.of({"steps": list(range(40))}, settings, [str(i) for i in range(40)])
    levels = sorted({level for c in found for level in c.levels})
    assert len(levels) == contrasts.LEVELS and (levels[0], levels[-1]) == (0, 39)
    assert len(found) == contrasts.LEVELS * (contrasts.LEVELS - 1) // 2
