"""tf-keras-vis and xplique, optimizing the same filters of the same network.

Both run in float32. tf-keras-vis is used as its tutorial has it, jitter, rotation, total variation and norm
included, for these are its defaults. xplique is given its leanest form: pixels instead of a Fourier image and
no transformations, so that what is left is the network and the step.
"""

from collections.abc import Callable, Sequence

import bare
import keras
import tensorflow as tf
from tf_keras_vis.activation_maximization import ActivationMaximization
from tf_keras_vis.utils.scores import CategoricalScore
from xplique.features_visualizations import Objective, optimize


def vgg16(layer: str, size: int) -> keras.Model:
    """Keras' VGG16 up to a layer, with deepvis' weights."""
    whole = keras.applications.VGG16(weights=None, include_top=False, input_shape=(size, size, 3))
    for name, pair in bare.arrays(layer).items():
        whole.get_layer(name).set_weights(pair)
    return keras.Model(whole.inputs, whole.get_layer(layer).output)


def xplique_batched(network: keras.Model, filters: Sequence[int], steps: int) -> Callable[[], object]:
    """All filters at once; it compiles its step at every call."""
    goal = Objective.channel(network, network.layers[-1].name, list(filters))
    return lambda: optimize(
        goal,
        nb_steps=steps,
        use_fft=False,
        transformations=None,
        image_normalizer="clip",
        values_range=(-128.0, 128.0),
        custom_shape=None,
    )


def tf_keras_vis_one_by_one(network: keras.Model, filters: Sequence[int], steps: int) -> Callable[[], object]:
    """Its usual use: a call for each filter."""
    maximize = ActivationMaximization(network, clone=False)
    return lambda: [maximize(CategoricalScore(index), steps=steps) for index in filters]


def tf_keras_vis_batched(network: keras.Model, filters: Sequence[int], steps: int) -> Callable[[], object]:
    """One call with a seed image for each filter."""
    maximize = ActivationMaximization(network, clone=False)
    seeds = tf.random.uniform((len(filters), *network.input_shape[1:]), 0, 255)
    return lambda: maximize(CategoricalScore(list(filters)), seed_input=seeds, steps=steps)
