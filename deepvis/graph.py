"""Graphs: (skeleton, active regularizers) -> a compiled ascent, and a batch's climb in it.

The one place that sees both config and tensors.
"""

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from hydra.utils import get_method

from deepvis import ascent, config, jobs, objectives, ops, regularizers, starts, views
from deepvis.board import Look
from deepvis.jobs import Job, Pack, Row

for _gpu in tf.config.list_physical_devices("GPU"):  # others may want to use it, too
    tf.config.experimental.set_memory_growth(_gpu, True)


class Graph(NamedTuple):
    """A skeleton, compiled."""

    advance: ascent.Advance
    finish: ascent.Finish
    tags: Mapping[str, str]  # what is known of its weights and its device


@functools.lru_cache(maxsize=8)
def compiled(skeleton: str, active: frozenset[str]) -> Graph:
    """Build and compile what a skeleton says; a second call with the same one costs nothing.

    Args:
      skeleton: of a pack.
      active: regularizers that any of its jobs uses.
    """
    shape = json.loads(skeleton)
    model, layer = shape["model"], shape["layer"]
    device, is_gpu = shape["device"], shape["device"] != "cpu"
    if is_gpu and not tf.config.list_physical_devices("GPU"):
        raise config.ConfigError(
            f"device={device}: TensorFlow sees no GPU (it needs tensorflow[and-cuda]); take device=cpu"
        )
    with tf.device(device):
        network = get_method(model["_target_"])(model, [layer], shape["size"], shape["precision"])
    objective = dict(shape["objective"])
    make_objective = get_method(objective.pop("_target_"))
    make_optimizer = get_method(shape["optimizer"])

    def build(hyper):
        goal = make_objective(layer, hyper["filter"], **objective)
        read = objectives.reading(layer, hyper["filter"])

        def measure(image):
            activations = network.activations(image, [layer])
            return goal(activations), *read(activations)

        numbers = {k.removeprefix("optimizer."): v for k, v in hyper.items() if k.startswith("optimizer.")}
        return ascent.Parts(
            measure=measure,
            update=make_optimizer(**numbers),
            regularize=regularizers.build(hyper, shape["combine"], active, network.mean),
        )

    tags = {
        **network.tags,
        "device": device,
        "precision": shape["precision"],
        "tensorflow": tf.__version__,
    }
    # XLA's convolutions win on a GPU; on a processor oneDNN's are faster than XLA's.
    return Graph(*ascent.compiled(build, device, xla=is_gpu), tags)


def ascend(pack: Pack, batch: Sequence[Row], start: np.ndarray, made: Graph, total: int) -> Iterator[Look]:
    """Climb a batch in chunks.

    Args:
      pack: the jobs.
      batch: the images.
      start: where they start, ``[rows, H, W, C]``.
      made: the pack's graph.
      total: steps of the longest job.

    Yields:
      What is seen after each chunk; where a job of the batch has done its steps, what its images came to.
    """
    numbers = jobs.hyper(pack, batch)
    regs = [pack.jobs[row.job].cfg.reg for row in batch]
    size = pack.jobs[0].cfg.size
    if "blur" in pack.active:
        numbers["blur_matrix"] = np.stack(
            [ops.blur_matrix(size, reg.blur_kind, reg.blur, reg.blur_sigma) for reg in regs]
        )
    # A short last batch repeats its last image, so that one skeleton traces once.
    missing = len(pack.batches[0]) - len(batch)

    def whole(array):
        return tf.constant(np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]))

    hyper = {name: whole(array) for name, array in numbers.items()}
    state, first = ascent.init(whole(start)), 0
    chunk, shape = pack.jobs[0].cfg.log_every, json.loads(pack.skeleton)
    filters, ends = numbers["filter"], set(numbers["steps"])
    while first < total:
        n = min(chunk, total - first)
        state, record = ascent.climb(made.advance, state, hyper, n)
        came_to = {}
        if any(first < end <= first + n for end in ends):
            state, last, features = made.finish(state, hyper)
            came_to = _arrays(last) | {"features": features.numpy()}
            if shape["robustness"]:
                came_to |= _kept(made, state, hyper, filters, came_to["score"])
        yield Look(first, _arrays(record), came_to, state.image.numpy(), state.best_image.numpy())
        first += n


def _kept(
    made: Graph, state: ascent.State, hyper: ascent.Hyper, filters: np.ndarray, score: np.ndarray
) -> dict[str, np.ndarray]:
    """What each image keeps of its score under each view, [B]."""
    images = state.image.numpy()
    filters = np.concatenate([filters, np.repeat(filters[-1:], len(images) - len(filters))])
    each = [views.of(image, int(index)) for image, index in zip(images, filters, strict=True)]
    seen = {}
    for name in views.VIEWS:
        moved = state._replace(image=tf.constant(np.stack([those[name] for those in each])))
        seen[name] = made.finish(moved, hyper)[1].score.numpy()
    return views.kept(score, seen)


def _arrays(record: ascent.Record) -> dict[str, np.ndarray]:
    return {name: values.numpy() for name, values in record._asdict().items()}


def start(job: Job, index: int, twin: int = 0) -> np.ndarray:
    """The first image of a filter, or its twin; pixels that are to stay in [0, 255] start there too."""
    numbers = {k: v for k, v in job.cfg.start.items() if k not in ("_target_", "display")}
    mean = np.array(job.cfg.model.mean, np.float32)
    image = get_method(job.cfg.start["_target_"])(job.cfg.size, job.cfg.seed, index, mean, **numbers)
    if job.cfg.reg.clip_pixels:
        image = np.clip(image, -mean, 255 - mean)
    return starts.twin(image, twin, job.cfg.seed, index) if twin else image
