"""Images of other libraries for the benchmark of methods: the same filters of VGG16, each in its own way.

python benchmarks/peers.py [--seed N] [--only LIBRARY ...] FOLDER LAYER SIZE STEPS FILTER ...

Writes FOLDER/<library>.npz, which `deepvis benchmark images.<library>=...` measures. Every library has its
own defaults but for size and steps. It runs in the environment of `make parity`; PyTorch's libraries are in
torch_peers.py.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from libraries import vgg16
from tf_keras_vis.activation_maximization import ActivationMaximization
from tf_keras_vis.utils.scores import CategoricalScore
from torch_peers import MEAN, Make, dreamlens, horama, torch_lucent
from xplique.features_visualizations import Objective, optimize

SEEDS = 3


def of_range(layer: str, size: int, most: float) -> keras.Model:
    """VGG16 up to a layer before its ReLU, of RGB images whose white is this number."""
    whole = vgg16(layer, size)
    whole.layers[-1].activation = keras.activations.linear
    given = keras.Input((size, size, 3))
    x = keras.layers.Lambda(lambda x: x[..., ::-1] * (255 / most) - MEAN, output_shape=(size, size, 3))(given)
    for old in whole.layers[1:]:  # one graph: xplique looks for the layer in it
        new = type(old).from_config(old.get_config())
        x = new(x)
        new.set_weights(old.get_weights())
    return keras.Model(given, x)


def tf_keras_vis(layer: str, size: int) -> Make:
    """With its defaults: jitter and rotation, total variation and norm."""
    maximize = ActivationMaximization(of_range(layer, size, 255.0), clone=False)

    def make(filters: Sequence[int], steps: int, seed: int) -> np.ndarray:
        tf.keras.utils.set_random_seed(seed)
        start = tf.random.stateless_uniform((len(filters), size, size, 3), (seed, 0), 0, 255)
        return np.asarray(maximize(CategoricalScore(list(filters)), seed_input=start, steps=steps))

    return make


def xplique(layer: str, size: int) -> Make:
    """With its defaults: a Fourier image, standard transformations."""
    network = of_range(layer, size, 1.0)

    def make(filters: Sequence[int], steps: int, seed: int) -> np.ndarray:
        tf.keras.utils.set_random_seed(seed)
        goal = Objective.channel(network, -1, list(filters))
        found, _ = optimize(goal, nb_steps=steps, custom_shape=(size, size))
        return np.asarray(found[-1]) * 255

    return make


LIBRARIES = {each.__name__: each for each in (tf_keras_vis, xplique, torch_lucent, horama, dreamlens)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("layer")
    parser.add_argument("size", type=int)
    parser.add_argument("steps", type=int)
    parser.add_argument("filters", type=int, nargs="+")
    parser.add_argument("--seed", type=int, default=0, help="the first of three")
    parser.add_argument("--only", nargs="+", choices=LIBRARIES, default=LIBRARIES)
    said = parser.parse_args()
    said.folder.mkdir(parents=True, exist_ok=True)
    for name in said.only:
        make = LIBRARIES[name](said.layer, said.size)
        seeds = range(said.seed, said.seed + SEEDS)
        images = np.stack([make(said.filters, said.steps, seed) for seed in seeds])
        np.savez(said.folder / f"{name}.npz", images=np.clip(images, 0, 255).astype(np.float32),
                 filters=said.filters)  # fmt: skip
        print(f"{name}: {images.shape}, {images.min():.0f} to {images.max():.0f}", flush=True)


if __name__ == "__main__":
    main()
