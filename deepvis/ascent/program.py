"""Programs: (static config, what is enabled) -> one compiled step, and a batch optimized by it.

The one place where configs become tensors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepvis import networks
from deepvis.ascent import (
    batch_law,
    facets,
    gradient_ascent,
    inputs,
    lbfgs,
    octaves,
    specs,
    starts,
    states,
    transforms,
)
from deepvis.ascent.assembly import START, Assembly, refuse_without, under
from deepvis.ascent.gradient_ascent import Ascent, Hyper
from deepvis.ascent.inputs import BESIDE
from deepvis.ascent.parts import Record, State
from deepvis.ascent.specs import ImageSpec, ImageState, Snapshot, StaticConfig
from deepvis.config import expressions, knobs, schema
from deepvis.config.knobs import Component
from deepvis.core.errors import ConfigError
from deepvis.metrics import robustness
from deepvis.networks import Activations
from deepvis.networks.backend import tf


@dataclass(frozen=True)
class Program:
    """A static config, compiled."""

    static: StaticConfig
    regularizers: Sequence[Component]
    is_sampled: bool  # whether a transform is drawn for each step
    network: Activations
    layers: Sequence[str]  # that its objective reads
    ascent: Ascent
    tags: Mapping[str, str]  # what is known of its weights and its device
    users: str  # names of functions that are not deepvis'


def compiled(static: StaticConfig, enabled: frozenset[Component], xla: bool | None = None) -> Program:
    """The program of a group of jobs, of which any uses the enabled regularizers and transforms.

    By default XLA compiles it for a GPU: its convolutions win there; on a processor oneDNN's are faster.
    """
    # A file may have been written anew since.
    read = networks.network(schema.plain(static.model)).fingerprint()
    return _compiled(static, enabled, read, static.device != "cpu" if xla is None else xla)


@functools.lru_cache(maxsize=8)
def _compiled(static: StaticConfig, enabled: frozenset[Component], read: Hashable, xla: bool) -> Program:
    if static.device != "cpu" and not tf.config.list_physical_devices("GPU"):
        raise ConfigError(
            f"device={static.device}: TensorFlow sees no GPU (it needs tensorflow[and-cuda]); take device=cpu"
        )
    for gpu in tf.config.list_physical_devices("GPU"):  # others may want to use it, too
        tf.config.experimental.set_memory_growth(gpu, True)
    make_objective, options = static.objective
    others = expressions.layers_of(dict(options), dict(static.pictures), static.layer)
    others += [static.accentuation] if static.accentuation is not None else []
    layers = sorted({static.layer, *others})
    seen = transforms.crop_size(static.crops[1], static.size)
    with tf.device(static.device):
        network = networks.network(schema.plain(static.model)).build(layers, seen, static.precision)
    if dict(options).get("pre_activation"):
        for name, why in network.without_pre_activation.items():
            raise ConfigError(f"objective.pre_activation=true: layer {name}: {why}; set it to false")
    make_param, param_options = static.param
    param = make_param(static.size, network.mean, **dict(param_options))
    refuse_without(("encode", "decode"), param, f"param: {make_param.__name__}")
    # In the order of their declaration.
    used = [each for each in knobs.components("reg").values() if each in enabled]
    transforming = {name: each for name, each in knobs.components("transform").items() if each in enabled}
    sampled = tuple(
        transforming.pop(name, None) is not None for name in ("geometry", "noise", "noise_uniform")
    )
    build = Assembly(static, network, layers, param, used, tuple(transforming.values()), sampled).parts
    tags = {"device": static.device, "precision": static.precision, "tensorflow": tf.__version__}
    ascent = gradient_ascent.compiled(build, static.device, xla)
    functions = [each.function for each in (*used, *transforming.values())]
    functions += [make_objective, make_param, static.optimizer]
    users = ", ".join(f.__name__ for f in functions if not f.__module__.startswith("deepvis."))
    return Program(static, used, any(sampled), network, layers, ascent, {**network.tags, **tags}, users)


def start(image: ImageSpec, mean: Sequence[float]) -> np.ndarray:
    """The first image of a spec; pixels that are to stay in [0, 255] start there too."""
    cfg, centre = image.cfg, np.array(mean, np.float32)
    component = schema.component("start", cfg.start)
    options = {key: getattr(cfg.start, key) for key in component.knobs if key != "display"}
    if component.traits.get("photographs"):
        options["values"] = facets.values_of(cfg)
    first = np.asarray(component.function(cfg.sides, cfg.seed, image.index, centre, **options), np.float32)
    if first.shape != (*cfg.sides, len(mean)) or not np.isfinite(first).all():
        raise ConfigError(
            f"start: {component.name}: returned {'' if np.isfinite(first).all() else 'NaN or infinity in '}"
            f"shape {first.shape}, expected finite numbers of shape {(*cfg.sides, len(mean))}"
        )
    if cfg.reg.clip_pixels:
        first = np.clip(first, -centre, 255 - centre)
    return starts.twin(first, image.twin, cfg.seed, image.index) if image.twin else first


def snapshots(
    program: Program, images: Sequence[ImageSpec], first: np.ndarray, width: int,
    resumed: Sequence[ImageState] = (), on_step: Callable[[], None] = lambda: None,
) -> Iterator[Snapshot]:  # fmt: skip
    """Optimize a batch in chunks.

    Args:
      program: of the specs.
      images: the specs.
      first: where they start, ``[images, H, W, C]``.
      width: images in a batch; a short one repeats its last image, so that one program traces once.
      resumed: where the images go on, of an earlier snapshot; by default they start.
      on_step: is called after each step.

    Yields:
      A snapshot after each chunk, with final values where one of the images has taken its last step.
    """
    static, ascent = program.static, program.ascent
    if not program.network.bitwise_any_batch:
        # oneDNN takes other kernels, which round otherwise, for one image, three or five; of the networks
        # that are not our own some have such layers, and an image would not be the same in every batch.
        width = max(2, 1 << (width - 1).bit_length())
    missing = width - len(images)
    padded = functools.partial(inputs.padded, missing=missing)
    numbers = specs.numbers(images)
    sizes = octaves.sizes(*static.octaves, static.size)
    image, done, total = first, states.step_of(resumed), int(numbers["steps"].max())
    started: np.ndarray | None = None
    if resumed:
        image = states.shown(resumed)
    for octave, size in enumerate(sizes, start=1):
        begun, end = total * (octave - 1) // len(sizes), total * octave // len(sizes)
        if resumed and end <= done:
            continue
        within = resumed if begun < done else ()  # else an octave begins here
        given = inputs.of(program.network, program.layers, images, size, program.regularizers)
        hyper = padded(numbers | given)
        if static.accentuation is not None:  # of one octave
            theta = ascent.begin(padded(first), hyper).theta
            hyper[f"{BESIDE}{START}"] = ascent.show(theta, hyper)
        if "objective.group" in hyper and missing:  # the padding is compared with nothing
            groups = [numbers["objective.group"], -1 - np.arange(missing, dtype=np.int32)]
            hyper["objective.group"] = tf.constant(np.concatenate(groups))
        if within:
            begin = None
        elif octave == 1:
            begin = padded(octaves.all_resized(first, size))
        else:
            begin = padded(np.stack([octaves.grown(*pair, size) for pair in zip(image, first, strict=False)]))
        if program.users and octave == 1 and begin is not None and "objective.group" not in hyper:
            sampled = padded(inputs.sampled_transforms(images, size, 0)) if program.is_sampled else {}
            least = min(width, 1 if program.network.bitwise_any_batch else 2)
            batch_law.check(ascent, begin, hyper | sampled, program.users, least)
        if begin is None:
            state = states.restored(within, missing)
        else:
            state = ascent.begin(begin, hyper)._replace(step=tf.constant(done))
            if octave == 1:  # as its parametrization has it, which may not be as it was drawn
                started = octaves.all_resized(ascent.show(state.theta, hyper).numpy(), sizes[-1])
        rule = static.optimizer(**under(hyper, "optimizer"))
        search = None
        if isinstance(rule, lbfgs.LineSearch):
            before = states.searches(within)
            search = lbfgs.Searches(ascent.gradient, state, hyper, rule, program.network.mean, before)
        while done < end:
            n = min(static.snapshot_every, end - done)
            if search is not None:
                state, record = search.advance(state, n, on_step)
            elif program.is_sampled:
                drawn = functools.partial(inputs.sampled_transforms, images, size)
                of_steps = (
                    _sampled(hyper, drawn, padded, static.crops[0], at) for at in range(done, done + n)
                )
                state, record = gradient_ascent.advance(ascent, state, _told(of_steps, on_step))
            else:
                state, record = gradient_ascent.advance(ascent, state, _told([hyper] * n, on_step))
            shown, final_values = ascent.show(state.theta, hyper), {}
            if octave == len(sizes) and any(done < steps <= done + n for steps in numbers["steps"]):
                state, last, features = ascent.finish(state, shown, hyper)
                final_values = _arrays(last) | {"features": features.numpy()}
                if static.robustness:
                    final_values |= _robustness(ascent, state, shown, hyper, final_values["score"])
            best = ascent.show(state.best_theta, hyper).numpy()
            image = shown.numpy()
            sized = functools.partial(octaves.all_resized, size=sizes[-1])
            yield Snapshot(
                done, _arrays(record), final_values, sized(image), sized(best),
                functools.partial(states.of, images, state, search, image), started,
                states.importance(state, sizes[-1]),
            )  # fmt: skip
            started = None
            done += n


def _sampled(
    hyper: Hyper, drawn: Callable[..., Any], padded: Callable[..., Any], windows: int, step: int
) -> Hyper | list[Hyper]:
    """What a step takes: with the random numbers of its transform, or of each of many windows."""
    if not windows:
        return {**hyper, **padded(drawn(step))}
    return [{**hyper, **padded(drawn(step, number))} for number in range(windows)]


def _told(
    hypers: Iterable[Hyper | list[Hyper]], on_step: Callable[[], None]
) -> Iterator[Hyper | list[Hyper]]:
    """What the steps take, and a call after each."""
    for hyper in hypers:
        yield hyper
        on_step()


def _robustness(
    ascent: Ascent, state: State, image: tf.Tensor, hyper: Hyper, score: np.ndarray
) -> dict[str, np.ndarray]:
    """What each image retains of its score under each change, [B]."""
    indices = hyper["filter"].numpy().tolist()
    changed = [robustness.of(*each) for each in zip(image.numpy(), indices, strict=True)]
    scores = {}
    for name in robustness.CHANGES:
        directions = zip(*(each[name] for each in changed), strict=True)
        batches = [tf.constant(np.stack(direction)) for direction in directions]
        scores[name] = np.stack([ascent.finish(state, batch, hyper)[1].score.numpy() for batch in batches])
    return robustness.retained(score, scores)


def _arrays(record: Record) -> dict[str, np.ndarray]:
    return {name: values.numpy() for name, values in record._asdict().items()}
