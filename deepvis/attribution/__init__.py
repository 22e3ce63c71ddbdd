"""Attribution: which pixels of an image a unit of a network responds to.

Importing the package declares the methods, without TensorFlow.
"""

from deepvis.attribution import activation_maps, gradients, occlusion, relu_rules
from deepvis.attribution.family import Attribution, attribution
from deepvis.attribution.unit import Compiled, Unit, compiled

__all__ = [
    "Attribution", "Compiled", "Unit", "activation_maps", "attribution", "compiled", "gradients", "occlusion",
    "relu_rules",
]  # fmt: skip
