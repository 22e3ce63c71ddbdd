"""Scores and penalties: deep dream, Gatys' losses, Mahendran's inversion and prior, other penalties.

A layer's maps are given to both sides, so no network is needed.
"""

import importlib
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from unittest import mock

import lucent.optvis.objectives
import numpy as np
import original_lucid
import tensorflow as tf
import tf_keras_vis.activation_maximization.regularizers as tf_keras_vis
import torch
from parity_rows import ALLOWED, Row, largest

from deepvis.ascent import matching_objectives, objectives, octaves, optimizers, penalties
from deepvis.networks.base import Activation

for _module in ("alexnet", "vgg"):  # pystiche wants addresses of weights there, which newer versions have not
    vars(importlib.import_module(f"torchvision.models.{_module}")).setdefault("model_urls", defaultdict(str))
pystiche = importlib.import_module("pystiche")
with mock.patch.object(sys, "argv", ["neural-style"]):  # it is a script, which reads them as it is imported
    neural_style = importlib.import_module("neural_style.neural_style")

SHAPES = {"a": (1, 24, 20, 8), "b": (1, 12, 10, 16), "c": (1, 6, 5, 32)}
RNG = np.random.default_rng(7)
MAPS, CONTENT, STYLE = (
    {name: RNG.normal(0.3, 2, shape).clip(0).astype(np.float32) for name, shape in SHAPES.items()}
    for _ in range(3)
)
INPUTS = "maps of 3 layers"
EQUATIONS = "the paper's equations in PyTorch, float64"


def rows() -> Iterator[Row]:
    """All comparisons."""
    yield from dream()
    yield from style()
    yield from inversion()
    yield from prior()


def _both(
    method: str,
    what: str,
    library: str,
    inputs: str,
    ours: tuple,
    theirs: tuple,
    why: str = "",
    meant: float = ALLOWED,
):
    """A row for the value and one for its gradients."""
    yield Row(method, what, library, inputs, largest(ours[0], theirs[0]), why, meant)
    differences = [largest(one, other) for one, other in zip(ours[1], theirs[1], strict=True)]
    yield Row(method, f"{what}: gradient", library, inputs, max(differences), why, meant)


def _ours(score: Callable[..., tf.Tensor], *arrays: np.ndarray) -> tuple[float, list[np.ndarray]]:
    variables = [tf.Variable(each) for each in arrays]
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(score(*variables))
    return float(value), [each.numpy() for each in tape.gradient(value, variables)]


def _theirs(score: Callable[..., torch.Tensor], *arrays: np.ndarray, dtype=torch.float32) -> tuple:
    """Channels first; gradients come back channels last."""
    tensors = [_nchw(each, dtype).requires_grad_(True) for each in arrays]
    value = score(*tensors)
    value.backward()
    return float(value), [each.grad.numpy().transpose(0, 2, 3, 1) for each in tensors]


def _nchw(array: np.ndarray, dtype=torch.float32) -> torch.Tensor:
    return torch.tensor(array.transpose(0, 3, 1, 2), dtype=dtype)


def _seen(maps: dict) -> dict[str, Activation]:
    return {name: Activation(None, tf.convert_to_tensor(each)) for name, each in maps.items()}


def dream() -> Iterator[Row]:
    """The score, a step of it, and the way from an octave to the next."""
    method, maps = "Deep dream", MAPS["a"]
    score = objectives.layer("a", tf.constant([0]), pre_activation=False)
    ours = _ours(lambda x: score({"a": Activation(None, x)}), maps)
    v1, module = tf.compat.v1, original_lucid.module("optvis.objectives")
    with v1.Graph().as_default(), v1.Session() as session:
        placed = v1.constant(maps)
        value = module.deepdream("a")(lambda name: placed)
        theirs = session.run([value, *v1.gradients(value, [placed])])
    yield from _both(method, "score", "lucid", "maps of a layer", ours, (theirs[0], theirs[1:]))

    example = "Keras' example, its formulas in NumPy"
    gradient = RNG.standard_normal((1, 48, 64, 3)).astype(np.float32)
    step, _ = optimizers.normalized(tf.constant([1.5])).update(tf.constant(gradient), (), tf.constant(0))
    published = 1.5 * gradient / max(np.abs(gradient).mean(), 1e-6)
    direction = [each / np.sqrt((each**2).sum()) for each in (step.numpy(), published)]
    yield Row(method, "direction of a step", example, "a gradient", largest(*direction))
    yield Row(
        method, "length of a step", example, "a normal gradient", largest(step, published),
        "the gradient is divided by its root mean square here, by its mean magnitude there: 0.80 of the "
        "length where it is normal", 0.21,
    )  # fmt: skip

    photo, rough = (RNG.uniform(-100, 100, (96, 80, 3)).astype(np.float32) for _ in range(2))
    small, large = (48, 40), (67, 56)
    at_small = octaves.resized(photo, small) + 3 * octaves.resized(rough, small)
    # Theirs grows the image and adds the photograph's detail that shrinking it to the smaller size took away.
    lost = octaves.resized(photo, large) - octaves.resized(octaves.resized(photo, small), large)
    published = octaves.resized(at_small, large) + lost
    yield Row(method, "from an octave to the next", example, "48 x 40 to 67 x 56 px, one resize for both",
              largest(octaves.grown(at_small, photo, large), published))  # fmt: skip
    sizes = octaves.sizes(4, 1.4, (384, 512))
    published = [tuple(int(side / 1.4**k) for side in (384, 512)) for k in (3, 2, 1, 0)]
    yield Row(method, "sizes of 4 octaves", example, "384 x 512 px", largest(sizes, published),
              "rounded here, cut off there: at most 1 px", 1 / 512)  # fmt: skip


def style() -> Iterator[Row]:
    """Content and style by themselves, and both as Gatys et al. add them up."""
    method, names = "Gatys' losses", list(SHAPES)
    targets = {"content": _seen(CONTENT), "style": _seen(STYLE)}

    def ours(content: float, style: float, content_layers: list[str]) -> tuple:
        score = matching_objectives.style(
            "", tf.constant([0]), targets=targets, content_layers=content_layers, style_layers=names,
            content_weight=tf.constant([content], tf.float32), style_weight=tf.constant([style], tf.float32),
        )  # fmt: skip
        return _ours(lambda *x: -score(_seen(dict(zip(names, x, strict=True)))), *MAPS.values())

    def pairs(of: dict, tensors: tuple) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(x, _nchw(of[name], x.dtype)) for name, x in zip(names, tensors, strict=True)]

    def content(*tensors):
        return sum(torch.nn.functional.mse_loss(x, y) for x, y in pairs(CONTENT, tensors))

    def gram(*tensors):
        grams = [
            [pystiche.gram_matrix(each, normalize=True) for each in pair] for pair in pairs(STYLE, tensors)
        ]
        return sum(torch.nn.functional.mse_loss(x, y) for x, y in grams)

    def by_module(tensors, kind, of, factor):
        total = 0.0
        for x, target in pairs(of, tensors):
            module = kind(factor(x))
            module.mode = "capture"
            module(target)
            module.mode = "loss"
            module(x)
            total = total + module.loss
        return total

    def published(*tensors):
        """Equations 1 to 7, alpha 1e-3, the content of the second layer, each style layer by a third."""
        total = 0.0
        for x, target in pairs(STYLE, tensors):
            one, other = (each.flatten(2)[0] @ each.flatten(2)[0].T for each in (x, target))
            total = total + ((one - other) ** 2).sum() / (4 * x.numel() ** 2) / 3
        x, target = pairs(CONTENT, tensors)[1]
        return total + 1e-3 * ((x - target) ** 2).sum() / 2

    theirs, arrays = neural_style, MAPS.values()
    yield from _both(method, "content", "neural-style", INPUTS, ours(1, 0, names), _theirs(
        lambda *x: by_module(x, theirs.ContentLoss, CONTENT, lambda maps: 1.0), *arrays))  # fmt: skip
    squared = _theirs(
        lambda *x: by_module(x, theirs.StyleLoss, STYLE, lambda maps: float(maps.shape[1] ** 2)), *arrays
    )
    what = "style, a layer's times its squared number of channels"
    yield from _both(method, what, "neural-style", INPUTS, ours(0, 1, names), squared)
    yield from _both(method, "style", "pystiche", INPUTS, ours(0, 1, names), _theirs(gram, *arrays))
    found = _theirs(published, *arrays, dtype=torch.float64)
    weight = 2 * len(names) * MAPS["b"].size * 1e-3
    value, gradients = ours(weight, 1.0, ["b"])
    by = 4 * len(names)
    what = "both, `content_weight` 2 L n times alpha / beta, over 4 L, L style layers"
    yield from _both(method, what, EQUATIONS, INPUTS, (value / by, [each / by for each in gradients]), found)


def inversion() -> Iterator[Row]:
    """The loss of Mahendran and Vedaldi 2015, equation 2."""
    score = matching_objectives.inversion(
        "a", tf.constant([0]), targets={"picture": _seen(CONTENT)}, pre_activation=False
    )
    target = _nchw(CONTENT["a"], torch.float64)
    yield from _both(
        "Mahendran's inversion", "loss", EQUATIONS, "maps of a layer",
        _ours(lambda x: -score({"a": Activation(None, x)}), MAPS["a"]),
        _theirs(lambda x: ((x - target) ** 2).sum() / (target**2).sum(), MAPS["a"], dtype=torch.float64),
    )  # fmt: skip


def prior() -> Iterator[Row]:
    """The prior of Mahendran and Vedaldi, and the penalties of Olah et al."""
    image = RNG.normal(0, 40, (1, 33, 47, 3)).astype(np.float32)
    bounded = image.copy()
    bounded[:, -1], bounded[:, :, -1] = 0, 0
    pixels, grey = 33 * 47, image[..., :1]

    def ours(function: Callable, power: float, of: np.ndarray) -> tuple:
        return _ours(function(tf.constant([1.0]), tf.constant([power])), of)

    def scaled(values: tuple, by: float) -> tuple:
        return values[0] * by, [each * by for each in values[1]]

    why = "1e-4 under the root keeps the gradient finite where nothing changes", 1e-3
    for power in (1.0, 2.0, 3.0):
        theirs = _theirs(lambda x, power=power: pystiche.loss.functional.total_variation_loss(
            x, exponent=power, reduction="sum"), bounded)  # fmt: skip
        yield from _both(
            "Mahendran's inversion", f"total variation, exponent {power:g}", "pystiche",
            "33 x 47 px, last row and column 0: theirs leaves them out",
            scaled(ours(penalties.total_variation, power, bounded), pixels * penalties.STEP**power), theirs,
            *(why if power == 1 else ()),
        )  # fmt: skip
    norm = tf_keras_vis.Norm(weight=1.0, p=6)
    yield from _both(
        "Mahendran's inversion", "6-norm of one channel, to the sixth power", "tf-keras-vis", "33 x 47 px",
        scaled(ours(penalties.p_norm, 6.0, grey), penalties.BRIGHT**6), _ours(lambda x: norm(x) ** 6, grey),
    )  # fmt: skip
    colour = _theirs(lambda x: ((x**2).sum(1) ** 3).sum() / pixels, image, dtype=torch.float64)
    yield from _both(
        "Mahendran's inversion", "6-norm of three channels, to the sixth power", EQUATIONS, "33 x 47 px",
        scaled(ours(penalties.p_norm, 6.0, image), penalties.BRIGHT**6), colour,
    )  # fmt: skip
    variation = tf_keras_vis.TotalVariation2D(weight=1.0)
    theirs = float(variation(tf.constant(image))[0])
    found = ours(penalties.total_variation, 1.0, image)[0] * penalties.STEP / 3
    yield Row(
        "Penalties", "total variation, exponent 1", "tf-keras-vis", "33 x 47 px", largest(found, theirs),
        "the length of both differences of a pixel here, as in the paper; the sum of their magnitudes there",
        0.3,
    )  # fmt: skip
    lines = np.broadcast_to(image[:, :, :1], image.shape).copy()
    theirs = float(variation(tf.constant(lines))[0])
    found = ours(penalties.total_variation, 1.0, lines)[0] * penalties.STEP / 3
    yield Row("Penalties", "total variation, exponent 1, of rows without detail", "tf-keras-vis",
              "33 x 47 px", largest(found, theirs))  # fmt: skip
    sides = [tf.constant(penalties.blur_matrix(side, "gaussian", 0, 1.0)[None]) for side in (33, 47)]
    _, [gradient] = _ours(penalties.high_frequency(tf.constant([1.0]), *sides), image)
    tensor = _nchw(image).requires_grad_(True)
    lucent.optvis.objectives.blur_input_each_step()(lambda name: tensor).backward()
    theirs = -tensor.grad.numpy().transpose(0, 2, 3, 1)
    yield Row(
        "Penalties", "high frequencies: gradient", "torch-lucent", "33 x 47 px",
        largest(gradient * pixels * penalties.BRIGHT**2, theirs),
        "a normal blur of sigma 1 here, of 3 x 3 px with weights 1, 0.5 and 0.5 there", 0.5,
    )  # fmt: skip
