"""TensorFlow, imported when it is first used, and without Keras.

Knobs are declared beside functions on tensors; `--help` and configuration errors must not wait for it.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any


def load() -> None:
    """Import TensorFlow alone; `keras` and `tf.keras` are loaded when they are used.

    TensorFlow imports Keras's optimizers last, for saved models: half of the time that its import takes.
    Where there is no Keras it goes on without them (TensorFlow 2.21, ``tensorflow/__init__.py``; a test
    checks it).
    """
    if "tensorflow" in sys.modules:
        return
    if "keras" in sys.modules:
        import_module("tensorflow")
        return
    sys.modules["keras"] = None  # type: ignore[assignment]  # Python's way to say that there is none
    try:
        import_module("tensorflow")
    finally:
        del sys.modules["keras"]


class _Lazy(ModuleType):
    """A module that is imported when one of its names is asked for."""

    def __getattr__(self, name: str) -> Any:
        load()
        value = getattr(sys.modules["tensorflow"], name)
        setattr(self, name, value)  # the next look-up costs nothing
        return value


if TYPE_CHECKING:
    import tensorflow as tf
else:
    tf = _Lazy("tensorflow")
