"""`Call`: what an operator's function is given; the values, constants and attributes of one ONNX node."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from deepvis.networks.onnx_import.graphs import Node
from deepvis.networks.onnx_import.layouts import LayoutError, Value

Argument = Value | np.ndarray | None
Operator = Callable[["Call"], "Value | Sequence[Value]"]


class UnsupportedError(LayoutError):
    """What an operator's function does not do; the message says what."""


@dataclass(frozen=True, eq=False)
class Call:
    """A node and what it reads."""

    node: Node
    arguments: Sequence[Argument]
    name: str  # of the Keras layer that computes what the node computes
    opset: int
    taken: set[str] = field(default_factory=set)  # names of layers

    def value(self, position: int = 0) -> Value:
        """What depends on the image."""
        found = self.arguments[position]
        if not isinstance(found, Value):
            raise UnsupportedError(
                f"its input {position} is a constant; expected one that depends on the image"
            )
        return found

    def constant(self, position: int, default: Any = None) -> Any:
        """An array of the file, or one that follows from its shapes."""
        found = self.arguments[position] if position < len(self.arguments) else None
        if isinstance(found, Value):
            raise UnsupportedError(f"its input {position} depends on the image; expected a constant")
        return default if found is None else found

    def get(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.node.attributes.get(name, default)

    def setting(self, name: str, position: int, default: Any = None) -> Any:
        """What older versions of an operator have as an attribute and newer ones as an input."""
        return self.get(name, self.constant(position, default))

    def numbers(self, name: str, position: int) -> list[int] | None:
        """The same, of whole numbers."""
        found = self.setting(name, position)
        return None if found is None else [int(each) for each in np.atleast_1d(found)]

    def refuse_unless(self, holds: bool, reason: str) -> None:
        """Raises: UnsupportedError, which says the reason."""
        if not holds:
            raise UnsupportedError(reason)

    def aside(self, part: str) -> str:
        """A name for a layer that only prepares: ``conv1.pad``."""
        return unique(f"{self.name}.{part}", self.taken)


def unique(name: str, taken: set[str]) -> str:
    """A name that no layer has, which it then has."""
    found = (
        name
        if name not in taken
        else next(each for each in (f"{name}_{k}" for k in itertools.count(1)) if each not in taken)
    )
    taken.add(found)
    return found


def weighted(layer: keras.layers.Layer, tensor: Any, arrays: Sequence[np.ndarray]) -> Any:
    """What a layer makes of a tensor, with these weights."""
    out = layer(tensor)
    layer.set_weights([np.asarray(each, np.float32) for each in arrays])
    layer.trainable = False
    return out
