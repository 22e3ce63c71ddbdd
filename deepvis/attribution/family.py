"""The family of attribution methods.

    (unit, options) -> (images [B, H, W, C], centred pixels) -> `Attribution`

where ``unit`` is a `Unit` of a network and no image sees another.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from deepvis.config.knobs import Function, Knob, declare


@dataclass(frozen=True)
class Attribution:
    """What a method says of some images."""

    maps: np.ndarray  # float32 [B, H, W]: how much the unit's score depends on each pixel
    scores: np.ndarray  # float32 [B]: the unit's score of each image
    gradients: np.ndarray | None = None  # float32 [B, H, W, C], of methods that are a gradient
    coarse: np.ndarray | None = None  # float32 [B, h, w]: of a layer's map, before it is enlarged
    measured: Mapping[str, np.ndarray] = field(default_factory=dict)  # by name, what else is told, [B]


Method = Callable[[Sequence[np.ndarray]], Attribution]
FILLINGS = ("mean", "black", "white")  # what stands where there is nothing to be seen


def filling(name: str, mean: np.ndarray) -> np.ndarray:
    """Centred pixels of a filling, [C]: ``mean`` is the grey of the network's training set.

    Args:
      name: of `FILLINGS`.
      mean: grey levels that 0 stands for, [C].
    """
    levels = {"mean": mean, "black": 0.0, "white": 255.0}[name]
    return np.asarray(levels - mean, np.float32)


def weights(**knobs: Knob) -> Callable[[Function], Function]:
    """Declare a function as one of weights, with its options by their key under ``weights``."""
    return declare("weights", None, knobs)


def joined(parts: Sequence[Attribution]) -> Attribution:
    """What a method says of some images, part by part, as one."""

    def of(name: str) -> np.ndarray | None:
        return None if getattr(parts[0], name) is None else np.concatenate([getattr(p, name) for p in parts])

    measured = {key: np.concatenate([each.measured[key] for each in parts]) for key in parts[0].measured}
    maps, scores = (np.concatenate([getattr(p, name) for p in parts]) for name in ("maps", "scores"))
    return Attribution(maps, scores, of("gradients"), of("coarse"), measured)


def attribution(*, signed: bool, one_by_one: bool = False, **knobs: Knob) -> Callable[[Function], Function]:
    """Declare a function as a method.

    Args:
      signed: whether what is below zero in its maps lowers the score; otherwise there is nothing below zero.
      one_by_one: whether each image takes batches of its own, so that many at once are not faster.
      knobs: its options by their key under ``attribution``.
    """
    return declare("attribution", None, knobs, signed=signed, one_by_one=one_by_one)
