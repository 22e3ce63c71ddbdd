"""From Python: a network in hand and images -> what its units respond to. Nothing is written.

import deepvis
deepvis.attribution(model, "conv5_block3_out", [3, 7], ["cat.jpg"], method="grad_cam")
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deepvis import attributed, model_choice, natural, networks, trusted
from deepvis.ascent import validation
from deepvis.attributed import Attributed
from deepvis.config import schema
from deepvis.config.groups import Choice
from deepvis.config.schema import Config
from deepvis.core import picture_files
from deepvis.core.errors import ConfigError
from deepvis.core.quiet import quiet
from deepvis.data import photographs
from deepvis.natural import Examples
from deepvis.networks import backend
from deepvis.networks.base import Size
from deepvis.results import result_folder
from deepvis.trusted import Trusted


def attribution(
    model: Any,
    layer: Any,
    filters: int | str | Sequence[int],
    images: Any,
    *,
    method: Choice = "saliency",
    objective: Choice = "channel",
    size: int | Sequence[int] = 224,
    preprocess: Any = "auto",
    inputs: Mapping[str, Any] | None = None,
    optimize: str | None = None,
    labels: Any = "auto",
    device: str = "auto",
    batch_size: int = 0,
) -> Attributed:
    """Which pixels of some images units of a network respond to.

    Args:
      model, layer, filters, objective, preprocess, inputs, optimize, labels, device, batch_size: as
        `deepvis.visualize` takes them; the objective says what of the layer is measured.
      images: a picture file, or a list of them, cropped about the centre and scaled to the size; or an array
        ``[n, H, W, C]`` of that size, RGB in grey levels from 0 to 255.
      method: ``"saliency"``, ``"grad_cam"``, ``{"preset": "occlusion", "patch": 24}`` ...: a file of
        conf/attribution, or what differs from one.
      size: px; a number is a square, ``(48, 192)`` is height and width.

    Returns:
      An `Attributed`: ``maps`` [units, n, H, W], ``scores``, ``sheet(unit)``; a notebook shows it.

    Raises:
      ConfigError: a mistake, in one line.

    Example:
      >>> seen = attribution("tiny", "block2_conv2", [0, 5], np.zeros((1, 16, 16, 3)), size=16)
      >>> seen.maps.shape
      (2, 1, 16, 16)
    """
    with quiet():
        cfg, settings = _config(
            {"objective": objective, "attribution": method}, model, layer, filters, size, preprocess, inputs,
            optimize, labels, device, batch_size,
        )  # fmt: skip
        chosen = schema.choice("attribution", settings["attribution"])
        attributed.check(cfg, chosen)
        indices, classes = _filters(cfg)
        captions = result_folder.captions_for(indices, classes)
        names, pixels = _images(images, cfg.sides, networks.network(schema.plain(cfg.model)).channels)
        backend.load()
        return attributed.attribute(cfg, chosen, indices, captions, names, pixels)


def examples(
    model: Any,
    layer: Any,
    filters: int | str | Sequence[int],
    *,
    data: Any = "photos",
    k: int = 9,
    per_image: int = 1,
    objective: Choice = "channel",
    size: int | Sequence[int] = 224,
    preprocess: Any = "auto",
    inputs: Mapping[str, Any] | None = None,
    optimize: str | None = None,
    labels: Any = "auto",
    device: str = "auto",
    batch_size: int = 0,
) -> Examples:
    """The photographs, and the places in them, that excite units of a network most and least.

    Args:
      model, layer, filters, objective, preprocess, inputs, optimize, labels, device, batch_size: as
        `deepvis.visualize` takes them; the objective names the units: ``channel``, ``neuron``, ``direction``.
      data: ``"photos"``, or the path of a folder of photographs; or ``{"preset": "folder", "path": ...}``.
      k: how many of each end.
      per_image: of these, places that one photograph may have; 0: any number.
      size: px; photographs are cropped about their centre to its proportions.

    Returns:
      `Examples`: ``top`` and ``bottom`` with values, photographs, positions and boxes, ``crop``, ``gallery``.

    Raises:
      ConfigError: a mistake, in one line.
    """
    with quiet():
        cfg, _ = _config(
            {"objective": objective, "data": _data(data)}, model, layer, filters, size, preprocess, inputs,
            optimize, labels, device, batch_size,
        )  # fmt: skip
        keys = {"examples": max(k, 1), "examples_per_image": per_image}
        counts = {name: schema.KEYS[name].read(name, value) for name, value in keys.items()}
        cfg = replace(cfg, **counts)
        indices, classes = _filters(cfg)
        backend.load()
        return natural.examples(cfg, indices, classes, photographs(schema.plain(cfg.data)))


def trust(
    model: Any,
    layer: Any,
    filters: int | str | Sequence[int],
    *,
    data: Any = "photos",
    reg: Choice | None = None,
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
    device: str = "auto",
    batch_size: int = 0,
) -> Trusted:
    """Whether pictures of filters can be believed, beside photographs.

    Args:
      model, layer, filters, reg, param, transform, optimizer, start, steps, size, seed, preprocess, inputs,
        optimize, labels, device, batch_size: as `deepvis.visualize` takes them; in float32.
      data: as `examples` takes it.

    Returns:
      A `Trusted`: ``verdicts``, ``rows()``, ``path_rows()``, ``sheet()``; a notebook shows the sheet.

    Raises:
      ConfigError: a mistake, in one line.
    """
    groups_given = {"reg": reg, "param": param, "transform": transform, "optimizer": optimizer,
                    "start": start}  # fmt: skip
    chosen: dict[str, Choice] = {
        group: choice for group, choice in groups_given.items() if choice is not None
    }
    with quiet():
        cfg, _ = _config(
            {"objective": "channel", "data": _data(data), **chosen}, model, layer, filters, size, preprocess,
            inputs, optimize, labels, device, batch_size, not chosen,
            {"seed": seed, **({} if steps is None else {"steps": steps})},
        )  # fmt: skip
        trusted.check(cfg)
        indices, classes = _filters(cfg)
        backend.load()
        return trusted.assess(cfg, indices, classes, photographs(schema.plain(cfg.data)))


def _filters(cfg: Config) -> tuple[Sequence[int], Sequence[str]]:
    """The filters of a config, and what they are called, where they are classes."""
    known = networks.network(schema.plain(cfg.model)).layer(cfg.layer.name)
    indices = validation.indices(cfg, known)
    return indices, validation.class_names(cfg, known, indices)


def _data(given: Any) -> Choice:
    """The choice of conf/data: a name, a mapping, or the path of a folder."""
    named = given == "photos" or isinstance(given, Mapping)
    return given if named else {"preset": "folder", "path": str(given)}


def _config(
    choices: dict[str, Choice], model: Any, layer: Any, filters: Any, size: Any, preprocess: Any, inputs: Any,
    optimize: Any, labels: Any, device: str, batch_size: int, with_recipe: bool = False,
    more: Mapping[str, Any] | None = None,
) -> tuple[Config, Mapping[str, Any]]:  # fmt: skip
    """A checked config, in float32, and what it was made of."""
    network = model_choice.chosen(model, preprocess, inputs, optimize, labels, size)
    values = {
        "size": size,
        "batch_size": batch_size,
        "precision": "float32",
        "device": device,
        **(more or {}),
    }
    cfg, composed, _ = model_choice.config(network, layer, filters, choices, values, with_recipe)
    return cfg, composed


def _images(given: Any, size: Size, channels: int) -> tuple[list[str], np.ndarray]:
    """Files or an array -> their names, and grey levels [n, H, W, C]."""
    if isinstance(given, str | os.PathLike):
        given = [given]
    if isinstance(given, Sequence) and all(isinstance(each, str | os.PathLike) for each in given) and given:
        if channels not in (1, 3):
            raise ConfigError(f"images: a picture has 1 or 3 channels, this network's image {channels}")
        pixels = [picture_files.fitted(str(path), channels, *size) for path in given]
        return [Path(path).name for path in given], np.stack(pixels)
    array = np.asarray(given)
    expected = (
        f"picture files, or an array [n, {size[0]}, {size[1]}, {channels}] of finite grey levels, 0 to 255"
    )
    if array.dtype.kind not in "fiu" or array.ndim != 4 or not len(array):
        raise ConfigError(
            f"images: got {type(given).__name__} of {array.dtype} {array.shape}, expected {expected}"
        )
    if array.shape[1:] != (*size, channels):
        raise ConfigError(f"images: got an array of {array.shape}, expected {expected}; set size")
    if not np.isfinite(array).all() or array.min() < 0 or array.max() > 255:
        raise ConfigError(f"images: got values from {array.min():g} to {array.max():g}, expected {expected}")
    if array.max() <= 1 and array.any():
        raise ConfigError(f"images: got values up to {array.max():g}, expected {expected}: multiply by 255")
    return [f"image {k}" for k in range(len(array))], array.astype(np.float32)
