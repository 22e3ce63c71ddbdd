"""Networks: what is known of one without computing, and how it is built, cut at the layers asked for."""

from deepvis.networks.base import Activation, Activations, Layer, Network
from deepvis.networks.lookup import applications, class_names, hold, network, recipe, resolved

__all__ = [
    "Activation",
    "Activations",
    "Layer",
    "Network",
    "applications",
    "class_names",
    "hold",
    "network",
    "recipe",
    "resolved",
]
