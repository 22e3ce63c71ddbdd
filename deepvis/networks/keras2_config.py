"""Configurations of models that tf.keras 2 saved -> the same as Keras 3 reads them. No tensors."""

import re
from typing import Any

MODELS = ("Functional", "Model", "Sequential")
SEPARABLE = "(Depthwise|Separable)Conv[12]D"  # their kernels are depthwise_ and pointwise_


def current(config: Any) -> Any:
    """A configuration without what Keras 3 writes in another way; one of Keras 3 stays as it is.

    Example:
      >>> current({"class_name": "BatchNormalization", "config": {"axis": [3]}})
      {'class_name': 'BatchNormalization', 'config': {'axis': 3}}
    """
    if isinstance(config, list):
        return [current(each) for each in config]
    if not isinstance(config, dict):
        return config
    kind, options = str(config.get("class_name")), config.get("config")
    if isinstance(options, dict):
        config = {**config, "config": _layer(kind, options)}
    return {key: current(value) for key, value in config.items()}


def _layer(kind: str, options: dict[str, Any]) -> dict[str, Any]:
    kept = dict(options)
    if re.fullmatch(f"{SEPARABLE}|Conv[123]DTranspose", kind) and kept.get("groups") == 1:
        del kept["groups"]
    if re.fullmatch(SEPARABLE, kind):
        for key in ("kernel_initializer", "kernel_regularizer", "kernel_constraint"):
            kept.pop(key, None)
    if kind == "BatchNormalization" and isinstance(kept.get("axis"), list) and len(kept["axis"]) == 1:
        kept["axis"] = kept["axis"][0]
    if kind in ("Functional", "Model") and isinstance(kept.get("layers"), list):
        kept = _functional(kept)
    return kept


def _functional(options: dict[str, Any]) -> dict[str, Any]:
    """Of a graph: how calls of nested models are counted, and one tensor that was a list of one."""
    kinds = {str(layer.get("name")): str(layer.get("class_name")) for layer in options["layers"]}
    nested = {name for name, kind in kinds.items() if kind in MODELS}
    nodes = [node for layer in options["layers"] for node in layer.get("inbound_nodes", ())]
    calls = [call for node in nodes for call in node if _is_call(call)]
    counted = {name: min(call[1] for call in calls if call[0] == name)
               for name in nested if any(call[0] == name for call in calls)}  # fmt: skip

    def recounted(node: Any) -> Any:
        # tf.keras 2 counts the call that a nested model was made with, Keras 3 does not.
        if _is_call(node):
            return [node[0], node[1] - (counted.get(node[0], 0) > 0), *node[2:]]
        return [recounted(each) for each in node] if isinstance(node, list) else node

    found = dict(options)
    if counted:
        found["layers"] = [
            {**layer, "inbound_nodes": [recounted(node) for node in layer.get("inbound_nodes", ())]}
            for layer in options["layers"]
        ]
    for key in ("input_layers", "output_layers"):
        tensors = found.get(key)
        if not isinstance(tensors, list) or not all(map(_is_call, tensors)):
            continue
        # Of a functional model Keras 3 leaves that call out itself, but here only.
        tensors = [each if kinds.get(each[0]) != "Sequential" else recounted(each) for each in tensors]
        found[key] = tensors[0] if len(tensors) == 1 else tensors
    return found


def _is_call(value: Any) -> bool:
    """Whether a value names a tensor of a graph: layer, number of its call, number of the tensor."""
    return (
        isinstance(value, list)
        and len(value) >= 3
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    )
