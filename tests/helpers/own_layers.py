"""Layers of a user's, given by name: ``model.custom_objects=helpers.own_layers``."""

from typing import Any

import keras
from keras.layers import Dense  # noqa: F401  imported from elsewhere: none of its own


class Scaled(keras.layers.Layer):
    """A layer with weights of its own."""

    def __init__(self, units: int = 4, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")

    def call(self, x: Any) -> Any:
        return keras.ops.matmul(x, self.kernel)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"units": self.units}


class Block(keras.layers.Layer):
    """A block without ``build``: Keras builds its layers when it is called."""

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters, self.inner = filters, keras.layers.Conv2D(filters, 3, padding="same")

    def call(self, x: Any) -> Any:
        return keras.ops.relu(self.inner(x))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"filters": self.filters}


class Strict(keras.layers.Layer):
    """A layer whose ``__init__`` takes no other arguments, so that Keras cannot make it again."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"factor": self.factor}


def doubled(x: Any) -> Any:
    """An activation."""
    return 2 * keras.ops.relu(x)
