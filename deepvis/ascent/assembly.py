"""Assembly: components and the numbers of a batch -> the parts of a step. Called while a step is traced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepvis.ascent import batch_law, objectives, penalties, regularizers, step_masks, transforms
from deepvis.ascent.gradient_ascent import Hyper
from deepvis.ascent.inputs import BESIDE
from deepvis.ascent.objectives import Objective
from deepvis.ascent.ops import size_of
from deepvis.ascent.parametrizations import Param
from deepvis.ascent.parts import Parts
from deepvis.ascent.specs import StaticConfig
from deepvis.config.knobs import Component
from deepvis.core.errors import ConfigError
from deepvis.networks import Activations
from deepvis.networks.backend import tf

START = "start"  # among the pictures that the network sees as it sees the image: where the ascent started


@dataclass(frozen=True)
class Assembly:
    """What a program is made of, before there are numbers."""

    static: StaticConfig
    network: Activations
    layers: Sequence[str]  # that are read
    param: Param
    regularizers: Sequence[Component]
    transforms: Sequence[Component]  # of the user's
    sampled: tuple[bool, ...]  # whether any image is moved, has normal noise, has uniform noise

    def parts(self, hyper: Hyper) -> Parts:
        """The parts of a step, for the numbers of a batch."""
        static = self.static
        rule = static.optimizer(**under(hyper, "optimizer"))
        refuse_without(("slots", "update"), rule, f"optimizer: {static.optimizer.__name__}")
        accents = [each for each in self.regularizers if each.traits.get("features")]
        accentuation = accents[0].function(hyper["reg.accentuation"]) if accents else None
        beside = {key.removeprefix(BESIDE): each for key, each in hyper.items() if key.startswith(BESIDE)}
        if START not in beside:  # the first image, which it is, is not there yet
            accentuation = None
        read = objectives.reading(static.layer, hyper["unit"])
        given = {"targets": hyper["targets"]} if "targets" in hyper else {}
        whole_score = None if beside else self._score(hyper, given)

        def measure(image, seen=None):
            activations = self.network.activations(image, self.layers)
            if whole_score is not None:
                return whole_score(activations), *read(activations)
            maps = {
                name: self.network.activations(tf.stop_gradient(each), self.layers)
                for name, each in (seen or {}).items()
            }
            first = maps.pop(START, None)
            score = self._score(hyper, {"targets": maps} if maps else given)
            measured = score(activations), *read(activations)
            if accentuation is None or first is None:
                return measured
            layer = str(static.accentuation)
            return *measured, accentuation.distance(activations[layer].post, first[layer].post)

        return Parts(
            encode=self.param.encode,
            decode=self.param.decode,
            transform=lambda image: self._transformed(image, hyper),
            measure=measure,
            slots=rule.slots,
            update=rule.update,
            penalize=penalties.build(self.regularizers, hyper),
            regularize=regularizers.build(self.regularizers, hyper, static.combine, self.network.mean),
            mask=step_masks.build(self.regularizers, hyper),
            whole=self._whole,
            alpha=static.alpha,
            beside=beside,
            accentuation=accentuation,
        )

    def _score(self, hyper: Hyper, targets: Mapping[str, Any]) -> Objective:
        make, options = self.static.objective
        score = make(
            self.static.layer, hyper["filter"], **under(hyper, "objective"), **dict(options), **targets
        )
        if not make.__module__.startswith("deepvis."):
            score = batch_law.scored(score, make.__name__)
        return score

    def _transformed(self, image: tf.Tensor, hyper: Hyper) -> tf.Tensor:
        count, px = self.static.crops
        if any(self.sampled):
            side = size_of(image)
            side = transforms.crop_size(px, side) if count else transforms.out_size(*self.static.window, side)
            image = transforms.build(hyper, side, *self.sampled)(image)
        for each in self.transforms:
            image = each.function(**{key: hyper[f"transform.{key}"] for key in each.parameters()})(image)
        return image

    def _whole(self, image: tf.Tensor) -> tf.Tensor:
        """At the scale at which the windows are seen."""
        size = transforms.crop_size(self.static.crops[1], size_of(image))
        return image if size == size_of(image) else tf.image.resize(image, size, antialias=True)


def refuse_without(names: Sequence[str], got: object, where: str) -> None:
    """Refuse what a function of the user's returned, where it lacks something.

    Raises:
      ConfigError: with what is expected in it.
    """
    if not all(hasattr(got, name) for name in names):
        raise ConfigError(f"{where}: returned {type(got).__name__}, expected {' and '.join(names)} in it")


def under(hyper: Hyper, group: str) -> dict[str, tf.Tensor]:
    """The numbers of a group of a config, by its keys."""
    return {k.removeprefix(f"{group}."): v for k, v in hyper.items() if k.startswith(f"{group}.")}
