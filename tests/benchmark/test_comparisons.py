"""Summaries, tests and verdicts of a benchmark, on planted values."""

import numpy as np
import pytest
from scipy import stats

from deepvis.benchmark import comparisons, measures

UNITS, SEEDS = 14, 3
RNG = np.random.default_rng(0)
BASE = RNG.normal(0.5, 0.2, (UNITS, SEEDS))


def values(shift=0.0, factor=1.0, distance=5.0):
    return {"activation": np.exp(BASE) * factor, "choice": BASE + shift,
            "spectral_distance": distance + 0.1 * BASE, "diversity": np.abs(BASE) + shift}  # fmt: skip


def test_a_ratio_and_a_difference_that_were_planted_are_told_and_their_methods_win():
    named = {"plain": values(), "strong": values(factor=2.0), "near": values(distance=3.0)}
    found = {(row["measure"], row["method"], row["against"]): row for row in comparisons.pairs(named, {})}
    assert found["activation", "plain", "strong"]["difference"] == pytest.approx(0.5)
    assert found["spectral_distance", "plain", "near"]["difference"] == pytest.approx(2.0)
    assert found["choice", "plain", "strong"]["difference"] == 0
    assert found["activation", "plain", "strong"]["p_adjusted"] < 0.05
    assert found["choice", "plain", "strong"]["p_adjusted"] == 1
    said = comparisons.verdicts(comparisons.summaries(named, {}), list(found.values()), UNITS)
    assert any("activation: strong" in line and line.endswith("all others are worse") for line in said)
    assert any(
        "log-spectral distance, dB: near" in line and line.endswith("others are worse") for line in said
    )
    assert any("machine 2AFC" in line and "not established as worse" in line for line in said)
    assert not any("diversity" in line for line in said), "neither end of it is better"
    assert said[-1].endswith("strong 2 and 1 times; near 2 and 1 times; plain 0 and 2 times")


def test_equal_methods_are_never_told_apart_and_few_units_tell_nothing():
    shuffled = {f"m{k}": {"choice": RNG.permutation(BASE.ravel()).reshape(BASE.shape)} for k in range(6)}
    rows = comparisons.pairs(shuffled, {})
    assert len(rows) == 15 and min(row["p_adjusted"] for row in rows) > 0.05
    said = comparisons.verdicts(comparisons.summaries(shuffled, {}), rows, UNITS)
    assert said[-1].endswith("no method is established as better than another in any measure")
    few = {name: {"choice": each["choice"][:9]} for name, each in shuffled.items()}
    assert all(np.isnan(row["p_adjusted"]) for row in comparisons.pairs(few, {}))
    (line,) = comparisons.verdicts(comparisons.summaries(few, {}), comparisons.pairs(few, {}), 9)
    assert "nothing is established" in line


def test_the_p_of_one_pair_of_one_seed_is_wilcoxons():
    one, other = BASE[:, :1], BASE[:, :1] + RNG.normal(0.05, 0.1, (UNITS, 1))
    (row,) = comparisons.pairs({"a": {"choice": one}, "b": {"choice": other}}, {})
    p = stats.wilcoxon((one - other)[:, 0], method="exact").pvalue
    assert row["p"] == pytest.approx(p, abs=1e-9)
    assert row["p_adjusted"] == pytest.approx(p, abs=1e-9)


def test_the_noise_floor_is_the_typical_distance_of_a_twin():
    floors = {"plain": {"choice": np.full((UNITS, 1), 0.02)}, "other": {"choice": np.full((UNITS, 1), -0.01)}}
    named = {"plain": values(), "other": values(shift=0.001)}
    (row,) = [each for each in comparisons.pairs(named, floors) if each["measure"] == "choice"]
    assert row["floor"] == pytest.approx(0.02)
    assert comparisons.summaries(named, floors)[1]["choice_floor"] == pytest.approx(0.01)


def test_the_noise_floor_of_a_ratio_is_a_ratio():
    measure = next(each for each in measures.MEASURES if each.name == "activation")
    image, twin = np.full((UNITS, 1), 50.0), np.full((UNITS, 1), 55.0)
    floors = {"plain": {"activation": comparisons.difference(measure, twin, image)}}
    named = {name: {"activation": image * scale} for name, scale in (("plain", 1), ("other", 2))}
    (row,) = [each for each in comparisons.pairs(named, floors) if each["measure"] == "activation"]
    assert (row["difference"], row["floor"]) == pytest.approx((0.5, 1.1))
    assert comparisons.summaries(named, floors)[0]["activation_floor"] == pytest.approx(1.1)


def test_a_silent_unit_is_the_lowest_and_one_that_was_not_measured_is_left_out():
    silent, unknown = np.exp(BASE), np.exp(BASE)
    silent[0], unknown[0] = 0.0, np.nan
    rows = comparisons.pairs({"a": {"activation": silent}, "b": {"activation": np.exp(BASE)}}, {})
    assert rows[0]["units"] == UNITS and rows[0]["lower"] == pytest.approx(1 / UNITS)
    rows = comparisons.pairs({"a": {"activation": unknown}, "b": {"activation": np.exp(BASE)}}, {})
    assert rows[0]["units"] == UNITS - 1


def test_a_share_that_is_whole_has_an_interval_and_one_of_single_seeds_is_wilsons():
    hits = (np.arange(UNITS) % 3 == 0).astype(float)
    named = {"plain": {"top1": hits[:, None]}, "whole": {"top1": np.ones((UNITS, SEEDS))}}
    plain, whole = comparisons.summaries(named, {})
    p, z = hits.mean(), stats.t.ppf(0.975, UNITS - 1)
    n = UNITS / max(1, UNITS / (UNITS - 1) * hits.var() / (p * (1 - p)))
    roots = np.roots([1 + z**2 / n, -2 * p - z**2 / n, p**2])  # (p - q)^2 = z^2 q (1 - q) / n
    assert (plain["top1_low"], plain["top1_high"]) == pytest.approx(sorted(roots))
    assert (whole["top1"], whole["top1_high"]) == pytest.approx((1, 1))
    assert 0.8 < whole["top1_low"] < 0.95
