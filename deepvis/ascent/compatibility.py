"""What goes together: objective, parametrization, transform and optimizer, with each other and the network.

    check(config) -> None, or ConfigError with one line

Like all checks without TensorFlow, so a position outside of the map costs a second, not a night.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepvis import networks
from deepvis.ascent import octaves, specs
from deepvis.config import expressions, schema
from deepvis.config.ranges import picture, pictures
from deepvis.config.schema import Config, plain
from deepvis.core.errors import ConfigError
from deepvis.core.names import filters
from deepvis.networks import Layer

MOST = 10_000  # images that a job may number
KINDS = {"conv": "filters", "dense": "units: one a class, where it is the last layer"}


def indices(cfg: Config, layer: Layer) -> list[int]:
    """What ``layer.filters`` names: channels of the layer, rows of a file, or numbers of images.

    Args:
      cfg: a config.
      layer: the one that it is about.

    Raises:
      ConfigError: out of range, or not of that form.
    """
    spec = plain(cfg.layer.filters)  # a list, as it was typed
    each = schema.component("objective", cfg.objective).traits.get("each", "unit")
    if each == "row":
        rows = len(_directions(cfg.objective.vectors, layer))
        return filters(spec, rows, cfg.objective.vectors, "rows")
    if each == "image":
        if spec == "all":
            raise ConfigError("layer.filters=all: of this objective they are numbers of images; say 0-3")
        return filters(spec, MOST, "a job", "images at most")
    return filters(spec, layer.channels, layer.name, KINDS.get(layer.kind, "channels"))


def check(cfg: Config) -> None:
    """Refuse an objective, a parametrization, a transform or an optimizer that cannot give a right result.

    Args:
      cfg: a config whose layer was checked.

    Raises:
      ConfigError: with one line; the first mistake found.
    """
    layer = networks.network(plain(cfg.model)).layer(cfg.layer.name)
    indices(cfg, layer)
    _check_objective(cfg, layer)
    if cfg.transform.crop >= cfg.size + 2 * cfg.transform.pad:
        raise ConfigError(
            f"transform.crop={cfg.transform.crop}: expected less than the image and what is laid around it, "
            f"{cfg.size + 2 * cfg.transform.pad} px"
        )
    _check_param(cfg, layer)
    if schema.component("optimizer", cfg.optimizer).traits.get("line_search"):
        _check_line_search(cfg)


def _check_line_search(cfg: Config) -> None:
    # Bounds are the one thing that a line search can be held to.
    for name in sorted(specs.enabled(cfg) - {"reg.clip_pixels"}):
        raise ConfigError(
            f"optimizer=lbfgs: a line search needs one score for one image, and {name.partition('.')[2]} "
            "would change it between steps; set reg=none transform=none"
        )
    if getattr(cfg.param, "octaves", 1) > 1:
        raise ConfigError("optimizer=lbfgs: has no octaves; set param.octaves=1")
    if specs.images_interact(cfg):
        raise ConfigError(
            "optimizer=lbfgs: takes an image at a time, and those of objective=diversity must see one "
            "another; take optimizer=adam"
        )


def check_picture(key: str, value: Any, cfg: Config) -> None:
    """Refuse a picture where the network's image could not be one, or a file that is none."""
    channels = networks.network(plain(cfg.model)).channels
    if channels not in (1, 3):
        raise ConfigError(f"{key}={value}: a picture has 1 or 3 channels, this network's image {channels}")


def _check_objective(cfg: Config, layer: Layer) -> None:
    objective, network = cfg.objective, networks.network(plain(cfg.model))
    options = {key: getattr(objective, key) for key in schema.component("objective", objective).knobs}
    size = network.map_size(layer.name, (cfg.size, cfg.size))
    for key, side in zip(("row", "column"), size, strict=True):
        if options.get(key) is not None and options[key] >= side:
            raise ConfigError(
                f"objective.{key}={options[key]}: outside of the map; {layer.name} has {size[0]} x {size[1]} "
                f"positions at size={cfg.size}, 0 to {side - 1}"
            )
    if "channel" in options:
        filters(options["channel"], layer.channels, layer.name, key="objective.channel")
    given = plain(getattr(objective, "pictures", schema.Settings()))
    try:
        read = expressions.layers_of(
            options, {name: path is not None for name, path in given.items()}, layer.name
        )
        terms = expressions.parse(options["terms"]) if "terms" in options else []
    except ValueError as err:
        raise ConfigError(f"objective.terms: {err}") from err
    own = [] if any(key.endswith("_layers") for key in options) else [layer.name]
    for each in [*own, *read]:
        lists = (key for key in options if key.endswith("_layers") and each in options[key])
        known = network.layer(each, f"objective.{next(lists, 'terms')}")
        if options.get("pre_activation") and not known.pre_activation:
            raise ConfigError(
                f"objective.pre_activation=true: the values before the nonlinearity of {known.name} "
                f"({known.kind}) cannot be had, for its code is its own; set objective.pre_activation=false"
            )
    for name, path in given.items():
        if path is not None:
            check_picture(f"objective.pictures.{name}", path, cfg)
            picture(f"objective.pictures.{name}", path)
    for term in terms:
        if term.index is not None:
            of = network.layer(term.layer or layer.name)
            filters(term.index, of.channels, of.name, key="objective.terms")


def _directions(path: str, layer: Layer) -> np.ndarray:
    try:
        rows = np.load(Path(path).expanduser(), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as err:
        raise ConfigError(f"objective.vectors={path}: not a .npy file that can be read ({err})") from err
    if rows.ndim != 2 or rows.shape[1] != layer.channels or rows.dtype.kind not in "fiu":
        raise ConfigError(
            f"objective.vectors={path}: got {rows.dtype} {rows.shape}, expected numbers "
            f"(n, {layer.channels}): a row is a direction among {layer.name}'s channels"
        )
    return rows


def _check_param(cfg: Config, layer: Layer) -> None:
    component = schema.component("param", cfg.param)
    acting = sorted(specs.regularizers(cfg))
    if acting and component.name != "pixel":
        raise ConfigError(
            f"reg: {', '.join(acting)} would act on pixels, and param={component.name} has none; "
            "set reg=none or param=pixel"
        )
    count, scale = getattr(cfg.param, "octaves", 1), getattr(cfg.param, "octave_scale", 1.0)
    _check_sizes(cfg, layer, octaves.sizes(count, scale, cfg.size))
    if getattr(cfg.param, "pictures", None) is not None:
        check_picture("param.pictures", cfg.param.pictures, cfg)
        pictures("param.pictures", cfg.param.pictures)


def _check_sizes(cfg: Config, layer: Layer, sides: Sequence[int]) -> None:
    """The network sees each octave's image whole, when it is measured, and what the transform makes of it."""
    network = networks.network(plain(cfg.model))
    for side in sides:
        for seen in dict.fromkeys((side, side + 2 * cfg.transform.pad - cfg.transform.crop)):
            try:
                network.map_size(layer.name, (seen, seen))
            except ConfigError as err:
                if seen == cfg.size:
                    raise
                raise ConfigError(
                    f"param.octaves, transform.pad, transform.crop: the network would see {seen} px: {err}"
                ) from err
