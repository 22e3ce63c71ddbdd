"""L-BFGS: SciPy's, one image at a time, as an iterator over its steps.

    (evaluate: theta -> (score, gradient, record), start) -> iterator of (theta, record)

SciPy calls the function that it minimizes and does not return between its steps. So each image has a thread
in which SciPy runs until the next point is asked for: never two of them at once.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize

from deepvis.ascent.backend import tf
from deepvis.ascent.gradient_ascent import Hyper, Record, State, stacked
from deepvis.config.knobs import REQUIRED, Knob, declare

Evaluate = Callable[[np.ndarray], tuple[float, np.ndarray, Any]]


@dataclass(frozen=True)
class LineSearch:
    """A step rule on the host, which gets scores and not only gradients."""

    memory: tf.Tensor  # pairs of steps and gradients that it remembers, [B]
    slots: int = 0

    def update(self, *args: Any) -> Any:
        """In the place of an optimizer's, whose graph is never called."""
        raise TypeError("a line search has no update on the device")


MEMORY = Knob(REQUIRED, "pairs of steps and gradients kept", low=1, kind=int)


@declare("optimizer", None, {"memory": MEMORY}, line_search=True)
def lbfgs(memory: tf.Tensor) -> LineSearch:
    r"""L-BFGS: a quasi-Newton step and a line search that the score cannot fall in.

    .. math:: x \leftarrow x + \alpha H_m g

    with :math:`H_m` the inverse Hessian as the last m steps tell it. A step is an accepted point; it takes
    one evaluation or a few more.

    Source: Liu and Nocedal 1989; SciPy's L-BFGS-B; Gatys et al. 2016 use it for style.
    """
    return LineSearch(memory)


def iterates(
    evaluate: Evaluate, start: np.ndarray, memory: int, bounds: tuple[np.ndarray, np.ndarray] | None = None
) -> Iterator[tuple[np.ndarray, Any]]:
    """The points that L-BFGS accepts, the start first, as they are asked for.

    Args:
      evaluate: theta -> its score, the score's gradient, and a record.
      start: theta of the first point.
      memory: pairs of steps and gradients that it remembers.
      bounds: the lowest and the highest theta.

    Yields:
      Accepted points and their records; it ends where no step raises the score any more.
    """
    requests: queue.Queue[bool] = queue.Queue()
    points: queue.Queue[tuple[np.ndarray, Any] | BaseException | None] = queue.Queue()
    evaluated: dict[bytes, Any] = {}  # by the present line search

    def negative(flat: np.ndarray) -> tuple[float, np.ndarray]:
        theta = flat.reshape(start.shape).astype(np.float32)
        score, gradient, record = evaluate(theta)
        evaluated[flat.tobytes()] = theta, record
        return -float(score), -np.asarray(gradient, np.float64).ravel()

    def accepted(flat: np.ndarray) -> None:
        points.put(evaluated[flat.tobytes()])
        evaluated.clear()
        if not requests.get():
            raise StopIteration

    def search() -> None:
        try:
            if not requests.get():
                return
            first = np.asarray(start, np.float64).ravel()
            negative(first)
            accepted(first)
            options: Any = {"maxcor": memory, "maxiter": 10**9, "maxfun": 10**9, "ftol": 0.0, "gtol": 0.0}
            within = None if bounds is None else optimize.Bounds(*map(np.ravel, bounds))
            callback: Any = accepted  # StopIteration ends the search: documented, not in the stubs
            optimize.minimize(negative, first, jac=True, method="L-BFGS-B", bounds=within,
                              options=options, callback=callback)  # fmt: skip
            points.put(None)
        except StopIteration:
            pass
        except BaseException as err:  # raised in the thread that asks for the point
            points.put(err)

    threading.Thread(target=search, daemon=True, name="lbfgs").start()
    try:
        while True:
            requests.put(True)
            point = points.get()
            if isinstance(point, BaseException):
                raise point
            if point is None:
                return
            yield point
    finally:
        requests.put(False)


class Searches:
    """The line searches of a batch, one for each image."""

    def __init__(self, gradient: Callable[..., tuple[tf.Tensor, Record]], state: State, hyper: Hyper,
                 rule: LineSearch, mean: Sequence[float]) -> None:  # fmt: skip
        self.steps = hyper["steps"].numpy()
        self.points = []  # of each image: the path, its present point and that point's record
        for b, start in enumerate(state.theta.numpy()):
            of_image = tf.nest.map_structure(lambda array, b=b: array[b : b + 1], dict(hyper))

            def evaluate(theta, of_image=of_image):
                grad, record = gradient(tf.constant(theta[None]), of_image)
                return record.score.numpy()[0], grad.numpy()[0], record

            bounds = None
            if hyper["reg.clip_pixels"][b] > 0:
                low = np.broadcast_to(-np.array(mean, np.float32), start.shape)
                bounds = low, low + 255
            path = iterates(evaluate, start, int(rule.memory[b]), bounds)
            self.points.append((path, *next(path)))

    def advance(self, state: State, n: int) -> tuple[State, Record]:
        """Several steps of every image, as `deepvis.ascent.gradient_ascent.advance` has them."""
        records, best, scores = [], state.best_theta.numpy().copy(), state.best_score.numpy().copy()
        alive = state.alive.numpy().copy()
        for step in range(int(state.step), int(state.step) + n):
            row = []
            for b, (path, theta, record) in enumerate(self.points):
                alive[b] &= bool(record.alive[0])
                row.append(record._replace(alive=tf.constant(alive[b : b + 1])))
                if step < self.steps[b] and alive[b]:
                    if record.score[0] > scores[b]:
                        best[b], scores[b] = theta, record.score[0]
                    self.points[b] = path, *next(path, (theta, record))  # at the top it stays
            records.append(Record(*(tf.concat(values, axis=0) for values in zip(*row, strict=True))))
        theta = np.stack([theta for _, theta, _ in self.points])
        changed = {"theta": theta, "best_theta": best, "best_score": scores, "alive": alive}
        state = state._replace(step=state.step + n, **tf.nest.map_structure(tf.constant, changed))
        return state, stacked(records)
