"""Composed configs, and their jobs as they are really computed."""

import functools
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from deepvis.ascent.specs import Snapshot
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


def job_of(folder: Path, *overrides: str) -> jobs.Job:
    """A job of `tiny` on its last layer, the same on every machine, unless the overrides say otherwise."""
    tiny = ("model=tiny", "layer=named", "layer.name=block2_conv2", "layer.filters=0-3", "size=32",
            "precision=float32")  # fmt: skip
    return jobs.make(config_of(*tiny, *overrides), overrides, folder)


def optimized(job: jobs.Job, twin: int = 0) -> tuple[np.ndarray, list[Snapshot]]:
    """A job's starts and what is seen of its climb, as its pack really computes it, alone."""
    from deepvis.ascent import program

    (pack,) = jobs.job_groups([job])
    made = program.compiled(pack.static_config, pack.active)
    images = [jobs.image_spec(pack, row)._replace(twin=twin) for row in pack.batches[0] if row.twin == 0]
    start = np.stack([program.start(each, made.network.mean) for each in images])
    width = max(map(len, pack.batches))
    return start, list(program.ascend(made, images, start, width, job.cfg.steps))


def parts_of(measure, update, regularize=lambda image, grad, step: image):
    """A step of plain pixels."""
    from deepvis.ascent import gradient_ascent

    def same(image):
        return image

    return gradient_ascent.Parts(same, same, same, measure, lambda theta: (), update, regularize)


def choices(group: str) -> list[str]:
    """The files of a config group, so that a new one is tested without being named anywhere."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))
