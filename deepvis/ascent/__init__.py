"""Gradient ascent on images, one compiled step for a batch, and the families that a step is made of.

Importing the package declares the components of every family, without TensorFlow.
"""

from deepvis.ascent import (
    accentuation,
    facets,
    lbfgs,
    matching_objectives,
    objectives,
    optimizers,
    parametrizations,
    penalties,
    regularizers,
    starts,
    step_masks,
    transforms,
)
from deepvis.config import schema

schema.store()

__all__ = [
    "accentuation", "facets", "lbfgs", "matching_objectives", "objectives", "optimizers", "parametrizations",
    "penalties", "regularizers", "starts", "step_masks", "transforms",
]  # fmt: skip
