"""What a config may say: the types of every group, and the checks that types cannot make.

A check raises `ConfigError` with one line: what came, what was wanted, where, and what to do. None needs
TensorFlow, so a typing mistake costs a second, not a night. The network's shape is in its config
(`model.blocks`), hence layers, channels and the smallest image are known here too.
"""

import difflib
import math
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf, open_dict
from PIL import Image, UnidentifiedImageError

PACKAGE = Path(__file__).resolve().parent
# A wheel carries conf/ inside the package; a checkout has it beside.
CONF = next(p for p in (PACKAGE / "conf", PACKAGE.parent / "conf") if p.is_dir())


class ConfigError(Exception):
    """A config that cannot be run; the message is one line for the person who typed it."""


@dataclass
class Model:
    _target_: str = MISSING
    name: str = MISSING
    blocks: list[list[int]] = MISSING
    mean: list[float] = MISSING
    weights: dict[str, Any] = MISSING  # _target_ and what it needs to find them


@dataclass
class Layer:
    name: str = MISSING
    filters: Any = "0-15"


@dataclass
class Weights:
    decay: float = MISSING
    blur: float = MISSING
    value: float = MISSING
    norm: float = MISSING
    contribution: float = MISSING


@dataclass
class Reg:
    decay: float = MISSING
    blur: int = MISSING
    blur_sigma: float = MISSING
    blur_kind: str = MISSING
    blur_every: int = MISSING
    value_percentile: float = MISSING
    norm_percentile: float = MISSING
    contribution_percentile: float = MISSING
    clip_pixels: bool = MISSING
    combine: str = MISSING
    weights: Weights = field(default_factory=Weights)


@dataclass
class Objective:
    _target_: str = MISSING
    pre_activation: bool = True


@dataclass
class Config:
    model: Model = MISSING
    layer: Layer = MISSING
    reg: Reg = MISSING
    objective: Objective = MISSING
    optimizer: dict[str, Any] = MISSING  # _target_ and the numbers of that step rule
    start: dict[str, Any] = MISSING  # _target_ and the numbers of that start
    tracker: dict[str, Any] = MISSING  # _target_ and where it keeps things
    seed: int = 0
    steps: int = 20
    size: int = 128
    batch_size: int = 16
    log_every: int = 5
    resume: str | None = None
    precision: str = "float32"


ConfigStore.instance().store(name="schema", node=Config, provider="deepvis")


def name(overrides: Iterable[str]) -> str:
    """What a person calls a job: the overrides that tell it from its sweep, without their groups.

    In a sweep only the swept keys do; the door leaves them in ``DEEPVIS_SWEPT`` for every process of it.

    Example:
      >>> name(["reg.decay=0.8", "model=hed", "batch_size=4"])
      'decay=0.8 model=hed'
    """
    swept = os.environ.get("DEEPVIS_SWEPT", "").split()
    quiet = ("tracker", "hydra", "batch_size=", "log_every=", "resume=")
    own = [o for o in overrides if (o.partition("=")[0] in swept if swept else not o.startswith(quiet))]
    return " ".join(re.sub(r"^[\w.]*\.(?=\w+=)", "", o).replace('"', "") for o in own)


def job_folder(number: int, overrides: Sequence[str]) -> str:
    """A job's folder: its number and its name, safe and short enough for any file system."""
    words = re.sub(r"[^\w.=,+-]+", "_", name(overrides))
    return f"{number}_{words}"[:120].rstrip("_.,")


OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)


def without_hydra(cfg: DictConfig) -> DictConfig:
    """A composed config without Hydra's own node: what a job is."""
    own = cfg.copy()
    with open_dict(own):
        own.pop("hydra", None)
    return own


def nearest(word: str, valid: Iterable[str]) -> str:
    """The part of a message that helps: the nearest valid word, then all of them."""
    valid = list(valid)
    close = difflib.get_close_matches(word, valid, n=1, cutoff=0.6)
    return f"did you mean {close[0]}? ({', '.join(valid)})" if close else f"valid: {', '.join(valid)}"


def layers(blocks: Sequence[Sequence[int]]) -> dict[str, int]:
    """Channels by layer: ``[[64, 64], [128]] -> {block1_conv1: 64, block1_conv2: 64, block2_conv1: 128}``."""
    return {
        f"block{b}_conv{c}": int(channels)
        for b, block in enumerate(blocks, start=1)
        for c, channels in enumerate(block, start=1)
    }


def shapes(blocks: Sequence[Sequence[int]], layer: str) -> dict[str, tuple[int, int, int, int]]:
    """Kernel shapes (H, W, I, O) by layer, up to the one asked for: what is read, and no more."""
    found: dict[str, tuple[int, int, int, int]] = {}
    came = 3
    for name, channels in layers(blocks).items():
        found[name] = (3, 3, came, channels)
        if name == layer:
            break
        came = channels
    return found


def filters(spec: Any, channels: int, layer: str) -> list[int]:
    """The filters that ``layer.filters`` names.

    Args:
      spec: ``0-15``, ``0,3,7``, ``0-3,8``, ``all``, a number, or a list of numbers.
      channels: how many the layer has.
      layer: its name, for the message.

    Returns:
      Filter indices in the order given, each once.

    Raises:
      ConfigError: not of that form, out of range, or named twice.

    Example:
      >>> filters("0-2,7", 8, "block1_conv1")
      [0, 1, 2, 7]
    """
    if spec == "all":
        return list(range(channels))
    parts = [
        str(p).strip()
        for p in (spec if isinstance(spec, Sequence) and not isinstance(spec, str) else str(spec).split(","))
    ]
    wanted: list[int] = []
    for part in parts:
        ends = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part)
        if ends is None:
            raise ConfigError(f"layer.filters={spec}: wanted 0-15, 0,3,7 or all; {part!r} is none of them")
        first, last = int(ends[1]), int(ends[2] or ends[1])
        if last < first or last >= channels:
            has = f"{layer} has {channels} filters, 0 to {channels - 1}"
            raise ConfigError(f"layer.filters={spec}: {part} is out of range; {has}")
        wanted.extend(range(first, last + 1))
    if not wanted or len(set(wanted)) < len(wanted):
        raise ConfigError(f"layer.filters={spec}: wanted each filter once, and at least one")
    return wanted


def check(cfg: DictConfig) -> None:
    """Refuse a config that cannot give a right result.

    Args:
      cfg: a composed config, without Hydra's own node.

    Raises:
      ConfigError: with one line; the first mistake found.
    """
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise ConfigError(f"{missing[0]} is not given: add {missing[0]}=...")
    for key, low in {"steps": 1, "batch_size": 1, "log_every": 1, "seed": 0, "size": 1}.items():
        if cfg[key] < low:
            raise ConfigError(f"{key}={cfg[key]}: wanted a whole number of {low} or more")
    _choice("precision", cfg.precision, ("float32", "bfloat16"))
    _check_layer(cfg)
    _check_reg(cfg.reg)
    for key, value in cfg.optimizer.items():
        if key != "_target_":
            _number(f"optimizer.{key}", value, lambda v: v > 0, "a number above 0")
    for key in {"low", "high", "sigma"} & cfg.start.keys():
        _number(f"start.{key}", cfg.start[key], lambda v: -1000 <= v <= 1000, "grey levels, at most 1000")
    if "low" in cfg.start and cfg.start.low > cfg.start.high:
        raise ConfigError(f"start.low={cfg.start.low}: wanted at most start.high, which is {cfg.start.high}")
    if cfg.start.get("sigma", 0) < 0:
        raise ConfigError(f"start.sigma={cfg.start.sigma}: wanted a standard deviation of 0 or more")
    _choice("start.display", cfg.start.display, ("contrast", "natural"))
    if "path" in cfg.start:
        _check_picture(Path(str(cfg.start.path)))


def _check_layer(cfg: DictConfig) -> None:
    known = layers(cfg.model.blocks)
    name = cfg.layer.name
    if name not in known:
        raise ConfigError(f"layer.name={name}: {cfg.model.name} has no such layer; {nearest(name, known)}")
    filters(cfg.layer.filters, known[name], name)
    stride = 2 ** (int(re.match(r"block(\d+)", name)[1]) - 1)
    if cfg.size < stride:
        raise ConfigError(
            f"size={cfg.size}: too small for {name}, whose map is 1/{stride} of the image; "
            f"wanted {stride} px or more"
        )


def _check_reg(reg: DictConfig) -> None:
    _number("reg.decay", reg.decay, lambda v: 0 < v <= 1, "a factor in (0, 1]; 1 is off")
    if reg.blur < 0 or (reg.blur > 0 and reg.blur % 2 == 0):
        raise ConfigError(f"reg.blur={reg.blur}: wanted an odd kernel size in px; 0 is off")
    _number(
        "reg.blur_sigma", reg.blur_sigma, lambda v: 0 <= v <= 1000, "a sigma in px of 0 to 1000; 0 is off"
    )
    if reg.blur > 0 and reg.blur_sigma > 0:
        raise ConfigError(
            f"reg.blur={reg.blur} and reg.blur_sigma={reg.blur_sigma}: wanted one of them; set the other to 0"
        )
    _choice("reg.blur_kind", reg.blur_kind, ("gaussian", "box"))
    if reg.blur_kind == "box" and reg.blur_sigma > 0:
        raise ConfigError("reg.blur_sigma: a box has no sigma; give reg.blur or reg.blur_kind=gaussian")
    if reg.blur_every < 1:
        raise ConfigError(f"reg.blur_every={reg.blur_every}: wanted a whole number of 1 or more")
    for key in ("value_percentile", "norm_percentile", "contribution_percentile"):
        _number(f"reg.{key}", reg[key], lambda v: 0 <= v < 100, "a percentile in [0, 100); 0 is off")
    _choice("reg.combine", reg.combine, ("chain", "mix"))
    for key, weight in reg.weights.items():
        _number(f"reg.weights.{key}", weight, lambda v: v >= 0, "a weight of 0 or more")


def _check_picture(path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"start.path={path}: no such file")
    try:
        with Image.open(path) as picture:
            picture.verify()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as err:
        raise ConfigError(f"start.path={path}: refused as a decompression bomb: {err}") from err
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as err:
        raise ConfigError(f"start.path={path}: not a picture that Pillow can read") from err


def _choice(key: str, value: str, valid: Sequence[str]) -> None:
    if value not in valid:
        raise ConfigError(f"{key}={value}: {nearest(value, valid)}")


def _number(key: str, value: Any, fits: Callable[[float], bool], wanted: str) -> None:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not fits(value)
    ):
        raise ConfigError(f"{key}={value}: wanted {wanted}")
