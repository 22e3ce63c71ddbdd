"""How a model inside of another is called: arguments -> what each of its inputs is given."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

FLOATS = {"float16", "bfloat16", "float32", "float64"}


def inputs(model: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any] | None:
    """What an inner model is called with, in the order of its inputs; None where that cannot be told."""
    given = {key: value for key, value in kwargs.items() if key != "training"}
    named = {k: v for k, v in given.items() if any(each is not None for each in keras.tree.flatten(v))}
    if len(args) + len(named) != 1 or named.keys() - {"inputs"}:
        return None
    (value,) = (*args, *named.values())
    if isinstance(value, Mapping):
        keys = {id(tensor): tensor.name for tensor in model.inputs}
        if not isinstance(model, keras.Sequential) and isinstance(model.input, Mapping):
            keys = {id(tensor): key for key, tensor in model.input.items()}
        tensors = [value.get(keys[id(tensor)]) for tensor in model.inputs]
    else:
        tensors = list(value) if isinstance(value, list | tuple) else [value]
    fit = len(tensors) == len(model.inputs) and all(map(_fits, tensors, model.inputs))
    return tensors if fit else None


def _fits(tensor: Any, expected: Any) -> bool:
    """Whether a model gives a tensor to its layers as it is."""
    if not isinstance(tensor, keras.KerasTensor) or len(tensor.shape) != len(expected.shape):
        return False
    return tensor.dtype == expected.dtype or {tensor.dtype, expected.dtype} <= FLOATS
