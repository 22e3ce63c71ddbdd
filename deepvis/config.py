"""What a config may say: the types of every group, and the names that follow from one.

The shape of a VGG is in its config (`model.blocks`), hence its layers and their channels are known here,
without TensorFlow; `networks` knows any other's.
"""

import difflib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

PACKAGE = Path(__file__).resolve().parent
# A wheel carries conf/ inside the package; a checkout has it beside.
CONF = next(p for p in (PACKAGE / "conf", PACKAGE.parent / "conf") if p.is_dir())
FEW = 20  # words that a message may list


class ConfigError(Exception):
    """A config that cannot be run; the message is one line for the person who typed it."""


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
class Config:
    model: dict[str, Any] = MISSING  # _target_ and what that kind of network needs
    layer: Layer = MISSING
    reg: Reg = MISSING
    objective: dict[str, Any] = MISSING  # _target_, what an entry of layer.filters is, and its numbers
    param: dict[str, Any] = MISSING  # _target_ and the options of that parametrization
    transform: dict[str, Any] = MISSING  # what chance has the network see of an image in each step
    optimizer: dict[str, Any] = MISSING  # _target_ and the numbers of that step rule
    start: dict[str, Any] = MISSING  # _target_ and the numbers of that start
    tracker: dict[str, Any] = MISSING  # _target_ and where it keeps things
    seed: int = 0
    twins: int = 0
    steps: int = 20
    size: int = 128
    batch_size: int = 0
    log_every: int = 5
    resume: str | None = None
    robustness: bool = True
    objective_value: Any = "final/activation"  # or a list
    precision: str = "auto"
    device: str = "auto"


ConfigStore.instance().store(name="schema", node=Config, provider="deepvis")


def name(overrides: Iterable[str]) -> str:
    """What a person calls a job: the overrides that tell it from its sweep, without their groups.

    In a sweep only the swept keys do; the door leaves them in ``DEEPVIS_SWEPT`` for every process of it.

    Example:
      >>> name(["reg.decay=0.8", "model=hed", "batch_size=4"])
      'decay=0.8 model=hed'
    """
    swept = os.environ.get("DEEPVIS_SWEPT", "").split()
    quiet = ("tracker", "hydra", "batch_size=", "log_every=", "resume=", "objective_value=")
    last = {o.partition("=")[0]: o for o in overrides}  # typed twice, the last one counts
    own = [o for key, o in last.items() if (key in swept if swept else not o.startswith(quiet))]
    short = (
        re.sub(r"(?<==)-?\d*\.\d{10,}(e[-+]?\d+)?$", lambda m: f"{float(m[0]):.4g}", o) for o in own
    )  # a search's
    return " ".join(re.sub(r"^[\w.]*\.(?=\w+=)", "", o).replace('"', "") for o in short)


def job_folder(number: int, overrides: Sequence[str]) -> str:
    """A job's folder: its number and its name, safe and short enough for any file system."""
    words = re.sub(r"[^\w.=,+-]+", "_", name(overrides))
    return f"{number}_{words}"[:120].rstrip("_.,")


OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)


def without_hydra(cfg: DictConfig) -> DictConfig:
    """A composed config without Hydra's own node: what a job is."""
    return OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])


def nearest(word: str, valid: Iterable[str]) -> str:
    """The part of a message that helps: the nearest valid word, then all of them, or of many a few."""
    valid = list(valid)
    if len(valid) > FEW:
        close = difflib.get_close_matches(word, valid, n=5, cutoff=0.0)
        return f"the nearest of {len(valid)}: {', '.join(close)}"
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


def filters(spec: Any, channels: int, layer: str, what: str = "filters") -> list[int]:
    """The filters that ``layer.filters`` names.

    Args:
      spec: ``0-15``, ``0,3,7``, ``0-3,8``, ``all``, a number, or a list of numbers.
      channels: how many the layer has.
      layer: its name, for the message.
      what: they are, for the message.

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
            has = f"{layer} has {channels} {what}, 0 to {channels - 1}"
            raise ConfigError(f"layer.filters={spec}: {part} is out of range; {has}")
        wanted.extend(range(first, last + 1))
    if not wanted or len(set(wanted)) < len(wanted):
        raise ConfigError(f"layer.filters={spec}: wanted each filter once, and at least one")
    return wanted
