"""What a report says first is true of the data, and says how sure it is."""

import re
from dataclasses import replace

import numpy as np
import pytest
from helpers.synthetic import compared, grid, of, result

from deepvis.metrics.signed_rank import Effect
from deepvis.report import caveats, conclusions, contrasts, effects, front
from deepvis.report.conclusions import Conclusions

BASE = np.arange(10.0, 26)
(PAIR,) = contrasts.of({"a": [0, 1], "b": [0, 1]}, [(0, 0), (1, 1)], ["first", "second"])
PAIR_OF_SETTINGS = [
    (PAIR, "score", Effect(12, 400.0, 100.0, 900.0, 0.9, 0.1, p=0.003), 0.07),
    (PAIR, "robustness", Effect(12, -30.0, -40.0, -20.0, 0.0, 1.0, p=0.0005), 0.02),
]


def concluded(*results) -> Conclusions:
    both = compared(*results)
    return conclusions.of(both, effects.tested(both))


def noisy(name: str, factor: float, n: int = 16, noise: float = 0.05, **params):
    rng = np.random.default_rng(list(name.encode()))
    return result(name, np.arange(10.0, 10 + n) * factor * np.exp(rng.normal(0, noise, n)), **params)


def texts(found: Conclusions) -> str:
    return "\n".join(conclusions.sentences(found))


def test_what_was_done_to_the_data_is_said_with_how_sure_it_is(tmp_path):
    both = of(grid(tmp_path / "s"))
    tests = effects.tested(both)
    found = conclusions.of(both, tests)
    assert found.overall == "For most readers: reg.decay=1 (higher score), reg.blur=0 (higher score)."
    first, second = found.findings[:2]
    assert first.text.startswith(
        "reg.decay: score is highest with 1, above 0.9 by +50 %, 95 % interval 50 to 50 %, p < 0.001"
    )
    assert second.text.startswith("With reg.blur=3 instead of 0, all 16 filters end lower: score -50 %")
    assert not any(each.is_established for each in found.findings[2:])
    assert found.notes == [caveats.LOWER, caveats.NO_FLOOR]
    assert [kind for _, kind in found.front] == [front.OPTIMAL] + [front.DOMINATED] * 5
    # Every number of an effect is in the tests.
    numbers = {f"{abs(v):.3g}" for t in tests for v in (t.effect.estimate, t.effect.low, t.effect.high)}
    turned = {
        f"{100 * (1 / (1 + v / 100) - 1):.3g}"
        for t in tests
        if t.unit
        for v in (t.effect.estimate, t.effect.low, t.effect.high)
    }
    for finding in found.findings:
        for word in re.findall(r"by \+([\d.e+]+) %|interval (-?[\d.]+) to", finding.text):
            assert set(filter(None, word)) <= {n.lstrip("-") for n in numbers} | turned | numbers | {
                "-" + n for n in numbers
            }


def test_a_setting_is_not_dominated_by_one_that_loses_what_the_page_cannot_establish():
    """Robustness is established lower; the score is far higher, which only its own test says."""
    tests = [effects.TestedEffect("", contrast, measure, "%", effect, p, p, np.nan)
             for contrast, measure, effect, p in PAIR_OF_SETTINGS]  # fmt: skip
    known = front.pairs(tests, 2)
    assert known.better.tolist() == [[[False] * 2] * 2, [[False, True], [False, False]]]
    assert front.of(known) == [front.OPTIMAL, front.TIED]
    alone = [replace(tests[0], effect=replace(tests[0].effect, p=0.2)), tests[1]]
    assert front.of(front.pairs(alone, 2)) == [front.OPTIMAL, front.DOMINATED]
    few = [replace(tests[0], effect=replace(tests[0].effect, n=9, p=np.nan)), tests[1]]
    assert front.of(front.pairs(few, 2)) == [front.OPTIMAL, front.TIED]


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        ([2.0] * 16, "all 16 filters end higher"),
        ([0.5] * 16, "all 16 filters end lower"),
        ([2.0] * 14 + [0.9] * 2, "14 of 16 filters end higher"),
        ([3.0] * 7 + [0.99] * 9, None),
    ],
)
def test_the_direction_is_that_of_the_estimate(factor, words):
    found = concluded(result("a", BASE, **{"reg.blur": 0}), result("b", BASE * factor, **{"reg.blur": 3}))
    text = found.findings[0].text
    if words is None:  # estimate and test agree; the filters that rise are fewer, and that is said
        assert "no difference in score is established" in text or "by more than the others fall" in text
    else:
        assert f"With reg.blur=3 instead of 0, {words}: score" in text


def test_a_u_shaped_factor_is_said_whatever_the_order_of_typing():
    jobs = [
        noisy(f"{level}", factor, **{"reg.decay": level}) for level, factor in ((0.7, 1), (0.8, 3), (0.9, 1))
    ]
    said = [concluded(*order).findings[0].text for order in (jobs, jobs[::-1], [jobs[1], jobs[0], jobs[2]])]
    assert len(set(said)) == 1 and "score is highest with 0.8, above" in said[0]
    assert "above 0.9 by +" in said[0] and "above 0.7 by +" in said[0]


def test_ten_filters_establish_eight_levels_that_each_double_the_last():
    jobs = [noisy(f"{k}", 2.0**k, 10, **{"steps": k}) for k in range(8)]
    both = compared(*jobs)
    tests = [t for t in effects.tested(both) if t.measure == "score"]
    assert len(tests) == 28 and all(map(effects.is_established, tests))


@pytest.mark.parametrize("planted", ["added", "multiplied", "both"])
def test_an_interaction_is_said_only_where_no_scale_explains_it(planted):
    jobs = []
    for decay in (0, 1):
        for blur in (0, 1):
            values = BASE + 20 * decay + 30 * blur if planted == "added" else BASE * 2.0**decay * 3.0**blur
            values = values * 0.3 if planted == "both" and decay and blur else values
            values = np.where(np.arange(16) == 2, 0, values)  # one filter at zero changes nothing
            values = values * np.random.default_rng(4 * decay + blur).normal(1, 0.01, 16)
            jobs.append(result(f"{decay}{blur}", values, **{"reg.decay": decay, "reg.blur": blur}))
    said = texts(concluded(*jobs))
    assert ("interact in score, in per cent as well as in units" in said) == (planted == "both")


def test_where_nothing_differs_nothing_is_recommended():
    found = concluded(*(noisy(f"{k}", 1, **{"reg.blur": k}) for k in range(3)))
    assert found.overall.startswith("Nothing here says which setting to take")
    assert not any(each.is_established for each in found.findings)
    assert {kind for _, kind in found.front} == {front.TIED}


def test_a_trade_off_is_called_one():
    spread = np.linspace(0, 0.01, 16)
    jobs = [
        result("a", BASE, robustness=0.8 + spread, **{"reg.blur": 0}),
        result("b", 2 * BASE, robustness=0.4 + spread, **{"reg.blur": 3}),
    ]
    found = concluded(*jobs)
    assert found.overall == (
        "reg.blur is a trade-off: 3 for a high score or 0 for robust images "
        "(3 instead of 0: score +100 %, robustness -49.7 %)."
    )
    assert [kind for _, kind in found.front] == [front.OPTIMAL] * 2
    assert "robustness -49" in texts(found) or "robustness -50" in texts(found)


def test_of_a_trade_off_the_smaller_loss_is_taken():
    spread = np.linspace(0, 0.01, 16)
    jobs = [
        result("a", BASE, robustness=0.8 + spread, **{"reg.blur": 0}),
        result("b", 2 * BASE, robustness=0.76 + spread, **{"reg.blur": 3}),
    ]
    assert concluded(*jobs).overall == (
        "For most readers: reg.blur=3 (gives up 5 % of robustness, not 50 % of score). "
        "reg.blur is a trade-off: 3 for a high score or 0 for robust images "
        "(3 instead of 0: score +100 %, robustness -4.97 %)."
    )


def test_of_few_filters_nothing_is_tested_and_that_is_said():
    found = concluded(*(noisy(f"{k}", 2.0**k, 3, **{"reg.blur": k}) for k in range(2)))
    assert found.overall.startswith("3 filters can be compared, too few to say which setting to take")
    assert "all 3 filters end higher in score; 3 filters are too few" in texts(found)
    assert "established" not in "".join(f.text for f in found.findings)


def test_without_a_grid_settings_are_compared_and_the_best_is_named():
    jobs = [
        noisy(name, factor, **{"reg.blur": blur, "reg.decay": decay})
        for name, factor, blur, decay in (("a", 9, 0, 1.0), ("b", 3, 3, 0.9), ("c", 5, 5, 0.8))
    ]
    found = concluded(*jobs)
    assert found.overall == "For most readers: blur=0 decay=1. Established: score above both others."
    assert "score is highest with blur=0 decay=1" in found.findings[0].text


@pytest.mark.parametrize("values", [np.full(16, np.nan), np.zeros(16), -BASE, BASE - 18])
def test_no_nan_in_a_sentence(values):
    jobs = [result(f"{k}", values + k * 0.001, floor=[0.0], **{"reg.blur": k}) for k in range(3)]
    said = texts(concluded(*jobs))
    assert not re.search(r"\b(nan|inf)\b", said)


def test_an_interval_without_an_end_is_said_in_words():
    """Of a filter at 0 the share that it changes has no bound."""
    rng = np.random.default_rng(3)
    robustness = rng.uniform(0.4, 0.6, (2, 16))
    robustness[0, :5], robustness[1, 5:9] = 0, 0  # nine tenths of other settings are above 0
    more = [result(f"m{k}", BASE, robustness=0.5, **{"reg.blur": k}) for k in range(5, 12)]
    jobs = [result(f"{k}", BASE, robustness=robustness[k], **{"reg.blur": k}) for k in range(2)]
    both = compared(*jobs, *more)
    tests = effects.tested(both)
    unbounded = [t for t in tests if t.unit and not np.isfinite(t.effect.high) and t.effect.n >= 10]
    assert unbounded, "else nothing is tested here"
    for test in unbounded:
        said = conclusions.interval(test)
        assert not re.search(r"\b(nan|inf)\b", said) and "interval above " in said
    assert not re.search(r"\b(nan|inf)\b", texts(conclusions.of(both, tests)))


def test_one_job_has_nothing_to_choose():
    found = concluded(result("a", BASE))
    assert found.findings == [] and found.front == [] and "nothing to choose" in found.overall


def test_no_network_is_recommended():
    hed = {"model": "hed", "model.paired_with": "vgg16", "model.weights": "hed"}
    jobs = [noisy("a", 1, model="vgg16"), noisy("b", 2, **hed)]
    assert "none is recommended" in concluded(*jobs).overall


def test_what_was_not_tested_is_not_called_not_established():
    """Of more than 24 settings no two are tested."""
    jobs = [noisy(f"{a} {b}", 1 + a + b, **{"reg.blur": a, "steps": b}) for a in range(5) for b in range(5)]
    found = concluded(*jobs)
    assert found.front == [] and "not tested against others" in found.by_measure[0]
    few = concluded(*(noisy(f"{k}", 2.0**k, 3, **{"reg.blur": k}) for k in range(3)))
    assert few.front == [] and "not tested against others" in few.by_measure[0]


def settings(*rows, layer="block5_conv1", **params):
    """Jobs of decay, blur and the factor of their scores."""
    return [
        noisy(f"{layer} {d} {b}", factor, layer=layer, **{"reg.decay": d, "reg.blur": b}, **params)
        for d, b, factor in rows
    ]


def test_a_setting_that_was_not_run_is_not_recommended():
    """The best level of each factor is of a combination that is a hole, or has no partner."""
    grid = [(d, b, 2 * d - b / 10) for d in (1, 0.9, 0.8) for b in (0, 3, 5) if (d, b) != (1, 0)]
    found = concluded(*settings(*grid))
    assert found.overall.startswith("For most readers: decay=0.9 blur=0. Established: score above ")
    assert found.by_measure[0].startswith("Highest median score: decay=0.9 blur=0 (")
    # The effect of decay is known without blur only; the best setting is another.
    partial = concluded(*settings((1, 0, 2), (0.9, 0, 1), (0.8, 3, 9)))
    assert partial.overall == "For most readers: decay=0.8 blur=3. Established: score above both others."
    assert "No two settings differ in reg.blur alone: no such effect is tested." in texts(partial)
    many = [(d / 10, b, 2 * d - b) for d in range(5, 11) for b in range(5) if (d, b) != (10, 0)]
    assert "Together they were not run." in concluded(*settings(*many)).overall


def test_of_settings_that_nothing_tests_none_is_recommended_for_the_reason_that_is_true():
    """As a search leaves them: 30 settings, of which no two differ in one key alone."""
    rng = np.random.default_rng(0)
    found = concluded(*settings(*((1 - k / 100, k / 10, rng.uniform(1, 2)) for k in range(30))))
    assert found.overall.startswith("No two of the 30 settings are tested against each other")
    assert found.findings == [] and "filters can be compared" not in texts(found)
    assert "Of more than 24 settings no two are tested" in texts(found) and "levels of" not in texts(found)
    line = concluded(*(noisy(f"{k}", 1 + k, **{"reg.blur": k}) for k in range(20)))
    assert "16 of the 20 levels of reg.blur" in texts(line)
    assert "established above all 15 others that it was tested against, of 19" in line.by_measure[0]


def test_each_layer_is_told_of_its_own_settings_and_filters():
    """Layers with other settings, and one with too few filters."""
    jobs = [*settings((1, 0, 1), (0.9, 3, 2), layer="x"), *settings((0.8, 5, 3), (0.7, 7, 1), layer="y")]
    jobs += [noisy(f"z{d}", d, 5, layer="z", **{"reg.decay": d, "reg.blur": 0}) for d in (1, 0.5)]
    said = concluded(*jobs).overall
    x, y, z = (said.partition(f"{layer}: ")[2] for layer in "xyz")
    assert x.startswith("For most readers: decay=0.9 blur=3. Established: score above the other.")
    assert y.startswith("For most readers: decay=0.8 blur=5. Established: score above the other.")
    assert z.startswith("5 filters can be compared, too few")


def test_what_diverged_is_said_beside_the_recommendation():
    base = np.where(np.arange(16) < 4, np.nan, BASE)
    jobs = [noisy("a", 1, **{"reg.blur": 0}), result("b", 2 * base, **{"reg.blur": 3})]
    found = concluded(*jobs)
    assert "4 of 32 images diverged (blur=3: 4 of 16): these have no score" in found.overall
    assert "all 12 filters with a value in both end higher" in found.findings[0].text


def test_what_did_not_converge_is_said():
    ends = ["rising"] * 3 + ["stuck"] * 2 + ["converged"] * 11
    jobs = [replace(noisy(f"{b}", 1 + b, **{"reg.blur": b}), ends=ends if b else ["converged"] * 16)
            for b in (0, 3)]  # fmt: skip
    said = texts(concluded(*jobs))
    assert "3 of 32 images were still improving (blur=3: 3 of 16): with more steps" in said
    assert "2 of 32 images were without a gradient at any step (blur=3: 2 of 16)" in said
    assert caveats.ONE_SEED in said


def test_one_filter_is_one():
    found = concluded(*(noisy(f"{b}", 1 + b, 1, **{"reg.blur": b}) for b in (0, 3)))
    assert found.overall.startswith("1 filter can be compared")
    assert "the one filter ends higher in score; 1 filter is too few" in found.findings[0].text


def test_equal_values_are_called_the_same():
    found = concluded(*(result(f"{b}", BASE, **{"reg.blur": b}) for b in (0, 3)))
    assert found.findings[0].text.endswith("score is the same for all 16 filters.")
    assert "the same in all 2 settings" in found.by_measure[0]
    lost = concluded(result("a", BASE, **{"reg.blur": 0}), result("b", BASE + np.repeat([1, 0], [3, 13]),
                                                                 **{"reg.blur": 3}))  # fmt: skip
    assert "than the others fall" not in texts(lost)


@pytest.mark.parametrize("decay", [1, 0.9])
def test_of_images_of_several_sizes_what_depends_on_the_size_is_not_compared(decay):
    """Whether the size is the factor, or goes along with one."""
    jobs = [noisy("a", 1, size=64, **{"reg.decay": 1}), noisy("b", 2, size=128, **{"reg.decay": decay})]
    found = concluded(*jobs)
    assert caveats.SIZES in found.notes and "share of high-frequency power" not in texts(found)
    assert (
        caveats.SIZES not in concluded(*(noisy(f"{b}", 1, size=64, **{"reg.blur": b}) for b in (0, 3))).notes
    )


def test_what_is_measured_is_no_cause():
    found = concluded(noisy("a", 1, twins=0), replace(noisy("a", 1, twins=1), key="b"))
    assert "Jobs differ in what is measured, which changes no image: twins 0 / 1." in found.notes
    assert "An effect may be due" not in texts(found)


def test_each_layer_has_its_own_noise_floor():
    jobs = []
    for layer, floor, blur in (("x", 0.01, 0), ("x", 0.01, 3), ("y", 0.1, 0), ("y", 0.1, 3)):
        own, values = {"layer": layer, "reg.blur": blur}, BASE * (1 + blur)
        jobs.append(result(f"{layer}{blur}", values, floor=[floor * values], **own))
    said = texts(concluded(*jobs))
    assert "x: The numerical noise floor is 1 %" in said and "y: The numerical noise floor is 10 %" in said
    few = [result(f"{b}", BASE * (1 + b), floor=[BASE * (BASE > 22)], **{"reg.blur": b}) for b in (0, 3)]
    assert "The numerical noise floor is 0: a start changed by one ulp leaves the score of at least half" in (
        texts(concluded(*few))
    ), "three of sixteen are moved"


def test_factors_that_end_alike_are_told_apart():
    jobs = [noisy(f"{b}{w}", 1, **{"reg.blur": b, "reg.weights.blur": w}) for b in (0, 3) for w in (0.5, 1)]
    assert compared(*jobs).name(0) == "reg.blur=0 reg.weights.blur=0.5"


def test_a_level_is_highest_only_of_those_that_it_was_compared_with():
    """Decay 1 was run with another blur than 0.9, so neither is said to be above the other."""
    runs = [(0.8, 0, 1.0), (0.8, 3, 0.5), (0.9, 0, 1.5), (1, 3, 0.9)]
    found = concluded(*(noisy(f"{d}{b}", f, **{"reg.decay": d, "reg.blur": b}) for d, b, f in runs))
    assert found.findings[0].text.startswith("reg.decay: score is higher with 1, above 0.8 by +")
    assert "; not compared with 0.9, for no settings differ in that alone." in found.findings[0].text
    whole = [(d, b, f) for d, f in ((0.8, 1.0), (0.9, 1.5), (1, 2.0)) for b in (0, 3)]
    found = concluded(*(noisy(f"{d}{b}", f, **{"reg.decay": d, "reg.blur": b}) for d, b, f in whole))
    assert found.findings[0].text.startswith("reg.decay: score is highest with 1, above 0.9 by +")
    assert "not compared" not in found.findings[0].text


def test_a_recommendation_says_of_how_many_levels_it_is():
    found = concluded(*(noisy(f"{d}", 1.0 + d, **{"reg.decay": d / 100}) for d in range(18)))
    assert found.overall.startswith("For most readers: reg.decay=0.17 (higher score). Of the 18 levels of")
    assert found.overall.endswith("of reg.decay 16 were tested.")
