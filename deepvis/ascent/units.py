"""Units: (config, entry of ``layer.filters``) -> the score of a unit, for what is measured on images.

What an objective raises is what is measured, so a unit is a channel, a neuron, a direction, a dense unit, a
whole layer or a sum of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from deepvis.ascent import batch_law, specs
from deepvis.ascent.specs import ImageSpec
from deepvis.config import expressions, schema
from deepvis.config.schema import Config
from deepvis.core import direction_files
from deepvis.core.errors import ConfigError
from deepvis.networks.base import Activation

Score = Callable[[Mapping[str, Activation], Mapping[str, Any]], Any]


def check(cfg: Config) -> None:
    """Refuse an objective that is no measure of a single image.

    Raises:
      ConfigError: it compares images with one another, or with a picture.
    """
    component = schema.component("objective", cfg.objective)
    if specs.is_joint(cfg) or component.traits.get("pictures"):
        raise ConfigError(
            f"objective={component.name}: compares images, expected one that is a unit's: channel, neuron, "
            "direction, layer or sum"
        )


def layers(cfg: Config) -> list[str]:
    """The layers that the score reads."""
    _, options = specs.static_config(cfg).objective
    return sorted({cfg.layer.name, *expressions.layers_of(dict(options), {}, cfg.layer.name)})


def score(cfg: Config) -> Score:
    """The score of the units of a config: (activations, numbers of each image) -> [B]."""
    make, options = specs.static_config(cfg).objective

    def scored(activations: Mapping[str, Activation], numbers: Mapping[str, Any]) -> Any:
        given = {key: value for key, value in numbers.items() if key != "filter"}
        made = make(cfg.layer.name, numbers["filter"], **given, **dict(options))
        if not make.__module__.startswith("deepvis."):
            made = batch_law.scored(made, make.__name__)
        return made(activations)

    return scored


def numbers(cfg: Config, index: int) -> dict[str, np.ndarray]:
    """What the score of one unit takes, each ``[1, ...]``."""
    image = ImageSpec(cfg, index)
    found = {"filter": np.array([index], np.int32)}
    for name, value in specs.numbers([image]).items():
        if name.startswith("objective."):
            found[name.removeprefix("objective.")] = value
    if hasattr(cfg.objective, "vectors"):
        row = direction_files.read(cfg.objective.vectors)[index]
        found["vectors"] = row[None].astype(np.float32)
    return found
