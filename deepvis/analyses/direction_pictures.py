"""Pictures of directions in a layer, by gradient ascent: (config, directions [n, C]) -> `DirectionPictures`.

How they are optimized is the config's: parametrization, transform, step rule, steps.
"""

import functools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepvis.ascent import specs, validation
from deepvis.ascent.optimize import optimize
from deepvis.ascent.specs import ImageSpec
from deepvis.config import schema
from deepvis.config.schema import Config, Layer
from deepvis.core import direction_files, images, progress

TARGET = "deepvis.ascent.objectives.direction"


@dataclass(frozen=True)
class DirectionPictures:
    """What was optimized."""

    centred: np.ndarray  # float32 [n, H, W, C]
    shown: Sequence[np.ndarray]  # uint8 [H, W, 3] each
    scores: np.ndarray  # float32 [n]: of the finished images
    features: np.ndarray  # float32 [n, C]: mean of each of the layer's maps behind its nonlinearity


def check(cfg: Config, size: int | tuple[int, int]) -> None:
    """Refuse what could not be optimized, before any photograph is read.

    Args:
      cfg: of the analysis.
      size: of the pictures, px.

    Raises:
      ConfigError: in one line.
    """
    objective = schema.choice("objective", {"_target_": "deepvis.ascent.objectives.layer",
                                            "pre_activation": False})  # fmt: skip
    validation.check(replace(_silent(cfg, size), objective=objective, layer=Layer(cfg.layer.name, 0)))


def optimized(
    cfg: Config, size: int | tuple[int, int], directions: np.ndarray, options: Mapping[str, Any]
) -> DirectionPictures:
    """Pictures of some directions, by ``objective=direction``.

    Args:
      cfg: with its device and batch size.
      size: of the pictures, px.
      directions: ``[n, C]``.
      options: of the objective, but its file.

    Raises:
      ConfigError: a picture is not finite.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npz"
        direction_files.write(path, directions, {})
        settings = {"_target_": TARGET, "vectors": str(path), "pre_activation": False, **options}
        made = replace(_silent(cfg, size), objective=schema.choice("objective", settings),
                       layer=Layer(cfg.layer.name, "all"))  # fmt: skip
        validation.check(made)
        count = len(directions)
        with progress.progress(cfg.layer.name, count, count * cfg.steps) as shown:
            shown.trace()
            found = optimize([ImageSpec(made, k) for k in range(count)], on_step=_steps(shown, made, count))
    display = functools.partial(images.displayed, display=specs.display(made), mean=made.model.mean)
    pictures = [display(each) for each in found.final]
    return DirectionPictures(found.final, pictures, found.history["score"][-1], found.features)


def _silent(cfg: Config, size: int | tuple[int, int]) -> Config:
    """Without what only a job has."""
    return replace(cfg, size=size, robustness=False, twins=0, alpha=False, snapshot_every=cfg.steps,
                   examples=0, trust=False)  # fmt: skip


def _steps(shown: progress.Progress, cfg: Config, count: int) -> Callable[[], None]:
    """What is called after each step of each batch."""
    width = min(cfg.batch_size, count)
    batches = iter([min(width, count - first) for first in range(0, count, width)])
    done = 0

    def on_step() -> None:
        nonlocal done
        if done == 0:
            shown.begin(next(batches), 0, cfg.steps)
        shown.advance()
        done = (done + 1) % cfg.steps
        shown.finish(shown.batch * (done == 0))

    return on_step
