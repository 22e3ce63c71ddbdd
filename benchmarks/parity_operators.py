"""Yosinski's four operators and step rule beside his toolbox's formulas; guided backprop beside libraries."""

from collections.abc import Iterator

import captum.attr
import keras
import numpy as np
import tensorflow as tf
import torch
from parity_rows import Row, largest
from scipy import ndimage
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.utils.model_modifiers import GuidedBackpropagation
from tf_keras_vis.utils.scores import CategoricalScore
from xplique.attributions import GuidedBackprop

from deepvis import networks
from deepvis.ascent import objectives, ops, optimizers, regularizers
from deepvis.attribution import relu_rules
from deepvis.attribution.unit import Unit, compiled

TOOLBOX = "his toolbox at 4e739ae, its formulas in NumPy and SciPy, float64"
MEAN = np.array([103.939, 116.779, 123.68])
SIDE, STEPS, MOST, GAIN = 48, 20, 100.0, 2.0
RNG = np.random.default_rng(11)


def rows() -> Iterator[Row]:
    """All comparisons."""
    yield from yosinski()
    yield from guided()


def _number(value: float) -> tf.Tensor:
    return tf.constant([value], tf.float32)


def yosinski() -> Iterator[Row]:
    """Each operator once, and 20 steps of his optimizer with all of them on a slope that is known."""
    image, grad = (RNG.normal(0, scale, (1, SIDE, SIDE, 3)).astype(np.float32) for scale in (40, 1e-3))
    matrix = tf.constant(ops.blur_matrix(SIDE, "gaussian", 0, 1.0)[None])
    operators = {
        "decay 0.3": (regularizers.decay(_number(0.7)), lambda x, g: x * (1 - 0.3)),
        "blur of sigma 1": (regularizers.blur(matrix, matrix, tf.constant([4])), lambda x, g: _blurred(x)),
        "small values, percentile 30": (regularizers.clip_small_value(_number(30.0)),
                                        lambda x, g: _kept(x, np.abs(x), 30)),
        "small norms, percentile 50": (regularizers.clip_small_norm(_number(50.0)),
                                       lambda x, g: _kept(x, _norms(x), 50)),
        "small contributions, percentile 90": (regularizers.clip_small_contribution(_number(90.0)),
                                               lambda x, g: _kept(x, _contributions(x, g), 90)),
        "crop to [0, 255]": (regularizers.clip_pixels(_number(1.0), MEAN),
                             lambda x, g: np.clip(x + MEAN, 0, 255) - MEAN),
    }  # fmt: skip
    exact = image.astype(float), grad.astype(float)
    for what, (ours, theirs) in operators.items():
        found = ours(tf.constant(image), tf.constant(grad), tf.constant(0))
        yield Row("Yosinski's operators", what, TOOLBOX, f"{SIDE} px", largest(found, theirs(*exact)))
    yield Row("Yosinski's operators", f"{STEPS} steps of all, rule `progress`", TOOLBOX, f"{SIDE} px",
              largest(_steps(image, matrix), _published(image.astype(float))))  # fmt: skip


def _slope(image):
    """The gradient of a score: small, smooth, and other in every pixel."""
    waves = np.sin(np.arange(SIDE) / 3)[:, None, None] * np.cos(np.arange(SIDE) / 5)[:, None]
    return 1e-2 * waves * np.array([1.0, 0.5, -0.7]) + 1e-5 * image


def _steps(image: np.ndarray, matrix: tf.Tensor) -> tf.Tensor:
    rule = optimizers.progress(_number(MOST), _number(GAIN))
    chain = regularizers.chain([
        regularizers.decay(_number(0.99)), regularizers.blur(matrix, matrix, tf.constant([4])),
        regularizers.clip_small_norm(_number(20.0)), regularizers.clip_small_contribution(_number(10.0)),
        regularizers.clip_pixels(_number(1.0), MEAN),
    ])  # fmt: skip
    x = regularizers.clip_pixels(_number(1.0), MEAN)(tf.constant(image), tf.constant(image), tf.constant(0))
    for step in range(STEPS):
        grad = tf.cast(_slope(x), tf.float32)
        delta, _ = rule.update(grad, (), tf.constant(step))
        x = chain(x + delta, grad, tf.constant(step))
    return x


def _published(x: np.ndarray) -> np.ndarray:
    for step in range(STEPS):
        x = np.clip(x + MEAN, 0, 255) - MEAN
        grad = _slope(x)
        x = (x + min(MOST, GAIN / np.linalg.norm(grad) ** 2) * grad) * (1 - 0.01)
        x = _blurred(x) if step % 4 == 0 else x
        x = _kept(x, _norms(x), 20)
        x = _kept(x, _contributions(x, grad), 10)
    return np.clip(x + MEAN, 0, 255) - MEAN


def _blurred(x: np.ndarray) -> np.ndarray:
    maps = [ndimage.gaussian_filter(channel, 1.0) for channel in np.moveaxis(x[0], -1, 0)]
    return np.stack(maps, axis=-1)[None]


def _kept(x: np.ndarray, size: np.ndarray, percentile: float) -> np.ndarray:
    return x - x * (size < np.percentile(size, percentile))


def _norms(x: np.ndarray) -> np.ndarray:
    return np.sqrt((x**2).sum(axis=-1, keepdims=True))


def _contributions(x: np.ndarray, grad: np.ndarray) -> np.ndarray:
    return np.abs((-grad * x).sum(axis=-1, keepdims=True))


def guided() -> Iterator[Row]:
    """The gradient of a class's value by three libraries, on the same small network."""
    model, other = _model(), _model()
    other.set_weights(model.get_weights())
    network = networks.network(networks.hold(model, {"mean": 0, "scale": 1}) | {"mean": 0})
    built = network.build(["logits"], (20, 24), "float32")

    def score(activations, numbers):
        return objectives.channel("logits", numbers["filter"], False)(activations)

    image = RNG.normal(0, 1, (1, 20, 24, 3)).astype(np.float32)
    unit = Unit(compiled(built, ["logits"], score), {"filter": np.array([3], np.int32)})
    ours = relu_rules.guided_backprop(unit)(image).gradients
    target = np.eye(5, dtype=np.float32)[[3]]
    method, inputs = "Guided backprop", "gradient, 20 x 24 px"
    theirs = GuidedBackprop(model, reducer=None)(image, target)
    yield Row(method, "a class", "xplique", inputs, largest(ours, theirs))
    saliency = Saliency(other, model_modifier=GuidedBackpropagation(), clone=False)
    theirs = saliency(CategoricalScore(3), image, keepdims=True, normalize_map=False)
    yield Row(method, "a class", "tf-keras-vis", inputs, largest(np.abs(ours), np.abs(theirs)))
    tensor = torch.tensor(image.transpose(0, 3, 1, 2), requires_grad=True)
    theirs = captum.attr.GuidedBackprop(_torch(model)).attribute(tensor, target=3)
    yield Row(
        method, "a class", "captum", inputs, largest(ours, theirs.detach().numpy().transpose(0, 2, 3, 1))
    )


def _model() -> keras.Model:
    keras.utils.set_random_seed(0)
    of = keras.layers
    return keras.Sequential([
        keras.Input((20, 24, 3)), of.Conv2D(8, 3, activation="relu", name="one"), of.MaxPooling2D(2),
        of.Conv2D(12, 3, activation="relu", name="two"), of.GlobalAveragePooling2D(),
        of.Dense(5, name="logits"),
    ])  # fmt: skip


def _torch(model: keras.Model) -> torch.nn.Module:
    def filled(module: torch.nn.Module, name: str, order: tuple[int, ...]) -> torch.nn.Module:
        kernel, bias = model.get_layer(name).get_weights()
        module.weight.data = torch.tensor(np.ascontiguousarray(kernel.transpose(order)))
        module.bias.data = torch.tensor(bias)
        return module

    of = torch.nn
    return of.Sequential(
        filled(of.Conv2d(3, 8, 3), "one", (3, 2, 0, 1)), of.ReLU(), of.MaxPool2d(2),
        filled(of.Conv2d(8, 12, 3), "two", (3, 2, 0, 1)), of.ReLU(), of.AdaptiveAvgPool2d(1), of.Flatten(),
        filled(of.Linear(12, 5), "logits", (1, 0)),
    ).eval()  # fmt: skip
