"""The model group of a config -> its `Network`. The one place where a module that needs Keras is imported."""

import pkgutil
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from deepvis.core.errors import ConfigError
from deepvis.networks import labels
from deepvis.networks.base import Layer, Network

VGG = "deepvis.networks.vgg.Vgg"
APPLICATION, IN_HAND = (f"deepvis.networks.keras_models.{name}" for name in ("application", "in_hand"))
VGGS = ("VGG16", "VGG19")  # of keras.applications


def network(model: Mapping[str, Any]) -> Network:
    """The network that a config describes; nothing of it is read yet.

    Args:
      model: the group, plain: ``_target_`` is the path of a class or function that returns a `Network`, the
        rest are its arguments, but ``labels``: a network does not know what its classes are called.

    Raises:
      ConfigError: there is no such class or function.
    """
    try:
        make = pkgutil.resolve_name(model["_target_"])
    except (ImportError, AttributeError, ValueError) as err:
        raise ConfigError(
            f"model._target_={model['_target_']}: got {err}, expected the path of a class or function that "
            "returns a network, such as deepvis.networks.vgg.Vgg"
        ) from err
    return make(**_options(model))


def _options(model: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in model.items() if key not in ("_target_", "labels", "paired_with")}


def resolved(model: Mapping[str, Any]) -> dict[str, Any]:
    """The same config with what follows from it; resolved once more it is the same. See `Network.resolved`.

    Args:
      model: see `network`.

    Raises:
      ConfigError: ``preprocess`` or ``mean`` say nothing that this network could take.
    """
    return labels.resolved(model) | dict(network(model).resolved())


def class_names(model: Mapping[str, Any], layer: Layer) -> tuple[str, ...]:
    """What the channels of a layer are called, where they are classes; see `labels.of_layer`."""
    return labels.of_layer(labels.resolved(model), network(model), layer)


def hold(
    model: Any,
    preprocess: Any,
    inputs: Mapping[str, Any] | None = None,
    optimize: str | None = None,
    class_names: Any = "auto",
    size: Any = None,
) -> dict[str, Any]:
    """The config of a Keras model or a PyTorch module in hand; see their own `hold`.

    Args:
      model: in hand.
      preprocess: see `keras_models.in_hand`.
      inputs: see `keras_models.hold`.
      optimize: likewise.
      class_names: what ``model.labels`` takes; ``auto``: ImageNet's, for a Keras model that has the name
        of one of keras.applications and as many classes.
      size: px, which a PyTorch module is exported for.
    """
    from deepvis.networks import keras_models, torch_modules

    if torch_modules.is_module(model):
        if inputs or optimize:
            raise ConfigError("inputs, optimize: of Keras models; expected a PyTorch module of one image")
        held = torch_modules.hold(model, preprocess, size)
        return held | {"labels": None if class_names == "auto" else class_names}
    held = keras_models.hold(model, preprocess, inputs, optimize)
    if class_names == "auto":
        outputs = getattr(model, "outputs", None) or []
        classes = len(outputs) == 1 and outputs[0].shape[-1] == labels.CLASSES
        class_names = "imagenet" if classes and keras_models.matched(model.name) else None
    return held | {"labels": class_names}


def recipe(model: Mapping[str, Any]) -> str | None:
    """The file of conf/experiment that suits most networks; None of a VGG, which the defaults fit.

    Args:
      model: see `network`; a file of conf/model without a target changes a VGG.
    """
    target = model.get("_target_", VGG)
    is_vgg = target == VGG or (target == APPLICATION and model.get("name") in VGGS)
    if target == IN_HAND:
        from deepvis.networks import keras_models

        is_vgg = keras_models.application_of(keras_models.in_hand(**_options(model)).graph()) in VGGS
    return None if is_vgg else "distill_2017"


def applications() -> list[str]:
    """Names of the networks of keras.applications, without importing Keras."""
    try:
        file = Path(str(metadata.distribution("keras").locate_file("keras/applications/__init__.py")))
        text = file.read_text()
    except (metadata.PackageNotFoundError, OSError):
        return []
    return re.findall(r"\b([A-Z]\w*) as \1\b", text)
