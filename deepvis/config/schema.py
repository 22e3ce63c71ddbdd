"""What a config may say: the types of every group, and the names that follow from one.

The shape of a VGG is in its config (`model.blocks`), hence its layers and their channels are known here,
without TensorFlow; `networks` knows any other's.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf


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
    snapshot_every: int = 5
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
    quiet = ("tracker", "hydra", "batch_size=", "snapshot_every=", "resume=", "objective_value=")
    last = {o.partition("=")[0]: o for o in overrides}  # typed twice, the last one counts
    own = [o for key, o in last.items() if (key in swept if swept else not o.startswith(quiet))]
    short = (
        re.sub(r"(?<==)-?\d*\.\d{10,}(e[-+]?\d+)?$", lambda m: f"{float(m[0]):.4g}", o) for o in own
    )  # a search's
    bare = (re.sub(r"^[\w.]*\.(?=\w+=)", "", o).replace('"', "") for o in short)
    return " ".join(re.sub(r"(?<==)[^\s=]*/(?=[^/]+$)", "", o) for o in bare)  # of a path the file


def job_folder(number: int, overrides: Sequence[str]) -> str:
    """A job's folder: its number and its name, safe and short enough for any file system."""
    words = re.sub(r"[^\w.=,+-]+", "_", name(overrides))
    return f"{number}_{words}"[:120].rstrip("_.,")


OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)


def without_hydra(cfg: DictConfig) -> DictConfig:
    """A composed config without Hydra's own node: what a job is."""
    return OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"])
