"""Climbers: all that is known of an image before there are tensors: (plain config, filter) -> its numbers.

A config here is a plain dict, so that an ascent needs neither Hydra nor OmegaConf. Images whose configs have
one static_config share a compiled graph; what else they differ in is numbers, one per image.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Plain = Mapping[str, Any]

# Read on the host, for each image or for each step: no graph is made of them.
_HOST = {"transform": ("jitter", "scale", "rotate", "noise")}
# Of conf/objective, what says how the host lays an objective out, and is no parameter of its function.
_LAYOUT = ("_target_", "each", "together", "pictures", "vectors")
_INDICES = ("row", "column", "channel", "group")  # the whole numbers of an objective


class ImageSpec(NamedTuple):
    """One image to be optimized."""

    cfg: Plain
    index: int  # its filter: a channel of the layer, a row of directions, or the number of its start
    twin: int = 0  # number of its start; 0 is the job's own, the others give the noise floor
    group: int = 0  # of the images that an objective sees together


class Snapshot(NamedTuple):
    """What the host sees after a chunk of steps."""

    first: int  # step of the first record
    record: Mapping[str, np.ndarray]  # what each step saw before it moved, [n, B]
    final_values: Mapping[str, np.ndarray]  # where a job ends: its images measured once more, [B] or [B, C]
    image: np.ndarray  # [B, H, W, C] centred, after the chunk
    best: np.ndarray


def static_config(cfg: Plain) -> dict[str, Any]:
    """What a graph is made of: all of a config but what is one number per image."""
    shape = {key: cfg[key] for key in ("model", "size", "precision", "device", "batch_size", "snapshot_every",
                                       "robustness", "param")}  # fmt: skip
    shape |= {"layer": cfg["layer"]["name"], "combine": cfg["reg"]["combine"],
              "optimizer": cfg["optimizer"]["_target_"]}  # fmt: skip
    shape["objective"] = {k: v for k, v in cfg["objective"].items() if not _is_number(v) and k != "vectors"}
    if "pictures" in cfg["objective"]:  # which there are; what they show is numbers
        named = cfg["objective"]["pictures"].items()
        shape["objective"]["pictures"] = {name: None if path is None else "given" for name, path in named}
    shape["transform"] = {k: v for k, v in cfg["transform"].items() if k not in _HOST["transform"]}
    if cfg["param"].get("octaves", 1) > 1:  # a share of the steps each, so that all images change at once
        shape["steps"] = cfg["steps"]
    return shape


def parameters(objective: Plain) -> dict[str, Any]:
    """What an objective's function takes that is no number per image."""
    return {k: v for k, v in objective.items() if not _is_number(v) and k not in _LAYOUT}


def active(cfg: Plain) -> set[str]:
    """The regularizers and transforms that a config switches on."""
    transform = cfg["transform"]
    on = {
        "geometry": any(transform[key] > 0 for key in ("jitter", "scale", "rotate", "pad", "crop")),
        "noise": transform["noise"] > 0,
    }
    return operators(cfg["reg"]) | {name for name, is_on in on.items() if is_on}


def operators(reg: Plain) -> set[str]:
    """The regularizers among them."""
    on = {
        "decay": reg["decay"] != 1,
        "blur": reg["blur"] > 0 or reg["blur_sigma"] > 0,
        "value": reg["value_percentile"] > 0,
        "norm": reg["norm_percentile"] > 0,
        "contribution": reg["contribution_percentile"] > 0,
        "clip_pixels": reg["clip_pixels"],
    }
    return {name for name, is_on in on.items() if is_on}


def unit(image_spec: ImageSpec) -> int:
    """The channel that an image is about: its own filter, or the one its objective names; -1 is none."""
    objective = image_spec.cfg["objective"]
    if objective["each"] == "unit":
        return image_spec.index
    return int(objective.get("channel", -1))


def numbers(specs: Sequence[ImageSpec]) -> dict[str, np.ndarray]:
    """Every number of a batch, one per image.

    Args:
      specs: the images.

    Returns:
      ``filter``, ``unit``, ``steps``, ``reg.*``, ``objective.*``, ``optimizer.*`` -> ``[B]``, float32 or
      int32. The weight of a regularizer that is off is 0; a position that is not given is -1.
    """
    each = [_numbers(image_spec) for image_spec in specs]
    return {
        key: np.array([own[key] for own in each], np.float32 if isinstance(value, float) else np.int32)
        for key, value in each[0].items()
    }


def _numbers(image_spec: ImageSpec) -> dict[str, float]:
    cfg = image_spec.cfg
    reg, on = cfg["reg"], operators(cfg["reg"])
    scalars = {k: v for k, v in reg.items() if isinstance(v, int | float) and k not in ("blur", "blur_sigma")}
    objective = {k: v for k, v in cfg["objective"].items() if _is_number(v)}
    if cfg["objective"].get("together", False):
        objective["group"] = image_spec.group
    return (
        {"filter": image_spec.index, "unit": unit(image_spec), "steps": cfg["steps"]}
        | {f"reg.{k}": float(v) if isinstance(v, bool) else v for k, v in scalars.items()}
        | {f"reg.weights.{k}": float(v) if k in on else 0.0 for k, v in reg["weights"].items()}
        | {f"objective.{k}": _typed(k, v) for k, v in objective.items()}
        | {f"optimizer.{k}": float(v) for k, v in cfg["optimizer"].items() if k != "_target_"}
    )


def _typed(key: str, value: float | None) -> float:
    """An index is whole, and -1 where it is left open; all else is a float, however it was typed."""
    return (-1 if value is None else int(value)) if key in _INDICES else float(value)


def _is_number(value: Any) -> bool:
    """Also null: a position that is left to the network's map."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
