"""lucid 0.3.10, which is for TensorFlow 1: its parametrization and its transforms, run by today's TensorFlow.

What it wants of TensorFlow 1 is in tensorflow.compat.v1, but for contrib. Of that it needs the rotation
alone, in whose place the angle is returned: the pixels are not compared.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from unittest import mock

import numpy as np
import tensorflow as tf

v1 = tf.compat.v1


class _TensorFlow1(ModuleType):
    contrib = ModuleType("tensorflow.contrib")

    def __getattr__(self, name: str) -> object:
        return getattr(v1, name)


@contextmanager
def _as_tensorflow() -> Iterator[None]:
    one = _TensorFlow1("tensorflow")
    one.contrib.image = ModuleType("image")
    one.contrib.image.rotate = lambda image, angle: angle
    one.contrib.slim = None
    with mock.patch.dict(sys.modules, {"tensorflow": one, "tensorflow.contrib": one.contrib}):
        yield


def module(name: str) -> ModuleType:
    """A module of lucid's."""
    with _as_tensorflow():
        return importlib.import_module(f"lucid.{name}")


def sampled(function: Callable, image: np.ndarray, read: Callable, count: int) -> np.ndarray:
    """Run a random function on an image many times; of each what `read` makes of its output."""
    with v1.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(0)
        out = function(v1.constant(image))
        run = session.make_callable(out)
        return np.stack([read(run()) for _ in range(count)])
