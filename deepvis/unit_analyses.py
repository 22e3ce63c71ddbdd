"""From Python: a network in hand and images -> what its units respond to. Nothing is written.

import deepvis
deepvis.attribution(model, "conv5_block3_out", [3, 7], ["cat.jpg"], method="grad_cam")
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from deepvis import data as data_group
from deepvis import model_choice, natural, random_networks, trusted
from deepvis.analyses import attribution as attributed
from deepvis.analyses import photographs
from deepvis.analyses.attribution import Attributed
from deepvis.config import schema
from deepvis.config.groups import Choice
from deepvis.core.quiet import quiet
from deepvis.natural import Examples
from deepvis.networks import backend
from deepvis.results import result_folder
from deepvis.trust import random_weights
from deepvis.trusted import Trusted


def attribution(
    model: Any,
    layer: Any,
    filters: int | str | Sequence[int],
    images: Any = "photos",
    *,
    method: Choice = "saliency",
    objective: Choice = "channel",
    size: int | Sequence[int] = 224,
    preprocess: Any = "auto",
    inputs: Mapping[str, Any] | None = None,
    optimize: str | None = None,
    labels: Any = "auto",
    device: str = "auto",
    batch_size: int = 0,
) -> Attributed:
    """Which pixels of some images units of a network respond to.

    Args:
      model, layer, filters, objective, preprocess, inputs, optimize, labels, device, batch_size: as
        `deepvis.visualize` takes them; the objective says what of the layer is measured.
      images: ``"photos"``, a folder, a picture file or a list of them, cropped about the centre and scaled to
        the size; or an array ``[n, H, W, C]`` of that size, RGB in grey levels from 0 to 255.
      method: ``"saliency"``, ``"grad_cam"``, ``{"preset": "occlusion", "patch": 24}`` ...: a file of
        conf/attribution, or what differs from one.
      size: px; a number is a square, ``(48, 192)`` is height and width.

    Returns:
      An `Attributed`: ``maps`` [units, n, H, W], ``scores``, ``sheet(unit)``; a notebook shows it.

    Raises:
      ConfigError: a mistake, in one line.

    Example:
      >>> seen = attribution("tiny", "block2_conv2", [0, 5], np.zeros((1, 16, 16, 3)), size=16)
      >>> seen.maps.shape
      (2, 1, 16, 16)
    """
    with quiet():
        cfg, settings = model_choice.unit_config(
            {"objective": objective, "attribution": method, "data": photographs.choice(images)},
            model=model, layer=layer, filters=filters, size=size, preprocess=preprocess, inputs=inputs,
            optimize=optimize, labels=labels, device=device, batch_size=batch_size,
        )  # fmt: skip
        chosen = schema.choice("attribution", settings["attribution"])
        attributed.check(cfg, chosen)
        indices, classes = model_choice.units(cfg)
        captions = result_folder.captions_for(indices, classes)
        read = photographs.given(images, cfg)
        backend.load()
        return attributed.attribute(cfg, chosen, indices, captions, read)


def examples(
    model: Any,
    layer: Any,
    filters: int | str | Sequence[int],
    *,
    data: Any = "photos",
    k: int = 9,
    per_image: int = 1,
    objective: Choice = "channel",
    size: int | Sequence[int] = 224,
    preprocess: Any = "auto",
    inputs: Mapping[str, Any] | None = None,
    optimize: str | None = None,
    labels: Any = "auto",
    device: str = "auto",
    batch_size: int = 0,
) -> Examples:
    """The photographs, and the places in them, that excite units of a network most and least.

    Args:
      model, layer, filters, objective, preprocess, inputs, optimize, labels, device, batch_size: as
        `deepvis.visualize` takes them; the objective names the units: ``channel``, ``neuron``, ``direction``.
      data: ``"photos"``, or the path of a folder of photographs; or ``{"preset": "folder", "path": ...}``.
      k: how many of each end.
      per_image: of these, places that one photograph may have; 0: any number.
      size: px; photographs are cropped about their centre to its proportions.

    Returns:
      `Examples`: ``top`` and ``bottom`` with values, photographs, positions and boxes, ``crop``, ``gallery``.

    Raises:
      ConfigError: a mistake, in one line.
    """
    with quiet():
        cfg, _ = model_choice.unit_config(
            {"objective": objective, "data": model_choice.data_choice(data)},
            model=model, layer=layer, filters=filters, size=size, preprocess=preprocess, inputs=inputs,
            optimize=optimize, labels=labels, device=device, batch_size=batch_size,
        )  # fmt: skip
        places = schema.KEYS["examples_per_image"].read("per_image", per_image)
        cfg = replace(cfg, examples=natural.K.read("k", k), examples_per_image=places)
        indices, classes = model_choice.units(cfg)
        backend.load()
        return natural.examples(cfg, indices, classes, data_group.photographs(schema.plain(cfg.data)))


def trust(
    model: Any,
    layer: Any,
    filters: int | str | Sequence[int],
    *,
    data: Any = "photos",
    seeds: int = 3,
    randomized: int = 0,
    reg: Choice | None = None,
    param: Choice | None = None,
    transform: Choice | None = None,
    optimizer: Choice | None = None,
    start: Choice | None = None,
    steps: int | None = None,
    size: int | Sequence[int] = 128,
    seed: int = 0,
    preprocess: Any = "auto",
    inputs: Mapping[str, Any] | None = None,
    optimize: str | None = None,
    labels: Any = "auto",
    device: str = "auto",
    batch_size: int = 0,
) -> Trusted:
    """Whether pictures of filters can be believed, beside photographs.

    Args:
      model, layer, filters, reg, param, transform, optimizer, start, steps, size, seed, preprocess, inputs,
        optimize, labels, device, batch_size: as `deepvis.visualize` takes them; in float32.
      data: as `examples` takes it.
      seeds: starts of each filter; of 6 or more it is told whether they show one thing or several.
      randomized: stages in which the layers are given random weights, from the unit's downwards; 0: none.

    Returns:
      A `Trusted`: ``verdicts``, ``rows()``, ``path_rows()``, ``sheet()``; a notebook shows the sheet. Its
      ``randomized`` has ``rows()``, ``told()`` and ``sheet()``, or is None.

    Raises:
      ConfigError: a mistake, in one line.
    """
    groups_given = {"reg": reg, "param": param, "transform": transform, "optimizer": optimizer,
                    "start": start}  # fmt: skip
    chosen: dict[str, Choice] = {
        group: choice for group, choice in groups_given.items() if choice is not None
    }
    with quiet():
        cfg, _ = model_choice.unit_config(
            {"objective": "channel", "data": model_choice.data_choice(data), **chosen},
            model=model, layer=layer, filters=filters, size=size, preprocess=preprocess, inputs=inputs,
            optimize=optimize, labels=labels, device=device, batch_size=batch_size,
            with_recipe=not chosen, more={"seed": seed, **({} if steps is None else {"steps": steps})},
        )  # fmt: skip
        starts = trusted.SEEDS.read("seeds", seeds)
        stages = random_weights.STAGES.read("randomized", randomized)
        trusted.check(cfg)
        random_networks.check(cfg, stages)
        indices, classes = model_choice.units(cfg)
        backend.load()
        given = data_group.photographs(schema.plain(cfg.data))
        found = trusted.assess(cfg, indices, classes, given, starts)
        if not stages:
            return found
        seen = found.evidence.examples[:, 0]
        random = random_networks.assess(cfg, indices, found.captions, given, seen, stages)
        return found.beside(random)
