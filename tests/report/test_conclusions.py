"""What a report says first is true of the data, and says how sure it is."""

import re

import numpy as np
import pytest
from helpers.synthetic import compared, grid, of, result

from deepvis.report import conclusions, effects, front
from deepvis.report.conclusions import Conclusions

BASE = np.arange(10.0, 26)


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
    assert found.overall == "For most readers: reg.decay=1 (score), reg.blur=0 (score)."
    first, second = found.findings[:2]
    assert first.text.startswith(
        "reg.decay: score is highest with 1, above 0.9 by +50 %, 95 % interval 50 to 50 %, p < 0.001"
    )
    assert second.text.startswith("With reg.blur=3 instead of 0, all 16 filters end lower: score -50 %")
    assert not any(each.is_established for each in found.findings[2:])
    assert found.notes == [conclusions.NO_FLOOR]
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
    assert found.overall == "reg.blur is a trade-off: 3 for a high score or 0 for robust images."
    assert [kind for _, kind in found.front] == [front.OPTIMAL] * 2
    assert "robustness -49" in texts(found) or "robustness -50" in texts(found)


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
    assert (
        "blur=0 decay=1" in found.overall
        and "established better in score than 2 and in robustness than 0 of 2 others" in found.overall
    )
    assert "score is highest with blur=0 decay=1" in found.findings[0].text


@pytest.mark.parametrize("values", [np.full(16, np.nan), np.zeros(16), -BASE, BASE - 18])
def test_no_nan_in_a_sentence(values):
    jobs = [result(f"{k}", values + k * 0.001, floor=[0.0], **{"reg.blur": k}) for k in range(3)]
    said = texts(concluded(*jobs))
    assert not re.search(r"\b(nan|inf)\b", said)


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
    assert found.front == [] and all("not tested against others" in line for line in found.by_measure)
    few = concluded(*(noisy(f"{k}", 2.0**k, 3, **{"reg.blur": k}) for k in range(3)))
    assert few.front == [] and all("not tested against others" in line for line in few.by_measure)
