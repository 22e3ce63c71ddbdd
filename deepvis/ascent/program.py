"""Graphs: (static_config, what is switched on) -> a compiled ascent, and a batch's climb in it.

The one place where plain configs become tensors.
"""

import functools
import json
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from deepvis.ascent import (
    gradient_ascent,
    inputs,
    lbfgs,
    objectives,
    octaves,
    regularizers,
    specs,
    starts,
    transforms,
)
from deepvis.ascent.gradient_ascent import Ascent, Hyper, Record, State
from deepvis.ascent.specs import ImageSpec, Snapshot
from deepvis.config import expressions
from deepvis.core.errors import ConfigError
from deepvis.metrics import robustness
from deepvis.networks.base import Model

for _gpu in tf.config.list_physical_devices("GPU"):  # others may want to use it, too
    tf.config.experimental.set_memory_growth(_gpu, True)


SEEN = frozenset({"geometry", "noise"})  # of what is switched on, that which only the network sees


class Graph(NamedTuple):
    """A static_config, compiled."""

    shape: Mapping[str, Any]  # the static_config
    active: frozenset[str]
    network: Model
    layers: Sequence[str]  # that its objective reads
    ascent: Ascent
    tags: Mapping[str, str]  # what is known of its weights and its device


@functools.lru_cache(maxsize=8)
def compiled(static_config: str, active: frozenset[str]) -> Graph:
    """Build and compile what a static_config says; a second call with the same one costs nothing.

    Args:
      static_config: of a pack, as JSON.
      active: regularizers and transforms that any of its jobs uses.
    """
    shape = json.loads(static_config)
    device = shape["device"]
    if device != "cpu" and not tf.config.list_physical_devices("GPU"):
        raise ConfigError(
            f"device={device}: TensorFlow sees no GPU (it needs tensorflow[and-cuda]); take device=cpu"
        )
    layers = _layers(shape)
    with tf.device(device):
        network = pkgutil.resolve_name(shape["model"]["_target_"])(
            shape["model"], layers, shape["size"], shape["precision"]
        )
    return _around(network, shape, active)


def _around(network: Model, shape: Mapping[str, Any], active: frozenset[str]) -> Graph:
    """The ascent of a network that is built already."""
    layer, device, layers = shape["layer"], shape["device"], _layers(shape)
    objective, options = shape["objective"], specs.parameters(shape["objective"])
    make_objective = pkgutil.resolve_name(objective["_target_"])
    make_optimizer = pkgutil.resolve_name(shape["optimizer"])
    own = {k: v for k, v in shape["param"].items() if k not in ("_target_", "octaves", "octave_scale")}
    param = pkgutil.resolve_name(shape["param"]["_target_"])(shape["size"], network.mean, **own)

    def build(hyper: Hyper) -> gradient_ascent.Parts:
        targets = {"targets": hyper["targets"]} if "targets" in hyper else {}
        goal = make_objective(layer, hyper["filter"], **_under(hyper, "objective"), **options, **targets)
        read = objectives.reading(layer, hyper["unit"])
        rule = make_optimizer(**_under(hyper, "optimizer"))

        def measure(image):
            activations = network.activations(image, layers)
            return goal(activations), *read(activations)

        return gradient_ascent.Parts(
            encode=param.encode,
            decode=param.decode,
            transform=lambda image: _transformed(image, hyper, shape, active),
            measure=measure,
            remember=lambda theta: (tf.zeros_like(theta),) * getattr(rule, "slots", 0),
            update=getattr(rule, "update", None),  # a line search goes its own way
            regularize=regularizers.build(hyper, shape["combine"], active, network.mean),
        )

    tags = network.tags | {"device": device, "precision": shape["precision"], "tensorflow": tf.__version__}
    # XLA's convolutions win on a GPU; on a processor oneDNN's are faster than XLA's.
    made = gradient_ascent.compiled(build, device, xla=device != "cpu")
    return Graph(shape, active, network, layers, made, tags)


def ascend(
    made: Graph, images: Sequence[ImageSpec], first: np.ndarray, width: int, total: int
) -> Iterator[Snapshot]:
    """Climb a batch in chunks.

    Args:
      made: its graph.
      images: the specs.
      first: where they start, ``[images, H, W, C]``.
      width: images in a batch; a short one repeats its last image, so that one static_config traces once.
      total: steps of the longest climb.

    Yields:
      What is seen after each chunk; where one of the images has done its steps, what they came to.
    """
    if "blocks" not in made.shape["model"]:
        # oneDNN takes other kernels, which round otherwise, for one image, three or five; of the networks
        # that are not our own some have such layers, and an image would not be the same in every batch.
        width = max(2, 1 << (width - 1).bit_length())
    missing = width - len(images)
    whole = functools.partial(inputs.padded, missing=missing)
    numbers = specs.numbers(images)
    ends, chunk = set(numbers["steps"]), made.shape["snapshot_every"]
    sizes = octaves.sizes(made.shape["param"], made.shape["size"])
    image, done = first, 0
    for octave, size in enumerate(sizes, start=1):
        given = inputs.of(made.network, made.layers, images, size, "blur" in made.active)
        hyper = whole(numbers | given)
        if "objective.group" in hyper and missing:  # nobody sees the padding
            alone = -1 - np.arange(missing, dtype=np.int32)
            hyper["objective.group"] = tf.constant(np.concatenate([numbers["objective.group"], alone]))
        if octave == 1:
            before = [octaves.resized(x, size) for x in first]
        else:
            before = [octaves.grown(x, x0, size) for x, x0 in zip(image, first, strict=True)]
        state = made.ascent.begin(whole(np.stack(before)), hyper)
        state = state._replace(step=tf.constant(done))
        climb, end = _way(made, state, hyper), total * octave // len(sizes)
        while done < end:
            n = min(chunk, end - done)
            hypers = [hyper] * n
            if made.active & SEEN:
                hypers = [hyper | whole(inputs.drawn(images, size, t)) for t in range(done, done + n)]
            state, record = climb(state, hypers)
            seen, final_values = made.ascent.show(state.theta, hyper), {}
            if octave == len(sizes) and any(done < each <= done + n for each in ends):
                state, last, features = made.ascent.finish(state, seen, hyper)
                final_values = _arrays(last) | {"features": features.numpy()}
                if made.shape["robustness"]:
                    final_values |= _kept(made, state, seen, hyper, final_values["score"])
            best = made.ascent.show(state.best_theta, hyper)
            image = seen.numpy()
            yield Snapshot(
                done, _arrays(record), final_values, _full(image, sizes[-1]), _full(best.numpy(), sizes[-1])
            )
            done += n
        image = image[: len(images)]


def start(image_spec: ImageSpec, mean: Sequence[float]) -> np.ndarray:
    """The first image of a image_spec; pixels that are to stay in [0, 255] start there too."""
    cfg, mean = image_spec.cfg, np.array(mean, np.float32)
    options = {k: v for k, v in cfg["start"].items() if k not in ("_target_", "display")}
    make = pkgutil.resolve_name(cfg["start"]["_target_"])
    image = make(cfg["size"], cfg["seed"], image_spec.index, mean, **options)
    if cfg["reg"]["clip_pixels"]:
        image = np.clip(image, -mean, 255 - mean)
    return starts.twin(image, image_spec.twin, cfg["seed"], image_spec.index) if image_spec.twin else image


def _transformed(
    image: tf.Tensor, hyper: Hyper, shape: Mapping[str, Any], active: frozenset[str]
) -> tf.Tensor:
    if not active & SEEN:
        return image
    side = transforms.out_size(shape["transform"], image.shape[1])
    return transforms.build(hyper, side, "geometry" in active, "noise" in active)(image)


def _layers(shape: Mapping[str, Any]) -> list[str]:
    """The layer that is looked at, and all others that the objective reads."""
    return sorted({shape["layer"], *expressions.layers_of(shape["objective"], shape["layer"])})


def _way(made: Graph, state: State, hyper: Hyper) -> Callable[[State, list[Hyper]], tuple[State, Record]]:
    """How a chunk of steps is done: by a step rule on the device, or by line searches on the host."""
    rule = pkgutil.resolve_name(made.shape["optimizer"])(**_under(hyper, "optimizer"))
    if isinstance(rule, lbfgs.LineSearch):
        search = lbfgs.Searches(made.ascent.gradient, state, hyper, rule, made.network.mean)
        return lambda state, hypers: search.climb(state, len(hypers))
    return lambda state, hypers: gradient_ascent.climb(made.ascent, state, hypers)


def _kept(
    made: Graph, state: State, image: tf.Tensor, hyper: Hyper, score: np.ndarray
) -> dict[str, np.ndarray]:
    """What each image keeps of its score under each view, [B]."""
    indices = hyper["filter"].numpy()
    each = [robustness.of(own, int(index)) for own, index in zip(image.numpy(), indices, strict=True)]
    seen = {}
    for name in robustness.VIEWS:
        moved = tf.constant(np.stack([those[name] for those in each]))
        seen[name] = made.ascent.finish(state, moved, hyper)[1].score.numpy()
    return robustness.kept(score, seen)


def _under(hyper: Hyper, group: str) -> dict[str, tf.Tensor]:
    """What a group of a config has, by its own names."""
    return {k.removeprefix(f"{group}."): v for k, v in hyper.items() if k.startswith(f"{group}.")}


def _full(images: np.ndarray, size: int) -> np.ndarray:
    return np.stack([octaves.resized(image, size) for image in images])


def _arrays(record: Record) -> dict[str, np.ndarray]:
    return {name: values.numpy() for name, values in record._asdict().items()}
