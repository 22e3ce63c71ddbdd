"""Parts: what a step of gradient ascent is made of, what changes from step to step, and what is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from deepvis.networks.backend import tf

if TYPE_CHECKING:
    from deepvis.ascent.accentuation import Accentuation


@dataclass(frozen=True)
class Parts:
    """What a step is made of, for one set of hyperparameters."""

    encode: Callable[[tf.Tensor], tf.Tensor]  # image [B, H, W, C] -> theta [B, ...]
    decode: Callable[[tf.Tensor], tf.Tensor]  # theta -> image
    transform: Callable[[tf.Tensor], tf.Tensor]  # image -> what the network sees of it in this step
    # image -> score, activation, rank, margin, features; with `beside`, (image, those pictures seen alike)
    measure: Callable[..., tuple[tf.Tensor, ...]]
    slots: int  # tensors like theta that the step rule remembers, zeros at first
    update: Callable[..., tuple[tf.Tensor, tuple[tf.Tensor, ...]]]  # (grad, memory, step) -> (delta, memory)
    regularize: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]  # (theta, grad, step) -> theta
    whole: Callable[[tf.Tensor], tf.Tensor] = lambda image: image  # what of it is measured in the end
    alpha: bool = False  # whether the magnitude of the gradient at each pixel is summed over the steps
    penalize: Callable[[tf.Tensor], tf.Tensor] | None = None  # image -> what is subtracted from its score
    mask: Callable[[tf.Tensor], tf.Tensor] | None = None  # of the step: delta -> delta
    beside: Mapping[str, tf.Tensor] = field(default_factory=dict)  # pictures [B, H, W, C] to be compared with
    accentuation: Accentuation | None = None  # with it, `measure` ends in each image's distance, [B]


class State(NamedTuple):  # a tuple, as TensorFlow's graphs take and return them
    """All that changes."""

    step: tf.Tensor  # [] int32: steps done
    theta: tf.Tensor  # [B, ...]
    memory: tuple[tf.Tensor, ...]  # of the step rule, [B, ...] each
    best_score: tf.Tensor  # [B]
    best_theta: tf.Tensor  # [B, ...]
    alive: tf.Tensor  # [B] bool: finite so far
    importance: tuple[tf.Tensor, ...] = ()  # [B, H, W]: sum of the gradient's magnitude, if it is wanted
    balance: tuple[tf.Tensor, ...] = ()  # [B]: of accentuation, 0 until it is known


class Record(NamedTuple):
    """What is recorded of the images, each [B]."""

    score: tf.Tensor
    activation: tf.Tensor
    gradient_rms: tf.Tensor  # NaN where none was taken
    image_rms: tf.Tensor
    rank: tf.Tensor
    margin: tf.Tensor
    alive: tf.Tensor


def begin(image: tf.Tensor, parts: Parts) -> State:
    """The state before the first step."""
    theta = parts.encode(image)
    batch = tf.shape(image)[:1]
    return State(
        step=tf.constant(0),
        theta=theta,
        memory=(tf.zeros_like(theta),) * parts.slots,
        best_score=tf.fill(batch, -float("inf")),
        best_theta=theta,
        alive=tf.fill(batch, True),
        importance=(tf.zeros(image.shape[:3]),) if parts.alpha else (),
        balance=() if parts.accentuation is None else (tf.zeros(batch),),
    )
