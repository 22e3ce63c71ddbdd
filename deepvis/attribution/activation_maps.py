"""Methods that add up a layer's maps, weighted by what they do for the score, and enlarge the sum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from deepvis.attribution.family import Attribution, Method, attribution
from deepvis.config.knobs import Knob
from deepvis.core.errors import ConfigError
from deepvis.networks.base import Network, Size

if TYPE_CHECKING:
    from deepvis.attribution.unit import Unit

LAYER = Knob(None, "whose maps are added up; null: the last one below the unit that has a map", kind=str)


@attribution(signed=False, layer=LAYER)
def grad_cam(unit: Unit, *, layer: str) -> Method:
    r"""A layer's maps, each weighted by the mean of its gradient.

    .. math:: m = \operatorname{relu} \Big( \sum_k a_k \,
              \frac{1}{hw} \sum_{ij} \partial s / \partial a_{ijk} \Big)

    enlarged to the image, bilinearly.

    Args:
      unit: of a network.
      layer: whose maps, behind their nonlinearity, are :math:`a`.

    Source: Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via
    Gradient-Based Localization".
    """
    return _weighted(unit, layer, lambda maps, gradients: (maps * gradients.mean(axis=(0, 1))).sum(axis=-1))


@attribution(signed=False, layer=LAYER)
def layer_cam(unit: Unit, *, layer: str) -> Method:
    r"""A layer's maps, each weighted at each position by its gradient there, where that is positive.

    .. math:: m_{ij} = \operatorname{relu} \Big( \sum_k a_{ijk}
              \operatorname{relu}(\partial s / \partial a_{ijk}) \Big)

    enlarged to the image, bilinearly. Of lower layers it is finer than Grad-CAM.

    Args:
      unit: of a network.
      layer: whose maps, behind their nonlinearity, are :math:`a`.

    Source: Jiang et al. 2021, "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization".
    """
    return _weighted(unit, layer, lambda maps, gradients: (maps * np.maximum(gradients, 0)).sum(axis=-1))


def _weighted(unit: Unit, layer: str, add: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Method:
    def method(images: Sequence[np.ndarray]) -> Attribution:
        scores, sums = [], []
        for score, maps, gradients in unit.maps(images, layer):
            scores.append(score)
            sums.append(np.maximum(add(maps, gradients), 0))
        height, width = images[0].shape[:2]
        enlarged = [
            np.asarray(Image.fromarray(each).resize((width, height), Image.Resampling.BILINEAR))
            for each in sums
        ]
        return Attribution(np.stack(enlarged), np.array(scores, np.float32), coarse=np.stack(sums))

    return method


def layer_below(network: Network, layer: str, size: Size) -> str:
    """The last layer below one that has a map of more than one position.

    Raises:
      ConfigError: there is none.
    """
    for name in reversed(network.below(layer)):
        try:
            if max(network.map_size(name, size)) > 1:
                return name
        except ConfigError:  # it takes no image of this size
            continue
    raise ConfigError(
        f"attribution.layer: {network.name} has no layer with a map below {layer}; expected one; name it"
    )
