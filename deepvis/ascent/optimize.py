"""Optimize: image specs -> `Trajectory`. The one place where images are optimized, whoever asks for it.

The runner of sweeps, `deepvis.visualize`, the studies, the benchmarks and the tests call it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deepvis.ascent import program, specs
from deepvis.ascent.program import Program
from deepvis.ascent.specs import ImageSpec, Snapshot

NO_IMAGES = np.empty(0, np.float32)
OnSnapshot = Callable[[Sequence[ImageSpec], Snapshot], None]


@dataclass(frozen=True)
class Trajectory:
    """What an optimization leaves; B images, in the order of their specs."""

    history: Mapping[
        str, np.ndarray
    ]  # [steps + 1, B]; row t: values after t steps; the last without a gradient
    final: np.ndarray  # [B, H, W, C] centred pixels
    best: np.ndarray  # likewise, of the highest score
    features: np.ndarray  # [B, channels]: mean of each of the layer's maps after its nonlinearity
    values: Mapping[str, np.ndarray]  # [B]: robustness, and what is retained under each change


def compiled(images: Sequence[ImageSpec]) -> Program:
    """The program of some specs, which must share a static config."""
    enabled = frozenset[str]().union(*(specs.enabled(each.cfg) for each in images))
    (static,) = {specs.static_config(each.cfg) for each in images}
    return program.compiled(static, enabled)


def optimize(
    images: Sequence[ImageSpec],
    *,
    using: Program | None = None,
    starts: np.ndarray | None = None,
    width: int | None = None,
    on_snapshot: OnSnapshot | None = None,
) -> Trajectory:
    """Raise the score of every image by gradient ascent.

    Args:
      images: the specs; they share a static config.
      using: their compiled program; by default it is looked up or compiled.
      starts: where they start, ``[B, H, W, C]`` centred pixels; by default as their configs say.
      width: images in a batch; by default the config's ``batch_size``.
      on_snapshot: is called after each chunk of ``snapshot_every`` steps with the specs of a batch and what
        is seen of them.

    Returns:
      The trajectory. An image with fewer steps than others repeats its final values in the remaining rows.
    """
    made = using or compiled(images)
    if starts is None:
        starts = np.stack([program.start(each, made.network.mean) for each in images])
    parts = []
    for place in _batches(images, width):
        batch, seen, last = images[place], [], None
        total = max(each.cfg.steps for each in batch)
        for snapshot in program.snapshots(made, batch, starts[place], width or _width(images), total):
            if last is not None:  # images of all snapshots would not fit into memory
                seen[-1] = replace(last, image=NO_IMAGES, best=NO_IMAGES)
            last = snapshot
            seen.append(snapshot)
            if on_snapshot is not None:
                on_snapshot(batch, snapshot)
        parts.append(_trajectory(batch, seen))
    return _joined(parts)


def _width(images: Sequence[ImageSpec]) -> int:
    together = specs.images_interact(images[0].cfg)
    return len(images) if together else min(images[0].cfg.batch_size, len(images))


def _batches(images: Sequence[ImageSpec], width: int | None) -> Iterator[slice]:
    size = width or _width(images)
    for first in range(0, len(images), size):
        yield slice(first, first + size)


def _trajectory(images: Sequence[ImageSpec], seen: Sequence[Snapshot]) -> Trajectory:
    count, last = len(images), seen[-1]
    steps = np.array([each.cfg.steps for each in images])
    rows = np.arange(steps.max() + 1)[:, None]
    history = {}
    for name, values in last.record.items():
        whole = np.concatenate([*(each.record[name][:, :count] for each in seen), values[-1:, :count]])
        for each in seen:  # final values are measured where an image takes its last step
            if each.final_values:
                done = (each.first < steps) & (steps <= each.first + len(each.record[name]))
                final = each.final_values[name][:count]
                whole = np.where(done & (rows >= steps), final, whole)
        history[name] = whole
    ends = last.final_values
    return Trajectory(
        history=history,
        final=last.image[:count],
        best=last.best[:count],
        features=ends["features"][:count],
        values={name: v[:count] for name, v in ends.items() if name not in history and name != "features"},
    )


def _joined(parts: Sequence[Trajectory]) -> Trajectory:
    length = max(len(each.history["score"]) for each in parts)

    def history(name):
        return np.concatenate(
            [np.pad(each.history[name], ((0, length - len(each.history[name])), (0, 0)), mode="edge")
             for each in parts], axis=1
        )  # fmt: skip

    return Trajectory(
        history={name: history(name) for name in parts[0].history},
        final=np.concatenate([each.final for each in parts]),
        best=np.concatenate([each.best for each in parts]),
        features=np.concatenate([each.features for each in parts]),
        values={name: np.concatenate([each.values[name] for each in parts]) for name in parts[0].values},
    )
