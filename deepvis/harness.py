"""The harness: jobs -> results, runs and pictures. The one place that sees both config and tensors.

A pack's life: build the parts, ascend in chunks, look between chunks; as soon as the last image of a job
is done, write its folder, then report it to its run.
"""

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from hydra.utils import get_method

from deepvis import (
    ascent,
    config,
    images,
    jobs,
    objectives,
    ops,
    regularizers,
    results,
    terminal,
)  # fmt: skip
from deepvis.board import Board, Look
from deepvis.jobs import Job, Pack, Row
from deepvis.tracker import Tracker


class Graph(NamedTuple):
    """A skeleton, compiled."""

    advance: Callable[..., tuple[ascent.State, ascent.Record]]
    tags: Mapping[str, str]  # what is known of its weights and its device


def run(queue: Sequence[Job], tracker: Tracker, sweep: str) -> None:
    """Run jobs and report each to its own run.

    Args:
      queue: jobs; those with a common skeleton share batches and one compiled graph.
      tracker: where they are reported.
      sweep: id that all of them carry.

    Raises:
      Exception: whatever a job raised, after its pack's open runs were ended as FAILED, or as KILLED for
        an interrupt.
    """
    for pack in jobs.packs(queue):
        boards: dict[int, Board] = {}
        title = pack.jobs[0].name if len(pack.jobs) == 1 else f"{len(pack.jobs)} jobs"
        lengths = [1 + max(pack.jobs[row.job].cfg.steps for row in batch) for batch in pack.batches]
        try:
            graph = _graph(pack.skeleton, pack.active)
            with terminal.progress(title, sum(lengths)) as advance:
                for batch, length in zip(pack.batches, lengths, strict=True):
                    for index in sorted({row.job for row in batch} - boards.keys()):
                        boards[index] = _open(pack.jobs[index], graph, tracker, sweep)
                    for look in _ascend(pack, batch, graph, length):
                        _show(batch, look, boards)
                        advance(len(look.record["score"]), *_figures(look, len(batch)))
                    for index in sorted({row.job for row in batch}):
                        boards[index].waiting -= sum(row.job == index for row in batch)
                        if boards[index].waiting == 0:
                            _finish(boards[index], graph, tracker)
                            del boards[index]
        except BaseException as err:
            status = "FAILED" if isinstance(err, Exception) else "KILLED"
            for board in boards.values():
                tracker.end(board.run, status, f"{type(err).__name__}: {err}")
            raise


def _open(job: Job, graph: Graph, tracker: Tracker, sweep: str) -> Board:
    board = Board(job)
    board.run = tracker.start(sweep, job.name, jobs.params(job), dict(graph.tags) | {"job_key": job.key})
    return board


def _show(batch: Sequence[Row], look: Look, boards: Mapping[int, Board]) -> None:
    """Let the jobs of a batch see a look, and whoever watches see them."""
    for i, row in enumerate(batch):
        boards[row.job].see(row.column, look, i)
    for index in {row.job for row in batch}:
        board = boards[index]
        images.save(board.job.folder / "live.png", images.gallery(board.final))


def _figures(look: Look, count: int) -> tuple[int, float, int]:
    """What the bar shows of a batch: images, mean score, and how many have no gradient."""
    scores = look.record["score"][-1, :count].astype(float)
    finite = scores[np.isfinite(scores)]
    still = (look.record["gradient_rms"][:, :count] == 0).all(axis=0)
    return count, float(finite.mean()) if len(finite) else float("nan"), int(still.sum())


def _ascend(pack: Pack, batch: Sequence[Row], graph: Graph, total: int) -> Iterator[Look]:
    numbers = jobs.hyper(pack, batch)
    regs = [pack.jobs[row.job].cfg.reg for row in batch]
    size = pack.jobs[0].cfg.size
    if "blur" in pack.active:
        numbers["blur_matrix"] = np.stack(
            [ops.blur_matrix(size, reg.blur_kind, reg.blur, reg.blur_sigma) for reg in regs]
        )
    start = np.stack([_start(pack.jobs[row.job], pack.jobs[row.job].filters[row.column]) for row in batch])
    # A short last batch repeats its last image, so that one skeleton traces once.
    missing = len(pack.batches[0]) - len(batch)

    def whole(array):
        return tf.constant(np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]))

    hyper = {name: whole(array) for name, array in numbers.items()}
    state, first = ascent.init(whole(start)), 0
    chunk = pack.jobs[0].cfg.log_every
    while first < total:
        # The last chunk measures once more than it steps, so that a history ends with the final image.
        n = chunk if first + chunk < total - 1 else total - first
        state, record = graph.advance(state, hyper, tf.constant(n))
        seen = {name: values.numpy() for name, values in record._asdict().items()}
        yield Look(first, seen, state.image.numpy(), state.best_image.numpy())
        first += n


def _start(job: Job, index: int) -> np.ndarray:
    """The first image of a filter; pixels that are to stay in [0, 255] start there too."""
    numbers = {k: v for k, v in job.cfg.start.items() if k not in ("_target_", "display")}
    mean = np.array(job.cfg.model.mean, np.float32)
    image = get_method(job.cfg.start["_target_"])(job.cfg.size, job.cfg.seed, index, mean, **numbers)
    return np.clip(image, -mean, 255 - mean) if job.cfg.reg.clip_pixels else image


def _finish(board: Board, graph: Graph, tracker: Tracker) -> None:
    result, pictures = board.result(graph.tags)
    tracker.finish(board.run, results.write(board.job.folder, result, pictures))


@functools.lru_cache(maxsize=8)
def _graph(skeleton: str, active: frozenset[str]) -> Graph:
    shape = json.loads(skeleton)
    model, layer = shape["model"], shape["layer"]
    source = dict(model["weights"])
    weights = get_method(source.pop("_target_"))(shapes=config.shapes(model["blocks"], layer), **source)
    network = get_method(model["_target_"])(
        model["name"], model["blocks"], model["mean"], weights, shape["precision"]
    )
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

    devices = tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("CPU")
    tags = {
        "weights.source": weights.source,
        "weights.digest": weights.digest,
        "weights.verified": "yes" if weights.verified else "no",
        "device": devices[0].device_type.lower(),
        "precision": shape["precision"],
        "tensorflow": tf.__version__,
    }
    return Graph(ascent.compiled(build), tags)
