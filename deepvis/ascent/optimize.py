"""Optimize: image specs -> `Trajectory`. The one place where images are optimized, whoever asks for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deepvis.ascent import program, specs
from deepvis.ascent.program import Program
from deepvis.ascent.specs import ImageSpec, ImageState, Snapshot
from deepvis.core.counting import Tell

NO_IMAGES = np.empty(0, np.float32)
OnSnapshot = Callable[[Sequence[ImageSpec], Snapshot], None]


@dataclass(frozen=True)
class Trajectory:
    """What an optimization leaves; B images, in the order of their specs."""

    # [steps + 1, B]: values after t steps; the last without a gradient. Resumed images have only the rest.
    history: Mapping[str, np.ndarray]
    final: np.ndarray  # [B, H, W, C] centred pixels
    best: np.ndarray  # likewise, of the highest score
    features: np.ndarray  # [B, channels]: mean of each of the layer's maps after its nonlinearity
    values: Mapping[str, np.ndarray]  # [B]: robustness, and what is retained under each change
    importance: np.ndarray | None = None  # [B, H, W], with alpha: gradient's magnitude, summed over steps


def compiled(images: Sequence[ImageSpec]) -> Program:
    """The program of some specs, which must share a static config."""
    (static,) = {specs.static_config(image.cfg) for image in images}
    return program.compiled(static, frozenset(part for image in images for part in specs.enabled(image.cfg)))


def optimize(
    images: Sequence[ImageSpec],
    *,
    using: Program | None = None,
    starts: np.ndarray | None = None,
    width: int | None = None,
    on_snapshot: OnSnapshot | None = None,
    resumed: Sequence[ImageState] = (),
    on_step: Callable[[], None] = lambda: None,
) -> Trajectory:
    """Raise the score of every image by gradient ascent.

    Args:
      images: the specs; they share a static config.
      using: their compiled program; by default it is looked up or compiled.
      starts: where they start, ``[B, H, W, C]`` centred pixels; by default as their configs say.
      width: images in a batch; by default the config's ``batch_size``.
      on_snapshot: is called after each chunk of ``snapshot_every`` steps with the specs of a batch and their
        snapshot.
      resumed: where the images go on, one state an image, of a snapshot before their last step; by default
        they start.
      on_step: is called after each step of a batch.

    Returns:
      The trajectory. An image with fewer steps than others repeats its final values in the remaining rows.
    """
    using = using or compiled(images)
    if starts is None:
        starts = np.stack([program.start(image, using.network.mean) for image in images])
    if width is None:
        width = len(images)
        if not specs.is_joint(images[0].cfg):
            width = min(images[0].cfg.batch_size, width)
    parts = []
    for first in range(0, len(images), width):
        batch = images[first : first + width]
        snapshots: list[Snapshot] = []
        until = first + width
        going_on = resumed[first:until]
        for snapshot in program.snapshots(using, batch, starts[first:until], width, going_on, on_step):
            if snapshots:  # images of all snapshots would not fit into memory
                snapshots[-1] = replace(
                    snapshots[-1], image=NO_IMAGES, best=NO_IMAGES, states=tuple, start=None, importance=None
                )
            snapshots.append(snapshot)
            if on_snapshot is not None:
                on_snapshot(batch, snapshot)
        parts.append(_trajectory(batch, snapshots))
    return _concatenated(parts)


def counted(count: int, width: int, steps: int, tell: Tell) -> Callable[[], None]:
    """What `optimize` calls after each step of a batch, so that all work is told of.

    Args:
      count: of images that are optimized.
      width: of a batch.
      steps: of each image.
      tell: is called with the images x steps, and the images, that were done since.

    Example:
      >>> told = []
      >>> on_step = counted(3, 2, 2, lambda work, images: told.append((work, images)))
      >>> for _ in range(4):
      ...     on_step()
      >>> told
      [(2, 0), (2, 2), (1, 0), (1, 1)]
    """
    sizes = iter([(min(width, count - first), step == steps)
                  for first in range(0, count, width) for step in range(1, steps + 1)])  # fmt: skip

    def on_step() -> None:
        images, is_last = next(sizes)
        tell(images, images * is_last)

    return on_step


def _trajectory(images: Sequence[ImageSpec], snapshots: Sequence[Snapshot]) -> Trajectory:
    count, last = len(images), snapshots[-1]
    steps = np.array([image.cfg.steps for image in images])
    rows = np.arange(snapshots[0].first, steps.max() + 1)[:, None]
    history = {}
    for name, values in last.record.items():
        whole = np.concatenate([*(each.record[name][:, :count] for each in snapshots), values[-1:, :count]])
        for each in snapshots:  # final values are measured where an image takes its last step
            if each.final_values:
                ends_here = (each.first < steps) & (steps <= each.first + len(each.record[name]))
                whole = np.where(ends_here & (rows >= steps), each.final_values[name][:count], whole)
        history[name] = whole
    others = {name: v[:count] for name, v in last.final_values.items() if name not in history}
    features = others.pop("features")
    importance = None if last.importance is None else last.importance[:count]
    return Trajectory(history, last.image[:count], last.best[:count], features, others, importance)


def _concatenated(parts: Sequence[Trajectory]) -> Trajectory:
    kept = [part.importance for part in parts if part.importance is not None]  # of all of them, or of none
    length = max(len(part.history["score"]) for part in parts)

    def history(name):
        missing = [(part.history[name], length - len(part.history[name])) for part in parts]
        return np.concatenate([np.pad(h, ((0, n), (0, 0)), mode="edge") for h, n in missing], axis=1)

    return Trajectory(
        history={name: history(name) for name in parts[0].history},
        final=np.concatenate([part.final for part in parts]),
        best=np.concatenate([part.best for part in parts]),
        features=np.concatenate([part.features for part in parts]),
        importance=np.concatenate(kept) if kept else None,
        values={name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values},
    )
