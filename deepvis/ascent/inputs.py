"""Inputs of a batch beside its numbers, made on the host: (network, specs) -> {name: [B, ...]}."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from deepvis.ascent import pictures, transforms
from deepvis.ascent.specs import ImageSpec
from deepvis.config.knobs import Component
from deepvis.config.schema import Settings, component, plain
from deepvis.core import direction_files
from deepvis.networks.backend import tf
from deepvis.networks.base import Activation, Activations, Size

BESIDE = "beside."  # before the names of pictures that the network sees as it sees the image


def of(
    network: Activations, layers: Sequence[str], images: Sequence[ImageSpec], size: Size,
    enabled: Sequence[Component],
) -> dict[str, Any]:  # fmt: skip
    """Everything that stays the same from step to step.

    Args:
      network: whose maps of a picture are to be matched.
      layers: that the objective reads.
      images: the specs; of one static config.
      size: height and width of the image, px.
      enabled: regularizers that any of them uses.

    Returns:
      ``prepared.<regularizer>.<name>``, ``objective.vectors``, ``targets`` and ``beside.<picture>``, pictures
      that the network sees as it sees the image; as far as they are used.
    """
    inputs: dict[str, Any] = {}
    cfgs = [image.cfg for image in images]
    for each in enabled:
        prepare = each.traits.get("prepare")
        if prepare is not None:
            prepared = _stacked([prepare(cfg.reg, size) for cfg in cfgs])
            inputs |= {f"prepared.{each.name}.{key}": values for key, values in prepared.items()}
    if hasattr(cfgs[0].objective, "vectors"):
        files = {cfg.objective.vectors: direction_files.read(cfg.objective.vectors) for cfg in cfgs}
        rows = [files[i.cfg.objective.vectors][i.index] for i in images]
        inputs["objective.vectors"] = np.stack(rows).astype(np.float32)
    paths = [plain(getattr(cfg.objective, "pictures", Settings())) for cfg in cfgs]
    if paths[0]:
        given = {name: [each[name] for each in paths] for name, path in paths[0].items() if path is not None}
        if component("objective", cfgs[0].objective).traits.get("seen_alike"):
            mean = np.array(network.mean, np.float32)
            inputs |= {
                f"{BESIDE}{name}": np.stack([_picture(path, size, mean) for path in of_images])
                for name, of_images in given.items()
            }
        else:
            inputs["targets"] = {
                name: _maps(network, layers, of_images, size) for name, of_images in given.items()
            }
    return inputs


def _picture(path: str, size: Size, mean: np.ndarray) -> np.ndarray:
    """Centred pixels, [*size, C]."""
    return pictures.read(path, size, len(mean)).astype(np.float32) - mean


def sampled_transforms(
    images: Sequence[ImageSpec], size: Size, step: int, number: int = 0
) -> dict[str, np.ndarray]:
    """The random numbers of each image in a step, and of its window; see `deepvis.ascent.transforms.draw`."""
    return _stacked([
        transforms.draw(i.cfg.transform, size, i.cfg.seed, i.index, step, i.cfg.steps, number) for i in images
    ])  # fmt: skip


def _stacked(rows: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _maps(
    network: Activations, layers: Sequence[str], paths: Sequence[str], size: Size
) -> dict[str, Activation]:
    """Of every image's picture, each layer's maps, [B, h, w, C]."""
    mean = np.array(network.mean, np.float32)
    maps = {}
    for path in set(paths):
        maps[path] = network.activations(tf.constant(_picture(path, size, mean)[None]), layers)

    def joined(layer: str) -> Activation:
        both = [maps[path][layer] for path in paths]
        before = [each.pre for each in both if each.pre is not None]
        return Activation(
            tf.concat(before, axis=0) if before else None, tf.concat([x.post for x in both], axis=0)
        )

    return {layer: joined(layer) for layer in layers}


def padded(values: Any, missing: int) -> Any:
    """Arrays as tensors, the last image so many times more."""

    def longer(array: Any) -> Any:
        if array is None:  # of a layer without values before its nonlinearity
            return None
        return tf.constant(np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]))

    return tf.nest.map_structure(longer, values)
