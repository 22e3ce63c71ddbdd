"""From Python: a network in hand, a layer, filters -> their pictures. MLflow is not imported.

import deepvis
seen = deepvis.visualize(model, "conv5_block3_out", [3, 7], reg={"decay": 0.95, "blur": 3})
seen.gallery()
"""

import functools
import itertools
import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np

from deepvis import model_choice, networks
from deepvis.ascent import specs, validation
from deepvis.ascent.specs import ImageSpec, Snapshot
from deepvis.config import groups, schema
from deepvis.config.groups import Choice
from deepvis.config.schema import Config
from deepvis.core import images, progress
from deepvis.core.names import spelled
from deepvis.core.quiet import quiet
from deepvis.metrics import advice, convergence
from deepvis.networks import Layer, backend
from deepvis.visualization import Visualization

LOG = logging.getLogger(__name__)
FRAMES = 20  # of an animation
FRAMES_MEMORY = 256 * 2**20  # bytes of all its pictures; of many large ones there are fewer
_begun: list[bool] = []  # not empty: images were optimized in this process


def visualize(
    model: Any,
    layer: Any,
    filters: int | str | Sequence[int] = "first 16",
    *,
    reg: Choice | None = None,
    objective: Choice = "channel",
    param: Choice | None = None,
    transform: Choice | None = None,
    optimizer: Choice | None = None,
    start: Choice | None = None,
    steps: int | None = None,
    size: int | Sequence[int] = 128,
    seed: int = 0,
    preprocess: Any = "auto",
    inputs: Mapping[str, Any] | None = None,
    optimize: str | None = None,
    labels: Any = "auto",
    precision: str = "auto",
    device: str = "auto",
    batch_size: int = 0,
    alpha: bool = False,
) -> Visualization:
    """What filters of a network look for.

    Args:
      model: a Keras model, or a PyTorch module of one image; or a name: ``vgg16``, ``hed``, or any of
        keras.applications such as ``ResNet50``, with its weights; or a file, ``"my.keras"`` or
        ``"my.onnx"``; or a mapping, ``{"preset": "file", "path": "my.keras", "allow_code": True}``.
      layer: the layer, or its name in the model.
      filters: ``"0-15"``, ``"all"``, a number, a class (``"flamingo"``), or a list of these; by default the
        first 16, or all there are.
      reg: regularizers: ``"combined"``, or knobs such as ``{"decay": 0.9, "blur": 3}``.
      objective: what goes up: ``"channel"``, ``{"preset": "neuron", "row": 3, "column": 4}`` ...
      param: what is optimized: ``"pixel"``, ``"fourier"``, ``"maco"``, ``"octaves"``.
      transform: what the network sees of it: ``"none"``, ``"robust"``, ``{"jitter": 8}`` ...
      optimizer: the step rule: ``{"learning_rate": 2}``, ``{"preset": "adam", "learning_rate": 0.05}`` ...
      start: the first image: ``"noise"``, ``{"preset": "picture", "path": "cat.jpg"}`` ...
      steps: how many; None: 20, or those of the recipe.
      size: px; a number is a square, ``(48, 192)`` is height and width.
      seed: of the start and of the transform's chance.
      preprocess: what a model wants of its pixels: ``"caffe"``, ``"torch"``, ``"tf"``, ``"none"`` (0 to 255
        as they are), or ``{"mean": ..., "scale": ...}`` in grey levels. ``"auto"`` goes by the layers that
        scale its pixels, is Keras' own for one that is, or begins with, a network of keras.applications,
        torchvision's or timm's for theirs, and ``"none"`` for others; what it was is in the result's config.
      inputs: values of the model's other inputs, by name: arrays, or a number for all of one.
      optimize: name of the input that is the image; needed where several have no value.
      labels: what the classes of a model in hand are called: a file (a name on each line, or a JSON list), a
        list of names, ``"imagenet"``, or None. ``"auto"`` is ImageNet's for a model that has the name of one
        of keras.applications and 1000 classes.
      precision: ``auto``, ``float32`` or ``bfloat16``, of the convolutions.
      device: ``auto``, ``cpu``, ``gpu:1``.
      batch_size: images in one graph; 0 chooses.

    Where none of ``reg``, ``param``, ``transform``, ``optimizer`` and ``start`` is given, a VGG is optimized
    as on the command line (``"none"``, ``"pixel"``, ``"none"``, ``"normalized"``, ``"noise"``); any other
    network by the recipe of `Olah et al. 2017 <https://distill.pub/2017/feature-visualization>`_, and a line
    says so.
      alpha: whether the pictures are transparent where the score's gradient was small.

    Returns:
      A `Visualization`.

    Raises:
      ConfigError: a mistake, in one line.

    Example:
      >>> seen = visualize("tiny", "block2_conv2", [0, 5], size=32, reg={"decay": 0.9})
      >>> seen.images.shape, seen.history["score"].shape
      ((2, 32, 32, 3), (21, 2))
    """
    groups_given = {"reg": reg, "param": param, "transform": transform, "optimizer": optimizer,
                    "start": start}  # fmt: skip
    chosen = {group: choice for group, choice in groups_given.items() if choice is not None}
    values: dict[str, Any] = {
        "size": size, "seed": seed, "batch_size": batch_size, "precision": precision, "device": device,
        "alpha": alpha, "twins": 0, "robustness": False, **({} if steps is None else {"steps": steps}),
    }  # fmt: skip
    with quiet():  # Keras, and with it TensorFlow, may be imported here
        network = model_choice.chosen(model, preprocess, inputs, optimize, labels, size)
        cfg, _, recipe = model_choice.config(
            network, layer, filters, {"objective": objective, **chosen}, values, with_recipe=not chosen
        )
        known = networks.network(schema.plain(cfg.model)).layer(cfg.layer.name)
        indices = validation.indices(cfg, known)
        chosen_layer = replace(cfg.layer, filters=spelled(cfg.layer.filters, indices))
        cfg = replace(cfg, layer=chosen_layer, snapshot_every=_frame_every(cfg, len(indices)))
    if recipe is not None:
        LOG.warning("recipe: experiment=%s, since none of %s is given", recipe, ", ".join(groups_given))
    return _visualization(cfg, indices, known.channels, validation.class_names(cfg, known, indices))


def _frame_every(cfg: Config, count: int) -> int:
    """Steps from one picture of an animation to the next, of so many filters."""
    height, width = cfg.sides
    most = max(1, min(FRAMES, FRAMES_MEMORY // (3 * count * height * width)))
    return math.ceil(cfg.steps / most)


def _visualization(
    cfg: Config, filters: Sequence[int], channels: int, classes: Sequence[str]
) -> Visualization:
    from deepvis.ascent.optimize import optimize

    n, steps = len(filters), cfg.steps
    displayed = functools.partial(images.displayed, display=specs.display(cfg), mean=cfg.model.mean)

    def shown_with(centred: np.ndarray, importance: np.ndarray | None) -> list[np.ndarray]:
        masks = itertools.repeat(None) if importance is None else importance
        return [images.with_alpha(displayed(x), mask) for x, mask in zip(centred, masks, strict=False)]

    width = n if specs.is_joint(cfg) else min(cfg.batch_size, n)
    with progress.progress(cfg.layer.name, n, n * steps, of_command=False) as shown:
        shown.doing("loading TensorFlow")
        with quiet():
            backend.load()
            shown.doing("loading the weights")
            weights = networks.network(schema.plain(cfg.model)).digest(cfg.layer.name)
        batches = iter([min(width, n - first) for first in range(0, n, width)])
        done = 0

        def on_step() -> None:
            nonlocal done
            if done == 0:
                shown.begin(next(batches), 0, steps)
            shown.advance()
            done = (done + 1) % steps
            shown.finish(shown.batch * (done == 0))

        frames: dict[int, list[np.ndarray]] = {}  # by steps done; batches come in order

        def on_snapshot(batch: Sequence[ImageSpec], snapshot: Snapshot) -> None:
            after = min(snapshot.first + len(snapshot.record["score"]), steps)
            frames.setdefault(after, []).extend(shown_with(snapshot.image[: len(batch)], snapshot.importance))

        shown.trace()
        images_of = [ImageSpec(cfg, index) for index in filters]
        with nullcontext() if _begun else quiet():  # what it says of devices and compilers it says once
            found = optimize(images_of, on_step=on_step, on_snapshot=on_snapshot)
        _begun.append(True)
    pictures = shown_with(found.final, found.importance)
    told = advice.advice(found.history, found.final, cfg.model.mean, channels, specs.is_recipe(cfg))
    if told:
        LOG.warning("advice: %s", told)
    return Visualization(
        filters, np.stack(pictures), found.final, found.best, found.history, convergence.ends(found.history),
        told, schema.plain(cfg), classes, weights, {step: np.stack(each) for step, each in frames.items()},
    )  # fmt: skip


def layers(
    model: Any, preprocess: Any = "auto", inputs: Any = None, optimize: str | None = None
) -> list[Layer]:
    """The layers of a network that can be visualized, from the image upwards.

    Args:
      model, preprocess, inputs, optimize: as `visualize` takes them.

    Returns:
      Name, kind, channels, stride, receptive field and the smallest image of each, in px.

    Raises:
      ConfigError: there is no such network, or it has no graph.

    Example:
      >>> [each.name for each in layers("tiny")]
      ['block1_conv1', 'block2_conv1', 'block2_conv2']
    """
    with quiet():
        held, choice = model_choice.chosen(model, preprocess, inputs, optimize)
        return list(networks.network(held or groups.composed(choice)["model"]).layers().values())
