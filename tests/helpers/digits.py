"""A small residual network that reads handwritten digits, trained here in seconds."""

from pathlib import Path
from typing import Any

import numpy as np

PREPROCESS = {"mean": 80.0, "scale": 95.0}  # of these digits, in grey levels of 255


def pictures() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits: [1797, 8, 8, 1] grey levels of 255, and which they are."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images[..., None] * (255 / 16)).astype(np.float32), found.target


def make_digits(folder: Path) -> tuple[Path, Any]:
    """Train the network and save it.

    Args:
      folder: of the file.

    Returns:
      The path of the .keras file, and the trained model. Its layers: ``stem`` (its ReLU fused), ``stem_bn``,
      ``a`` and ``a_relu``, ``b``, ``add`` and ``out`` (its ReLU), ``down``, ``top``, ``flat``,
      ``logits`` (softmax).
    """
    import keras

    pixels, target = pictures()
    of = keras.layers
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1), name="image")
    x = of.Conv2D(16, 3, padding="same", activation="relu", name="stem")(image)
    x = shortcut = of.BatchNormalization(name="stem_bn")(x)
    x = of.ReLU(name="a_relu")(of.Conv2D(16, 3, padding="same", name="a")(x))
    x = of.Conv2D(16, 3, padding="same", name="b")(x)
    x = of.Activation("relu", name="out")(of.Add(name="add")([x, shortcut]))
    x = of.MaxPooling2D(name="down")(x)
    x = of.Flatten(name="flat")(of.Conv2D(24, 3, activation="relu", name="top")(x))
    model = keras.Model(image, of.Dense(10, activation="softmax", name="logits")(x), name="digits")
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    prepared = (pixels - PREPROCESS["mean"]) / PREPROCESS["scale"]
    model.fit(prepared, target, batch_size=64, epochs=5, verbose=0)
    path = Path(folder) / "digits.keras"
    model.save(path)
    return path, model
