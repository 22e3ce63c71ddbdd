"""L-BFGS: SciPy's, one image at a time, from one accepted point to the next.

    Search(evaluate: theta -> (score, gradient, record), start).advance() -> whether there is a next point

`scipy.optimize.minimize` does not return between its steps, and what it remembers cannot be had from it. So
the routine below it is called here as it calls it. That routine is not public: pyproject.toml bounds SciPy's
version, and tests compare its points with those of `scipy.optimize.minimize`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from deepvis.ascent.gradient_ascent import Hyper, stacked
from deepvis.ascent.parts import Record, State
from deepvis.config.knobs import REQUIRED, Knob, declare
from deepvis.networks.backend import tf

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


START, NEW_POINT, EVALUATE = 0, 1, 3  # what SciPy's routine asks for: task[0]
LINE_STEPS = 20  # evaluations of a line search at most, as in `scipy.optimize.minimize`


class Search:
    """A line search after the other, of one image.

    Attributes:
      theta: the present point, which was accepted.
      record: what was told of it.
      memory: all that SciPy keeps; with the two above it is the whole state.
    """

    def __init__(self, evaluate: Evaluate, start: np.ndarray, pairs: int,
                 bounds: tuple[np.ndarray, np.ndarray] | None = None,
                 resumed: tuple[Mapping[str, np.ndarray], Any] | None = None) -> None:  # fmt: skip
        """Begin at a point.

        Args:
          evaluate: theta -> its score, the score's gradient, and a record.
          start: theta of the first point.
          pairs: of steps and gradients that it remembers.
          bounds: the lowest and the highest theta.
          resumed: memory and record of another search that had come to the start.
        """
        n, flat = start.size, np.asarray(start, np.float64).ravel()
        self.evaluate, self.pairs, self.theta = evaluate, pairs, start
        self.kinds = np.full(n, 0 if bounds is None else 2, np.int32)  # unbounded; bounded on both sides
        self.low, self.high = (
            np.zeros(n) if bounds is None else np.asarray(bounds[i], np.float64).ravel() for i in (0, 1)
        )
        if resumed is not None:
            memory, self.record = resumed
            self.memory = {name: np.array(values) for name, values in memory.items()}  # changed in place
            return
        self.record = evaluate(start)[2]
        reals = {"x": flat if bounds is None else np.clip(flat, self.low, self.high), "g": np.zeros(n),
                 "f": np.zeros(()), "wa": np.zeros(2 * pairs * n + 5 * n + 11 * pairs**2 + 8 * pairs),
                 "dsave": np.zeros(29)}  # fmt: skip
        sizes = {"iwa": 3 * n, "task": 2, "lsave": 4, "isave": 44, "ln_task": 2}
        self.memory = reals | {name: np.zeros(size, np.int32) for name, size in sizes.items()}

    def advance(self) -> bool:
        """Go to the next accepted point; false where no step raises the score any more."""
        m, evaluated = self.memory, dict[bytes, tuple[np.ndarray, Any]]()
        routines: Any = scipy.optimize  # not public, and in a stub with other types
        setulb = routines._lbfgsb.setulb
        while m["task"][0] in (START, NEW_POINT, EVALUATE):
            setulb(self.pairs, m["x"], self.low, self.high, self.kinds, float(m["f"]), m["g"], 0.0, 0.0,
                           m["wa"], m["iwa"], m["task"], m["lsave"], m["isave"], m["dsave"], LINE_STEPS,
                           m["ln_task"])  # fmt: skip
            if m["task"][0] == NEW_POINT:
                self.theta, self.record = evaluated[m["x"].tobytes()]
                return True
            if m["task"][0] == EVALUATE:
                theta = m["x"].reshape(self.theta.shape).astype(np.float32)
                score, gradient, record = self.evaluate(theta)
                m["f"], m["g"] = np.array(-float(score)), -np.asarray(gradient, np.float64).ravel()
                evaluated[m["x"].tobytes()] = theta, record
        return False


class Searches:
    """The line searches of a batch, one for each image."""

    def __init__(self, gradient: Callable[..., tuple[tf.Tensor, tf.Tensor, Record]], state: State,
                 hyper: Hyper, rule: LineSearch, mean: Sequence[float],
                 resumed: Sequence[Mapping[str, np.ndarray]] = ()) -> None:  # fmt: skip
        """Begin, or go on from what `arrays` gave of each image."""
        self.steps, self.step = hyper["steps"].numpy(), int(state.step)
        self.searches = []
        for b, start in enumerate(state.theta.numpy()):
            of_image = tf.nest.map_structure(lambda array, b=b: array[b : b + 1], dict(hyper))

            def evaluate(theta, of_image=of_image):
                grad, ascended, record = gradient(tf.constant(theta[None]), of_image)
                return ascended.numpy()[0], grad.numpy()[0], record

            bounds, before = None, None
            if hyper["reg.clip_pixels"][b] > 0:
                low = np.broadcast_to(-np.array(mean, np.float32), start.shape)
                bounds = low, low + 255
            if resumed:
                arrays = dict(resumed[min(b, len(resumed) - 1)])  # the last one pads a batch
                record = Record(*(tf.constant(arrays.pop(f"record.{name}")) for name in Record._fields))
                before = arrays, record
            self.searches.append(Search(evaluate, start, int(rule.memory[b]), bounds, before))

    def arrays(self, b: int) -> dict[str, np.ndarray]:
        """All that an image's search needs to go on, apart from its theta."""
        search = self.searches[b]
        record = {f"record.{name}": values.numpy() for name, values in search.record._asdict().items()}
        return {name: values.copy() for name, values in search.memory.items()} | record

    def advance(
        self, state: State, n: int, on_step: Callable[[], None] = lambda: None
    ) -> tuple[State, Record]:
        """Several steps of every image, as `deepvis.ascent.gradient_ascent.advance` has them."""
        records, best, scores = [], state.best_theta.numpy().copy(), state.best_score.numpy().copy()
        alive = state.alive.numpy().copy()
        self.step = -1  # on the way
        for step in range(int(state.step), int(state.step) + n):
            row = []
            for b, search in enumerate(self.searches):
                record = search.record
                alive[b] &= bool(record.alive[0])
                row.append(record._replace(alive=tf.constant(alive[b : b + 1])))
                if step < self.steps[b] and alive[b]:
                    if record.score[0] > scores[b]:
                        best[b], scores[b] = search.theta, record.score[0]
                    search.advance()  # at the top it stays
            records.append(Record(*(tf.concat(values, axis=0) for values in zip(*row, strict=True))))
            on_step()
        theta = np.stack([search.theta for search in self.searches])
        changed = {"theta": theta, "best_theta": best, "best_score": scores, "alive": alive}
        state = state._replace(step=state.step + n, **tf.nest.map_structure(tf.constant, changed))
        self.step = int(state.step)
        return state, stacked(records)
