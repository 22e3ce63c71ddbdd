"""Laws of deepvis.metrics, on histories drawn by hand whose answers are known without computing."""

import warnings

import numpy as np
import pytest

from deepvis.metrics import convergence

STEPS = 20
T = np.arange(STEPS + 1, dtype=float)


def history(*columns, **others):
    """One filter a column: its score, and what else is not the ordinary (gradient 1, alive, rank 0)."""
    score = np.stack(columns, axis=1).astype(np.float32)
    made = {
        "score": score,
        "gradient_rms": np.ones_like(score),
        "alive": np.isfinite(score),
        "activation": np.maximum(score, 0),
        "image_rms": np.ones_like(score),
        "rank": np.zeros_like(score),
        "margin": np.ones_like(score),
    }
    return made | {k: np.asarray(v, bool if k == "alive" else np.float32) for k, v in others.items()}


def died(at, score=T):
    """The harness goes on recording a filter that died: NaN, and not alive."""
    return np.where(at > T, score, np.nan)


def exponential(quarters_per_three_time_constants):
    return 10 * (1 - np.exp(-3 * T / (STEPS / 4) / quarters_per_three_time_constants))


CURVES = {
    "a straight climb": (T, 1.0, "rising"),
    "a straight climb from far below zero": (T - 1000, 1.0, "rising"),
    "an ever faster climb": (T**2, 1.0, "rising"),
    "an exponential approach": (exponential(1.0), 1.0, "converged"),
    "a slow exponential approach": (exponential(4.0), 1.0, "rising"),
    "a jump at once": (np.where(T > 0, 5.0, 0.0), 1.0, "converged"),
    "a jump at the very end": (np.where(T == STEPS, 5.0, 0.0), 1.0, "rising"),
    "a climb, then a fall": (np.where(T < 10, T, 20 - T), 1.0, "converged"),
    "no gradient ever": (0 * T, 0.0, "stuck"),
    "no gradient ever, below zero": (0 * T - 3, 0.0, "stuck"),
    "no gradient, and a fall": (-T, 0.0, "stuck"),
    "no gradient, and a later rise": (np.maximum(0, T - 10), 0.0, "rising"),
    "no gradient at first, then a climb": (np.maximum(0, T - 10), np.where(T < 10, 0, 1), "rising"),
    "no gradient at first, then a gradient that brings nothing": (0 * T, np.where(T < 10, 0, 1), "converged"),
    "a gradient of zero at the end only": (exponential(1.0), np.where(T > 18, 0, 1), "converged"),
    "not a number in the middle": (died(7), 1.0, "diverged"),
    "not a number at the last step": (died(STEPS), 1.0, "diverged"),
    "not a number at once": (died(0), 1.0, "diverged"),
    "infinite": (np.where(T < 7, T, np.inf), 1.0, "diverged"),
    "diverged without ever a gradient": (died(7, 0 * T), 0.0, "diverged"),
}


@pytest.mark.parametrize(("score", "gradient", "end"), CURVES.values(), ids=CURVES)
def test_a_filter_ends_as_its_curve_says(score, gradient, end):
    assert convergence.ends(history(score, gradient_rms=(gradient + 0 * T)[:, None])) == [end]


def test_filters_do_not_influence_one_another():
    scores, gradients, wanted = zip(*CURVES.values(), strict=True)
    together = history(*scores, gradient_rms=np.stack([g * np.ones(STEPS + 1) for g in gradients], axis=1))
    assert convergence.ends(together) == list(wanted)
    assert set(wanted) == set(convergence.ENDS)
    alone = [convergence.steps_to_90(history(score))[0] for score in scores]
    np.testing.assert_array_equal(convergence.steps_to_90(together), alone)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("shift", [-100.0, 0.0, 100.0])
@pytest.mark.parametrize(
    "name", ["an ever faster climb", "an exponential approach", "a jump at once", "a climb, then a fall"]
)
def test_ends_and_speed_know_no_unit_and_no_zero(name, scale, shift):
    score, _, end = CURVES[name]
    moved = history(scale * (score + shift))
    moved["score"] = (scale * (score + shift))[:, None]  # double: it is the law that is tested here
    assert convergence.ends(moved) == [end]
    np.testing.assert_array_equal(convergence.steps_to_90(moved), convergence.steps_to_90(history(score)))


def test_exactly_5_percent_in_the_last_quarter_is_not_rising():
    def late(share):
        return np.where(T <= 15, np.minimum(T, 1) * (100 - share), 100.0)

    assert convergence.ends(history(late(5.0), late(4.0), late(6.0))) == ["converged", "converged", "rising"]


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_jobs_have_an_end_too(steps):
    t = np.arange(steps + 1.0)[:, None]
    short = {"score": t, "gradient_rms": 0 * t + 1, "alive": t >= 0}
    assert convergence.ends(short) == ["rising"]
    assert convergence.ends(short | {"score": 0 * t, "gradient_rms": 0 * t}) == ["stuck"]


@pytest.mark.parametrize(
    ("score", "steps"),
    [
        (T, 18),
        (T - 1000, 18),
        (np.where(T > 0, 5.0, 0.0), 1),
        (np.where(T == STEPS, 5.0, 0.0), STEPS),
        (np.where(T < 10, T, 20 - T), 9),  # best 10 at step 10, 90 % of the rise at 9
        (-T, 0),
        (0 * T, 0),
        (died(11), 9),  # best 10, finite, before it died
        (died(0), np.nan),
    ],
)
def test_steps_to_90_is_when_nine_tenths_of_the_rise_are_there(score, steps):
    np.testing.assert_array_equal(convergence.steps_to_90(history(score)), [steps])


def test_diverged_at_is_the_first_dead_step():
    found = convergence.diverged_at(history(T, died(7), died(0), died(STEPS)))
    assert found.tolist() == [-1, 7, 0, STEPS]


def test_curves_are_over_the_filters_that_are_finite_there():
    made = history(
        T, 2 * T + 4, died(7, 3 * T),
        rank=np.stack([0 * T, T, 0 * T], axis=1),
        image_rms=np.stack([T, T + 1, 100 + 0 * T], axis=1),
    )  # fmt: skip
    curves = convergence.curves(made)
    three = T < 7
    np.testing.assert_allclose(curves["score/mean"], np.where(three, (6 * T + 4) / 3, (3 * T + 4) / 2), 1e-6)
    medians = [np.median(each, axis=0) for each in ([2 * T + 4, 3 * T, T], [2 * T + 4, T])]
    np.testing.assert_allclose(curves["score/median"], np.where(three, *medians), 1e-6)
    np.testing.assert_allclose(curves["score/min"], T, 1e-6)
    np.testing.assert_allclose(
        curves["score/max"], np.where(three, np.maximum(2 * T + 4, 3 * T), 2 * T + 4), 1e-6
    )
    np.testing.assert_allclose(
        curves["image_rms/mean"], np.where(three, (2 * T + 101) / 3, (2 * T + 1) / 2), 1e-6
    )
    np.testing.assert_allclose(curves["rank/mean"], np.where(three, T / 3, T / 2), 1e-6)
    # A share of all filters: one that died tops nothing.
    np.testing.assert_allclose(
        curves["rank/top_share"], np.where(T == 0, 3 / 3, np.where(three, 2 / 3, 1 / 3)), 1e-6
    )
    assert all(curve.shape == T.shape for curve in curves.values())


def test_curves_are_nan_where_nothing_is_finite_and_say_so_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curves = convergence.curves(history(died(3), died(5)))
    for name, curve in curves.items():
        np.testing.assert_array_equal(np.isnan(curve), T >= 5, err_msg=name)
    np.testing.assert_allclose(curves["score/mean"][:5], T[:5])


def test_figures_count_every_filter_once_and_are_medians_and_means_of_the_finite_ones():
    scores, gradients, wanted = zip(*CURVES.values(), strict=True)
    made = history(*scores, gradient_rms=np.stack([g * np.ones(STEPS + 1) for g in gradients], axis=1))
    found = convergence.figures(made)
    counts = {end: found[f"filters/{end}"] for end in convergence.ENDS}
    assert counts == {end: wanted.count(end) for end in convergence.ENDS}
    assert sum(counts.values()) == len(scores)
    finite = [score for score, end in zip(scores, wanted, strict=True) if end != "diverged"]
    ended, activations = [s[-1] for s in finite], [max(s[-1], 0) for s in finite]
    assert found["final/score"] == pytest.approx(np.median(ended), rel=1e-6)
    assert found["final/best_score"] == pytest.approx(np.median([s.max() for s in finite]), rel=1e-6)
    assert found["final/activation"] == pytest.approx(np.median(activations), rel=1e-6)
    assert found["final/score_mean"] == pytest.approx(np.mean(ended), rel=1e-6) != found["final/score"]
    assert found["final/activation_mean"] == pytest.approx(np.mean(activations), rel=1e-6)


def test_figures_top_share_is_of_all_filters_and_steps_to_90_a_median_of_the_finite():
    rank = np.stack([0 * T, 0 * T, 0 * T, T, 20 - T], axis=1)  # at the end: 0, 0, 0 (dead), 20, 0
    made = history(T, np.where(T > 0, 5.0, 0.0), died(3), 0 * T, np.where(T > 3, 1.0, 0.0), rank=rank)
    found = convergence.figures(made)
    assert found["filters/top_share"] == pytest.approx(3 / 5)
    assert found["final/steps_to_90"] == np.median([18, 1, 0, 4])


def test_figures_of_a_job_whose_filters_all_died_hold_counts_and_no_nan():
    found = convergence.figures(history(died(3), died(0)))
    assert found["filters/diverged"] == 2 and found["filters/top_share"] == 0
    assert all(np.isfinite(value) for value in found.values())


def test_every_figure_and_curve_can_be_a_metric_of_mlflow():
    made = history(T, died(4))
    for name in [*convergence.figures(made), *convergence.curves(made)]:
        assert name.count("/") == 1 and name.isascii() and ":" not in name and len(name) < 250
