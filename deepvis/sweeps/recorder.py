"""A board: one job's pictures and history while they form, filled image by image as its batches climb."""

import functools
import time
from collections.abc import Mapping

import numpy as np
import yaml

from deepvis.ascent.specs import Snapshot
from deepvis.config.schema import plain
from deepvis.core import images
from deepvis.metrics import convergence, image_statistics
from deepvis.results.result_folder import Pictures, Result, floor
from deepvis.sweeps import jobs
from deepvis.sweeps.jobs import Job, Row


class JobRecorder:
    """One job's pictures and history while they form."""

    def __init__(self, job: Job) -> None:
        n = len(job.filters)
        blank = np.full((job.cfg.size, job.cfg.size, 3), 128, np.uint8)
        self.job = job
        self.began = time.time()
        self.run = ""
        self.waiting = n * (1 + job.cfg.twins)  # images not yet done
        self.display = functools.partial(
            images.displayed, display=job.cfg.start.display, mean=job.cfg.model.mean
        )
        self.final, self.best = [blank] * n, [blank] * n
        self.progress: dict[int, list[np.ndarray]] = {}
        self.history: dict[str, np.ndarray] = {}  # [1 + twins, steps + 1, filters]
        self.image: dict[tuple[int, int], np.ndarray] = {}  # by twin and column: centred pixels
        self.final_values: dict[tuple[int, int], dict[str, np.ndarray]] = {}  # likewise

    def is_done(self, look: Snapshot) -> bool:
        """Whether this job's images in that look have taken their steps."""
        return look.first + len(look.record["score"]) >= self.job.cfg.steps

    def see(self, row: Row, look: Snapshot, place: int) -> None:
        """Take over what a look shows of one image."""
        steps, n = self.job.cfg.steps, len(look.record["score"])
        shape = 1 + self.job.cfg.twins, steps + 1, len(self.final)
        for name, values in look.record.items():
            if name not in self.history:
                self.history[name] = np.zeros(shape, values.dtype)
            own = self.history[name][row.twin, look.first : min(look.first + n, steps), row.column]
            own[:] = values[: len(own), place]
        if self.is_done(look):
            last = {name: values[place] for name, values in look.final_values.items()}
            for name in self.history:
                self.history[name][row.twin, steps, row.column] = last.pop(name)
            self.final_values[row.twin, row.column] = last
        self.image[row.twin, row.column] = look.image[place]
        if row.twin:
            return
        self.final[row.column] = self.display(look.image[place])
        self.best[row.column] = self.display(look.best[place])
        done = min(look.first + n, steps)
        self.progress.setdefault(done, list(self.final))[row.column] = self.final[row.column]

    def result(self, tags: Mapping[str, str]) -> tuple[Result, Pictures]:
        """What the job leaves, once no image is waited for.

        Args:
          tags: what is known of its network and its device.
        """
        job, seconds = self.job, time.time() - self.began
        twins, n = range(1, 1 + job.cfg.twins), len(job.filters)
        history = {name: values[0] for name, values in self.history.items()}
        each = {
            place: image_statistics.of(image) | self.final_values[place]
            for place, image in self.image.items()
        }
        found = {
            name: np.array([[each[twin, i][name] for i in range(n)] for twin in (0, *twins)])
            for name in each[0, 0]
        }
        features = found.pop("features")[0]
        speed = len(each) * job.cfg.steps / seconds
        result = Result(
            name=job.name,
            key=job.key,
            layer=job.cfg.layer.name,
            filters=job.filters,
            ends=convergence.ends(history),
            params=jobs.params(job),
            tags=dict(tags),
            figures={},
            history=history,
            metrics={name: values[0] for name, values in found.items()},
            features={"post": features},
            twins={name: values[1:] for name, values in (self.history | found).items()},
            config=yaml.safe_dump(plain(job.cfg), sort_keys=False),
        )
        figures = convergence.figures(history)
        figures |= _medians({f"image/{k}": v for k, v in result.metrics.items()})
        figures |= _medians({f"floor/{k.removesuffix('_floor')}": v for k, v in floor(result).items()})
        figures |= {"time/seconds": seconds, "time/images_steps_per_second": speed}
        seen = [[self.display(self.image[twin, i]) for i in range(n)] for twin in twins]
        return result._replace(figures=figures), Pictures(self.final, self.best, self.progress, seen)


def _medians(values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Over the filters that have a number; nothing where none has."""
    known = {name: each[np.isfinite(each)] for name, each in values.items()}
    return {name: float(np.median(each)) for name, each in known.items() if len(each)}
