"""What a gradient becomes at a ReLU on its way to the image, and the two methods that change it.

With :math:`x` the argument of a ReLU and :math:`g` the gradient behind it, the gradient before it is

    plain        g where x > 0
    deconvnet    g where g > 0
    guided       g where x > 0 and g > 0

and of a ReLU6 *x > 0* is *0 < x < 6*. A max pooling passes its gradient to the maximum, which are the
"switches" of Zeiler and Fergus. The rule acts on TensorFlow's operations, so on every network, whoever wrote
its layers.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepvis.attribution.family import Attribution, Method, attribution
from deepvis.core.errors import ConfigError
from deepvis.networks.backend import tf

if TYPE_CHECKING:
    from deepvis.attribution.unit import Unit

RULES = ("deepvis_deconvnet", "deepvis_guided")
RELUS = ("Relu", "Relu6")
# Nonlinearities that no rule is known for; a network may have them beside its ReLUs.
OTHERS = ("LeakyRelu", "Elu", "Selu", "Softplus", "Softsign", "Sigmoid", "Tanh", "Erf", "Softmax", "Exp")
CALLS = ("PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile", "If", "StatelessIf")


@attribution(signed=False)
def deconvnet(unit: Unit) -> Method:
    r"""The gradient that passes a ReLU where it is positive, whatever the ReLU saw.

    Source: Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks".
    """
    return functools.partial(_by_rule, unit, "deconvnet")


@attribution(signed=False)
def guided_backprop(unit: Unit) -> Method:
    r"""The gradient that passes a ReLU where it is positive and the ReLU let its argument pass.

    Source: Springenberg et al. 2015, "Striving for Simplicity: The All Convolutional Net".
    """
    return functools.partial(_by_rule, unit, "guided")


def _by_rule(unit: Unit, rule: str, images: Sequence[np.ndarray]) -> Attribution:
    scores, gradients = map(np.stack, zip(*unit.gradients(images, rule), strict=True))
    return Attribution(np.abs(gradients).max(axis=-1), scores, gradients)


@contextlib.contextmanager
def acting(rule: str) -> Iterator[None]:
    """While it lasts, the ReLUs of the function that is traced have this rule."""
    if rule == "plain":
        yield
        return
    _register()
    graph = tf.compat.v1.get_default_graph()
    with graph.gradient_override_map(dict.fromkeys(RELUS, f"deepvis_{rule}")):
        yield


@functools.cache
def _register() -> None:
    @tf.RegisterGradient("deepvis_deconvnet")
    def _deconvnet(op: Any, gradient: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu(gradient)

    @tf.RegisterGradient("deepvis_guided")
    def _guided(op: Any, gradient: tf.Tensor) -> tf.Tensor:
        behind = op.outputs[0]
        passed = behind > 0
        if op.type == "Relu6":
            passed &= behind < 6
        return tf.where(passed & (gradient > 0), gradient, tf.zeros_like(gradient))


def check(rule: str, scores: tf.Tensor, images: tf.Tensor, network: str) -> None:
    """Refuse a rule in a network where it would act nowhere, or not everywhere.

    Raises:
      ConfigError: with the name of what is in its way.
    """
    if rule == "plain":
        return
    between = _between(scores, images)
    method = {"deconvnet": "deconvnet", "guided": "guided_backprop"}[rule]
    hidden = [op for op in between if op.type in CALLS]
    if hidden:
        raise ConfigError(
            f"attribution={method}: {network}: {hidden[0].name} is a compiled function of its own, whose "
            "ReLUs the rule does not reach; expected layers without tf.function; take attribution=saliency"
        )
    others = [op for op in between if op.type in OTHERS]
    if not any(op.type in RELUS for op in between):
        got = f"{others[0].type} ({others[0].name})" if others else "no nonlinearity"
        raise ConfigError(
            f"attribution={method}: {network} has no ReLU between the image and the unit: got {got}, "
            "expected a network with ReLUs; take attribution=saliency"
        )
    if others:
        named = ", ".join(sorted({op.type for op in others}))
        raise ConfigError(
            f"attribution={method}: {network}: got {named} beside the ReLUs (first {others[0].name}), for "
            "which there is no rule; expected ReLUs alone; take attribution=saliency"
        )


def _between(scores: tf.Tensor, images: tf.Tensor) -> list[Any]:
    """The operations that lead from the images to the scores, from the scores on."""
    above, reached = [scores.op], {scores.op: None}
    while above:
        for tensor in above.pop().inputs:
            if tensor.op not in reached:
                reached[tensor.op] = None
                above.append(tensor.op)
    below, leads = list(images.consumers()), set()
    while below:
        op = below.pop()
        if op in reached and op not in leads:
            leads.add(op)
            below += [reader for each in op.outputs for reader in each.consumers()]
    return [op for op in reached if op in leads]
