"""Supplies: what a batch needs beside its numbers, made on the host: blur matrices, directions, the maps of
pictures, and what chance decides in a step: (network, specs) -> {name: [B, ...]}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepvis.ascent import starts, transforms
from deepvis.ascent.backend import tf
from deepvis.ascent.specs import ImageSpec
from deepvis.config.knobs import Component
from deepvis.config.schema import Settings, plain
from deepvis.networks.base import Activation, Activations


def of(
    network: Activations,
    layers: Sequence[str],
    images: Sequence[ImageSpec],
    size: int,
    enabled: Sequence[Component],
) -> dict[str, Any]:
    """Everything that stays the same from step to step.

    Args:
      network: whose maps of a picture are to be matched.
      layers: that the objective reads.
      images: the specs; of one static config.
      size: px of the image.
      enabled: regularizers that any of them uses.

    Returns:
      ``prepared.<regularizer>.<name>``, ``objective.vectors`` and ``targets``, as far as they are asked for.
    """
    found: dict[str, Any] = {}
    cfgs = [each.cfg for each in images]
    for component in enabled:
        prepare = component.traits.get("prepare")
        if prepare is not None:
            each = [prepare(cfg.reg, size) for cfg in cfgs]
            found |= {
                f"prepared.{component.name}.{key}": np.stack([own[key] for own in each]) for key in each[0]
            }
    if hasattr(cfgs[0].objective, "vectors"):
        rows = [np.load(Path(i.cfg.objective.vectors).expanduser())[i.index] for i in images]
        found["objective.vectors"] = np.stack(rows).astype(np.float32)
    named = [plain(getattr(cfg.objective, "pictures", Settings())) for cfg in cfgs]
    if named[0]:
        found["targets"] = {
            name: _maps(network, layers, [own[name] for own in named], size)
            for name, path in named[0].items() if path is not None
        }  # fmt: skip
    return found


def sampled_transforms(images: Sequence[ImageSpec], size: int, step: int) -> dict[str, np.ndarray]:
    """What chance has the network see of each image in a step; see `deepvis.ascent.transforms.draw`."""
    each = [transforms.draw(i.cfg.transform, size, i.cfg.seed, i.index, step) for i in images]
    return {name: np.stack([own[name] for own in each]) for name in each[0]}


def _maps(
    network: Activations, layers: Sequence[str], paths: Sequence[str], size: int
) -> dict[str, Activation]:
    """Of every image's picture, each layer's maps, [B, h, w, C]."""
    mean = np.array(network.mean, np.float32)
    each = {}
    for path in set(paths):
        picture = starts.picture(size, 0, 0, mean, path)
        each[path] = network.activations(tf.constant(picture[None]), layers)
    return {
        layer: Activation(
            *(tf.concat(maps, axis=0) for maps in zip(*(each[p][layer] for p in paths), strict=True))
        )
        for layer in layers
    }


def padded(values: Any, missing: int) -> Any:
    """Arrays as tensors, the last image so many times more."""
    return tf.nest.map_structure(
        lambda array: tf.constant(np.concatenate([array, np.repeat(array[-1:], missing, axis=0)])), values
    )
