"""The recorder of a job: its pictures and history, filled image by image while its batches are optimized."""

import functools
import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import yaml

from deepvis.ascent import specs
from deepvis.ascent.specs import Snapshot
from deepvis.config import params
from deepvis.core import images
from deepvis.metrics import advice, convergence, image_statistics
from deepvis.results.result_folder import Pictures, Result, caption, floor, label
from deepvis.sweeps import jobs
from deepvis.sweeps.jobs import Job, Row

LIVE = 1.0  # seconds between two live pictures: nobody sees more, and each takes as long as 16 pictures


class JobRecorder:
    """One job's pictures and history while they form."""

    def __init__(self, job: Job) -> None:
        n = len(job.filters)
        blank = np.full((*job.cfg.sides, 3), 128, np.uint8)
        self.job = job
        self.began = time.time()
        self.captions = list(map(caption, job.classes, job.filters)) or list(map(label, job.filters))
        self.waiting = n * (1 + job.cfg.twins)  # images not yet done
        self.display = functools.partial(
            images.displayed, display=specs.display(job.cfg), mean=job.cfg.model.mean
        )
        self.final, self.best = [blank] * n, [blank] * n
        self.unshown: dict[int, tuple[np.ndarray, np.ndarray | None]] = {}  # by column
        self.next_live = 0.0
        self.progress: dict[int, list[np.ndarray]] = {}
        self.history: dict[str, np.ndarray] = {}  # [1 + twins, steps + 1, filters]
        self.image: dict[tuple[int, int], np.ndarray] = {}  # by twin and column: centred pixels
        self.final_values: dict[tuple[int, int], dict[str, np.ndarray]] = {}  # likewise

    def is_done(self, snapshot: Snapshot) -> bool:
        """Whether this job's images in that snapshot have taken their steps."""
        return snapshot.first + len(snapshot.record["score"]) >= self.job.cfg.steps

    def update(self, row: Row, snapshot: Snapshot, index: int) -> None:
        """Take over one image, the one at this index of a snapshot's batch."""
        steps, n = self.job.cfg.steps, len(snapshot.record["score"])
        shape = 1 + self.job.cfg.twins, steps + 1, len(self.final)
        done = min(snapshot.first + n, steps)
        for name, values in snapshot.record.items():
            if name not in self.history:
                self.history[name] = np.zeros(shape, values.dtype)
            column = self.history[name][row.twin, snapshot.first : done, row.column]
            column[:] = values[: len(column), index]
        if self.is_done(snapshot):
            final = {name: values[index] for name, values in snapshot.final_values.items()}
            for name in self.history:
                self.history[name][row.twin, steps, row.column] = final.pop(name)
            self.final_values[row.twin, row.column] = final
        self.image[row.twin, row.column] = snapshot.image[index]
        if row.twin:
            return
        if snapshot.start is not None:
            self.progress.setdefault(0, list(self.final))[row.column] = self.display(snapshot.start[index])
        importance = None if snapshot.importance is None else snapshot.importance[index]
        shown = images.with_alpha(self.display(snapshot.image[index]), importance)
        self.final[row.column] = shown
        self.progress.setdefault(done, list(self.final))[row.column] = shown
        if np.array_equal(snapshot.best[index], snapshot.image[index]):
            self.unshown.pop(row.column, None)
            self.best[row.column] = shown
        else:
            self.unshown[row.column] = snapshot.best[index], importance
        if self.is_done(snapshot):
            self.show_best(row.column)

    def show_best(self, column: int) -> np.ndarray:
        """The best picture so far of one image: made when it is wanted: a snapshot may bring another."""
        if column in self.unshown:
            image, importance = self.unshown.pop(column)
            self.best[column] = images.with_alpha(self.display(image), importance)
        return self.best[column]

    def show_live(self) -> None:
        """Write the live picture, unless it was written just now."""
        if time.monotonic() >= self.next_live:
            images.save(self.job.folder / "live.png", images.gallery(self.final, self.captions))
            self.next_live = time.monotonic() + LIVE

    def recorded(self, row: Row, step: int) -> dict[str, np.ndarray]:
        """All that is held of one image after so many steps, for a checkpoint; later ones may have begun."""
        at, has_ended = (row.twin, row.column), step >= self.job.cfg.steps
        held = {f"history/{name}": values[row.twin, : step + has_ended, row.column]
                for name, values in self.history.items()}  # fmt: skip
        if row.twin == 0:
            shown = {f"progress/{done}": pictures[row.column] for done, pictures in self.progress.items()
                     if done <= step}  # fmt: skip
            held |= shown | {"best": self.show_best(row.column)}
        if has_ended:
            held |= {f"final/{name}": np.asarray(values) for name, values in self.final_values[at].items()}
            held["image"] = self.image[at]
        return held

    def restore(self, row: Row, step: int, held: Mapping[str, np.ndarray], seconds: float) -> None:
        """Take over what `recorded` gave, and the seconds that the job had taken by then."""
        self.began = min(self.began, time.time() - seconds)
        at, has_ended = (row.twin, row.column), step >= self.job.cfg.steps
        shape = 1 + self.job.cfg.twins, self.job.cfg.steps + 1, len(self.final)
        for key, values in held.items():
            kind, _, name = key.partition("/")
            if kind == "history":
                whole = self.history.setdefault(name, np.zeros(shape, values.dtype))
                whole[row.twin, : step + has_ended, row.column] = values
            elif kind == "progress":
                self.final[row.column] = values
                self.progress.setdefault(int(name), list(self.final))[row.column] = values
            elif kind == "best":
                self.best[row.column] = values
            elif kind == "final":
                self.final_values.setdefault(at, {})[name] = values
            else:
                self.image[at] = values
        self.waiting -= has_ended

    def result(self, tags: Mapping[str, str]) -> tuple[Result, Pictures]:
        """The job's result and pictures, once all of its images are done."""
        job, seconds = self.job, time.time() - self.began
        twins, n = range(1, 1 + job.cfg.twins), len(job.filters)
        history = {name: values[0] for name, values in self.history.items()}
        measured = {
            key: image_statistics.of(image) | self.final_values[key] for key, image in self.image.items()
        }
        metrics = {
            name: np.array([[measured[twin, i][name] for i in range(n)] for twin in (0, *twins)])
            for name in measured[0, 0]
        }
        features = metrics.pop("features")[0]
        final = [self.image[0, i] for i in range(n)]
        is_recipe = specs.is_recipe(job.cfg)
        told = advice.advice(history, final, job.cfg.model.mean, features.shape[-1], is_recipe)
        speed = len(measured) * job.cfg.steps / seconds
        result = Result(
            name=job.name,
            key=job.key,
            layer=job.cfg.layer.name,
            filters=job.filters,
            ends=convergence.ends(history),
            params=jobs.params(job),
            tags=dict(tags) | ({"advice": told} if told else {}),
            figures={},
            history=history,
            metrics={name: values[0] for name, values in metrics.items()},
            features={"post": features},
            twins={name: values[1:] for name, values in (self.history | metrics).items()},
            config=yaml.safe_dump(jobs.resolved(job), sort_keys=False),
            choices=params.choices(job.overrides),
            classes=job.classes,
        )
        figures = convergence.figures(history)
        figures |= _medians({f"image/{k}": v for k, v in result.metrics.items()})
        figures |= _medians({f"floor/{k.removesuffix('_floor')}": v for k, v in floor(result).items()})
        figures |= {"time/seconds": seconds, "time/images_steps_per_second": speed}
        replicas = [[self.display(self.image[twin, i]) for i in range(n)] for twin in twins]
        return replace(result, figures=figures), Pictures(self.final, self.best, self.progress, replicas)


def _medians(values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Over the filters that have a number; nothing where none has."""
    finite = {name: column[np.isfinite(column)] for name, column in values.items()}
    return {name: float(np.median(column)) for name, column in finite.items() if len(column)}
