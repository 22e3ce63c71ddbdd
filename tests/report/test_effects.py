"""What is tested in a comparison is what NumPy makes of the same results."""

import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.synthetic import compared, finish, grid, job, of, result
from scipy import stats

from deepvis import analysis
from deepvis.metrics import signed_rank
from deepvis.report import conclusions, effects, page, scales


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    folder = grid(tmp_path_factory.mktemp("outputs") / "sweep")
    return effects.tested(of(folder)), folder


def found(tests, kind, measure, comparison):
    (test,) = [t for t in tests if (t.kind, t.measure, t.comparison) == (kind, measure, comparison)]
    return test


def test_a_main_effect_is_that_of_all_matched_differences(tested):
    tests, folder = tested
    for factor, one, other, ratio in (("reg.decay", 0.8, 0.9, 1 / 1.5), ("reg.blur", 3, 0, 0.5)):
        test = found(tests, "main effect", "score", f"{factor}: {one} against {other}")
        assert (test.unit, test.effect.n) == ("%", 16)
        assert test.effect.estimate == pytest.approx(100 * (ratio - 1), abs=0.02)
    values = of(folder).by_seed["high_frequency"]  # [decay x blur, seeds, filters]
    d = np.log(values[1::2]) - np.log(values[::2])
    expected = signed_rank.effect(np.moveaxis(d, 2, 0).reshape(16, -1))
    test = found(tests, "main effect", "high_frequency", "reg.blur: 3 against 0")
    assert test.effect.estimate == pytest.approx(100 * np.expm1(expected.estimate))
    assert (test.effect.up, test.effect.p) == (expected.up, expected.p)
    assert test.effect.low < test.effect.estimate < test.effect.high


def test_the_table_has_every_test_and_p_grow_by_adjustment(tested):
    tests, folder = tested
    page.make([folder], folder)
    rows = pd.read_csv(folder / "results.csv")
    assert len(rows[rows.kind.isin(["main effect", "interaction", "pair"])]) == len(tests)
    counts = {"main effect": 4, "interaction": 6, "pair": 15}  # interactions in per cent and in units
    for kind, count in counts.items():
        own = [t for t in tests if (t.kind, t.measure) == (kind, "score")]
        assert len(own) == count and all(t.p >= t.effect.p - 1e-3 for t in own)
    said = {t.measure for t in tests if np.isfinite(t.said)}
    assert said == set(scales.SAID)
    assert all(t.said >= t.effect.p - 1e-3 for t in tests if np.isfinite(t.said))


def test_the_columns_are_those_that_are_documented(tested):
    """In the docstring of `deepvis.compare` and in the reference of Python."""
    columns = list(tested[0][0].row())
    described = (inspect.getdoc(analysis.compare) or "").partition("A row a test: ")[2].partition(".")[0]
    assert [each.strip() for each in described.split(",")] == columns
    text = (Path(__file__).parents[2] / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    assert ", ".join(f"`{name}`" for name in columns) in " ".join(text.split())


def test_one_filter_at_zero_does_not_switch_the_scale():
    base = np.arange(1.0, 17)
    lost = base.copy()
    lost[3] = 0
    both = compared(result("a", base, **{"reg.decay": 0.9}), result("b", 0.5 * lost, **{"reg.decay": 0.8}))
    (test,) = [t for t in effects.tested(both) if t.measure == "score"]
    assert (test.unit, test.effect.n, test.effect.down) == ("%", 16, 1)
    assert test.effect.estimate == pytest.approx(-50)
    dead = compared(result("a", lost, **{"reg.decay": 0.9}), result("b", lost, **{"reg.decay": 0.8}))
    (test,) = [t for t in effects.tested(dead) if t.measure == "score"]
    assert (test.effect.n, test.effect.estimate, test.effect.up, test.effect.down) == (16, 0, 0, 0)


def test_scores_about_zero_are_compared_in_their_own_unit():
    base = np.arange(16.0) - 8
    both = compared(result("a", base, **{"reg.decay": 0.8}), result("b", base + 4, **{"reg.decay": 0.9}))
    (test,) = [t for t in effects.tested(both) if t.measure == "score"]
    assert (test.unit, test.effect.estimate, test.comparison) == ("", -4, "reg.decay: 0.8 against 0.9")


@pytest.mark.parametrize(("floor", "changed"), [([0.01, -0.01], 1.0), ([900.0, 700.0], 0.0)])
def test_a_filter_has_changed_only_beyond_the_noise_floor(floor, changed, tmp_path):
    both = of(grid(tmp_path / "s", floor=floor))
    tests = effects.tested(both)
    assert found(tests, "main effect", "score", "reg.decay: 0.8 against 0.9").effect.changed == changed
    scores = both.by_seed["score"][:, :, None]
    replicas = scores + np.array(floor)[:, None]
    logarithms = np.log(np.where(replicas > 0, replicas, np.nan)) - np.log(scores)
    (told,) = {t.floor for t in tests if (t.measure, t.unit) == ("score", "%")}
    assert told == pytest.approx(100 * np.expm1(np.nanmedian(np.abs(logarithms))))


def test_no_replicas_no_share_and_rounding_that_does_nothing_is_a_floor_of_zero(tmp_path):
    for floor in (None, 0.0):
        tests = effects.tested(of(grid(tmp_path / f"s{floor}", floor=floor)))
        shares = [t.effect.changed for t in tests if (t.measure, t.kind) == ("score", "pair")]
        assert np.isnan(shares).all() if floor is None else shares == [1.0] * 15


def test_layers_are_tested_by_themselves(tmp_path):
    for layer, factor in (("block1_conv1", 2.0), ("block2_conv1", 0.5)):
        for decay in (0.8, 0.9):
            values = np.arange(1.0, 13) * (factor if decay == 0.9 else 1)
            job(tmp_path / "s", f"{layer} {decay}", values, range(12), layer=layer, **{"reg.decay": decay})
    tests = [
        t
        for t in effects.tested(of(finish(tmp_path / "s")))
        if (t.measure, t.kind) == ("score", "main effect")
    ]
    assert [t.comparison for t in tests] == [
        "block1_conv1: reg.decay: 0.8 against 0.9", "block2_conv1: reg.decay: 0.8 against 0.9"
    ]  # fmt: skip
    assert [round(t.effect.estimate) for t in tests] == [-50, 100] and all(t.effect.n == 12 for t in tests)


def test_a_crashed_job_leaves_its_partners_where_they_were():
    base, jobs = np.arange(1.0, 17), []
    for decay in (0.8, 0.9, 1.0):
        for blur in (0, 3):
            if (decay, blur) != (0.9, 3):
                values = base * {0.8: 1, 0.9: 2, 1.0: 4}[decay] * (0.5 if blur else 1)
                jobs.append(result(f"{decay} {blur}", values, **{"reg.decay": decay, "reg.blur": blur}))
    tests = effects.tested(compared(*jobs))
    for comparison, estimate in (("reg.decay: 0.9 against 1", -50), ("reg.blur: 3 against 0", -50)):
        assert found(tests, "main effect", "score", comparison).effect.estimate == pytest.approx(estimate)


def test_what_a_factor_does_to_two_layers_is_compared_as_distributions():
    rng, jobs = np.random.default_rng(0), []
    for layer, n, factor in (("block1_conv1", 12, 1.1), ("block2_conv1", 15, 2.0)):
        base = rng.uniform(5, 50, n)
        for decay in (0.8, 0.9):
            values = base * (factor if decay == 0.9 else 1) * rng.normal(1, 0.02, n)
            jobs.append(result(f"{layer} {decay}", values, layer=layer, **{"reg.decay": decay}))
    both = compared(*jobs)
    tests = [t for t in effects.tested(both) if t.kind == "between layers"]
    (test,) = [t for t in tests if t.measure == "score"]
    assert test.comparison == "block2_conv1 against block1_conv1: reg.decay: 0.8 against 0.9"
    assert (test.effect.n, test.unit) == (12, "%")
    scores = np.log(both.values["score"][1] / both.values["score"][0])  # 0.9 is the first: decay descends
    second, first = scores[both.part_of == 1], scores[both.part_of == 0]
    expected = np.median(np.subtract.outer(second, first))
    assert test.effect.estimate == pytest.approx(100 * np.expm1(expected))
    assert test.effect.p == stats.mannwhitneyu(second, first).pvalue
    assert {t.measure for t in tests if not t.contrast.factor} >= {"margin", "robustness", "high_frequency"}
    said = conclusions.sentences(conclusions.of(both, effects.tested(both)))
    (line,) = [line for line in said if "the score changes differently" in line]
    first, second = "block1_conv1", "block2_conv1"
    assert line.startswith(
        f"With reg.decay=0.8 instead of 0.9 the score changes differently in {second} and in {first}: the "
        f"ratio of the two values in {second}, relative to that in {first}, {100 * np.expm1(expected):+.3g} %"
    )
