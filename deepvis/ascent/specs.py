"""Image specs: all that is known of an image before there are tensors: (config, filter) -> its numbers.

Images whose configs have one static config share a compiled program; what else they differ in is numbers,
one per image.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepvis.config import knobs, schema
from deepvis.config.knobs import Component, Knob
from deepvis.config.schema import Config, Settings
from deepvis.networks.base import Size

OPEN = -1  # the number of an index that is left open
Options = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class ImageSpec:
    """One image to be optimized."""

    cfg: Config
    index: int  # its filter: a channel of the layer, a row of directions, or the number of its start
    twin: int = 0  # number of its start; 0 is the job's, the others are perturbed replicas
    group: int = 0  # of the images that a joint objective compares


@dataclass(frozen=True)
class ImageState:
    """All that an image needs to go on, bit for bit, beside any others that have done as many steps."""

    step: int  # steps done
    arrays: Mapping[str, np.ndarray]  # see `deepvis.ascent.states`


@dataclass(frozen=True)
class Snapshot:
    """What the host gets after a chunk of steps."""

    first: int  # step of the first record
    record: Mapping[str, np.ndarray]  # before each step, [n, B]
    final_values: Mapping[str, np.ndarray]  # where a job ends: its images measured once more, [B] or [B, C]
    image: np.ndarray  # [B, H, W, C] centred, after the chunk
    best: np.ndarray
    states: Callable[[], Sequence[ImageState]] = tuple  # of the images, after the chunk; none once lost
    start: np.ndarray | None = None  # [B, H, W, C] centred, before the first step; of the first chunk alone
    importance: np.ndarray | None = None  # [B, H, W], with alpha: gradient's magnitude, summed


@dataclass(frozen=True)
class StaticConfig:
    """What a program is compiled for: all of a config but what is one number per image."""

    model: Settings
    layer: str
    size: Size
    precision: str
    device: str
    batch_size: int
    snapshot_every: int
    robustness: bool
    param: tuple[Callable[..., Any], Options]
    octaves: tuple[int, float]  # how many, and their scale
    steps: int | None  # shared by octaves: all images change size at once
    combine: str
    optimizer: Callable[..., Any]
    objective: tuple[Callable[..., Any], Options]  # options that are no numbers
    pictures: tuple[tuple[str, bool], ...]  # that the objective compares with, and whether they are given
    window: tuple[int, int]  # transform.pad and transform.crop
    crops: tuple[int, int]  # windows a step, 0 for the one image, and transform.crops_px
    alpha: bool  # whether the importance of each pixel is accumulated
    accentuation: str | None  # the layer whose features are to stay near those of the start


def static_config(cfg: Config) -> StaticConfig:
    """The static part of a config; jobs that share it share a batch and a program."""
    objective, param = schema.component("objective", cfg.objective), schema.component("param", cfg.param)
    octaves = getattr(cfg.param, "octaves", 1), getattr(cfg.param, "octave_scale", 1.0)
    pictures = schema.plain(getattr(cfg.objective, "pictures", Settings()))
    return StaticConfig(
        model=cfg.model, layer=cfg.layer.name, size=cfg.sides, precision=cfg.precision, device=cfg.device,
        batch_size=cfg.batch_size, snapshot_every=cfg.snapshot_every, robustness=cfg.robustness,
        param=(param.function, tuple((key, getattr(cfg.param, key)) for key in param.knobs)),
        octaves=octaves,
        steps=cfg.steps if octaves[0] > 1 else None,
        combine=cfg.reg.combine,
        optimizer=schema.component("optimizer", cfg.optimizer).function,
        objective=(objective.function, tuple(
            (key, getattr(cfg.objective, key)) for key, knob in objective.knobs.items() if knob.static
        )),
        pictures=tuple((name, path is not None) for name, path in pictures.items()),
        window=(cfg.transform.pad, cfg.transform.crop),
        crops=(cfg.transform.crops, cfg.transform.crops_px if cfg.transform.crops else 0),
        alpha=cfg.alpha,
        accentuation=cfg.reg.accentuation_layer if cfg.reg.accentuation else None,
    )  # fmt: skip


def enabled(cfg: Config) -> list[Component]:
    """The regularizers and transforms that a config switches on, in the order of their declaration."""
    return [component for group in schema.SETS for component in knobs.components(group).values()
            if component.is_on(getattr(cfg, group))]  # fmt: skip


def regularizers(cfg: Config) -> list[str]:
    """The names of the regularizers that a config switches on, in their order."""
    return [component.name for component in enabled(cfg) if component.family == "reg"]


def unit(image: ImageSpec) -> int:
    """The channel that an image is about: its filter, or the one its objective names; -1 is none."""
    objective = image.cfg.objective
    if schema.component("objective", objective).traits.get("entries", "unit") == "unit":
        return image.index
    return int(getattr(objective, "channel", OPEN))


def display(cfg: Config) -> str:
    """How a job's images are shown: ``natural`` or ``contrast``; ``auto`` is what suits ``param``."""
    if cfg.start.display != "auto":
        return cfg.start.display
    return schema.component("param", cfg.param).traits.get("display", "contrast")


def is_recipe(cfg: Config) -> bool:
    """Whether images are optimized as experiment=distill_2017 has it: a spectrum, Adam, transforms."""
    chosen = schema.component("param", cfg.param).name, schema.component("optimizer", cfg.optimizer).name
    return chosen == ("fourier", "adam") and any(each.family == "transform" for each in enabled(cfg))


def reads_photographs(cfg: Config) -> bool:
    """Whether the first images are made of photographs, those of ``data``."""
    return bool(schema.component("start", cfg.start).traits.get("photographs", False))


def is_joint(cfg: Config) -> bool:
    """Whether the score of an image depends on the others of its job, so that they share a batch."""
    return bool(schema.component("objective", cfg.objective).traits.get("joint", False))


def numbers(images: Sequence[ImageSpec]) -> dict[str, np.ndarray]:
    """Every number of a batch, one per image.

    Returns:
      ``filter``, ``unit``, ``steps``, ``reg.*``, ``objective.*``, ``optimizer.*``, ``transform.*`` ->
      ``[B]``, float32 or int32. The weight of a regularizer that is off is 0; an index that is left
      open is -1.
    """
    rows = [dict(_numbers(image)) for image in images]
    return {
        key: np.array([row[key] for row in rows], np.float32 if isinstance(value, float) else np.int32)
        for key, value in rows[0].items()
    }


def _numbers(image: ImageSpec) -> Iterator[tuple[str, int | float]]:
    cfg, on = image.cfg, regularizers(image.cfg)
    yield from (("filter", image.index), ("unit", unit(image)), ("steps", cfg.steps))
    if is_joint(cfg):
        yield "objective.group", image.group
    for name, weight in schema.plain(cfg.reg.weights).items():
        yield f"reg.weights.{name}", weight if name in on else 0.0
    for name, component in knobs.components("reg").items():
        if component.traits.get("penalty"):
            yield f"reg.is_on.{name}", int(name in on)
    components = [each for group in schema.SETS for each in knobs.components(group).values()]
    components += [schema.component(group, getattr(cfg, group)) for group in ("objective", "optimizer")]
    for component in components:
        family, parameters = component.family, component.parameters()
        for key, knob in component.knobs.items():
            if key in parameters and not knob.static and knob.type in (bool, int, float):
                yield f"{family}.{key}", _number(knob, getattr(getattr(cfg, family), key))


def _number(knob: Knob, value: Any) -> int | float:
    if value is None:
        return OPEN
    return int(value) if knob.type is int else float(value)
