"""Gildenblat's loop (2016), as a program of its own: the demo's four jobs, without tracking.

    python gildenblat_loop.py FOLDER LAYER SIZE FILTERS STEPS

One filter at a time, one TensorFlow call a step, the step rule and the regularizers on the host in NumPy and
SciPy, float32, one PNG a filter: https://jacobgil.github.io/deeplearning/filter-visualizations. In one thing
it is kinder than the published code, which builds a function for each filter: one serves them all.
"""

import itertools
import sys
from pathlib import Path

import bare
import numpy as np
import tensorflow as tf
from PIL import Image
from scipy import ndimage

DECAYS, BLURS = (0.8, 0.9), (3, 5)  # as in `make demo`


def optimize(call, index: int, size: int, steps: int, decay: float, blur: int) -> np.ndarray:
    """One filter's image after so many steps, centred pixels."""
    image = np.random.default_rng(index).uniform(0, 20, (size, size, 3)).astype(np.float32)
    for _ in range(steps):
        _, gradient = call(tf.constant(image[None]), tf.constant([index]))
        gradient = gradient[0].numpy()
        image += 0.9 * gradient / (np.sqrt(np.mean(gradient**2)) + 1e-5)
        image = gaussian(decay * image, blur)
    return image


def gaussian(image: np.ndarray, size: int) -> np.ndarray:
    """A Gaussian given by its kernel size, as in OpenCV and in deepvis."""
    radius = (size - 1) // 2
    return ndimage.gaussian_filter(image, 0.3 * (radius - 1) + 0.8, radius=radius, axes=(0, 1))


def picture(image: np.ndarray) -> Image.Image:
    """Centred on grey, with a standard deviation of 32."""
    shown = (image - image.mean()) / (image.std() + 1e-5) * 32 + 128
    return Image.fromarray(np.clip(shown, 0, 255).astype(np.uint8))


def main(folder: str, layer: str, size: str, filters: str, steps: str) -> None:
    call = bare.score_and_gradient(layer, "float32")
    for decay, blur in itertools.product(DECAYS, BLURS):
        place = Path(folder) / f"decay={decay} blur={blur}"
        place.mkdir(parents=True)
        for index in range(int(filters)):
            picture(optimize(call, index, int(size), int(steps), decay, blur)).save(place / f"{index:03}.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
