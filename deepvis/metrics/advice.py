"""Advice: what a person should know of a job's images before believing them, in one line."""

from collections.abc import Sequence

import numpy as np

from deepvis.metrics.convergence import History, ends

FAINT, SATURATED = (
    5,
    90,
)  # grey levels of RMS: nothing is seen of an image below, little but clipped pixels above
TOP = 0.01  # of a layer's channels, among which a unit should be for which an image was optimized
CLIPPED = 0.25  # of an image's values outside of [0, 255]
RECIPE = "experiment=distill_2017 is a recipe that works on most networks"


def advice(
    history: History,
    images: Sequence[np.ndarray] | np.ndarray,
    mean: Sequence[float],
    channels: int,
    is_recipe: bool = False,
) -> str:
    """What is wrong with some images, in one line; empty where nothing is.

    Args:
      history: ``[steps + 1, images]`` each.
      images: final ones, centred, ``[H, W, C]`` each.
      mean: grey levels that 0 stands for, ``[C]``.
      channels: of the layer.
      is_recipe: whether they were optimized as `RECIPE` has it, which is then not named.

    Example:
      >>> rms, zero = np.array([[9.0], [1.0]]), np.zeros([2, 1])
      >>> history = {"image_rms": rms, "rank": zero, "score": zero, "gradient_rms": rms, "alive": rms}
      >>> advice(history, [np.ones([2, 2, 3])], [120, 120, 120], 64).partition(":")[0]
      '1 of 1 images have an RMS below 5 grey levels'
    """
    count, rms = len(images), history["image_rms"][-1]
    converged = np.array(ends(history)) == "converged"
    with np.errstate(invalid="ignore"):  # of an objective without a unit the rank is NaN
        low = (history["rank"][-1] > TOP * channels) & converged
    pixels = [np.asarray(image) + np.asarray(mean) for image in images]
    clipped = np.array([((each < 0) | (each > 255)).mean() for each in pixels]) > CLIPPED
    found = [
        (rms < FAINT, f"images have an RMS below {FAINT} grey levels: weaken reg, or take more steps"),
        (rms > SATURATED, f"images have an RMS above {SATURATED} grey levels: lower optimizer.learning_rate"),
        (
            clipped & (rms <= SATURATED),
            f"images have more than {CLIPPED:.0%} of their values outside of 0 to 255: add reg.clip_pixels",
        ),
        (low, f"images converged, but their unit is not in the top {TOP:.0%} of its layer"),
    ]
    reasons = [f"{mask.sum()} of {count} {text}" for mask, text in found if 2 * mask.sum() >= count]
    return "; ".join([*reasons, *([] if is_recipe else [RECIPE])]) if reasons else ""
