"""The statistics of the studies are what their definitions say."""

import itertools

import numpy as np
import paired
import pytest
from scipy import stats as scipy_stats

RNG = np.random.default_rng


def test_an_effect_is_what_its_definition_says():
    d = RNG(0).normal(0.3, 1, 41)
    found = paired.effect(np.append(d, [np.nan, np.inf]), floor=0.5)
    assert found.n == 41
    assert found.median == np.median(d) and found.low < found.median < found.high
    assert (found.up, found.down) == (np.mean(d > 0), np.mean(d < 0))
    assert found.moved == np.mean(np.abs(d) > 0.5)
    assert found.p == scipy_stats.wilcoxon(d).pvalue
    turned = paired.effect(-d, floor=0.5)
    assert turned.median == -found.median and turned.p == found.p
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=0.1)


def test_filters_that_did_not_change_are_counted_in_pratts_way():
    d = RNG(1).normal(0.5, 1, 30)
    with_zeros = np.append(d, np.zeros(20))
    assert paired.effect(with_zeros).p == scipy_stats.wilcoxon(with_zeros, zero_method="pratt").pvalue


def test_a_floor_of_each_filter_is_its_own_filters():
    d, floor = np.array([1.0, 2.0, np.nan, -3.0]), np.array([1.5, 1.5, 0.0, 1.5])
    assert paired.effect(d, floor).moved == 2 / 3


@pytest.mark.parametrize("n", range(paired.FEW))
def test_too_few_filters_get_no_interval_and_no_p(n):
    found = paired.effect(np.linspace(1, 2, n))
    assert found.n == n and np.isnan([found.low, found.high, found.p]).all()
    assert np.isnan(found.median) == (n == 0)


def test_filters_that_all_moved_alike_need_no_resampling():
    assert paired.effect(np.zeros(20)) == paired.Effect(20, 0, 0, 0, 0, 0, 0, 1)
    same = paired.effect(np.full(20, -2.0))
    assert (same.low, same.median, same.high, same.up) == (-2, -2, -2, 0) and same.p < 1e-4


def test_most_filters_agreeing_to_the_last_bit_still_gives_an_interval():
    found = paired.effect(np.array([0.0] * 30 + [1.0, 2.0]))
    assert (found.low, found.median, found.high) == (0, 0, 0) and 0 < found.p < 1


def closed_test(p: np.ndarray, i: int) -> float:
    """Holm by its definition: the worst Bonferroni test of any family that hypothesis i belongs to."""
    others = [j for j in range(len(p)) if j != i]
    families = itertools.chain.from_iterable(itertools.combinations(others, k) for k in range(len(p)))
    return max(min(1, (1 + len(f)) * p[[i, *f]].min()) for f in families)


def test_holm_is_the_closed_test_of_bonferroni():
    for seed in range(20):
        p = RNG(seed).uniform(0, 0.5, 6).round(seed % 3 + 1)
        np.testing.assert_allclose(paired.holm(p), [closed_test(p, i) for i in range(6)])
    np.testing.assert_array_equal(paired.holm([np.nan, 0.02, np.nan]), [np.nan, 0.02, np.nan])
    assert paired.holm([]).shape == (0,)


LEVELS = {"reg.decay": [1, 0.9, 0.8], "reg.blur": [0, 3], "seed": [0, 1]}


def grid(interaction: float) -> np.ndarray:
    """A grid of 24 filters: decay adds 2 a level, blur 5, the two together what is asked for."""
    decay, blur, seed = np.meshgrid(*(range(len(v)) for v in LEVELS.values()), indexing="ij")
    cells = 2.0 * decay + 5.0 * blur + interaction * (decay == 2) * blur + 0 * seed
    return cells[..., None] + RNG(3).normal(0, 3, 24) + RNG(4).normal(0, 0.01, (*cells.shape, 24))


def medians(interaction: float) -> dict[str, float]:
    return {each.name: each.effect.median for each in paired.contrasts(LEVELS, grid(interaction))}


def test_contrasts_of_a_grid_are_what_was_put_in():
    found = medians(0)
    assert list(found) == [
        "reg.decay: 0.9 against 1",
        "reg.decay: 0.8 against 1",
        "reg.decay: 0.8 against 0.9",
        "reg.blur: 3 against 0",
        "seed: 1 against 0",
        "reg.decay x reg.blur: 0.9 against 1 at 3 against 0",
        "reg.decay x reg.blur: 0.8 against 1 at 3 against 0",
        "reg.decay x reg.blur: 0.8 against 0.9 at 3 against 0",
        "reg.decay x seed: 0.9 against 1 at 1 against 0",
        "reg.decay x seed: 0.8 against 1 at 1 against 0",
        "reg.decay x seed: 0.8 against 0.9 at 1 against 0",
        "reg.blur x seed: 3 against 0 at 1 against 0",
    ]
    want = [2, 4, 2, 5] + [0] * 8
    np.testing.assert_allclose(list(found.values()), want, atol=0.02)
    planted = medians(7)
    moved = {name: planted[name] - found[name] for name in found if abs(planted[name] - found[name]) > 0.02}
    assert moved == pytest.approx(
        {
            "reg.decay: 0.8 against 1": 3.5,  # over both blurs
            "reg.decay: 0.8 against 0.9": 3.5,
            "reg.blur: 3 against 0": 7 / 3,
            "reg.decay x reg.blur: 0.8 against 1 at 3 against 0": 7,
            "reg.decay x reg.blur: 0.8 against 0.9 at 3 against 0": 7,
        },
        abs=0.02,
    )


def test_contrasts_are_adjusted_over_all_of_them():
    found = paired.contrasts(LEVELS, grid(0))
    np.testing.assert_array_equal([e.p for e in found], paired.holm([e.effect.p for e in found]))


def test_a_grid_of_one_level_has_nothing_to_compare():
    assert paired.contrasts({"reg.decay": [1]}, np.ones((1, 12))) == []


def test_friedman_takes_the_filters_that_are_finite_everywhere():
    values = RNG(5).normal(0, 1, (3, 30)) + np.array([[0], [0], [1]])
    broken = values.copy()
    broken[1, 4] = np.nan
    kept = np.delete(values, 4, axis=1)
    assert paired.friedman(broken) == scipy_stats.friedmanchisquare(*kept).pvalue < 0.01
    assert np.isnan(paired.friedman(values[:, : paired.FEW - 1]))
