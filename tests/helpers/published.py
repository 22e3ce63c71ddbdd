"""Trained networks that others published in packages: their files, their Keras models, their own judgement.

    PYTHONPATH=.:tests python -m helpers.published      records what PyTorch's original makes of handwriting

Nothing of the packages is imported but what judges; they are installed without what they depend on.
"""

import hashlib
import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

RECORD = Path(__file__).with_name("published.npz")
WRITTEN = np.arange(40) % 10  # the digits that are written in `handwriting`
FER = ("fer", "emotion_model.hdf5")
DIGITS = ("digit-recognizer-py", "handwriting_model.pth")
SHA256 = {
    "emotion_model.hdf5": "59534287fdfb125e30a94400296c25ea9f5d706fca93dd8adbbbed916799ea0e",
    "handwriting_model.pth": "325e0773529babe8ebb6adf35a82c64e57c5f3518c2adb975865355c74bc4786",
}
EMOTIONS = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
FACES = {"mean": 127.5, "scale": 127.5}  # grey levels -> -1 to 1
INK = {"mean": 0.1307 * 255, "scale": 0.3081 * 255}  # of MNIST, white on black


def file(package: str, name: str) -> Path:
    """A file of an installed package, which must be the one that was tried; skips where there is none."""
    try:
        found = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        pytest.skip(f"needs the package {package}: make test installs it")
    path = next(Path(str(found.locate_file(each))) for each in found.files or () if each.name == name)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA256[name]
    return path


def digits() -> Any:
    """The reader of handwritten digits of digit-recognizer-py as a Keras model, with its weights."""
    import keras

    from deepvis.networks import torch_files

    arrays = torch_files.read(file(*DIGITS))
    of = keras.layers
    layers = [keras.Input((28, 28, 1), name="image")]
    for number, channels in enumerate((32, 64, 128)):
        layers.append(of.Conv2D(channels, 3, padding="same", activation="relu", name=f"conv{number}"))
        layers.append(of.MaxPooling2D(name=f"pool{number}"))
    layers += [of.Flatten(name="flat"), of.Dense(256, activation="relu", name="hidden"),
               of.Dense(10, activation="softmax", name="digit")]  # fmt: skip
    model = keras.Sequential(layers, name="digits")
    for number in range(3):
        kernel, bias = (arrays.pop(f"conv_layers.{3 * number}.{part}") for part in ("weight", "bias"))
        model.get_layer(f"conv{number}").set_weights([kernel.transpose(2, 3, 1, 0), bias])
    for number, name in ((0, "hidden"), (2, "digit")):
        kernel, bias = (arrays.pop(f"fc_layers.{number}.{part}") for part in ("weight", "bias"))
        if name == "hidden":  # PyTorch flattens channels first
            kernel = kernel.reshape(256, 128, 3, 3).transpose(0, 2, 3, 1).reshape(256, -1)
        model.get_layer(name).set_weights([kernel.T, bias])
    assert arrays == {}
    return model


def handwriting() -> np.ndarray:
    """Digits that people wrote, as MNIST has them: grey levels [40, 28, 28, 1], 20 px in a frame of 4."""
    from sklearn.datasets import load_digits

    data = load_digits()
    chosen = [np.flatnonzero(data.target == digit)[k] for k in range(4) for digit in range(10)]
    small = [Image.fromarray(np.uint8(data.images[i] * (255 / 16))) for i in chosen]
    large = [np.asarray(each.resize((20, 20), Image.Resampling.BICUBIC)) for each in small]
    return np.pad(np.float32(large), ((0, 0), (4, 4), (4, 4)))[..., None]


def read_digits(pixels: np.ndarray) -> np.ndarray:
    """What the original makes of grey levels [n, 28, 28, 1]: probabilities [n, 10]; by PyTorch."""
    import torch

    code = file(*DIGITS).parents[1] / "model.py"  # the package as a whole wants torchvision, too
    spec = importlib.util.spec_from_file_location("digit_recognizer_model", code)
    spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    network = module.CNN()
    network.load_state_dict(torch.load(file(*DIGITS), weights_only=True))
    x = (np.asarray(pixels, np.float32) - INK["mean"]) / INK["scale"]
    with torch.no_grad():
        logits = network.eval()(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()))
    return torch.softmax(logits, dim=1).numpy()


if __name__ == "__main__":
    np.savez_compressed(RECORD, digits=read_digits(handwriting()))
