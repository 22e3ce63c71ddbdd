"""From Python: a network in hand and images -> its kernels, maps, codes, and what changes its units.

import deepvis
deepvis.maps(model, "conv3_block4_out", ["cat.jpg"])

Nothing is written but by ``save(folder)``. Those of what units respond to are in `unit_analyses`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from deepvis import model_choice
from deepvis.analyses import embedding as embedded
from deepvis.analyses import fooling as fooled
from deepvis.analyses import kernels, photographs
from deepvis.analyses import maps as activation_maps
from deepvis.analyses import tuning as tuned
from deepvis.analyses.embedding import Embedding
from deepvis.analyses.fooling import FoolingImages
from deepvis.analyses.kernels import Kernels
from deepvis.analyses.maps import ActivationMaps
from deepvis.analyses.tuning import TuningCurves
from deepvis.config import schema
from deepvis.config.groups import Choice
from deepvis.core.quiet import quiet
from deepvis.networks import backend
from deepvis.results import result_folder


def weights(
    model: Any,
    layer: Any = None,
    filters: int | str | Sequence[int] = "all",
    *,
    size: int | Sequence[int] = 128,
    preprocess: Any = "auto",
    inputs: Mapping[str, Any] | None = None,
    optimize: str | None = None,
    device: str = "auto",
) -> Kernels:
    r"""The kernels of a layer that is linear in the image, as they act on its pixels.

    .. math:: w_k = \partial z_{k,i,j} / \partial x

    with :math:`z` before the nonlinearity, in the middle of the map, cut to where any kernel is not zero. So
    the order of a network's colours and the scale of its pixels are in them.

    Args:
      model, filters, size, preprocess, inputs, optimize, device: as `deepvis.visualize` takes them.
      layer: in hand, or its name; None: the first convolution.

    Returns:
      `Kernels`: ``kernels`` [units, h, w, C] in score per grey level, ``picture()``, ``save(folder)``.

    Raises:
      ConfigError: the layer is not linear in the image, or another mistake, in one line.

    Example:
      >>> weights("tiny").kernels.shape
      (8, 3, 3, 3)

    Source: cs231n, "Understanding and Visualizing Convolutional Neural Networks"; Krizhevsky et al. 2012.
    """
    with quiet():
        network = model_choice.chosen(model, preprocess, inputs, optimize, "auto", size)
        if layer is None:
            layer = kernels.first_convolution(model_choice.group(network))
        cfg, _ = model_choice.unit_config(
            {"objective": "neuron"},
            model=model, layer=layer, filters=filters, size=size, preprocess=preprocess, inputs=inputs,
            optimize=optimize, device=device,
        )  # fmt: skip
        backend.load()
        return kernels.kernels(cfg, model_choice.units(cfg)[0])


def maps(
    model: Any,
    layer: Any,
    images: Any = "photos",
    *,
    size: int | Sequence[int] = 224,
    preprocess: Any = "auto",
    inputs: Mapping[str, Any] | None = None,
    optimize: str | None = None,
    device: str = "auto",
) -> ActivationMaps:
    r"""Activation maps of some images, layer by layer up to one, and the channels that are 0 on all of them.

    .. math:: a_{ijk} = \operatorname{relu}(z_{ijk}), \qquad
              k \text{ is dead} \iff \max_{x,i,j} |a_{ijk}(x)| = 0

    Args:
      model, layer, size, preprocess, inputs, optimize, device: as `deepvis.visualize` takes them.
      images: as `deepvis.attribution` takes them.

    Returns:
      `ActivationMaps`: ``maps(image)`` with [h, w, C] of each layer, ``largest`` [C] and ``dead`` [C] of
      each, ``picture(layer, image)``, ``save(folder)``.

    Raises:
      ConfigError: a mistake, in one line.

    Example:
      >>> seen = maps("tiny", "block2_conv2", np.zeros((1, 16, 16, 3)), size=16)
      >>> {name: each.shape for name, each in seen.maps(0).items()}["block2_conv2"]
      (8, 8, 16)

    Source: Yosinski et al. 2015, "Understanding Neural Networks Through Deep Visualization", section 2.
    """
    with quiet():
        choices: dict[str, Choice] = {"data": photographs.choice(images)}
        cfg, _ = model_choice.unit_config(
            choices,
            model=model, layer=layer, size=size, preprocess=preprocess, inputs=inputs,
            optimize=optimize, device=device,
        )  # fmt: skip
        read = photographs.given(images, cfg)
        backend.load()
        return activation_maps.maps(cfg, read)


def embedding(
    model: Any,
    layer: Any,
    images: Any = "photos",
    *,
    method: Choice = "tsne",
    size: int | Sequence[int] = 224,
    preprocess: Any = "auto",
    inputs: Mapping[str, Any] | None = None,
    optimize: str | None = None,
    device: str = "auto",
) -> Embedding:
    r"""Images in a plane, those with like codes beside one another.

    .. math:: c_k = \frac{1}{hw} \sum_{ij} a_{ijk}

    is the code, :math:`a` the layer's maps behind their nonlinearity.

    Args:
      model, layer, size, preprocess, inputs, optimize, device: as `deepvis.visualize` takes them.
      images: as `deepvis.attribution` takes them; four or more.
      method: ``"tsne"``, ``"umap"`` or ``{"preset": "tsne", "perplexity": 10}``: a file of conf/embedding, or
        what differs from one.

    Returns:
      An `Embedding`: ``codes`` [n, C], ``places`` [n, 2], ``cells`` [n, 2] of a grid, ``neighbours_kept``,
      ``picture()``, ``page()``, ``save(folder)``.

    Raises:
      ConfigError: too few images, or another mistake, in one line.

    Example:
      >>> noise = np.random.default_rng(0).uniform(0, 255, (5, 16, 16, 3))
      >>> embedding("tiny", "block2_conv2", noise, size=16).places.shape
      (5, 2)

    Source: van der Maaten and Hinton 2008, "Visualizing Data using t-SNE"; of codes, Karpathy 2014.
    """
    with quiet():
        cfg, settings = model_choice.unit_config(
            {"embedding": method, "data": photographs.choice(images)},
            model=model, layer=layer, size=size, preprocess=preprocess, inputs=inputs,
            optimize=optimize, device=device,
        )  # fmt: skip
        chosen = schema.choice("embedding", settings["embedding"])
        read = photographs.given(images, cfg)
        backend.load()
        return embedded.embedding(cfg, chosen, read, embedded.codes_of(cfg, read))


def fooling(
    model: Any,
    layer: Any,
    filters: int | str | Sequence[int],
    images: Any = "photos",
    *,
    method: Choice = "sign",
    objective: Choice = "channel",
    size: int | Sequence[int] = 224,
    preprocess: Any = "auto",
    inputs: Mapping[str, Any] | None = None,
    optimize: str | None = None,
    labels: Any = "auto",
    device: str = "auto",
    batch_size: int = 0,
) -> FoolingImages:
    r"""Images, changed little by little until units take them for their own.

    .. math:: x \leftarrow \operatorname{clip}_{0,255} \big( x + \epsilon \operatorname{sign}
              (\partial s / \partial x) \big)

    with :math:`s` the unit's score; ``method="gradient"`` goes along the gradient itself.

    Args:
      model, layer, filters, objective, size, preprocess, inputs, optimize, labels, device, batch_size: as
        `deepvis.visualize` takes them; the objective says what of the layer is raised.
      images: as `deepvis.attribution` takes them.
      method: ``"sign"``, ``"gradient"`` or ``{"preset": "sign", "rate": 0.25, "steps": 40}``: a file of
        conf/fooling, or what differs from one.

    Returns:
      `FoolingImages`: ``images`` [units, n, H, W, C], ``confidence``, ``scores`` and ``rms``
      [units, steps + 1, n], ``sheet(unit)``, ``save(folder)``.

    Raises:
      ConfigError: a mistake, in one line.

    Example:
      >>> grey = np.full((1, 16, 16, 3), 128.0)
      >>> changed = fooling("tiny", "block2_conv2", [5], grey, method={"steps": 2}, size=16)
      >>> changed.confidence.shape, float(np.abs(changed.images - grey).max())
      ((1, 3, 1), 1.0)

    Source: Goodfellow et al. 2015, "Explaining and Harnessing Adversarial Examples"; Szegedy et al. 2014.
    """
    with quiet():
        cfg, settings = model_choice.unit_config(
            {"objective": objective, "fooling": method, "data": photographs.choice(images)},
            model=model, layer=layer, filters=filters, size=size, preprocess=preprocess, inputs=inputs,
            optimize=optimize, labels=labels, device=device, batch_size=batch_size,
        )  # fmt: skip
        chosen = schema.choice("fooling", settings["fooling"])
        fooled.check(cfg)
        indices, classes = model_choice.units(cfg)
        read = photographs.given(images, cfg)
        backend.load()
        return fooled.fooling(cfg, chosen, indices, result_folder.captions_for(indices, classes), read)


def tuning(
    model: Any,
    layer: Any,
    filters: int | str | Sequence[int],
    images: Any = "photos",
    *,
    objective: Choice = "channel",
    size: int | Sequence[int] = 224,
    preprocess: Any = "auto",
    inputs: Mapping[str, Any] | None = None,
    optimize: str | None = None,
    labels: Any = "auto",
    device: str = "auto",
    batch_size: int = 0,
) -> TuningCurves:
    r"""The score of units on images that are moved, scaled, turned and lit otherwise.

    .. math:: c_l = s(T_l(x))

    with :math:`T_l` a change of the whole image; at the neutral level it is the image itself.

    Args:
      model, layer, filters, objective, size, preprocess, inputs, optimize, labels, device, batch_size: as
        `deepvis.visualize` takes them; the objective says what of the layer is measured.
      images: as `deepvis.attribution` takes them.

    Returns:
      `TuningCurves`: ``levels`` and ``curves`` [units, levels, n] by attribute, ``sheet(unit)``,
      ``save(folder)``.

    Raises:
      ConfigError: a mistake, in one line.

    Example:
      >>> seen = tuning("tiny", "block2_conv2", [5], np.zeros((1, 16, 16, 3)), size=16)
      >>> {name: each.shape for name, each in seen.curves.items()}["rotation"]
      (1, 13, 1)

    Source: cs231n, "performance as a function of image attributes"; Cammarata et al. 2020, "Curve Detectors".
    """
    with quiet():
        cfg, _ = model_choice.unit_config(
            {"objective": objective, "data": photographs.choice(images)},
            model=model, layer=layer, filters=filters, size=size, preprocess=preprocess, inputs=inputs,
            optimize=optimize, labels=labels, device=device, batch_size=batch_size,
        )  # fmt: skip
        tuned.check(cfg)
        indices, classes = model_choice.units(cfg)
        read = photographs.given(images, cfg)
        backend.load()
        return tuned.tuning(cfg, indices, result_folder.captions_for(indices, classes), read)
