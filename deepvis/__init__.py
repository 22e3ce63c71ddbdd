"""deepvis: what the filters of a convolutional network look for, tracked and compared."""

from typing import Any

__version__ = "0.5.0"
__all__ = ["results", "visualize"]


def __getattr__(name: str) -> Any:
    """Each door is opened when somebody asks for it: `visualize` needs no Hydra, `results` no TensorFlow."""
    if name == "visualize":
        from deepvis.api import visualize as door
    elif name == "results":
        from deepvis.sweeps.tables import results as door
    else:
        raise AttributeError(f"module 'deepvis' has no attribute {name!r}")
    return door
