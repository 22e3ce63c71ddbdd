"""Overrides as typed: which are options, and what is wrong with one that Hydra refuses."""

import dataclasses
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import yaml
from hydra.conf import HydraConf
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from deepvis import networks
from deepvis.config import compose
from deepvis.core.errors import ConfigError
from deepvis.core.names import CONF, nearest

OF_COMMANDS = (
    "atlas",
    "attribution",
    "directions",
    "embedding",
    "fooling",
    "weights",
)  # groups that commands of their name read, and no job


def checked(typed: Sequence[str], read: Collection[str] = ()) -> list[str]:
    """Overrides as typed; a `ConfigError` if Hydra accepts one that nothing would read (``+reg.decya=1``).

    Args:
      typed: overrides.
      read: groups that the command reads beside those of a job.
    """
    for each in compose.parse(typed):
        key, plain = each.get_key_element(), each.key_or_group
        group = plain.partition(".")[0]
        if group in OF_COMMANDS and group not in read:
            raise ConfigError(
                f"{each.input_line}: no job reads it; expected deepvis {group} {each.input_line}"
            )
        if key == plain or each.is_hydra_override() or each.package is not None:
            continue
        if each.is_delete():
            raise ConfigError(f"{key}: an option cannot be deleted; set it to its neutral value")
        config = _chosen(typed)
        if plain not in _beside(plain, config):
            raise ConfigError(unknown(key, plain, config))
        if each.is_add() and not isinstance(each.value(), dict | list):
            raise ConfigError(f"{key}: {plain} exists already; type {plain}=... without the +")
    return list(typed)


def check_of_hydra(typed: Sequence[str]) -> None:
    """Refuse an option of Hydra's that it does not have, but would take and not read.

    Raises:
      ConfigError: names the nearest.
    """
    for each in typed:
        key, _, value = each.partition("=")
        if key in ("hydra.run.dir", "hydra.sweep.dir") and not value.strip("\"' "):
            raise ConfigError(f"{key}: got no name, expected a folder's; {key}=. is the one you are in")
        if re.match(r"\+\+?hydra\.[\w.]+$", key):
            _check_of_hydra(key, key.lstrip("+"))


def _check_of_hydra(key: str, plain: str) -> None:
    node: Any = HydraConf
    under = "hydra"
    for word in plain.split(".")[1:]:
        if not dataclasses.is_dataclass(node):  # names of the user's: callbacks, variables of a job ...
            return
        types = {each.name: each.type for each in dataclasses.fields(node)}
        if word not in types:
            valid = [f"{under}.{name}" for name in types]
            raise ConfigError(f"{key}: no such option, Hydra would not read it; {nearest(plain, valid)}")
        node, under = types[word], f"{under}.{word}"


def fault(typed: Sequence[str], multirun: bool) -> str | None:
    """What is wrong with the overrides, as one line; None where that is not known."""
    config = _chosen(typed)
    for each in compose.parse(typed):
        if each.is_hydra_override() or each.package is not None or (CONF / each.key_or_group).is_dir():
            continue
        if each.is_sweep_override() and not multirun:
            return f"{each.input_line}: several values make a sweep; add -m, or quote or bracket a list"
        if each.key_or_group not in _beside(each.key_or_group, config):
            return unknown(each.get_key_element(), each.key_or_group, config)
    return None


def unknown(key: str, plain: str, config: DictConfig) -> str:
    """The line for an option that does not exist, as typed and plain, without ``+``."""
    if (CONF / plain).is_dir():
        return f"{key}: {plain} exists already; type {plain}=... without the +"
    if "." not in plain:
        longer = list(dict.fromkeys(_ending_in(plain, config)))
        if longer:
            return f"{key}: no such option; did you mean {' or '.join(longer)}?"
    beside, (parent, _, last) = _beside(plain, config), plain.rpartition(".")
    if parent and not beside:
        if parent not in _beside(parent, config):
            return unknown(key, parent, config)
        names_more = OmegaConf.select(config, parent) is None  # such as model.inputs, by names of the user's
        how = f"'{parent}={{{last}: ...}}'" if names_more else f"{parent}=..."
        return f"{key}: no such option, for {parent} is one value; type {how}"
    return f"{key}: no such option, nothing would read it; {nearest(plain, beside)}"


def no_choice(group: str, choice: str, options: Sequence[str]) -> str:
    """The line for a file that a group does not have."""
    line = f"{group}={choice}: no such choice; {nearest(choice, options)}"
    if group == "layer":
        line += f"; a layer of another network is chosen with layer.name={choice}"
    if group == "model":
        name = next((name for name in networks.applications() if name.lower() == choice.lower()), None)
        line += f"; a network of keras.applications is chosen with model=keras model.name={name or '...'}"
    return line


def _chosen(typed: Sequence[str]) -> DictConfig:
    """The config under the groups that were chosen, without any value that was typed."""
    return compose.config([o for o in typed if (CONF / o.partition("=")[0]).is_dir() and "," not in o])


def _beside(key: str, config: DictConfig) -> list[str]:
    """Every key beside this one."""
    parent = key.rpartition(".")[0]
    try:
        node = OmegaConf.select(config, parent) if parent else config
    except OmegaConfBaseException:
        node = None
    keys = [str(each) for each in node] if isinstance(node, DictConfig) else []
    return [f"{parent}.{each}" if parent else each for each in keys]


def _ending_in(word: str, config: DictConfig) -> Iterator[str]:
    """Every longer key that ends in a word: of the config, then of other choices of its groups."""
    for group in map(str, config):
        node = OmegaConf.select(config, group, throw_on_missing=False)
        if isinstance(node, DictConfig) and word in node:
            yield f"{group}.{word}"
            continue
        for file in sorted((CONF / group).glob("*.yaml")):
            if word in (yaml.safe_load(file.read_text()) or {}):
                yield f"{group}.{word} (with {group}={file.stem})"
