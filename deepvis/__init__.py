"""deepvis: what the filters of a convolutional network look for, tracked and compared."""

from typing import Any

from deepvis import results  # the package, loaded now: a later import of it would hide the function `results`

del results

__version__ = "0.5.0"
__all__ = ["results", "visualize"]


def __getattr__(name: str) -> Any:
    """Public functions are imported when used: `visualize` needs no Hydra, `results` no TensorFlow."""
    if name == "visualize":
        from deepvis.api import visualize as function
    elif name == "results":
        from deepvis.sweeps.tables import results as function
    else:
        raise AttributeError(f"module 'deepvis' has no attribute {name!r}")
    return function
