"""Image specs: all that is known of an image before there are tensors: (config, filter) -> its numbers.

Images whose configs have one static config share a compiled program; what else they differ in is numbers,
one per image.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepvis.config import knobs, schema
from deepvis.config.knobs import Component, Knob
from deepvis.config.schema import Config, Settings

TRANSFORMS = {"geometry", "noise"}  # those that come with deepvis, drawn on the host
INVISIBLE = -1  # the number of an index that is left open


@dataclass(frozen=True)
class ImageSpec:
    """One image to be optimized."""

    cfg: Config
    index: int  # its filter: a channel of the layer, a row of directions, or the number of its start
    twin: int = 0  # number of its start; 0 is the job's own, the others are perturbed replicas
    group: int = 0  # of the images that an objective sees together


@dataclass(frozen=True)
class Snapshot:
    """What the host sees after a chunk of steps."""

    first: int  # step of the first record
    record: Mapping[str, np.ndarray]  # what each step saw before it moved, [n, B]
    final_values: Mapping[str, np.ndarray]  # where a job ends: its images measured once more, [B] or [B, C]
    image: np.ndarray  # [B, H, W, C] centred, after the chunk
    best: np.ndarray


@dataclass(frozen=True)
class StaticConfig:
    """What a program is compiled for: all of a config but what is one number per image."""

    model: Settings
    layer: str
    size: int
    precision: str
    device: str
    batch_size: int
    snapshot_every: int
    robustness: bool
    param: tuple[Callable[..., Any], tuple[tuple[str, Any], ...]]  # function, options
    octaves: tuple[int, float]  # how many, and their scale
    steps: int | None  # shared by octaves: all images change size at once
    combine: str
    optimizer: Callable[..., Any]
    objective: tuple[Callable[..., Any], tuple[tuple[str, Any], ...]]  # function, options that are no numbers
    pictures: tuple[tuple[str, bool], ...]  # that the objective compares with, and whether they are given
    window: tuple[int, int]  # transform.pad and transform.crop


def static_config(cfg: Config) -> StaticConfig:
    """The static part of a config; jobs that share it share a batch and a program."""
    objective, param = schema.component("objective", cfg.objective), schema.component("param", cfg.param)
    octaves = getattr(cfg.param, "octaves", 1), getattr(cfg.param, "octave_scale", 1.0)
    pictures = schema.plain(getattr(cfg.objective, "pictures", Settings()))
    return StaticConfig(
        model=cfg.model, layer=cfg.layer.name, size=cfg.size, precision=cfg.precision, device=cfg.device,
        batch_size=cfg.batch_size, snapshot_every=cfg.snapshot_every, robustness=cfg.robustness,
        param=(param.function, _options(param, cfg.param, lambda knob: True)),
        octaves=octaves,
        steps=cfg.steps if octaves[0] > 1 else None,
        combine=cfg.reg.combine,
        optimizer=schema.component("optimizer", cfg.optimizer).function,
        objective=(objective.function, _options(objective, cfg.objective, lambda knob: knob.static)),
        pictures=tuple((name, path is not None) for name, path in pictures.items()),
        window=(cfg.transform.pad, cfg.transform.crop),
    )  # fmt: skip


def _options(
    component: Component, settings: Settings, is_included: Callable[[Knob], bool]
) -> tuple[tuple[str, Any], ...]:
    return tuple((key, getattr(settings, key)) for key, knob in component.knobs.items() if is_included(knob))


def enabled(cfg: Config) -> frozenset[str]:
    """The regularizers and transforms that a config switches on, as ``reg.decay`` ..."""
    return frozenset(
        f"{group}.{name}"
        for group in schema.SETS
        for name, each in knobs.components(group).items()
        if each.is_on(getattr(cfg, group))
    )


def regularizers(cfg: Config) -> list[str]:
    """The names of the regularizers that a config switches on, in their order."""
    return [name for name, each in knobs.components("reg").items() if each.is_on(cfg.reg)]


def unit(image: ImageSpec) -> int:
    """The channel that an image is about: its own filter, or the one its objective names; -1 is none."""
    objective = image.cfg.objective
    if schema.component("objective", objective).traits.get("each", "unit") == "unit":
        return image.index
    return int(getattr(objective, "channel", INVISIBLE))


def images_interact(cfg: Config) -> bool:
    """Whether all images of a job share a batch and see one another."""
    return bool(schema.component("objective", cfg.objective).traits.get("together", False))


def numbers(images: Sequence[ImageSpec]) -> dict[str, np.ndarray]:
    """Every number of a batch, one per image.

    Args:
      images: the specs.

    Returns:
      ``filter``, ``unit``, ``steps``, ``reg.*``, ``objective.*``, ``optimizer.*``, ``transform.*`` ->
      ``[B]``, float32 or int32. The weight of a regularizer that is off is 0; an index that is left
      open is -1.
    """
    each = [_numbers(image) for image in images]
    return {
        key: np.array([image[key] for image in each], np.float32 if isinstance(value, float) else np.int32)
        for key, value in each[0].items()
    }


def _numbers(image: ImageSpec) -> dict[str, int | float]:
    cfg = image.cfg
    on = set(regularizers(cfg))
    found: dict[str, int | float] = {"filter": image.index, "unit": unit(image), "steps": cfg.steps}
    for group in schema.SETS:
        for component in knobs.components(group).values():
            taken = component.parameters()
            found |= _group_numbers(group, component, getattr(cfg, group), taken)
    found |= {
        f"reg.weights.{name}": weight if name in on else 0.0
        for name, weight in schema.plain(cfg.reg.weights).items()
    }
    for group in ("objective", "optimizer"):
        settings = getattr(cfg, group)
        found |= _group_numbers(
            group, schema.component(group, settings), settings, tuple(schema.component(group, settings).knobs)
        )
    if images_interact(cfg):
        found["objective.group"] = image.group
    return found


def _group_numbers(
    group: str, component: Component, settings: Settings, taken: Sequence[str]
) -> dict[str, int | float]:
    return {
        f"{group}.{key}": _number(knob, getattr(settings, key))
        for key, knob in component.knobs.items()
        if key in taken and not knob.static and knob.type in (bool, int, float)
    }


def _number(knob: Knob, value: Any) -> int | float:
    if value is None:
        return INVISIBLE
    return int(value) if knob.type is int else float(value)
