"""Errors: whatever was raised -> one line that says what came, what was wanted, where, and what to do."""

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deepvis.config import ConfigError, nearest
from deepvis.tracker import TrackerError
from deepvis.weights import WeightsError


class ReportedError(Exception):
    """A job failed and the terminal has said so."""


def line(err: BaseException, conf: Path, typed: Sequence[str]) -> str:
    """One line for a person.

    Args:
      err: what was raised.
      conf: the config folder, for the nearest valid word.
      typed: overrides as typed.
    """
    if isinstance(err, ConfigError | WeightsError | TrackerError):
        return str(err)
    if isinstance(err, MissingConfigException) and err.missing_cfg_file:
        group, _, choice = str(err.missing_cfg_file).rpartition("/")
        return f"{group}={choice}: no such choice; {nearest(choice, err.options or [])}"
    first = _first(err)
    if isinstance(err, HydraException) and first.startswith("Could not override '"):
        key = first.split("'")[1]
        return unknown(key, key, conf, typed)
    if isinstance(err, HydraException | OmegaConfBaseException):
        cause = f": {_first(err.__cause__)}" if err.__cause__ else ""
        return f"{first}{cause}"
    if isinstance(err, OSError):
        return f"{err.filename or 'output folder'}: {err.strerror or err}; make room there, or write " \
               "elsewhere with hydra.run.dir=... (hydra.sweep.dir=... for -m)"  # fmt: skip
    return f"{type(err).__name__}: {first}"


def unknown(key: str, plain: str, conf: Path, typed: Sequence[str]) -> str:
    """The line for an option that does not exist.

    Args:
      key: as typed.
      plain: the same without ``+`` or ``~``.
      conf: the config folder.
      typed: all overrides; their group choices decide which options there are.
    """
    if key.startswith("~"):
        return f"{key}: an option cannot be deleted; set it to its neutral value"
    if key != plain and is_option(plain, conf, typed):
        return f"{key}: {plain} exists; write it without the plus"
    return f"{key}: no such option, nothing would read it; {nearest(plain, _options(plain, conf, typed))}"


def is_option(key: str, conf: Path, typed: Sequence[str]) -> bool:
    """Whether the config has that key."""
    return key in _options(key, conf, typed)


def _options(key: str, conf: Path, typed: Sequence[str]) -> list[str]:
    """Every key beside this one, under the groups that were chosen."""
    chosen = [o for o in typed if (conf / o.partition("=")[0]).is_dir() and "," not in o]
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(conf), version_base="1.3"):
        known = compose("config", chosen)
    parent = key.rpartition(".")[0]
    node = OmegaConf.select(known, parent) if parent else known
    return [f"{parent}.{each}" if parent else str(each) for each in node or []]


def _first(err: BaseException) -> str:
    return next((text.strip() for text in str(err).splitlines() if text.strip()), type(err).__name__)
