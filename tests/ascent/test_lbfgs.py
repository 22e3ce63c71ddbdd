"""Laws of L-BFGS: SciPy's own path, asked for step by step; an image that ends, or fails, ends alone."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from helpers.configs import job_of, optimized
from scipy import optimize

from deepvis.ascent import gradient_ascent, lbfgs

LINE = ("optimizer=lbfgs", "size=16", "robustness=false")


def quadratic(theta):
    """A hill of uneven curvature whose top is at 1, 2, 3 ..."""
    x = theta.astype(float).ravel()
    top, curvature = np.arange(1, x.size + 1), 2.0 ** np.arange(x.size)
    return -(curvature * (x - top) ** 2).sum(), (-2 * curvature * (x - top)).reshape(theta.shape)


def rosenbrock(theta):
    x = theta.astype(float).ravel()
    return -optimize.rosen(x), -optimize.rosen_der(x).reshape(theta.shape)


def asked(hill, start, memory=10, bounds=None, most=200):
    """The points of a path and the scores there; by what was told of each, that it belongs to it."""

    def evaluate(theta):
        score, gradient = hill(theta)
        return score, gradient, theta.copy()

    search = lbfgs.Search(evaluate, start, memory, bounds)
    found = [(search.theta, search.record)]
    while len(found) < most and search.advance():
        found.append((search.theta, search.record))
    for theta, told in found:
        np.testing.assert_array_equal(theta, told)
        assert theta.shape == start.shape and theta.dtype == np.float32
    return np.stack([theta for theta, _ in found]), np.array([hill(theta)[0] for theta, _ in found])


def scipys(hill, start, memory=10, bounds=None):
    """SciPy called plainly; the hill sees float32, as a network does."""
    path = [start.astype(float).ravel()]

    def fall(flat):
        score, gradient = hill(flat.reshape(start.shape).astype(np.float32))
        return -score, -gradient.astype(float).ravel()

    optimize.minimize(fall, path[0], jac=True, method="L-BFGS-B", callback=lambda x: path.append(x.copy()),
                      bounds=bounds, options={"maxcor": memory, "ftol": 0, "gtol": 0})  # fmt: skip
    return np.stack(path).reshape(-1, *start.shape)


HILLS = [(quadratic, np.zeros((1, 2, 2), np.float32)), (rosenbrock, np.float32([[[-1.2, 1.0]]]))]


@pytest.mark.parametrize("memory", [1, 3, 10])
@pytest.mark.parametrize(("hill", "start"), HILLS, ids=["quadratic", "rosenbrock"])
def test_the_points_are_those_that_scipy_accepts(hill, start, memory):
    points, scores = asked(hill, start, memory)
    np.testing.assert_array_equal(points, scipys(hill, start, memory).astype(np.float32))
    assert len(points) > 4 and (np.diff(scores) >= 0).all()
    np.testing.assert_allclose(scores[-1], 0, atol=1e-6)


def test_a_longer_memory_takes_another_path():
    hill, start = HILLS[1]
    assert len(asked(hill, start, 1)[0]) != len(asked(hill, start, 10)[0])


@pytest.mark.parametrize(("hill", "start"), HILLS, ids=["quadratic", "rosenbrock"])
def test_bounds_are_kept_and_reached(hill, start):
    low, high = np.full(start.shape, -1.5, np.float32), np.full(start.shape, 0.75, np.float32)
    start = np.clip(start, low, high)
    points, scores = asked(hill, start, bounds=(low, high))
    wanted = scipys(hill, start, bounds=optimize.Bounds(low.ravel(), high.ravel()))
    np.testing.assert_array_equal(points, wanted.astype(np.float32))
    assert (points >= low).all() and (points <= high).all() and (points[-1] == 0.75).any()
    assert (np.diff(scores) >= 0).all()


def test_it_ends_at_the_top_and_where_it_starts_there():
    start = np.float32([[[1.0]]])
    points, scores = asked(quadratic, start)
    assert len(points) == 1 and scores[0] == 0


@pytest.mark.parametrize("at", [0, 3])
def test_what_goes_wrong_in_an_evaluation_comes_out(at):
    calls = itertools.count()

    def evaluate(theta):
        if next(calls) == at:
            raise MemoryError("no more")
        return *rosenbrock(theta), None

    with pytest.raises(MemoryError, match="no more"):
        search = lbfgs.Search(evaluate, HILLS[1][1], 10)
        while search.advance():
            pass


@pytest.mark.parametrize("taken", [0, 1, 4, 9])
@pytest.mark.parametrize("memory", [1, 3])
def test_another_search_goes_on_from_its_memory(taken, memory):
    def evaluate(theta):
        return *rosenbrock(theta), None

    first = lbfgs.Search(evaluate, HILLS[1][1], memory)
    for _ in range(taken):
        assert first.advance()
    other = lbfgs.Search(evaluate, first.theta, memory, resumed=(first.memory, None))
    path = []
    for search in (first, other):  # one after the other: they share nothing
        path.append([search.theta.copy() for _ in range(20) if search.advance()])
    assert len(path[0]) > 4
    np.testing.assert_array_equal(path[0], path[1])


# --- Several images ---------------------------------------------------------------------------------------


def searches(scores, starts, steps, memory=5, clip=0.0):
    """Line searches of images with one value a pixel; `scores` is [B, 1, 1, 1] -> [B]."""
    starts = np.float32(starts)[:, None, None, None]

    def gradient(theta, hyper):
        with tf.GradientTape() as tape:
            tape.watch(theta)
            score = scores(theta, hyper["filter"])[:, 0, 0, 0]
        none = tf.zeros_like(score)
        record = gradient_ascent.Record(score, none, none, none, none, none, tf.math.is_finite(score))
        return tape.gradient(score, theta), score, record

    many = len(starts)
    hyper = {"steps": tf.constant(steps), "filter": tf.range(many), "reg.clip_pixels": tf.fill([many], clip)}
    theta = tf.constant(starts)
    state = gradient_ascent.State(
        tf.constant(0), theta, (), tf.fill([many], -np.inf), theta, tf.fill([many], True)
    )
    rule = lbfgs.lbfgs(tf.fill([many], float(memory)))
    return lbfgs.Searches(gradient, state, hyper, rule, (100.0,)), state


def hump(theta, _):
    return -tf.square(theta - 3) - tf.square(tf.square(theta - 3))


def test_an_image_at_the_top_or_done_stands_still_while_others_go_on():
    search, state = searches(hump, [3.0, -1.0, -1.0], [9, 9, 2])
    state, record = search.advance(state, 9)
    scores = record.score.numpy()
    assert scores.shape == (9, 3) and int(state.step) == 9
    assert (scores[:, 0] == 0).all() and float(state.theta[0, 0, 0, 0]) == 3
    np.testing.assert_array_equal(scores[:3, 1], scores[:3, 2])
    assert (np.diff(scores[:3, 2]) > 0).all() and (scores[2:, 2] == scores[2, 2]).all()
    assert (np.diff(scores[:4, 1]) > 0).all() and scores[-1, 1] == pytest.approx(0, abs=0.1)
    assert record.alive.numpy().all() and state.alive.numpy().all()


def test_pieces_of_a_climb_are_the_whole_climb():
    one, state = searches(hump, [-1.0, 9.0], [7, 7])
    whole, record = one.advance(state, 7)
    other, state = searches(hump, [-1.0, 9.0], [7, 7])
    parts = []
    for n in (1, 4, 2):
        state, seen = other.advance(state, n)
        parts.append(seen.score.numpy())
    np.testing.assert_array_equal(np.concatenate(parts), record.score)
    for name in ("theta", "best_theta", "best_score"):
        np.testing.assert_array_equal(getattr(state, name), getattr(whole, name))


def test_pixels_stay_in_their_range():
    search, state = searches(lambda theta, _: theta, [5.0, 5.0], [4, 4], clip=1.0)
    state, _ = search.advance(state, 4)
    np.testing.assert_array_equal(state.theta.numpy().ravel(), [155, 155])


@pytest.mark.parametrize("at", [-2.0, 0.5])  # at its start; on its way
def test_a_score_that_is_no_number_ends_its_own_image(at):
    def broken(theta, index):
        spoilt = (index[:, None, None, None] == 1) & (theta > at)
        return hump(theta, index) + tf.where(spoilt, np.nan, 0.0)

    alone, state = searches(hump, [-1.0], [6])
    wanted, record = alone.advance(state, 6)
    search, state = searches(broken, [-1.0, -1.0, -1.0], [6, 6, 6])
    state, seen = search.advance(state, 6)
    for b in (0, 2):
        np.testing.assert_array_equal(seen.score[:, b], record.score[:, 0])
        np.testing.assert_array_equal(state.theta[b], wanted.theta[0])
    np.testing.assert_array_equal(state.alive, [True, False, True])
    assert not seen.alive[-1, 1] and np.isfinite(state.theta).all()
    assert np.isnan(float(state.best_score[1])) == 0 and np.isfinite(state.best_theta).all()


def test_a_climb_by_line_searches_never_falls_and_its_history_has_a_last_row(tmp_path):
    job = job_of(
        tmp_path, *LINE, "steps=6", "snapshot_every=4", "layer.filters=[3,0]", "reg.clip_pixels=true"
    )
    start, looks = optimized(job)
    scores = np.concatenate([look.record["score"] for look in looks])
    scores = np.concatenate([scores, looks[-1].final_values["score"][None]])
    assert scores.shape == (7, 2) and (np.diff(scores, axis=0) >= 0).all() and (scores[-1] > scores[0]).all()
    mean = np.array([123.68, 116.779, 103.939], np.float32)
    assert (looks[-1].image >= -mean).all() and (looks[-1].image <= 255 - mean + 1e-4).all()
    assert np.abs(looks[-1].image - start).max() > 1
    np.testing.assert_array_equal(looks[-1].image, looks[-1].best)
