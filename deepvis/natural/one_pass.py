"""One pass over photographs: the extremes and the quantiles of all units of a layer, resumable.

The network computes each batch once, in one graph. What is kept is a few arrays per unit; they are written to
a checkpoint now and then, and a pass that goes on from it ends as one that was not interrupted, bit for bit.
"""

from __future__ import annotations

import json
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from deepvis.core import files
from deepvis.core.errors import ConfigError
from deepvis.data import Photographs, batches
from deepvis.natural import extremes, histograms
from deepvis.natural.extremes import Extremes
from deepvis.natural.histograms import Histogram
from deepvis.natural.units import Units
from deepvis.networks.backend import tf
from deepvis.networks.base import Activations, Size

PAUSE = 30.0  # s between two checkpoints


@dataclass(frozen=True)
class Search:
    """What is looked for, and in what."""

    network: Activations
    layer: str
    pre_activation: bool
    units: Units
    count: int  # of the units
    k: int
    per_image: int  # places that an image may have among the k of a unit
    photographs: Photographs
    size: Size
    batch_size: int
    device: str
    key: str  # of all of this: what a checkpoint must have


@dataclass(frozen=True)
class State:
    """What a pass knows after some photographs."""

    done: int  # photographs, those that could not be read among them
    top: Extremes
    bottom: Extremes  # of the negated values
    maxima: Histogram  # of each image's largest value
    means: Histogram  # of each image's mean over positions
    broken: tuple[tuple[int, str], ...]  # photographs that could not be read, and why


class Step(NamedTuple):
    """What the graph gives of a batch, each [B, units] or [B, units, m]."""

    values: tf.Tensor
    positions: tf.Tensor
    low_values: tf.Tensor  # of the negated values
    low_positions: tf.Tensor
    means: tf.Tensor


def run(search: Search, checkpoint: Path | None, tell: Callable[[int], None] = lambda done: None) -> State:
    """Look at all photographs, or at those that a checkpoint leaves.

    Args:
      search: what is looked for.
      checkpoint: file to go on from and to write to; None: neither.
      tell: is called with the number of photographs that are done.

    Raises:
      ConfigError: a unit has no finite value on a photograph.
    """
    state = _restored(search, checkpoint)
    tell(state.done)
    return through(search, compiled(search), state, checkpoint, tell)


def through(
    search: Search,
    step: Callable[[tf.Tensor], Any],
    state: State,
    checkpoint: Path | None,
    tell: Callable[[int], None],
) -> State:
    """Look at the photographs that a state leaves; see `run`.

    Args:
      search: what is looked for.
      step: `compiled`.
      state: of the photographs before.
      checkpoint: file to write to.
      tell: is called with the number of photographs that are done.
    """
    width = width_of(search)
    written = time.monotonic()
    data = batches(search.photographs, search.size, width, len(search.network.mean), state.done)
    for batch in data:
        with tf.device(search.device):
            found = step(batch.images)
        state = _advanced(search, state, batch.indices, Step(*(each.numpy() for each in found)))
        done = min(state.done + width, len(search.photographs))
        state = replace(state, done=done, broken=state.broken + batch.broken)
        tell(done)
        if checkpoint is not None and time.monotonic() - written > PAUSE and done < len(search.photographs):
            _write(search, state, checkpoint)
            written = time.monotonic()
    return state


def width_of(search: Search) -> int:
    """Images in a batch. Some kernels round otherwise for one image, three or five; see `ascent.program`."""
    width = search.batch_size
    return width if search.network.bitwise_any_batch else max(2, 1 << (width - 1).bit_length())


def compiled(search: Search) -> Callable[[tf.Tensor], Any]:
    """The graph of a batch: grey levels ``[B, H, W, C]`` -> `Step`."""
    mean = np.array(search.network.mean, np.float32)
    most = search.per_image

    @tf.function(autograph=False, reduce_retracing=False)
    def step(images: tf.Tensor) -> tuple[tf.Tensor, ...]:
        found = search.network.activations(images - mean, [search.layer])
        values = search.units.read(found[search.layer].maps(search.pre_activation))
        batch, height, width, units = values.shape
        flat = tf.transpose(tf.reshape(values, [batch, height * width, units]), [0, 2, 1])
        m = min(most or search.k, search.k, height * width)
        # Of equal values top_k has the one of the lower index first.
        highest, lowest = tf.math.top_k(flat, m), tf.math.top_k(-flat, m)
        return *highest, *lowest, tf.reduce_mean(flat, axis=2)

    return step


def _advanced(search: Search, state: State, indices: np.ndarray, found: Any) -> State:
    """With the photographs of a batch; those that could not be read are left out."""
    there = indices >= 0
    if not there.any():
        return state
    numbers = indices[there]
    values, positions, low_values, low_positions, means = (each[there] for each in found)
    wrong = ~(np.isfinite(means).all(axis=1) & np.isfinite(values[..., 0]).all(axis=1))
    if wrong.any():
        name = search.photographs.names[numbers[wrong][0]]
        raise ConfigError(
            f"{search.layer}: got NaN or infinity on the photograph {name}, expected finite activations"
        )
    return replace(
        state,
        top=extremes.merged(state.top, values, positions, numbers),
        bottom=extremes.merged(state.bottom, low_values, low_positions, numbers),
        maxima=histograms.added(state.maxima, values[..., 0]),
        means=histograms.added(state.means, means),
    )


def nothing(search: Search) -> State:
    """What is known before the first photograph."""
    none = extremes.nothing(search.count, search.k)
    return State(0, none, none, histograms.nothing(search.count), histograms.nothing(search.count), ())


def _write(search: Search, state: State, checkpoint: Path) -> None:
    head = json.dumps({"key": search.key, "done": state.done, "broken": state.broken})
    parts: dict[str, Any] = {name: vars(getattr(state, name)) for name in ARRAYS}
    arrays = {f"{name}.{key}": value for name, values in parts.items() for key, value in values.items()}
    with files.replacing(checkpoint) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, head=np.array(head), **arrays)


def _restored(search: Search, checkpoint: Path | None) -> State:
    """The state of a checkpoint that is of this search; of another, or a torn one, the beginning."""
    if checkpoint is None or not checkpoint.is_file():
        return nothing(search)
    try:
        with checkpoint.open("rb") as opened, np.load(opened) as file:
            head: Mapping[str, Any] = json.loads(str(file["head"]))
            if head["key"] != search.key:
                return nothing(search)
            parts: dict[str, Any] = {
                name: kind(**{key: file[f"{name}.{key}"] for key in kind.__dataclass_fields__})
                for name, kind in ARRAYS.items()
            }
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error):
        return nothing(search)
    return State(int(head["done"]), **parts, broken=tuple((int(i), str(why)) for i, why in head["broken"]))


ARRAYS: Mapping[str, Any] = {"top": Extremes, "bottom": Extremes, "maxima": Histogram, "means": Histogram}
