"""Networks from Python: a model in hand, a name or a file -> the group ``model`` of a config."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepvis import networks
from deepvis.config import groups
from deepvis.config.groups import Choice
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


def _file(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The choice of conf/model for a model's file; other files than Keras' and ONNX' are refused there."""
    return {"preset": "onnx" if path.suffix == ".onnx" else "file", "path": str(path), **given}
