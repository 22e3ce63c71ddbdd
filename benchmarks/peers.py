"""Images of other libraries for the benchmark of methods: the same filters of VGG16, each in its own way.

python benchmarks/peers.py FOLDER LAYER SIZE STEPS FILTER ...

Writes FOLDER/<library>.npz, which `deepvis benchmark images.<library>=...` measures. Every library has its
own defaults but for size and steps. It runs in the environment of `make parity`.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import bare
import keras
import numpy as np
import parity_rows  # noqa: F401  it makes names known that lucent wants of torchvision
import tensorflow as tf
import torch
from libraries import vgg16
from tf_keras_vis.activation_maximization import ActivationMaximization
from tf_keras_vis.utils.scores import CategoricalScore
from xplique.features_visualizations import Objective, optimize

SEEDS = 3
MEAN = np.array([103.939, 116.779, 123.68], np.float32)  # BGR, which VGG16's input is centred by
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # what lucent subtracts and divides by, RGB
Make = Callable[[Sequence[int], int, int], np.ndarray]  # filters, steps, seed -> [n, H, W, 3] grey levels


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


class Torch(torch.nn.Module):
    """The same network for lucent, which gives it images that are normalized as torchvision's are."""

    def __init__(self, layer: str) -> None:
        super().__init__()
        parts: list[torch.nn.Module] = []
        for name, (kernel, bias) in bare.arrays(layer).items():
            if name.endswith("conv1") and name != "block1_conv1":
                parts.append(torch.nn.MaxPool2d(2))
            if parts:
                parts.append(torch.nn.ReLU())
            conv = torch.nn.Conv2d(*kernel.shape[2:], 3, padding=1)
            conv.weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1).copy())
            conv.bias.data = torch.tensor(bias)
            parts.append(conv)
        self.features = torch.nn.Sequential(*parts)
        self.last = len(parts) - 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, spread = (torch.tensor(each)[None, :, None, None] for each in IMAGENET)
        pixels = (x * spread + mean) * 255
        return self.features(pixels.flip(1) - torch.tensor(MEAN)[None, :, None, None])


def torch_lucent(layer: str, size: int) -> Make:
    """With its defaults: a Fourier image, decorrelated colours, its standard transforms."""
    from lucent.optvis import param, render  # behind parity_rows

    network = Torch(layer).eval()

    def make(filters: Sequence[int], steps: int, seed: int) -> np.ndarray:
        found = []
        for index in filters:
            torch.manual_seed(seed)
            np.random.seed(seed)  # its transforms draw by both
            found.append(render.render_vis(
                network, f"features_{network.last}:{index}", lambda: param.image(size),
                thresholds=(steps,), progress=False, show_image=False, fixed_image_size=size,
            )[-1][0] * 255)  # fmt: skip
        return np.stack(found)

    return make


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("layer")
    parser.add_argument("size", type=int)
    parser.add_argument("steps", type=int)
    parser.add_argument("filters", type=int, nargs="+")
    said = parser.parse_args()
    said.folder.mkdir(parents=True, exist_ok=True)
    for library in (tf_keras_vis, xplique, torch_lucent):
        make = library(said.layer, said.size)
        images = np.stack([make(said.filters, said.steps, seed) for seed in range(SEEDS)])
        np.savez(said.folder / f"{library.__name__}.npz", images=np.clip(images, 0, 255).astype(np.float32),
                 filters=said.filters)  # fmt: skip
        print(f"{library.__name__}: {images.shape}, {images.min():.0f} to {images.max():.0f}", flush=True)


if __name__ == "__main__":
    main()
