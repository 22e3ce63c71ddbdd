"""States of images between two chunks of steps: a batch's `State` -> one `ImageState` an image, and back.

Random numbers have no state: they are drawn for each image from its seed, its filter and the step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from deepvis.ascent import inputs, octaves
from deepvis.ascent.lbfgs import Searches
from deepvis.ascent.parts import State
from deepvis.ascent.specs import ImageSpec, ImageState
from deepvis.core.errors import DeepvisError
from deepvis.networks.backend import tf
from deepvis.networks.base import Size

SEARCH, SLOT, SHOWN = "search.", "memory.", "image"
IMPORTANCE, BALANCE = "importance", "balance"


def of(
    images: Sequence[ImageSpec], state: State, search: Searches | None, shown: np.ndarray
) -> list[ImageState]:
    """The state of each image of a batch; none if L-BFGS, whose memory changes in place, has gone on since.

    Args:
      images: the specs; what pads the batch has no state.
      state: of the batch.
      search: its line searches, with L-BFGS.
      shown: the images, ``[B, H, W, C]``, from which the next octave starts.
    """
    fields = state._asdict()
    slots = {f"{SLOT}{i}": values for i, values in enumerate(fields.pop("memory"))}
    for name in (IMPORTANCE, BALANCE):
        slots |= zip([name], fields.pop(name), strict=False)  # none where it is not wanted
    step = int(fields.pop("step"))
    if search is not None and search.step != step:
        return []
    batch = {name: values.numpy() for name, values in (fields | slots).items()} | {SHOWN: shown}
    states = []
    for b in range(len(images)):
        of_search = {} if search is None else {SEARCH + name: v for name, v in search.arrays(b).items()}
        states.append(ImageState(step, {name: values[b] for name, values in batch.items()} | of_search))
    return states


def step_of(states: Sequence[ImageState]) -> int:
    """The steps that all of these images have done; 0 where there are none.

    Raises:
      DeepvisError: they have not done equally many, so they cannot share a batch.
    """
    steps = {state.step for state in states} or {0}
    if len(steps) > 1:
        raise DeepvisError(
            f"states: got images after {sorted(steps)} steps, expected equally many in a batch"
        )
    return steps.pop()


def restored(states: Sequence[ImageState], missing: int) -> State:
    """The state of a batch; the last image is repeated to fill it."""
    names = [name for name in states[0].arrays if name != SHOWN and not name.startswith(SEARCH)]
    batch = {name: inputs.padded(np.stack([each.arrays[name] for each in states]), missing) for name in names}
    slots = sorted((name for name in names if name.startswith(SLOT)), key=lambda name: int(name[len(SLOT) :]))
    memory = tuple(batch.pop(name) for name in slots)
    wanted = {name: (batch.pop(name),) if name in batch else () for name in (IMPORTANCE, BALANCE)}
    return State(step=tf.constant(states[0].step), memory=memory, **wanted, **batch)


def importance(state: State, size: Size) -> np.ndarray | None:
    """That of each pixel of a batch, scaled to a size: [B, *size]; None where it is not kept."""
    if not state.importance:
        return None
    scaled = octaves.all_resized(state.importance[0].numpy()[..., None], size)[..., 0]
    return np.maximum(scaled, 0)  # bicubic may fall below


def shown(states: Sequence[ImageState]) -> np.ndarray:
    """The images as they were shown after their last chunk."""
    return np.stack([state.arrays[SHOWN] for state in states])


def searches(states: Sequence[ImageState]) -> list[Mapping[str, np.ndarray]]:
    """What L-BFGS keeps of each image."""
    return [{name.removeprefix(SEARCH): values for name, values in state.arrays.items()
             if name.startswith(SEARCH)} for state in states]  # fmt: skip
