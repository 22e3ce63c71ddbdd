"""Names that a user's module shares with Keras, by which a file does not tell whose is meant."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

BY_NAME = {"activation", "recurrent_activation"}  # of layers: functions, which files have by name
SAMPLE = np.linspace(-6, 6, 24, dtype=np.float32).reshape(4, 6)


def ambiguous(config: Any, known: Mapping[str, Any], has_modules: bool) -> list[str]:
    """What a configuration names that is Keras' and, another one, the user's.

    Args:
      config: of a model.
      known: the user's classes and functions by name.
      has_modules: it has the modules of classes, as .keras files do.
    """
    found = set()
    for key, name in _names(config):
        own = known.get(name)
        if key == "class_name" and not has_modules and isinstance(own, type) and hasattr(keras.layers, name):
            found.add(name)
        theirs = getattr(keras.activations, name, None) if key in BY_NAME else None
        if own is not None and theirs is not None and not _alike(own, theirs):
            found.add(name)
    return sorted(found)


def _names(config: Any) -> Iterator[tuple[str, str]]:
    if isinstance(config, Mapping):
        for key, value in config.items():
            yield from [(key, value)] if isinstance(value, str) else _names(value)
    elif isinstance(config, list):
        for each in config:
            yield from _names(each)


def _alike(own: Any, theirs: Any) -> bool:
    """Whether two activations are the same, as a user's ``swish`` and Keras' often are."""
    try:
        return np.allclose(np.asarray(own(SAMPLE)), np.asarray(theirs(SAMPLE)), atol=1e-5)
    except Exception:  # a function of the user's may do anything
        return False
