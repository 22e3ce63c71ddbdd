"""A board: one job's pictures and history while they form, filled image by image as its batches climb."""

import functools
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from omegaconf import OmegaConf

from deepvis import convergence, images, jobs, metrics
from deepvis.jobs import Job
from deepvis.outcome import Pictures, Result


class Look(NamedTuple):
    """What the host sees after a chunk."""

    first: int  # step of the first record
    record: Mapping[str, np.ndarray]  # what each step saw, [n, B]
    image: np.ndarray  # [B, H, W, C] centred, after the chunk
    best: np.ndarray


class Board:
    """One job's pictures and history while they form."""

    def __init__(self, job: Job) -> None:
        n = len(job.filters)
        blank = np.full((job.cfg.size, job.cfg.size, 3), 128, np.uint8)
        self.job = job
        self.began = time.time()
        self.run = ""
        self.waiting = n  # images not yet done
        self.display = _display(job)
        self.final, self.best = [blank] * n, [blank] * n
        self.image: list[np.ndarray] = [blank] * n  # the last ones as they are, centred pixels
        self.progress: dict[int, list[np.ndarray]] = {}
        self.history: dict[str, np.ndarray] = {}

    def is_done(self, look: Look) -> bool:
        """Whether this job's images in that look have taken their steps, and been measured once more."""
        return look.first + len(look.record["score"]) > self.job.cfg.steps

    def see(self, column: int, look: Look, row: int) -> None:
        """Take over what a look shows of one image."""
        steps, n = self.job.cfg.steps, len(look.record["score"])
        for name, values in look.record.items():
            if name not in self.history:
                self.history[name] = np.zeros((steps + 1, len(self.final)), values.dtype)
            own = self.history[name][look.first : look.first + n, column]
            own[:] = values[: len(own), row]
        self.image[column] = look.image[row]
        self.final[column] = self.display(look.image[row])
        self.best[column] = self.display(look.best[row])
        done = min(look.first + n, steps)
        self.progress.setdefault(done, list(self.final))[column] = self.final[column]

    def result(self, tags: Mapping[str, str]) -> tuple[Result, Pictures]:
        """What the job leaves, once no image is waited for.

        Args:
          tags: what is known of its network and its device.
        """
        job, seconds = self.job, time.time() - self.began
        speed = len(job.filters) * job.cfg.steps / seconds
        each = [metrics.of(image) for image in self.image]
        found = {name: np.array([one[name] for one in each]) for name in metrics.METRICS}
        known = {name: values[np.isfinite(values)] for name, values in found.items()}
        medians = {f"image/{name}": float(np.median(v)) for name, v in known.items() if len(v)}
        spent = {"time/seconds": seconds, "time/images_steps_per_second": speed}
        result = Result(
            name=job.name,
            key=job.key,
            layer=job.cfg.layer.name,
            filters=job.filters,
            ends=convergence.ends(self.history),
            params=jobs.params(job),
            tags=dict(tags),
            figures=convergence.figures(self.history) | medians | spent,
            history=self.history,
            metrics=found,
            config=OmegaConf.to_yaml(job.cfg, resolve=True),
        )
        return result, Pictures(self.final, self.best, self.progress)


def _display(job: Job) -> Callable[[np.ndarray], np.ndarray]:
    if job.cfg.start.display == "natural":
        return functools.partial(images.natural, mean=job.cfg.model.mean)
    return images.contrast
