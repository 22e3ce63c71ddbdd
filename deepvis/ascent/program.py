"""Programs: (static config, what is enabled) -> one compiled step, and a batch optimized by it.

The one place where configs become tensors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deepvis import networks
from deepvis.ascent import (
    batch_law,
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
from deepvis.ascent.backend import tf
from deepvis.ascent.gradient_ascent import Ascent, Hyper, Record, State
from deepvis.ascent.specs import ImageSpec, Snapshot, StaticConfig
from deepvis.config import expressions, knobs, schema
from deepvis.config.knobs import Component
from deepvis.core.errors import ConfigError
from deepvis.metrics import robustness
from deepvis.networks import Activations


@dataclass(frozen=True)
class Program:
    """A static config, compiled."""

    static: StaticConfig
    regularizers: tuple[Component, ...]
    transforms: tuple[Component, ...]  # of the user's
    geometric: bool
    noisy: bool
    network: Activations
    layers: Sequence[str]  # that its objective reads
    ascent: Ascent
    tags: Mapping[str, str]  # what is known of its weights and its device
    users: str  # names of functions that are not deepvis'


def compiled(static: StaticConfig, enabled: frozenset[str]) -> Program:
    """Build and compile what a static config says; a second call with the same one costs nothing.

    Args:
      static: of a group of jobs.
      enabled: regularizers and transforms that any of its jobs uses, as ``reg.decay`` ...
    """
    return _compiled(static, *(
        tuple(each for name, each in knobs.components(group).items() if f"{group}.{name}" in enabled)
        for group in schema.SETS
    ))  # fmt: skip


@functools.lru_cache(maxsize=8)
def _compiled(
    static: StaticConfig, used: tuple[Component, ...], transforming: tuple[Component, ...]
) -> Program:
    device = static.device
    if device != "cpu" and not tf.config.list_physical_devices("GPU"):
        raise ConfigError(
            f"device={device}: TensorFlow sees no GPU (it needs tensorflow[and-cuda]); take device=cpu"
        )
    for gpu in tf.config.list_physical_devices("GPU"):  # others may want to use it, too
        tf.config.experimental.set_memory_growth(gpu, True)
    layers = _layers(static)
    network = networks.network(schema.plain(static.model))
    with tf.device(device):
        built = network.build(layers, (static.size, static.size), static.precision)
    return _around(built, static, used, transforming)


def _around(
    network: Activations,
    static: StaticConfig,
    used: tuple[Component, ...],
    transforming: tuple[Component, ...],
) -> Program:
    """The ascent of a network that is built already."""
    layers = _layers(static)
    make_objective, options = static.objective
    make_param, param_options = static.param
    param = make_param(static.size, network.mean, **dict(param_options))
    _refuse_without(("encode", "decode"), param, f"param: {make_param.__name__}")
    names = {each.name for each in transforming}
    own = tuple(each for each in transforming if each.name not in specs.TRANSFORMS)
    geometric, noisy = "geometry" in names, "noise" in names

    def build(hyper: Hyper) -> gradient_ascent.Parts:
        targets = {"targets": hyper["targets"]} if "targets" in hyper else {}
        goal = make_objective(
            static.layer, hyper["filter"], **_under(hyper, "objective"), **dict(options), **targets
        )
        if not make_objective.__module__.startswith("deepvis."):
            goal = batch_law.scored(goal, make_objective.__name__)
        read = objectives.reading(static.layer, hyper["unit"])
        rule = static.optimizer(**_under(hyper, "optimizer"))
        if not isinstance(rule, lbfgs.LineSearch):
            _refuse_without(("slots", "update"), rule, f"optimizer: {static.optimizer.__name__}")

        def measure(image):
            activations = network.activations(image, layers)
            return goal(activations), *read(activations)

        def transform(image):
            if geometric or noisy:
                side = transforms.out_size(*static.window, image.shape[1])
                image = transforms.build(hyper, side, geometric, noisy)(image)
            for each in own:
                image = each.function(**{key: hyper[f"transform.{key}"] for key in each.parameters()})(image)
            return image

        return gradient_ascent.Parts(
            encode=param.encode,
            decode=param.decode,
            transform=transform,
            measure=measure,
            remember=lambda theta: (tf.zeros_like(theta),) * getattr(rule, "slots", 0),
            update=getattr(rule, "update", _no_update),  # a line search has none
            regularize=regularizers.build(used, hyper, static.combine, network.mean),
        )

    tags = dict(network.tags) | {
        "device": static.device, "precision": static.precision, "tensorflow": tf.__version__
    }  # fmt: skip
    # XLA's convolutions win on a GPU; on a processor oneDNN's are faster than XLA's.
    made = gradient_ascent.compiled(build, static.device, xla=static.device != "cpu")
    functions = [each.function for each in (*used, *transforming)]
    functions += [make_objective, make_param, static.optimizer]
    users = ", ".join(f.__name__ for f in functions if not f.__module__.startswith("deepvis."))
    return Program(static, used, own, geometric, noisy, network, layers, made, tags, users)


def snapshots(
    made: Program, images: Sequence[ImageSpec], first: np.ndarray, width: int, total: int
) -> Iterator[Snapshot]:
    """Optimize a batch in chunks.

    Args:
      made: its program.
      images: the specs.
      first: where they start, ``[images, H, W, C]``.
      width: images in a batch; a short one repeats its last image, so that one program traces once.
      total: steps of the image that takes most.

    Yields:
      What is seen after each chunk; where one of the images has done its steps, what they came to.
    """
    if not made.network.bitwise_any_batch:
        # oneDNN takes other kernels, which round otherwise, for one image, three or five; of the networks
        # that are not our own some have such layers, and an image would not be the same in every batch.
        width = max(2, 1 << (width - 1).bit_length())
    missing = width - len(images)
    whole = functools.partial(inputs.padded, missing=missing)
    numbers = specs.numbers(images)
    ends, chunk = set(numbers["steps"]), made.static.snapshot_every
    sizes = octaves.sizes(*made.static.octaves, made.static.size)
    image, done = first, 0
    for octave, size in enumerate(sizes, start=1):
        given = inputs.of(made.network, made.layers, images, size, made.regularizers)
        hyper = whole(numbers | given)
        if "objective.group" in hyper and missing:  # nobody sees the padding
            alone = -1 - np.arange(missing, dtype=np.int32)
            hyper["objective.group"] = tf.constant(np.concatenate([numbers["objective.group"], alone]))
        if octave == 1:
            before = [octaves.resized(x, size) for x in first]
        else:
            before = [octaves.grown(x, x0, size) for x, x0 in zip(image, first, strict=True)]
        begun = whole(np.stack(before))
        if made.users and octave == 1 and "objective.group" not in hyper:
            moved = whole(inputs.sampled_transforms(images, size, 0)) if made.geometric or made.noisy else {}
            least = min(width, 1 if made.network.bitwise_any_batch else 2)
            batch_law.check(made.ascent, begun, hyper | moved, made.users, least)
        state = made.ascent.begin(begun, hyper)
        state = state._replace(step=tf.constant(done))
        advance, end = _way(made, state, hyper), total * octave // len(sizes)
        while done < end:
            n = min(chunk, end - done)
            hypers = [hyper] * n
            if made.geometric or made.noisy:
                hypers = [
                    hyper | whole(inputs.sampled_transforms(images, size, t)) for t in range(done, done + n)
                ]
            state, record = advance(state, hypers)
            seen, final_values = made.ascent.show(state.theta, hyper), {}
            if octave == len(sizes) and any(done < each <= done + n for each in ends):
                state, last, features = made.ascent.finish(state, seen, hyper)
                final_values = _arrays(last) | {"features": features.numpy()}
                if made.static.robustness:
                    final_values |= _kept(made, state, seen, hyper, final_values["score"])
            best = made.ascent.show(state.best_theta, hyper)
            image = seen.numpy()
            yield Snapshot(
                done, _arrays(record), final_values, _full(image, sizes[-1]), _full(best.numpy(), sizes[-1])
            )
            done += n
        image = image[: len(images)]


def _refuse_without(names: Sequence[str], got: object, where: str) -> None:
    if not all(hasattr(got, name) for name in names):
        raise ConfigError(f"{where}: returned {type(got).__name__}, expected {' and '.join(names)} in it")


def _no_update(*args: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
    raise TypeError("a line search chooses its own points, on the host")


def start(image: ImageSpec, mean: Sequence[float]) -> np.ndarray:
    """The first image of a spec; pixels that are to stay in [0, 255] start there too."""
    cfg, centre = image.cfg, np.array(mean, np.float32)
    component = schema.component("start", cfg.start)
    options = {key: getattr(cfg.start, key) for key in component.knobs if key != "display"}
    first = np.asarray(component.function(cfg.size, cfg.seed, image.index, centre, **options), np.float32)
    if first.shape != (cfg.size, cfg.size, len(mean)) or not np.isfinite(first).all():
        raise ConfigError(
            f"start: {component.name}: returned {'' if np.isfinite(first).all() else 'NaN or infinity in '}"
            f"shape {first.shape}, expected finite numbers of shape {(cfg.size, cfg.size, len(mean))}"
        )
    if cfg.reg.clip_pixels:
        first = np.clip(first, -centre, 255 - centre)
    return starts.twin(first, image.twin, cfg.seed, image.index) if image.twin else first


def _layers(static: StaticConfig) -> list[str]:
    """The layer that is looked at, and all others that the objective reads."""
    _, options = static.objective
    given = dict(static.pictures)
    return sorted({static.layer, *expressions.layers_of(dict(options), given, static.layer)})


def _way(made: Program, state: State, hyper: Hyper) -> Callable[[State, list[Hyper]], tuple[State, Record]]:
    """How a chunk of steps is done: by a step rule on the device, or by line searches on the host."""
    rule = made.static.optimizer(**_under(hyper, "optimizer"))
    if isinstance(rule, lbfgs.LineSearch):
        search = lbfgs.Searches(made.ascent.gradient, state, hyper, rule, made.network.mean)
        return lambda state, hypers: search.advance(state, len(hypers))
    return lambda state, hypers: gradient_ascent.advance(made.ascent, state, hypers)


def _kept(
    made: Program, state: State, image: tf.Tensor, hyper: Hyper, score: np.ndarray
) -> dict[str, np.ndarray]:
    """What each image keeps of its score under each view, [B]."""
    indices = hyper["filter"].numpy()
    each = [robustness.of(own, int(index)) for own, index in zip(image.numpy(), indices, strict=True)]
    seen = {}
    for name in robustness.VIEWS:
        moved = tf.constant(np.stack([those[name] for those in each]))
        seen[name] = made.ascent.finish(state, moved, hyper)[1].score.numpy()
    return robustness.retained(score, seen)


def _under(hyper: Hyper, group: str) -> dict[str, tf.Tensor]:
    """What a group of a config has, by its own names."""
    return {k.removeprefix(f"{group}."): v for k, v in hyper.items() if k.startswith(f"{group}.")}


def _full(images: np.ndarray, size: int) -> np.ndarray:
    return np.stack([octaves.resized(image, size) for image in images])


def _arrays(record: Record) -> dict[str, np.ndarray]:
    return {name: values.numpy() for name, values in record._asdict().items()}
