"""Messages: whatever was raised -> one line that says what was got and expected, where, and what to do."""

import os
import re
import traceback
from collections.abc import Sequence

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationToMissingValueError, OmegaConfBaseException

from deepvis.cli import overrides
from deepvis.config import compose
from deepvis.core import terminal
from deepvis.core.errors import ConfigError, DeepvisError, first_line, one_line

# Whether the person wants tracebacks; main() sets the variable for Hydra itself later.
FULL = os.environ.get("HYDRA_FULL_ERROR") == "1" and "DEEPVIS_SWEEP" not in os.environ


_reported: list[tuple[str, str]] = []  # in this process


def last() -> tuple[str, str] | None:
    """Class and line of the last error that was reported here; what Hydra refuses is a `ConfigError`."""
    return _reported[-1] if _reported else None


def report(err: BaseException, typed: Sequence[str] = (), multirun: bool = True) -> None:
    """Tell the person at the terminal: one line, or the traceback under HYDRA_FULL_ERROR=1."""
    text = _shown(line(err, typed, multirun))
    is_of_hydra = isinstance(err, HydraException | OmegaConfBaseException)
    _reported.append((ConfigError.__name__ if is_of_hydra else type(err).__name__, text))
    full = "".join(traceback.format_exception(err)).rstrip() if FULL else ""
    terminal.error(full or text)


def _shown(text: str) -> str:
    """One line, whatever was typed into it, and no password of an address."""
    return re.sub(r"(://[^/\s:@]*):[^/\s@]+@", r"\1:***@", text.replace("\r", "\\r").replace("\n", "\\n"))


def line(err: BaseException, typed: Sequence[str] = (), multirun: bool = True) -> str:
    """One line for a person; the fault may be among the overrides as typed."""
    if isinstance(err, DeepvisError):
        return str(err)
    if isinstance(err, MissingConfigException) and err.missing_cfg_file:
        group, _, choice = str(err.missing_cfg_file).rpartition("/")
        return overrides.no_choice(group, choice, err.options or [])
    if isinstance(err, InterpolationToMissingValueError):  # what another option was to be taken from
        source = _source(err)
        return f"{source} is not given: add {source}=..."
    if isinstance(err, OverrideParseException):
        return f"{err.override}: {first_line(err)}"
    if isinstance(err, HydraException | OmegaConfBaseException):
        cause = f": {first_line(err.__cause__)}" if err.__cause__ else ""
        return _fault(typed, multirun) or f"{first_line(err)}{cause}"
    return one_line(err)


def _fault(typed: Sequence[str], multirun: bool) -> str | None:
    try:
        return overrides.fault(typed, multirun)
    except (DeepvisError, HydraException, OmegaConfBaseException):
        return None  # then Hydra's own text says more


def _source(err: OmegaConfBaseException) -> str:
    """The option that an interpolation points to."""
    node = err.parent_node
    text = str(compose.plain_mapping(node, resolve=False).get(err.key, "") if OmegaConf.is_dict(node) else "")
    found = re.fullmatch(r"\$\{([\w.]+)\}", text)
    return found[1] if found else str(err.full_key)
