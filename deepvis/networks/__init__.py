"""Networks: what is known of one without computing, and how it is built, cut at the layers asked for."""

from deepvis.networks.base import (
    Activation,
    Layer,
    Model,
    Preprocess,
    channels,
    check,
    digest,
    fingerprint,
    layers,
    named,
    preprocess,
    read,
    resolved,
    side,
)

__all__ = [
    "Activation",
    "Layer",
    "Model",
    "Preprocess",
    "channels",
    "check",
    "digest",
    "fingerprint",
    "layers",
    "named",
    "preprocess",
    "read",
    "resolved",
    "side",
]  # fmt: skip
