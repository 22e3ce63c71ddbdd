"""Checks that types cannot make: ranges, names of layers, pictures, the room for results.

A check raises `ConfigError` with one line: what came, what was wanted, where, and what to do. None needs
TensorFlow, so a typing mistake costs a second, not a night.
"""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepvis import networks
from deepvis.ascent import compatibility, devices
from deepvis.ascent.specs import Plain
from deepvis.config.ranges import choice, number, picture, whole
from deepvis.core.errors import ConfigError
from deepvis.metrics import convergence, image_statistics, robustness

ROOM = 16 * 2**20  # bytes that must be free before a job starts; a job of 16 filters at 128 px takes 5 MB


def check(cfg: Plain) -> None:
    """Refuse a config that cannot give a right result.

    Args:
      cfg: a composed config, plain, without Hydra's own node.

    Raises:
      ConfigError: with one line; the first mistake found.
    """
    left = sorted(missing(cfg))
    if left:
        raise ConfigError(f"{left[0]} is not given: add {left[0]}=...")
    whole("snapshot_every", cfg["snapshot_every"], 1)
    seen = [*image_statistics.METRICS, *(robustness.NAMES if cfg["robustness"] else ())]
    known = [*convergence.FIGURES, *(f"image/{name}" for name in seen)]
    several = isinstance(cfg["objective_value"], list)
    for wanted in cfg["objective_value"] if several else [cfg["objective_value"]]:
        choice("objective_value", str(wanted), known)
    check_climb(cfg)


def check_climb(cfg: Plain) -> None:
    """Refuse what could not be optimized, whoever asks for it.

    Args:
      cfg: a config, plain; of a job's the part that says how its images come about.

    Raises:
      ConfigError: with one line; the first mistake found.
    """
    for key, low in {"steps": 1, "batch_size": 0, "seed": 0, "twins": 0, "size": 1}.items():
        whole(key, cfg[key], low)
    choice("precision", cfg["precision"], ("auto", "float32", "bfloat16"))
    if not re.fullmatch(r"auto|cpu|gpu(:\d{1,3})?", cfg["device"]):
        raise ConfigError(f"device={cfg['device']}: wanted auto, cpu, gpu, or gpu:1 for the second one")
    devices.named(cfg["device"])
    _check_layer(cfg)
    _check_reg(cfg["reg"])
    compatibility.check(cfg)
    _check_start(cfg["start"], cfg["model"])


def missing(cfg: Mapping[str, Any], under: str = "") -> list[str]:
    """The options of a plain config that somebody must still give."""
    found = []
    for key, value in cfg.items():
        if isinstance(value, Mapping):
            found += missing(value, f"{under}{key}.")
        elif value == "???":
            found.append(f"{under}{key}")
    return found


def _check_start(start: Plain, model: Plain) -> None:
    for key in {"low", "high", "sigma"} & start.keys():
        number(f"start.{key}", start[key], lambda v: -1000 <= v <= 1000, "grey levels, at most 1000")
    if "low" in start and start["low"] > start["high"]:
        raise ConfigError(f"start.low={start['low']}: wanted at most start.high, which is {start['high']}")
    if start.get("sigma", 0) < 0:
        raise ConfigError(f"start.sigma={start['sigma']}: wanted a standard deviation of 0 or more")
    choice("start.display", start["display"], ("contrast", "natural"))
    if "path" in start:
        compatibility.of_picture("start.path", start["path"], model)
        picture("start.path", start["path"])


def _check_layer(cfg: Plain) -> None:
    layer = networks.check(cfg["model"], cfg["layer"]["name"])
    networks.resolved(cfg["model"])
    size = cfg["size"]
    if layer.exactly is not None and size != layer.exactly:
        raise ConfigError(
            f"size={size}: {layer.name} reads every place of the image by its own weights, so it takes "
            f"{layer.exactly} px and no other; set size={layer.exactly}"
        )
    if size < layer.smallest:
        raise ConfigError(
            f"size={size}: too small for {layer.name}, whose map would have no pixel; "
            f"wanted {layer.smallest} px or more"
        )


def _check_reg(reg: Plain) -> None:
    number("reg.decay", reg["decay"], lambda v: 0 < v <= 1, "a factor in (0, 1]; 1 is off")
    number("reg.blur", reg["blur"], lambda v: v >= 0 and (v == 0 or v % 2 == 1),
           "an odd kernel size in px; 0 is off")  # fmt: skip
    number(
        "reg.blur_sigma", reg["blur_sigma"], lambda v: 0 <= v <= 1000, "a sigma in px of 0 to 1000; 0 is off"
    )
    if reg["blur"] > 0 and reg["blur_sigma"] > 0:
        raise ConfigError(
            f"reg.blur={reg['blur']} and reg.blur_sigma={reg['blur_sigma']}: wanted one of them; "
            "set the other to 0"
        )
    choice("reg.blur_kind", reg["blur_kind"], ("gaussian", "box"))
    if reg["blur_kind"] == "box" and reg["blur_sigma"] > 0:
        raise ConfigError("reg.blur_sigma: a box has no sigma; give reg.blur or reg.blur_kind=gaussian")
    whole("reg.blur_every", reg["blur_every"], 1)
    for key in ("value_percentile", "norm_percentile", "contribution_percentile"):
        number(f"reg.{key}", reg[key], lambda v: 0 <= v < 100, "a percentile in [0, 100); 0 is off")
    choice("reg.combine", reg["combine"], ("chain", "mix"))
    for key, weight in reg["weights"].items():
        number(f"reg.weights.{key}", weight, lambda v: v >= 0, "a weight of 0 or more")


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
