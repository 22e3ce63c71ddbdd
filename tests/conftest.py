"""What several tests need: composed configs, and an environment that no test changes for the next."""

import functools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything imports TensorFlow

from deepvis import jobs
from deepvis.config import CONF

# A shell that starts the suite in the background makes it, and what it starts, deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


@functools.cache
def config_of(*overrides: str) -> DictConfig:
    """The config that a person gets who types these overrides; shared, so not to be changed."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


def job_of(folder: Path, *overrides: str) -> jobs.Job:
    """A job of `tiny` on its last layer, the same on every machine, unless the overrides say otherwise."""
    tiny = ("model=tiny", "layer=named", "layer.name=block2_conv2", "layer.filters=0-3", "size=32",
            "precision=float32")  # fmt: skip
    return jobs.make(config_of(*tiny, *overrides), overrides, folder)


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
