"""Kinds of Keras' layers: what is known of one by its class."""

from typing import Any

ACTIVATIONS = {
    "activation", "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardsilu", "hardtanh",
    "leakyrelu", "logsigmoid", "logsoftmax", "prelu", "relu", "relu6", "selu", "sigmoid", "silu", "softmax",
    "softplus", "softshrink", "softsign", "sparseplus", "sparsemax", "sparsesigmoid", "squareplus", "tanh",
    "tanhshrink", "threshold",
}  # fmt: skip
CODE = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}  # Keras' layers of any function


def is_activation(layer: Any) -> bool:
    """Whether a layer is a nonlinearity of Keras and nothing else."""
    return is_keras(layer) and type(layer).__name__.lower() in ACTIVATIONS


def is_keras(layer: Any) -> bool:
    """Whether what a layer does is known: its class is Keras' own, and holds no function of the user's."""
    kind = type(layer)
    return kind.__module__.partition(".")[0] == "keras" and kind.__name__ not in CODE


def families(layer: Any) -> set[str]:
    """Names of a layer's class and of all that it is derived from, where its class is Keras' own."""
    return {each.__name__ for each in type(layer).__mro__} if is_keras(layer) else set()
