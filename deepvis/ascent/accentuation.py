"""Feature accentuation: a picture is changed so that it excites a unit more, and stays near it elsewhere.

The distance from the picture where the ascent starts is that of a layer's features; its weight is balanced
against the score once and then kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from deepvis.ascent.objectives import means
from deepvis.ascent.ops import per_image
from deepvis.ascent.parts import State
from deepvis.config.knobs import Knob, declare
from deepvis.networks.backend import tf

TINY = 1e-30  # smaller than any square that counts


@dataclass(frozen=True)
class Accentuation:
    """What is subtracted from the score, and how it is balanced against it."""

    weight: tf.Tensor  # [B]

    def distance(self, maps: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
        """Mean over positions of the length of the difference: [B, h, w, C] -> [B]."""
        square = tf.reduce_sum(tf.square(maps - start), axis=3, keepdims=True)
        # A root has no gradient at 0; there it is taken as 0, which is one of its subgradients.
        root = tf.where(square > TINY, tf.sqrt(tf.maximum(square, TINY)), 0.0)
        return means(root)[:, 0]

    def held_back(self, state: State, of_score: tf.Tensor, of_distance: tf.Tensor) -> tuple[State, tf.Tensor]:
        """What is subtracted from the gradient, and the state with the balance, once it is known.

        Args:
          state: whose balance is 0 as long as it is not known.
          of_score: gradient of the score by theta, ``[B, ...]``.
          of_distance: that of the distance.
        """
        (balance,) = state.balance
        score, distance = (_length(each) for each in (of_score, of_distance))
        is_settled = (balance > 0) | (state.step == 0) | (distance == 0)
        balance = tf.where(is_settled, balance, score / tf.where(distance > 0, distance, 1.0))
        held = per_image(self.weight * balance, of_distance) * of_distance
        return state._replace(balance=(balance,)), held


@declare(
    "reg",
    None,
    {
        "accentuation": Knob(
            0.0, "subtracts the distance of a layer's features from those of the start", low=0, unit="weight"
        ),
        "accentuation_layer": Knob(
            None, "of the features of accentuation", kind=str, switch=False, static=True
        ),
    },
    penalty=True,
    features=True,
)
def accentuation(accentuation: tf.Tensor) -> Accentuation:
    r"""Feature accentuation: features should stay near those of the picture where the ascent starts.

    .. math:: f(x) - \alpha B R(x), \quad
              R = \frac{1}{hw} \sum_{ij} \lVert h_{ij}(\tau x) - h_{ij}(\tau x_0) \rVert_2, \quad
              B = \lVert \partial f / \partial \theta \rVert_1 / \lVert \partial R / \partial \theta \rVert_1

    with :math:`f` the score, :math:`x_0` the start as its parametrization has it, :math:`\tau` the transform
    that is drawn for the step, the same for both, and :math:`h` the layer's maps behind their nonlinearity.
    Of many windows :math:`f` and :math:`R` are means.

    :math:`B` is taken in the first step in which :math:`R` has a gradient, and then kept. That is the second
    one: at :math:`x_0` itself :math:`R` is 0 and has none, so the first step ascends :math:`f` alone. The
    authors' code takes :math:`B` at :math:`x_0`, where the gradient that it finds is that of rounding errors
    (or 0, and :math:`B` is infinite).

    Args:
      accentuation: :math:`\alpha`, ``[B]``; 0 is off, 1 the authors'.

    Source: Hamblin et al. 2024, "Feature Accentuation", arXiv:2402.10039, and their library faccent 1.0.3,
    render_vis and l2_compare.
    """
    return Accentuation(accentuation)


def _length(values: tf.Tensor) -> tf.Tensor:
    """Sum of magnitudes of each image: [B, ...] -> [B]."""
    return tf.reduce_sum(tf.abs(values), axis=list(range(1, values.shape.rank)))
