"""From Python: a network in hand, a layer, filters -> their pictures. Neither Hydra nor MLflow is imported.

import deepvis
seen = deepvis.visualize(model, "conv5_block3_out", [3, 7], reg={"decay": 0.95, "blur": 3})
seen.gallery()
"""

import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from PIL import Image

from deepvis import networks
from deepvis.ascent import compatibility, devices, specs, validation
from deepvis.ascent.specs import ImageSpec, Snapshot
from deepvis.core import images
from deepvis.core.errors import ConfigError
from deepvis.core.names import CONF, nearest
from deepvis.metrics import convergence

Choice = str | Mapping[str, Any]  # a file of that group in conf/; or what differs from its default


class Visualization(NamedTuple):
    """Pictures of filters, and how they came about. A notebook shows the gallery."""

    filters: Sequence[int]
    images: np.ndarray  # uint8 [n, H, W, 3], contrast stretched as in every gallery
    centred: np.ndarray  # float32 [n, H, W, C], grey levels around the mean of the network's training set
    best: np.ndarray  # the same of each filter's highest score
    history: Mapping[str, np.ndarray]  # score, activation, rank ...: [steps + 1, n]
    ends: Sequence[str]  # converged, rising, stuck or diverged
    config: Mapping[str, Any]  # all that was chosen, defaults too

    def gallery(self) -> Image.Image:
        """All pictures, stitched into a square."""
        return Image.fromarray(images.gallery(list(self.images)))

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.gallery().save(file, "png")
        return file.getvalue()


def visualize(
    model: Any,
    layer: str,
    filters: int | str | Sequence[int] = "0-15",
    *,
    reg: Choice = "none",
    objective: Choice = "channel",
    param: Choice = "pixel",
    transform: Choice = "none",
    optimizer: Choice = "normalized",
    start: Choice = "noise",
    steps: int = 20,
    size: int = 128,
    seed: int = 0,
    preprocess: Any = "auto",
    precision: str = "auto",
    device: str = "auto",
    batch_size: int = 0,
) -> Visualization:
    """What filters of a network look for.

    Args:
      model: a Keras model; or a name: ``vgg16``, ``hed``, or any of keras.applications such as ``ResNet50``,
        with its weights; or a mapping, ``{"preset": "file", "path": "my.keras"}``.
      layer: its name in the model.
      filters: ``"0-15"``, ``"all"``, a number, or numbers.
      reg: regularizers: ``"combined"``, or knobs such as ``{"decay": 0.9, "blur": 3}``.
      objective: what goes up: ``"channel"``, ``{"preset": "neuron", "row": 3, "column": 4}`` ...
      param: what climbs: ``"pixel"``, ``"fourier"``, ``"maco"``, ``"octaves"``.
      transform: what the network sees of it: ``"none"``, ``"robust"``, ``{"jitter": 8}`` ...
      optimizer: the step rule: ``{"learning_rate": 2}``, ``{"preset": "adam", "learning_rate": 0.05}`` ...
      start: the first image: ``"noise"``, ``{"preset": "picture", "path": "cat.jpg"}`` ...
      steps: how many.
      size: px, square.
      seed: of the start and of the transform's chance.
      preprocess: what a model in hand wants of its pixels: ``"caffe"``, ``"torch"``, ``"tf"``, ``"none"``
        (0 to 255 as they are), or ``{"mean": ..., "scale": ...}`` in grey levels. ``"auto"`` is Keras' own
        for a model that has the name of one of keras.applications, and ``"none"`` for others.
      precision: ``auto``, ``float32`` or ``bfloat16``, of the convolutions.
      device: ``auto``, ``cpu``, ``gpu:1``.
      batch_size: images in one graph; 0 chooses.

    Returns:
      A `Visualization`.

    Raises:
      ConfigError: a mistake, in one line.

    Example:
      >>> seen = visualize("tiny", "block2_conv2", [0, 5], size=32, reg={"decay": 0.9})
      >>> seen.images.shape, seen.history["score"].shape
      ((2, 32, 32, 3), (21, 2))
    """
    own = _network(model, preprocess)
    spec = filters if isinstance(filters, str) else np.atleast_1d(filters).tolist()
    groups = {"reg": reg, "objective": objective, "param": param, "transform": transform,
              "optimizer": optimizer, "start": start}  # fmt: skip
    cfg = {group: chosen(group, said) for group, said in groups.items()}
    counts = {"steps": steps, "snapshot_every": steps, "size": size, "seed": seed, "batch_size": batch_size}
    cfg |= {key: _plain(value) for key, value in counts.items()}
    name = str(getattr(layer, "name", layer))  # a layer of a Keras model will do
    cfg |= {"model": own, "layer": {"name": name, "filters": spec}, "precision": precision,
            "device": device, "twins": 0, "robustness": False}  # fmt: skip
    for key in sorted(validation.missing(cfg)):
        raise ConfigError(f"{key} is not given; it has no default")
    validation.check_climb(cfg)
    cfg = devices.resolved(cfg) | {"model": networks.resolved(own)}
    return _climbed(cfg, compatibility.indices(cfg, networks.check(own, layer)))


def _network(model: Any, preprocess: Any) -> dict[str, Any]:
    """The config of a network: one of conf/model, one of keras.applications, or a model in hand."""
    if isinstance(model, Mapping):
        return chosen("model", model)
    if not isinstance(model, str):
        from deepvis.networks import keras_models

        return keras_models.hold(model, preprocess)
    named = {path.stem for path in (CONF / "model").glob("*.yaml")} - {"keras", "file"}
    if model in named:
        return chosen("model", model)
    from deepvis.networks import keras_models

    known = keras_models.applications()
    if model not in known:
        raise ConfigError(f"model={model}: no such network; {nearest(model, [*named, *known])}")
    return chosen("model", {"preset": "keras", "name": model})


def _climbed(cfg: dict[str, Any], wanted: Sequence[int]) -> Visualization:
    from deepvis.ascent import program

    made = program.compiled(json.dumps(specs.static_config(cfg)), frozenset(specs.active(cfg)))
    width = len(wanted) if cfg["objective"].get("together", False) else min(cfg["batch_size"], len(wanted))
    parts = []
    for i in range(0, len(wanted), width):
        batch = [ImageSpec(cfg, index) for index in wanted[i : i + width]]
        first = np.stack([program.start(each, made.network.mean) for each in batch])
        looks = list(program.ascend(made, batch, first, width, cfg["steps"]))
        parts.append([_cut(look, len(batch)) for look in looks])
    last = [looks[-1] for looks in parts]
    rows = [[*(look.record for look in looks), looks[-1].final_values] for looks in parts]
    history = {
        name: np.concatenate(
            [np.concatenate([np.atleast_2d(row[name]) for row in own]) for own in rows], axis=1
        )
        for name in last[0].record
    }
    centred, best = (
        np.concatenate(each) for each in zip(*((look.image, look.best) for look in last), strict=True)
    )
    pictures = np.stack(
        [images.displayed(image, cfg["start"]["display"], made.network.mean) for image in centred]
    )
    return Visualization(wanted, pictures, centred, best, history, convergence.ends(history), cfg)


def _cut(look: Snapshot, count: int) -> Snapshot:
    """Without the padding of a short batch."""
    record = {name: values[:, :count] for name, values in look.record.items()}
    final_values = {name: values[:count] for name, values in look.final_values.items()}
    return look._replace(
        record=record, final_values=final_values, image=look.image[:count], best=look.best[:count]
    )


def chosen(group: str, said: Choice) -> dict[str, Any]:
    """A group's config: a file of conf/, or what differs from one.

    Args:
      group: ``reg``, ``objective`` ...
      said: its file, or changes of ``preset`` (by default the group's own) as a mapping.

    Raises:
      ConfigError: no such file, or no such key.

    Example:
      >>> chosen("optimizer", {"preset": "sgd", "learning_rate": 3})
      {'_target_': 'deepvis.ascent.optimizers.sgd', 'rate': 3}
    """
    if not isinstance(said, str | Mapping):
        raise ConfigError(f"{group}={said}: wanted the name of a choice, or a mapping of its options")
    changes = {} if isinstance(said, str) else {k: v for k, v in said.items() if k != "preset"}
    name = said if isinstance(said, str) else str(said.get("preset", DEFAULTS.get(group)))
    return _changed(_preset(group, name), changes, group)


DEFAULTS = {"reg": "none", "objective": "channel", "param": "pixel", "transform": "none",
            "optimizer": "normalized", "start": "noise"}  # fmt: skip


def _preset(group: str, name: str) -> dict[str, Any]:
    files = {path.stem: path for path in (CONF / group).glob("*.yaml")}
    if name not in files:
        raise ConfigError(f"{group}={name}: no such choice; {nearest(name, files)}")
    own = yaml.safe_load(files[name].read_text())
    for base in own.pop("defaults", []):
        own = _changed(_preset(group, base), own, group)
    return own


def _changed(whole: dict[str, Any], changes: Mapping[str, Any], group: str) -> dict[str, Any]:
    for key, value in changes.items():
        if key not in whole:
            raise ConfigError(
                f"{group}: no option {key}; {nearest(key, [k for k in whole if k != '_target_'])}"
            )
        nested = isinstance(whole[key], Mapping) and isinstance(value, Mapping)
        value = str(value) if isinstance(value, os.PathLike) else value
        whole = whole | {key: _changed(whole[key], value, f"{group}.{key}") if nested else _plain(value)}
    return whole


def _plain(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's, a path as its text: what a config file could hold."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value) if isinstance(value, Path) else value
