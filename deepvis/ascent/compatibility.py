"""Rules: what an objective, a parametrization, a transform and a step rule may be, and what goes with what.

    check(plain config) -> None, or ConfigError with one line

Like all checks without TensorFlow, so a position outside of the map costs a second, not a night.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepvis import networks
from deepvis.ascent import octaves, specs
from deepvis.ascent.specs import Plain
from deepvis.config import expressions
from deepvis.config.ranges import number, picture, pictures, whole
from deepvis.core.errors import ConfigError
from deepvis.core.names import filters
from deepvis.networks.base import Layer

MOST = 10_000  # images that a job may number
LINE_SEARCH = "deepvis.ascent.lbfgs.lbfgs"
PIXELS = "deepvis.ascent.parametrizations.pixel"


def indices(cfg: Plain, layer: Layer) -> list[int]:
    """What ``layer.filters`` names: channels of the layer, rows of a file, or numbers of images.

    Args:
      cfg: a config, plain.
      layer: the one that it is about.

    Raises:
      ConfigError: out of range, or not of that form.
    """
    each, spec = cfg["objective"]["each"], cfg["layer"]["filters"]
    if each == "row":
        rows = len(_directions(cfg["objective"]["vectors"], layer))
        return filters(spec, rows, str(cfg["objective"]["vectors"]), "rows")
    if each == "image":
        if spec == "all":
            raise ConfigError("layer.filters=all: of this objective they are numbers of images; say 0-3")
        return filters(spec, MOST, "a job", "images at most")
    what = {"conv": "filters", "dense": "units: one a class, where it is the last layer"}
    return filters(spec, layer.channels, layer.name, what.get(layer.kind, "channels"))


def check(cfg: Plain) -> None:
    """Refuse an objective, a parametrization, a transform or a step rule that cannot give a right result.

    Args:
      cfg: a config, plain, whose layer was checked.

    Raises:
      ConfigError: with one line; the first mistake found.
    """
    model = cfg["model"]
    layer = networks.check(model, cfg["layer"]["name"])
    indices(cfg, layer)
    _check_objective(cfg, layer)
    _check_transform(cfg["transform"], cfg["size"])
    _check_param(cfg, layer)
    for key, value in cfg["optimizer"].items():
        if key == "memory":
            whole("optimizer.memory", value, 1)
        elif key.startswith("beta"):
            number(f"optimizer.{key}", value, lambda v: 0 <= v < 1, "a share in [0, 1)")
        elif key != "_target_":
            number(f"optimizer.{key}", value, lambda v: v > 0, "a number above 0")
    if cfg["optimizer"]["_target_"] == LINE_SEARCH:
        # Bounds are the one thing that a line search can be held to.
        for name in sorted(specs.active(cfg) - {"clip_pixels"}):
            raise ConfigError(
                f"optimizer=lbfgs: a line search needs one score for one image, and {name} would change it "
                "between steps; set reg=none transform=none"
            )
        if cfg["param"].get("octaves", 1) > 1:
            raise ConfigError("optimizer=lbfgs: has no octaves; set param.octaves=1")
        if cfg["objective"].get("together", False):
            raise ConfigError(
                "optimizer=lbfgs: climbs an image at a time, and those of objective=diversity must see one "
                "another; take optimizer=adam"
            )


def of_picture(key: str, value: Any, model: Mapping[str, Any]) -> None:
    """Refuse a picture where the network's image could not be one."""
    channels = networks.channels(model)
    if channels not in (1, 3):
        raise ConfigError(f"{key}={value}: a picture has 1 or 3 channels, this network's image {channels}")


def _check_objective(cfg: Plain, layer: Layer) -> None:
    objective, model = cfg["objective"], cfg["model"]
    if not isinstance(objective.get("pre_activation", True), bool):
        raise ConfigError(f"objective.pre_activation={objective['pre_activation']}: wanted true or false")
    side = networks.side(model, layer.name, cfg["size"])
    for key in ("row", "column"):
        if objective.get(key) is not None:
            whole(f"objective.{key}", objective[key], 0)
            if objective[key] >= side:
                raise ConfigError(
                    f"objective.{key}={objective[key]}: outside of the map; {layer.name} has {side} x {side} "
                    f"positions at size={cfg['size']}, 0 to {side - 1}"
                )
    if "channel" in objective:
        filters(objective["channel"], layer.channels, layer.name, key="objective.channel")
    for key, value in objective.items():
        if key.endswith(("weight", "power")):
            number(f"objective.{key}", value, lambda v: v >= 0, "a number of 0 or more")
    try:
        read = expressions.layers_of(objective, layer.name)
        named = expressions.parse(objective["terms"]) if "terms" in objective else []
    except ValueError as err:
        raise ConfigError(f"objective.terms: {err}") from err
    for each in read:
        lists = (key for key in objective if key.endswith("_layers") and each in objective[key])
        networks.check(model, each, f"objective.{next(lists, 'terms')}")
    for name, path in objective.get("pictures", {}).items():
        if path is not None:
            of_picture(f"objective.pictures.{name}", path, model)
            picture(f"objective.pictures.{name}", path)
    for term in named:
        if term.index is not None:
            of = networks.check(model, term.layer or layer.name)
            filters(term.index, of.channels, of.name, key="objective.terms")


def _directions(path: Any, layer: Layer) -> np.ndarray:
    try:
        rows = np.load(Path(str(path)).expanduser(), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as err:
        raise ConfigError(f"objective.vectors={path}: not a .npy file that can be read ({err})") from err
    if rows.ndim != 2 or rows.shape[1] != layer.channels or rows.dtype.kind not in "fiu":
        raise ConfigError(
            f"objective.vectors={path}: came {rows.dtype} {rows.shape}, wanted numbers "
            f"(n, {layer.channels}): a row is a direction among {layer.name}'s channels"
        )
    return rows


def _check_transform(transform: Mapping[str, Any], size: int) -> None:
    for key in ("jitter", "pad", "crop"):
        whole(f"transform.{key}", transform[key], 0)
    number("transform.scale", transform["scale"], lambda v: 0 <= v < 1, "a share in [0, 1); 0 is off")
    number("transform.rotate", transform["rotate"], lambda v: 0 <= v <= 180, "degrees of 0 to 180; 0 is off")
    number(
        "transform.noise", transform["noise"], lambda v: 0 <= v <= 255, "grey levels of 0 to 255; 0 is off"
    )
    if transform["crop"] >= size + 2 * transform["pad"]:
        raise ConfigError(
            f"transform.crop={transform['crop']}: wanted less than the image and what is laid around it, "
            f"{size + 2 * transform['pad']} px"
        )


def _check_param(cfg: Plain, layer: Layer) -> None:
    param = cfg["param"]
    for key in ("power", "contrast", "octave_scale"):
        if key in param:
            low = 1 if key == "octave_scale" else 0
            number(f"param.{key}", param[key], lambda v, low=low: low < v <= 255, f"a number above {low}")
    if "octaves" in param:
        whole("param.octaves", param["octaves"], 1)
    acting = sorted(specs.operators(cfg["reg"]))
    if acting and param["_target_"] != PIXELS:
        kind = param["_target_"].rpartition(".")[2]
        raise ConfigError(
            f"reg: {', '.join(acting)} would act on pixels, and param={kind} has none; "
            "set reg=none or param=pixel"
        )
    smallest = octaves.sizes(param, cfg["size"])[0]
    seen = smallest + 2 * cfg["transform"]["pad"] - cfg["transform"]["crop"]
    if seen < layer.smallest:
        raise ConfigError(f"the network would see {seen} px of the image (the first octave is {smallest} px, "
                          f"transform.crop={cfg['transform']['crop']}), and {layer.name} wants "
                          f"{layer.smallest} px or more")  # fmt: skip
    if layer.exactly is not None and (seen != cfg["size"] or param.get("octaves", 1) > 1):
        raise ConfigError(f"{layer.name} takes {layer.exactly} px and no other: set transform.pad=0 "
                          "transform.crop=0 param.octaves=1")  # fmt: skip
    if param.get("pictures") is not None:
        of_picture("param.pictures", param["pictures"], cfg["model"])
        pictures("param.pictures", param["pictures"])
