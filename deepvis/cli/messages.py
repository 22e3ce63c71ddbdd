"""Errors: whatever was raised -> one line that says what came, what was wanted, where, and what to do."""

from collections.abc import Sequence

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from deepvis.core.errors import DeepvisError, first_line, one_line
from deepvis.core.names import CONF, nearest


def line(err: BaseException, typed: Sequence[str] = ()) -> str:
    """One line for a person.

    Args:
      err: what was raised.
      typed: overrides as typed, for the options that there are.
    """
    if isinstance(err, DeepvisError):
        return str(err)
    if isinstance(err, MissingConfigException) and err.missing_cfg_file:
        group, _, choice = str(err.missing_cfg_file).rpartition("/")
        return f"{group}={choice}: no such choice; {nearest(choice, err.options or [])}"
    said = first_line(err)
    if isinstance(err, InterpolationToMissingValueError):  # what another option was to be taken from
        wanted = said.rpartition(": ")[2]
        return f"{wanted} is not given: add {wanted}=..."
    if isinstance(err, OverrideParseException):
        return f"{err.override}: {said}"
    if said.startswith("Ambiguous value for argument "):
        return f"{said.split(chr(39))[1]}: several values make a sweep; add -m, or quote or bracket a list"
    if isinstance(err, HydraException) and said.startswith("Could not override '"):
        key = said.split("'")[1]
        return unknown(key, key, typed)
    if isinstance(err, HydraException | OmegaConfBaseException):
        cause = f": {first_line(err.__cause__)}" if err.__cause__ else ""
        return f"{said}{cause}"
    return one_line(err)


def unknown(key: str, plain: str, typed: Sequence[str]) -> str:
    """The line for an option that does not exist.

    Args:
      key: as typed.
      plain: the same without ``+`` or ``~``.
      typed: all overrides; their group choices decide which options there are.
    """
    if key.startswith("~"):
        return f"{key}: an option cannot be deleted; set it to its neutral value"
    return f"{key}: no such option, nothing would read it; {nearest(plain, _options(plain, typed))}"


def is_option(key: str, typed: Sequence[str]) -> bool:
    """Whether the config has that key."""
    return key in _options(key, typed)


def _options(key: str, typed: Sequence[str]) -> list[str]:
    """Every key beside this one, under the groups that were chosen."""
    chosen = [o for o in typed if (CONF / o.partition("=")[0]).is_dir() and "," not in o]
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        known = compose("config", chosen)
    parent = key.rpartition(".")[0]
    node = OmegaConf.select(known, parent) if parent else known
    return [f"{parent}.{each}" if parent else str(each) for each in node or []]
