"""Checks that types cannot make: ranges, names of layers, pictures, the room for results.

A check raises `ConfigError` with one line: what came, what was wanted, where, and what to do. None needs
TensorFlow, so a typing mistake costs a second, not a night.
"""

import math
import os
import re
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from PIL import Image, UnidentifiedImageError

from deepvis import convergence, devices, metrics, networks, views
from deepvis.config import ConfigError, filters, nearest

ROOM = 16 * 2**20  # bytes that must be free before a job starts; a job of 16 filters at 128 px takes 5 MB


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
    for key, low in {"steps": 1, "batch_size": 0, "log_every": 1, "seed": 0, "twins": 0, "size": 1}.items():
        if cfg[key] < low:
            raise ConfigError(f"{key}={cfg[key]}: wanted a whole number of {low} or more")
    _choice("precision", cfg.precision, ("auto", "float32", "bfloat16"))
    if not re.fullmatch(r"auto|cpu|gpu(:\d{1,3})?", cfg.device):
        raise ConfigError(f"device={cfg.device}: wanted auto, cpu, gpu, or gpu:1 for the second one")
    devices.named(cfg.device)
    seen = [*metrics.METRICS, *(views.NAMES if cfg.robustness else ())]
    known = [*convergence.FIGURES, *(f"image/{name}" for name in seen)]
    several = isinstance(cfg.objective_value, ListConfig)
    for wanted in cfg.objective_value if several else [cfg.objective_value]:
        _choice("objective_value", str(wanted), known)
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
    model = OmegaConf.to_container(cfg.model, resolve=True)
    layer = networks.check(model, cfg.layer.name)
    what = {"conv": "filters", "dense": "units: one a class, where it is the last layer"}
    filters(cfg.layer.filters, layer.channels, layer.name, what.get(layer.kind, "channels"))
    networks.settled(model)
    if layer.exactly is not None and cfg.size != layer.exactly:
        raise ConfigError(
            f"size={cfg.size}: {layer.name} reads every place of the image by its own weights, so it takes "
            f"{layer.exactly} px and no other; set size={layer.exactly}"
        )
    if cfg.size < layer.smallest:
        raise ConfigError(
            f"size={cfg.size}: too small for {layer.name}, whose map would have no pixel; "
            f"wanted {layer.smallest} px or more"
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
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                picture.load()  # the whole of it: verify() would pass half a JPEG
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as err:
        raise ConfigError(f"start.path={path}: refused as a decompression bomb: {err}") from err
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as err:
        raise ConfigError(f"start.path={path}: not a whole picture that Pillow can read ({err})") from err


def check_folder(folder: Path) -> None:
    """Refuse an output folder that could not be made or filled; nothing is written to find out.

    Args:
      folder: of the results; it need not exist.

    Raises:
      ConfigError: it is below a file, read-only, or on a full disk.
    """
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    elsewhere = "write elsewhere with hydra.run.dir=... (hydra.sweep.dir=... for -m)"
    if not there.is_dir():
        raise ConfigError(f"output folder {folder}: {there} is not a folder; {elsewhere}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"output folder {folder}: {there} is read-only; {elsewhere}")
    free = shutil.disk_usage(there).free
    if free < ROOM:
        raise ConfigError(
            f"output folder {folder}: {free / 2**20:.1f} MB free, wanted {ROOM >> 20}; {elsewhere}"
        )


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
