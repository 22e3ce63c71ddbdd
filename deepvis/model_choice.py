"""Configs from Python: a model in hand, a name or a file, and what is chosen -> a checked config."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deepvis import networks
from deepvis.ascent import devices, validation
from deepvis.config import groups, schema
from deepvis.config.groups import Choice
from deepvis.config.schema import Config
from deepvis.core.errors import ConfigError
from deepvis.core.names import CONF, nearest


def chosen(
    model: Any,
    preprocess: Any,
    inputs: Mapping[str, Any] | None = None,
    optimize: str | None = None,
    labels: Any = "auto",
    size: Any = None,
) -> tuple[dict[str, Any] | None, dict[str, Choice]]:
    """A network as a config: of a model in hand, or a choice of conf/model or of keras.applications.

    Args:
      model, preprocess, inputs, optimize, labels, size: as `deepvis.visualize` takes them.

    Returns:
      The group ``model`` of a model in hand, or None; and what is chosen of other groups.

    Raises:
      ConfigError: there is no such network.
    """
    labels = groups.plain_value(labels)
    given = {"inputs": inputs, "optimize": optimize, "preprocess": preprocess, "labels": labels}
    unsaid = dict.fromkeys(given) | {"preprocess": "auto", "labels": "auto"}
    given = {key: value for key, value in given.items() if value != unsaid[key]}
    if isinstance(model, Mapping):
        return None, {"model": {**model, **given}}
    if isinstance(model, Path):
        return None, {"model": _file(model, given)}
    if not isinstance(model, str):
        return networks.hold(model, preprocess, inputs, optimize, labels, size), {}
    named = {path.stem for path in (CONF / "model").glob("*.yaml")} - {"keras", "file", "onnx"}
    if model in named:
        return None, {"model": {"preset": model, **given}}
    known = networks.applications()
    if model not in known and (Path(model).exists() or re.fullmatch(r"\.[a-z]\w*", Path(model).suffix)):
        return None, {"model": _file(Path(model), given)}
    if model not in known:
        raise ConfigError(f"model={model}: no such network; {nearest(model, [*named, *known])}")
    return None, {"model": {"preset": "keras", "name": model, **given}}


def group(network: tuple[dict[str, Any] | None, dict[str, Choice]]) -> dict[str, Any]:
    """The group ``model`` of a network, as `chosen` gives it."""
    held, choice = network
    return held or groups.composed(choice)["model"]


def config(
    network: tuple[dict[str, Any] | None, dict[str, Choice]],
    layer: Any,
    filters: int | str | Sequence[int],
    choices: Mapping[str, Choice],
    values: Mapping[str, Any],
    with_recipe: bool,
    recipe: str | None = None,
) -> tuple[Config, Mapping[str, Any], str | None]:
    """A checked config.

    Args:
      network: as `chosen` gives it.
      layer: in hand, or its name.
      filters: as `deepvis.visualize` takes them.
      choices: of the other groups.
      values: of keys that are in no group.
      with_recipe: the recipe that suits the network counts, where there is one.
      recipe: else the recipe, a file of conf/experiment, that counts.

    Returns:
      The config with its device and all that follows from the network; what it was made of; the recipe.

    Raises:
      ConfigError: a mistake, in one line.
    """
    held, choice = network
    model = group(network)
    if not isinstance(layer, str):
        layer = networks.network(model).name_of(layer)
    recipe = networks.recipe(model) if with_recipe else recipe
    composed = groups.composed({**choices, **choice}, recipe)
    spec = filters if isinstance(filters, str) else np.atleast_1d(filters).tolist()
    given = {**values, "layer": {"name": layer, "filters": spec}, **({} if held is None else {"model": held})}
    cfg = schema.resolve(composed | {key: groups.plain_value(value) for key, value in given.items()})
    validation.check(cfg)
    resolved = networks.resolved(schema.plain(cfg.model))
    return replace(devices.resolved(cfg), model=schema.free("model", resolved)), composed, recipe


def unit_config(
    choices: Mapping[str, Choice],
    *,
    model: Any,
    layer: Any,
    size: Any,
    preprocess: Any,
    inputs: Any,
    optimize: Any,
    device: str,
    filters: Any = "all",
    labels: Any = "auto",
    batch_size: int = 0,
    with_recipe: bool = False,
    more: Mapping[str, Any] | None = None,
) -> tuple[Config, Mapping[str, Any]]:
    """A checked config of an analysis of units, in float32, and what it was made of.

    Args:
      choices: of the groups beside the network.
      model, layer, filters, size, preprocess, inputs, optimize, labels, device, batch_size: as
        `deepvis.visualize` takes them.
      with_recipe: see `config`.
      more: values of keys that are in no group.

    Raises:
      ConfigError: a mistake, in one line.
    """
    network = chosen(model, preprocess, inputs, optimize, labels, size)
    given = {"size": size, "batch_size": batch_size, "precision": "float32", "device": device}
    cfg, composed, _ = config(network, layer, filters, choices, given | dict(more or {}), with_recipe)
    return cfg, composed


def units(cfg: Config) -> tuple[Sequence[int], Sequence[str]]:
    """The filters of a config, and what they are called, where they are classes."""
    known = networks.network(schema.plain(cfg.model)).layer(cfg.layer.name)
    indices = validation.indices(cfg, known)
    return indices, validation.class_names(cfg, known, indices)


def data_choice(given: Any) -> Choice:
    """The choice of conf/data: a name, a mapping, or the path of a folder.

    Raises:
      ConfigError: it is none of these.
    """
    if isinstance(given, Mapping):
        return given
    if not isinstance(given, str | os.PathLike):
        raise ConfigError(f"data: got {type(given).__name__}, expected photos, or the path of a folder")
    return "photos" if given == "photos" else {"preset": "folder", "path": str(given)}


def _file(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The choice of conf/model for a model's file; other files than Keras' and ONNX' are refused there."""
    return {"preset": "onnx" if path.suffix == ".onnx" else "file", "path": str(path), **given}
