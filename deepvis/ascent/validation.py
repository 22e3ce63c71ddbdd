"""Validation: whether a typed config can be run, as far as its network tells.

A check raises `ConfigError` with one line: what came, what was expected, where, and what to do. None needs
TensorFlow, so a typing mistake costs a second, not a night. Types and ranges are `deepvis.config.schema`'s.
"""

import re

from deepvis import networks
from deepvis.ascent import compatibility, devices
from deepvis.config.ranges import choice, picture
from deepvis.config.schema import Config, plain
from deepvis.core.errors import ConfigError
from deepvis.metrics import convergence, image_statistics, robustness


def check_job(cfg: Config) -> None:
    """Refuse the config of a job that cannot give a right result.

    Raises:
      ConfigError: with one line; the first mistake found.
    """
    seen = [*image_statistics.METRICS, *(robustness.NAMES if cfg.robustness else ())]
    known = [*convergence.FIGURES, *(f"image/{name}" for name in seen)]
    values = cfg.objective_value
    for value in [values] if isinstance(values, str) else values:
        choice("objective_value", value, known)
    check(cfg)


def check(cfg: Config) -> None:
    """Refuse what could not be optimized, whoever asks for it.

    Raises:
      ConfigError: with one line; the first mistake found.
    """
    if not re.fullmatch(r"auto|cpu|gpu(:\d{1,3})?", cfg.device):
        raise ConfigError(f"device={cfg.device}: expected auto, cpu, gpu, or gpu:1 for the second one")
    devices.named(cfg.device)
    _check_layer(cfg)
    _check_blur(cfg)
    compatibility.check(cfg)
    _check_start(cfg)


def _check_start(cfg: Config) -> None:
    start = cfg.start
    if hasattr(start, "low") and hasattr(start, "high") and start.low > start.high:
        raise ConfigError(f"start.low={start.low:g}: expected at most start.high, which is {start.high:g}")
    if hasattr(start, "path"):
        compatibility.check_picture("start.path", start.path, cfg)
        picture("start.path", start.path)


def _check_layer(cfg: Config) -> None:
    model = plain(cfg.model)
    networks.network(model).layer(cfg.layer.name)
    networks.resolved(model)


def _check_blur(cfg: Config) -> None:
    reg = cfg.reg
    if reg.blur > 0 and reg.blur_sigma > 0:
        raise ConfigError(
            f"reg.blur={reg.blur} and reg.blur_sigma={reg.blur_sigma:g}: expected one of them; "
            "set the other to 0"
        )
    if reg.blur_kind == "box" and reg.blur_sigma > 0:
        raise ConfigError("reg.blur_sigma: a box has no sigma; give reg.blur or reg.blur_kind=gaussian")
