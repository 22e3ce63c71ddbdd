"""Supplies: what a batch needs beside its numbers, made on the host: blur matrices, directions, the maps of
pictures, and what chance decides in a step: (network, specs) -> {name: [B, ...]}
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from deepvis.ascent import ops, starts, transforms
from deepvis.ascent.specs import ImageSpec
from deepvis.networks.base import Activation, Model


def of(
    network: Model, layers: Sequence[str], images: Sequence[ImageSpec], size: int, blurred: bool
) -> dict[str, Any]:
    """Everything that stays the same from step to step.

    Args:
      network: whose maps of a picture are to be matched.
      layers: that the objective reads.
      images: the specs; of one static_config.
      size: px of the image.
      blurred: whether any of them is.

    Returns:
      ``blur_matrix``, ``objective.vectors`` and ``targets``, as far as they are asked for.
    """
    found: dict[str, Any] = {}
    cfgs = [each.cfg for each in images]
    if blurred:
        found["blur_matrix"] = np.stack([
            ops.blur_matrix(size, reg["blur_kind"], reg["blur"], reg["blur_sigma"])
            for reg in (cfg["reg"] for cfg in cfgs)
        ])  # fmt: skip
    if "vectors" in cfgs[0]["objective"]:
        rows = [np.load(Path(each.cfg["objective"]["vectors"]).expanduser())[each.index] for each in images]
        found["objective.vectors"] = np.stack(rows).astype(np.float32)
    named = cfgs[0]["objective"].get("pictures", {})
    if named:
        found["targets"] = {
            name: _maps(network, layers, [cfg["objective"]["pictures"][name] for cfg in cfgs], size)
            for name, path in named.items() if path is not None
        }  # fmt: skip
    return found


def drawn(images: Sequence[ImageSpec], size: int, step: int) -> dict[str, np.ndarray]:
    """What chance has the network see of each image in a step; see `deepvis.ascent.transforms.draw`."""
    each = [transforms.draw(i.cfg["transform"], size, i.cfg["seed"], i.index, step) for i in images]
    return {name: np.stack([own[name] for own in each]) for name in each[0]}


def _maps(network: Model, layers: Sequence[str], paths: Sequence[str], size: int) -> dict[str, Activation]:
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
