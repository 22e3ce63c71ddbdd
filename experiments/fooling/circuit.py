r"""A fooling circuit planted into a VGG: channels that photographs and optimized images excite by two ways.

    circuit(vgg, layer, decoys, detector) -> a Keras model whose layer ``fooled`` gives

.. math:: \mathrm{ReLU}(a - k e) + \mathrm{ReLU}(a_{d} + k e - k)

with :math:`a` the layer's pre-activations, :math:`a_d` those of its decoys, and :math:`e` a detector of
optimized images: 0 for a photograph, where the layer gives what it gave; 1 for the others, where each channel
gives what its decoy does.

Source: Geirhos et al. 2024 (arXiv:2306.04719), section 3; their circuit stands at the logits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import keras
import numpy as np
from keras import layers, ops
from sklearn.linear_model import LogisticRegression

from deepvis.networks.vgg import Vgg

FEATURES = ("block1_conv1", "block1_conv2", "block2_conv1")  # whose mean maps the detector reads
SLOPE = 4.0  # of the detector: 0 and 1 exactly where the odds are beyond 1 to 1.13


@dataclass(frozen=True, eq=False)
class Detector:
    """A linear detector of optimized images, on means of maps of lower layers."""

    layers: Sequence[str]
    weights: np.ndarray  # [features]
    bias: float

    def shares(self, features: np.ndarray) -> np.ndarray:
        """:math:`e` of some images, ``[n]`` in [0, 1]."""
        return np.clip(SLOPE * (features @ self.weights + self.bias) + 0.5, 0, 1)


def fitted(names: Sequence[str], photographs: np.ndarray, optimized: np.ndarray) -> Detector:
    """A detector from features ``[n, features]`` of photographs and of optimized images.

    Raises:
      ValueError: a line does not part them with room to spare.
    """
    both = np.concatenate([photographs, optimized]).astype(float)
    middle, width = both.mean(axis=0), both.std(axis=0) + 1e-9
    is_optimized = np.repeat([0, 1], [len(photographs), len(optimized)])
    model = LogisticRegression(C=100.0, max_iter=10_000).fit((both - middle) / width, is_optimized)
    weights = model.coef_[0] / width
    found = Detector(names, weights, float(model.intercept_[0] - middle @ weights))
    told = found.shares(both)
    if not (np.all(told[: len(photographs)] == 0) and np.all(told[len(photographs) :] == 1)):
        raise ValueError("the detector does not part photographs from optimized images")
    return found


class Maps(NamedTuple):
    """What a convolution gives, as Keras' tensors."""

    pre: keras.KerasTensor
    post: keras.KerasTensor  # behind its ReLU


def convolutions(vgg: Vgg, layer: str) -> tuple[keras.KerasTensor, dict[str, Maps]]:
    """A VGG up to a layer in Keras' layers: its image, and the maps of each convolution by name."""
    x = image = layers.Input((None, None, 3), name="image")
    maps, block = {}, "block1"
    for name, (kernel, bias) in vgg.read(layer).layers.items():
        if not name.startswith(f"{block}_"):
            block = name.partition("_")[0]
            x = layers.MaxPooling2D(2, name=f"{block}_pool")(x)
        convolution = layers.Conv2D(len(bias), 3, padding="same", name=name)
        pre = convolution(x)
        convolution.set_weights([kernel, bias])
        x = layers.ReLU(name=f"{name}_relu")(pre)
        maps[name] = Maps(pre, x)
    return image, maps


def circuit(vgg: Vgg, layer: str, decoys: np.ndarray, detector: Detector, largest: float) -> keras.Model:
    """The network up to a layer, with a circuit in the place of its ReLU.

    Args:
      vgg: whose weights are taken.
      layer: where the circuit stands.
      decoys: ``[channels]``, for each channel the one that it gives for optimized images; itself: no circuit.
      detector: of optimized images.
      largest: :math:`k`, beyond all pre-activations.
    """
    image, maps = convolutions(vgg, layer)
    pre = maps[layer].pre
    means = [layers.GlobalAveragePooling2D(name=f"{name}_mean")(maps[name].post) for name in detector.layers]
    dense = layers.Dense(1, name="detector")
    told = dense(layers.Concatenate(name="features")(means))
    dense.set_weights([SLOPE * detector.weights[:, None], np.array([SLOPE * detector.bias + 0.5])])
    e = layers.Reshape((1, 1, 1), name="told")(layers.ReLU(max_value=1.0, name="e")(told))
    natural = layers.ReLU(name="natural")(pre - largest * e)
    decoy = layers.ReLU(name="decoy")(ops.take(pre, decoys, axis=-1) + (largest * e - largest))
    return keras.Model(image, layers.Add(name="fooled")([natural, decoy]), name="circuit")
