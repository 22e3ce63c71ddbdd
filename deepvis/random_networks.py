"""Whether pictures and maps depend on what a network has learnt: (config, filters) -> `Randomized`.

Layers are given random weights from the unit's layer downwards, more of them from stage to stage. Each
picture is optimized again by each of these networks, from the same start, and each map of attribution is
computed again for the photograph that excites the unit most. What stays alike does not come from the weights.
Of a picture that is what is not of its start, which all networks share: decay makes of it another share.

Source: Adebayo et al. 2018, "Sanity Checks for Saliency Maps" (arXiv:1810.03292).
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from deepvis import networks
from deepvis.ascent import specs, units
from deepvis.ascent.optimize import counted, optimize
from deepvis.ascent.specs import ImageSpec, Snapshot
from deepvis.attribution import activation_maps, gradients, relu_rules
from deepvis.attribution.family import Method
from deepvis.attribution.unit import Unit, compiled
from deepvis.config import schema
from deepvis.config.schema import Config
from deepvis.core import images
from deepvis.core.counting import Counting, Tell, uncounted
from deepvis.core.errors import ConfigError
from deepvis.data import Photographs
from deepvis.metrics.path_similarity import rank_correlations
from deepvis.networks import randomization
from deepvis.trust.random_weights import PICTURE, Randomized

ROUNDING = 1e-5  # of a picture's spread: what is less of it is nothing that was added to its start


def check(cfg: Config, count: int) -> None:
    """Refuse a network whose weights cannot be drawn, where some stages are asked for.

    Raises:
      ConfigError: in one line.
    """
    if count and not randomization.weighted_layers(schema.plain(cfg.model), cfg.layer.name):
        raise ConfigError(f"randomized: no layer up to {cfg.layer.name} has weights")


def stages(layers: Sequence[str], count: int) -> list[list[str]]:
    """The last layer alone, more of them, all: numbers of layers in equal ratios; of one stage, all.

    Example:
      >>> stages(["a", "b", "c", "d"], 3)
      [['d'], ['c', 'd'], ['a', 'b', 'c', 'd']]
    """
    sizes = np.geomspace(1, len(layers), count) if count > 1 else [len(layers)]
    return [list(layers[-size:]) for size in dict.fromkeys(round(each) for each in sizes)]


def assess(
    cfg: Config,
    filters: Sequence[int],
    captions: Sequence[str],
    photographs: Photographs,
    examples: np.ndarray,
    count: int,
    seed: int = 0,
    counting: Counting = uncounted,
) -> Randomized:
    """Pictures and maps of some filters, by the network and by some that are more and more random.

    Args:
      cfg: of a job, checked, with its device and batch size.
      filters: channels of its layer.
      captions: of them.
      photographs: cropped and scaled to the size of the pictures.
      examples: of each filter one of them that excites it.
      count: of stages, at most.
      seed: of the random weights.
      counting: shows how far their pictures are.
    """
    cfg = replace(cfg, robustness=False, twins=0)
    plain = schema.plain(cfg.model)
    drawn = stages(randomization.weighted_layers(plain, cfg.layer.name), count)
    left_out: dict[str, str] = {}
    channels = networks.network(plain).channels
    seen = np.stack([photographs.image(int(index), cfg.sides, channels) for index in examples])
    with counting("randomizing", len(filters) * (1 + len(drawn)), cfg.steps) as tell:
        pictures, maps = [_pictures(cfg, filters, tell)], [_maps(cfg, filters, seen, left_out)]
        for layers in drawn:
            made = randomization.randomized(plain, layers, cfg.layer.name, cfg.sides, seed)
            other = replace(cfg, model=schema.free("model", made.model))
            pictures.append(_pictures(other, filters, tell))
            maps.append(_maps(other, filters, seen, left_out))
    similarity = {PICTURE: _similarity([moved for _, moved in pictures])}
    similarity |= {name: _similarity([each[name] for each in maps]) for name in maps[0]
                   if name not in left_out}  # fmt: skip
    return Randomized(
        filters, captions, drawn, similarity, np.stack([shown for shown, _ in pictures]), left_out
    )


def _pictures(cfg: Config, filters: Sequence[int], tell: Tell) -> tuple[np.ndarray, list[np.ndarray]]:
    """As they are displayed, uint8 [filters, H, W, 3]; and what of each is not of its start."""
    starts: list[np.ndarray] = []

    def keep(batch: Sequence[ImageSpec], snapshot: Snapshot) -> None:
        if snapshot.start is not None:
            starts.append(snapshot.start[: len(batch)])

    width = min(cfg.batch_size, len(filters))
    on_step = counted(len(filters), width, cfg.steps, tell)
    asked = [ImageSpec(cfg, index) for index in filters]
    found = optimize(asked, width=width, on_snapshot=keep, on_step=on_step)
    shown = [images.displayed(each, specs.display(cfg), cfg.model.mean) for each in found.final]
    begun = np.concatenate(starts)
    return np.stack(shown), [_beside_start(*pair) for pair in zip(found.final, begun, strict=True)]


def _beside_start(final: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The residual of a picture's regression on its start; 0 where that is no more than rounding."""
    x, y = (np.asarray(each, float) - np.mean(each, dtype=float) for each in (start, final))
    rest = y - x * (x * y).sum() / max((x * x).sum(), 1e-30)
    return rest if rest.std() > ROUNDING * max(x.std(), y.std()) else np.zeros_like(rest)


def _maps(
    cfg: Config, filters: Sequence[int], photographs: np.ndarray, left_out: dict[str, str]
) -> dict[str, list[np.ndarray]]:
    """By method, the map of each filter; a method that does not take the network is left out, with why."""
    network = networks.network(schema.plain(cfg.model))
    read = units.layers(cfg)
    own = network.layer(cfg.layer.name).name
    layer = activation_maps.layer_below(network, own, cfg.sides) if network.below(own) else ""
    built = network.build(list(dict.fromkeys([*read, *filter(None, [layer])])), cfg.sides, "float32")
    program = compiled(built, read, units.score(cfg))
    methods: dict[str, Callable[[Unit], Method]] = {
        "saliency": gradients.saliency, "guided_backprop": relu_rules.guided_backprop,
    }  # fmt: skip
    if layer:
        methods["grad_cam"] = functools.partial(activation_maps.grad_cam, layer=layer)
    found: dict[str, list[np.ndarray]] = {}
    for name, method in methods.items():
        if name in left_out:
            continue
        try:
            found[name] = []
            for index, image in zip(filters, photographs, strict=True):
                unit = Unit(program, units.numbers(cfg, index), cfg.batch_size, cfg.device)
                centred = np.asarray(image, np.float32) - np.array(built.mean, np.float32)
                found[name].append(method(unit)([centred]).maps[0])
        except ConfigError as err:  # guided_backprop, of a network without ReLU
            left_out[name] = str(err)
            del found[name]
    return found


def _similarity(by_stage: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Rank correlation of each stage with the first: ``[stages - 1, n]``.

    A constant has none with anything: it is 0 where the first is none, and NaN where the first is one.
    """

    def alike(one: np.ndarray, other: np.ndarray) -> float:
        pair = [np.asarray(each, float).reshape(1, -1) for each in (one, other)]
        if np.ptp(pair[0]) == 0:
            return math.nan
        return 0.0 if np.ptp(pair[1]) == 0 else float(rank_correlations(*pair)[0, 0])

    first = by_stage[0]
    return np.array([[alike(*each) for each in zip(first, row, strict=True)] for row in by_stage[1:]])
