"""From Python: a network in hand and images -> what a layer as a whole represents. Nothing is written.

import deepvis
deepvis.directions(model, "conv5_block3_out", "photos/", method={"k": 8})
"""

from collections.abc import Mapping, Sequence
from typing import Any

from deepvis import model_choice, networks
from deepvis.analyses import atlas as atlases
from deepvis.analyses import direction_pictures, layer_values, photographs
from deepvis.analyses import directions as factorized
from deepvis.analyses import expanded_weights as expanded
from deepvis.analyses.atlas import Atlas
from deepvis.analyses.directions import Directions
from deepvis.analyses.expanded_weights import ExpandedWeights
from deepvis.config import schema
from deepvis.config.groups import Choice
from deepvis.config.schema import Config
from deepvis.core.quiet import quiet
from deepvis.networks import backend
from deepvis.results import result_folder

RECIPE = "distill_2017"  # how pictures are optimized where nothing says


def directions(
    model: Any,
    layer: Any,
    images: Any = "photos",
    *,
    method: Choice = "nmf",
    steps: int = 128,
    reg: Choice | None = None,
    param: Choice | None = None,
    transform: Choice | None = None,
    optimizer: Choice | None = None,
    start: Choice | None = None,
    size: int | Sequence[int] = 224,
    preprocess: Any = "auto",
    inputs: Mapping[str, Any] | None = None,
    optimize: str | None = None,
    seed: int = 0,
    precision: str = "auto",
    device: str = "auto",
    batch_size: int = 0,
) -> Directions:
    r"""Directions in the space of a layer's channels, from its values on images, and their pictures.

    .. math:: A \approx \bar a + W V, \qquad
              s_v(x) = \frac{1}{hw} \sum_{ij} a_{ij}(x) \cdot v

    with a position of an image a row of :math:`A`, behind the layer's nonlinearity, and the directions
    :math:`v` the rows of :math:`V`: channel groups (NMF, where the mean is left away) or principal components
    (PCA). The picture of a direction raises :math:`s_v`.

    Args:
      model, layer, steps, reg, param, transform, optimizer, start, size, preprocess, inputs, optimize, seed,
        precision, device, batch_size: as `deepvis.visualize` takes them, for the pictures; where none of
        those from ``reg`` to ``start`` is given, by the recipe of Olah et al. 2017.
      images: as `deepvis.attribution` takes them.
      method: ``"nmf"``, ``"pca"`` or ``{"preset": "nmf", "k": 8}``: a file of conf/directions, or what
        differs from one.

    Returns:
      `Directions`: ``directions`` [k, C], ``maps(image)`` [k, h, w], ``factors`` with ``explained`` and
      ``shares``, ``optimized``, ``picture()``, ``save(folder)``, whose ``vectors.npz``
      ``objective="direction"`` takes.

    Raises:
      ConfigError: values below 0 for NMF, or another mistake, in one line.

    Example:
      >>> noise = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3))
      >>> found = directions("tiny", "block2_conv2", noise, method={"k": 3}, size=16, steps=2)
      >>> found.directions.shape, found.maps(0).shape
      ((3, 16), (3, 8, 8))

    Source: Olah et al. 2018, "The Building Blocks of Interpretability"; Lee and Seung 1999; Pearson 1901.
    """
    how = {"reg": reg, "param": param, "transform": transform, "optimizer": optimizer, "start": start}
    with quiet():
        cfg, settings = _config(
            model, layer, {"directions": method, "data": photographs.choice(images)}, how, preprocess, inputs,
            optimize, {"steps": steps, "size": size, "seed": seed, "precision": precision, "device": device,
                       "batch_size": batch_size},
        )  # fmt: skip
        chosen = schema.choice("directions", settings["directions"])
        direction_pictures.check(cfg, chosen.picture)
        read = photographs.given(images, cfg)
        backend.load()
        return factorized.directions(cfg, chosen, layer_values.of(cfg, read))


def _config(
    model: Any, layer: Any, choices: Mapping[str, Choice], how: Mapping[str, Choice | None],
    preprocess: Any, inputs: Mapping[str, Any] | None, optimize: str | None, values: Mapping[str, Any],
) -> tuple[Config, Mapping[str, Any]]:  # fmt: skip
    """A checked config, and what it was made of."""
    chosen = {group: choice for group, choice in how.items() if choice is not None}
    network = model_choice.chosen(model, preprocess, inputs, optimize, "auto", values["size"])
    cfg, composed, _ = model_choice.config(
        network, layer, 0, {**choices, **chosen}, values, False, None if chosen else RECIPE
    )
    return cfg, composed


def expanded_weights(
    model: Any,
    layer: Any,
    below: Any,
    filters: int | str | Sequence[int] = "first 16",
    *,
    groups: int = 0,
    size: int | Sequence[int] = 128,
    preprocess: Any = "auto",
    inputs: Mapping[str, Any] | None = None,
    optimize: str | None = None,
    labels: Any = "auto",
    device: str = "auto",
) -> ExpandedWeights:
    r"""Weights from the channels of a lower layer to units of a higher one, through all layers between.

    .. math:: w_{b,ija} = \partial \tilde z_b / \partial a_{ija}

    with :math:`a` the lower layer behind its nonlinearity, :math:`z_b` the unit in the middle of the higher
    layer's map before its own, and :math:`\tilde z` without the ReLUs between and with the mean of a window
    for its maximum. Between adjacent layers that is the kernel.

    Args:
      model, layer, filters, size, preprocess, inputs, optimize, labels, device: as `deepvis.visualize` takes
        them.
      below: the lower layer, in hand, or its name.
      groups: groups of the lower layer's channels, by NMF of the weights; 0: none.

    Returns:
      `ExpandedWeights`: ``weights`` [units, h, w, C], ``groups`` [units, h, w, k], ``pictures()``,
      ``save(folder)``.

    Raises:
      ConfigError: a nonlinearity between them that is not made linear, or another mistake, in one line.

    Example:
      >>> expanded_weights("tiny", "block2_conv2", "block2_conv1", [0, 5], size=32).weights.shape
      (2, 3, 3, 12)

    Source: Voss et al. 2021, "Visualizing Weights", section "Expanded weights".
    """
    with quiet():
        network = model_choice.chosen(model, preprocess, inputs, optimize, labels, size)
        if not isinstance(below, str):
            below = networks.network(model_choice.group(network)).name_of(below)
        cfg, settings = model_choice.unit_config(
            {"objective": "neuron", "weights": {"preset": "expanded", "below": below, "groups": groups}},
            model=model, layer=layer, filters=filters, size=size, preprocess=preprocess, inputs=inputs,
            optimize=optimize, labels=labels, device=device,
        )  # fmt: skip
        chosen = schema.choice("weights", settings["weights"])
        expanded.check(cfg, chosen)
        indices, classes = model_choice.units(cfg)
        backend.load()
        return expanded.weights(cfg, chosen, indices, result_folder.captions_for(indices, classes))


def atlas(
    model: Any,
    layer: Any,
    images: Any = "photos",
    *,
    method: Choice = "carter_2019",
    embedding: Choice = "tsne",
    steps: int = 128,
    reg: Choice | None = None,
    param: Choice | None = None,
    transform: Choice | None = None,
    optimizer: Choice | None = None,
    start: Choice | None = None,
    size: int | Sequence[int] = 224,
    preprocess: Any = "auto",
    inputs: Mapping[str, Any] | None = None,
    optimize: str | None = None,
    seed: int = 0,
    precision: str = "auto",
    device: str = "auto",
    batch_size: int = 0,
) -> Atlas:
    r"""An activation atlas: icons of cells of a layer's activations on images, like ones beside one another.

    .. math:: s_c(x) = \frac{1}{hw} \sum_{ij} (a_{ij}(x) \cdot S v_c) \,
              \max(0.1, \cos(a_{ij}(x), S v_c))^p

    is what the icon of a cell raises, :math:`v_c` being the mean of the activations in it and :math:`S` the
    inverse of the layer's uncentred second moment, shrunk. The paper's icon raises the unit in the middle of
    its map alone, this one the mean over the positions of a small picture.

    Args:
      model, layer, steps, reg, param, transform, optimizer, start, size, preprocess, inputs, optimize, seed,
        precision, device, batch_size: as `deepvis.visualize` takes them, for the icons; where none of those
        from ``reg`` to ``start`` is given, by the recipe of Olah et al. 2017.
      images: as `deepvis.attribution` takes them.
      method: ``"carter_2019"``, or what differs from it: ``{"grid": 20, "positions": 1, "picture": 80}``.
      embedding: as `deepvis.embedding` takes its method: it places the activations, of length 1.

    Returns:
      An `Atlas`: ``cells`` with means, rows, columns and members, ``sample``, ``places``, ``optimized``,
      ``cosines``, ``picture()``, ``page()``, ``save(folder)``.

    Raises:
      ConfigError: too few positions, or another mistake, in one line.

    Example:
      >>> noise = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3))
      >>> small = {"grid": 2, "picture": 16, "least": 2}
      >>> found = atlas("tiny", "block2_conv2", noise, method=small, size=16, steps=2)
      >>> len(found.optimized.shown) == len(found.cells.means), len(found.sample.values)
      (True, 64)

    Source: Carter et al. 2019, "Activation Atlas", doi:10.23915/distill.00015.
    """
    how = {"reg": reg, "param": param, "transform": transform, "optimizer": optimizer, "start": start}
    with quiet():
        cfg, settings = _config(
            model, layer, {"atlas": method, "embedding": embedding, "data": photographs.choice(images)}, how,
            preprocess, inputs, optimize,
            {"steps": steps, "size": size, "seed": seed, "precision": precision, "device": device,
             "batch_size": batch_size},
        )  # fmt: skip
        chosen, placing = (schema.choice(group, settings[group]) for group in ("atlas", "embedding"))
        direction_pictures.check(cfg, chosen.picture)
        read = photographs.given(images, cfg)
        backend.load()
        return atlases.atlas(cfg, chosen, placing, layer_values.of(cfg, read))
