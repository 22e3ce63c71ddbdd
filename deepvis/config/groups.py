"""Groups from Python: choices, changes and functions -> the plain config that a command line composes."""

import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hydra import compose, initialize_config_dir

from deepvis.config import knobs, schema
from deepvis.config.compose import plain_mapping
from deepvis.core.errors import ConfigError
from deepvis.core.names import CONF, nearest

LOG = logging.getLogger(__name__)
# Keys that notebooks of deepvis 0.4 have.
FORMERLY = {"optimizer.rate": "learning_rate", "optimizer.max_rate": "max_learning_rate",
            "optimizer.desired": "target_gain"}  # fmt: skip
# A file of that group in conf/; or what differs from one, its `preset`; or a function of the user's.
Choice = str | Mapping[str, Any] | Callable[..., Any]
COMPOSING = threading.Lock()  # Hydra knows one config at a time


def composed(groups: Mapping[str, Choice], recipe: str | None = None) -> dict[str, Any]:
    """The plain config of some choices.

    Args:
      groups: by name; ``{"preset": "adam", "learning_rate": 3}`` changes a file of conf/, which by default is
        the group's; ``{"_target_": function, ...}`` or the function itself takes one of the user's.
      recipe: a file of conf/experiment, which the choices change; None: none.

    Raises:
      ConfigError: no such file, or no such key.
    """
    names, changes, functions = {}, {}, {}
    for group, choice in groups.items():
        if callable(choice):
            choice = {"_target_": choice}
        if not isinstance(choice, str | Mapping):
            raise ConfigError(
                f"{group}={choice}: expected the name of a choice, a mapping of its options, or a function"
            )
        given = {"preset": choice} if isinstance(choice, str) else dict(choice)
        target = given.pop("_target_", None)
        if "preset" in given:
            names[group] = _file(group, str(given.pop("preset")))
        if target is not None:
            functions[group] = target
            knobs.component(group, target)
        changes[group] = given
    schema.store()  # a function of the user's may have brought knobs
    with COMPOSING, initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        experiment = [] if recipe is None else [f"experiment={recipe}"]
        cfg = compose("config", [*experiment, *(f"{group}={name}" for group, name in names.items())])
    plain = plain_mapping(cfg)
    for group, given in changes.items():
        if group in functions:
            known = plain[group] if group in schema.SETS else knobs.component(group, functions[group]).knobs
            kept = set(plain[group]) if group in schema.SETS else {"display"}  # of a start: how it is shown
            plain[group] = {key: value for key, value in plain[group].items() if key in kept}
            acting = knobs.given(group, functions[group])
            plain[group] |= {"_target_": functions[group]} | acting | _checked(known, given, group)
        else:
            plain[group] |= _checked(plain[group], given, group)
    return plain


def _file(group: str, name: str) -> str:
    known = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    if name not in known:
        raise ConfigError(f"{group}={name}: no such choice; {nearest(name, known)}")
    return name


def _checked(known: Mapping[str, Any], changes: Mapping[str, Any], group: str) -> dict[str, Any]:
    """Changes of a group as plain values; refused where there is no such key."""
    values: dict[str, Any] = {}
    for key, value in changes.items():
        if f"{group}.{key}" in FORMERLY:
            LOG.warning("%s.%s: is %s since deepvis 0.5", group, key, FORMERLY[f"{group}.{key}"])
            key = FORMERLY[f"{group}.{key}"]
        if key not in known:
            valid = [name for name in known if name != "_target_"]
            raise ConfigError(f"{group}: no option {key}; {nearest(key, valid)}")
        if isinstance(known[key], Mapping) and not isinstance(value, Mapping):
            raise ConfigError(
                f"{group}.{key}={value}: expected a mapping of {', '.join(map(str, known[key]))}"
            )
        if isinstance(known[key], Mapping):
            values[key] = {**known[key], **_checked(known[key], value, f"{group}.{key}")}
        else:
            values[key] = plain_value(value)
    return values


def plain_value(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's, a path as its text: what a config file could hold."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [plain_value(each) for each in value]
    return str(value) if isinstance(value, os.PathLike | Path) else value
