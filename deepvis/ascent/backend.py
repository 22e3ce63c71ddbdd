"""Lean: TensorFlow without Keras, which is half of the time that its import takes and which no graph uses."""

import sys


def load() -> None:
    """Import TensorFlow alone; `keras` and `tf.keras` are loaded by whoever asks for them later.

    TensorFlow's last act is to import Keras's optimizers, for the sake of saved models; where there is no
    Keras it goes on without them (TensorFlow 2.21, ``tensorflow/__init__.py``).
    """
    if "keras" in sys.modules:
        return
    sys.modules["keras"] = None  # Python's own way to say: there is none
    try:
        import tensorflow  # noqa: F401
    finally:
        del sys.modules["keras"]
