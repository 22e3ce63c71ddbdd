"""What several tests need: composed configs, and an environment that no test changes for the next."""

import functools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything imports TensorFlow

from deepvis import jobs
from deepvis.climbers import Look
from deepvis.units import CONF

# A shell that starts the suite in the background makes it, and what it starts, deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


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


def climbed(job: jobs.Job, twin: int = 0) -> tuple[np.ndarray, list[Look]]:
    """A job's starts and what is seen of its climb, as its pack really computes it, alone."""
    from deepvis import graph

    (pack,) = jobs.packs([job])
    made = graph.compiled(pack.skeleton, pack.active)
    images = [jobs.climber(pack, row)._replace(twin=twin) for row in pack.batches[0] if row.twin == 0]
    start = np.stack([graph.start(each, made.network.mean) for each in images])
    width = max(map(len, pack.batches))
    return start, list(graph.ascend(made, images, start, width, job.cfg.steps))


def parts_of(measure, update, regularize=lambda image, grad, step: image):
    """A step of plain pixels."""
    from deepvis import ascent

    def same(image):
        return image

    return ascent.Parts(same, same, same, measure, lambda theta: (), update, regularize)


def choices(group: str) -> list[str]:
    """The files of a config group, so that a new one is tested without being named anywhere."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """Caches stay where the person who runs the tests has them."""
    kept = os.environ.get("XDG_CACHE_HOME")
    yield
    if kept is None:
        os.environ.pop("XDG_CACHE_HOME", None)
    else:
        os.environ["XDG_CACHE_HOME"] = kept
