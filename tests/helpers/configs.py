"""Composed configs, and their jobs as they are really computed."""

import functools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from deepvis.ascent.specs import Snapshot
from deepvis.config import knobs, schema
from deepvis.config.knobs import REQUIRED, Knob
from deepvis.config.schema import Config
from deepvis.core.names import CONF
from deepvis.sweeps import jobs


@functools.cache
def config_of(*overrides: str) -> DictConfig:
    """The config that a person gets who types these overrides; shared, so not to be changed."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


def plain_of(*overrides: str) -> dict:
    """The same as a plain dict."""
    return OmegaConf.to_container(config_of(*overrides), resolve=True)


@functools.cache
def typed_of(*overrides: str) -> Config:
    """The same as the typed config that it means."""
    return schema.resolve(plain_of(*overrides))


def job_of(folder: Path, *overrides: str) -> jobs.Job:
    """A job of `tiny` on its last layer, the same on every machine, unless the overrides say otherwise."""
    tiny = ("model=tiny", "layer=named", "layer.name=block2_conv2", "layer.filters=0-3", "size=32",
            "precision=float32")  # fmt: skip
    return jobs.make(typed_of(*tiny, *overrides), overrides, folder)


def optimized(job: jobs.Job, twin: int = 0, xla: bool | None = None) -> tuple[np.ndarray, list[Snapshot]]:
    """A job's starts and what is seen while it is optimized, as its group really computes it, alone."""
    from deepvis.ascent import program
    from deepvis.ascent.optimize import optimize

    (group,) = jobs.job_groups([job])
    made = program.compiled(group.static_config, group.enabled, xla)
    images = [replace(jobs.image_spec(group, row), twin=twin) for row in group.batches[0] if row.twin == 0]
    starts = np.stack([program.start(each, made.network.mean) for each in images])
    width, seen = max(map(len, group.batches)), []
    optimize(images, using=made, starts=starts, width=width, on_snapshot=lambda _, each: seen.append(each))
    return starts, seen


def parts_of(measure, update, regularize=lambda image, grad, step: image):
    """A step of plain pixels."""
    from deepvis.ascent import gradient_ascent

    def same(image):
        return image

    return gradient_ascent.Parts(same, same, same, measure, 0, update, regularize)


def choices(group: str) -> list[str]:
    """The files of a config group, so that a new one is tested without being named anywhere."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def switched_on(knob: Knob) -> Any:
    """A value of a knob that is not its neutral one, from its declaration."""
    if knob.type is bool:
        return not knob.default
    if knob.choices:
        return next(word for word in knob.choices if word != knob.default)
    low, high = max(knob.low, knob.above), min(knob.high, knob.below)
    neutral = 0 if knob.default in (None, REQUIRED) else knob.default
    if knob.type is int:
        return neutral + 3 if neutral + 3 <= high else neutral - 1
    few = min(high, low + 10)  # a sigma may be 1000 px, of an image that has 16
    return (low + few) / 2 if math.isfinite(low) else 1.0


def members(group: str) -> list[str]:
    """The files of a config group and the components of its family, which must have one each."""
    return sorted({*choices(group), *knobs.components(group)})
