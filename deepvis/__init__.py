"""deepvis: what the units of a network look for, and which regularizer shows it best.

Each name is imported when it is first used: a table of results needs no TensorFlow, a picture no MLflow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from deepvis.core.version import __version__ as __version__

# Their functions have these names: no later import may hide them.
for _package in ("attribution", "report", "results", "trust"):
    import_module(f"deepvis.{_package}")
    del globals()[_package]

_HOMES = {
    "attribution": "unit_analyses", "examples": "unit_analyses", "trust": "unit_analyses",
    "atlas": "layer_analyses", "directions": "layer_analyses", "expanded_weights": "layer_analyses",
    "embedding": "image_analyses", "fooling": "image_analyses", "maps": "image_analyses",
    "tuning": "image_analyses", "weights": "image_analyses",
    "Visualization": "visualization", "layers": "api", "visualize": "api",
    "Sweep": "sweep_process", "sweep": "sweep_process",
    "compare": "analysis", "report": "analysis", "results": "analysis",
    "Knob": "config.knobs",
    "objective": "ascent.objectives", "optimizer": "ascent.optimizers",
    "parametrization": "ascent.parametrizations", "penalty": "ascent.penalties",
    "regularizer": "ascent.regularizers",
    "start": "ascent.starts", "transform": "ascent.transforms",
    "ConfigError": "core.errors", "DeepvisError": "core.errors", "SweepError": "core.errors",
    "TrackingError": "core.errors", "WeightsError": "core.errors",
}  # fmt: skip
__all__ = [
    "ConfigError", "DeepvisError", "Knob", "Sweep", "SweepError", "TrackingError", "Visualization",
    "WeightsError", "atlas", "attribution", "compare", "directions", "embedding", "examples",
    "expanded_weights", "fooling", "layers", "maps", "objective", "optimizer", "parametrization",
    "penalty", "regularizer", "report", "results", "start", "sweep", "transform", "trust", "tuning",
    "visualize", "weights",
]  # fmt: skip

if TYPE_CHECKING:
    from deepvis.analysis import compare, report, results
    from deepvis.api import layers, visualize
    from deepvis.ascent.objectives import objective
    from deepvis.ascent.optimizers import optimizer
    from deepvis.ascent.parametrizations import parametrization
    from deepvis.ascent.penalties import penalty
    from deepvis.ascent.regularizers import regularizer
    from deepvis.ascent.starts import start
    from deepvis.ascent.transforms import transform
    from deepvis.config.knobs import Knob
    from deepvis.core.errors import ConfigError, DeepvisError, SweepError, TrackingError, WeightsError
    from deepvis.image_analyses import embedding, fooling, maps, tuning, weights
    from deepvis.layer_analyses import atlas, directions, expanded_weights
    from deepvis.sweep_process import Sweep, sweep
    from deepvis.unit_analyses import attribution, examples, trust
    from deepvis.visualization import Visualization


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'deepvis' has no attribute {name!r}")
    return getattr(import_module(f"deepvis.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
