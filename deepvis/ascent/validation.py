"""Validation: whether a typed config can be run, beyond the types and ranges of the schema.

    check(config) -> None, or ConfigError with one line; the first mistake found

None of it needs TensorFlow, so a typing mistake costs a second, not a night.
"""

import itertools
import re
from collections.abc import Sequence

import numpy as np

from deepvis import networks
from deepvis.ascent import devices, facets, octaves, pictures, specs, spectra, transforms
from deepvis.config import expressions, schema
from deepvis.config.schema import Config, plain
from deepvis.core import direction_files
from deepvis.core.errors import ConfigError
from deepvis.core.names import filters, nearest, shown
from deepvis.metrics import convergence, image_statistics, robustness
from deepvis.networks import Layer, Network

MOST = 10_000  # images that a job may number
KINDS = {"conv": "filters", "dense": "units: one a class, where it is the last layer"}


def check_job(cfg: Config) -> None:
    """Refuse the config of a job that cannot give a right result.

    Raises:
      ConfigError: with one line; the first mistake found.
    """
    check_objective_value(cfg.objective_value, cfg.robustness)
    check(cfg)


def check_objective_value(names: str | Sequence[str], has_robustness: bool) -> None:
    """Refuse what a search could not read of a job.

    Raises:
      ConfigError: a job has no figure of that name.
    """
    metrics = [*image_statistics.METRICS, *(robustness.NAMES if has_robustness else ())]
    known = [*convergence.FIGURES, *(f"image/{name}" for name in metrics)]
    for name in [names] if isinstance(names, str) else names:
        if name not in known:
            raise ConfigError(f"objective_value={name}: {nearest(name, known)}")


def check(cfg: Config) -> None:
    """Refuse what could not be optimized, whoever asks for it.

    Raises:
      ConfigError: with one line; the first mistake found.
    """
    if not re.fullmatch(r"auto|cpu|gpu(:\d{1,3})?", cfg.device):
        raise ConfigError(f"device={cfg.device}: expected auto, cpu, gpu, or gpu:1 for the second one")
    devices.named(cfg.device)
    network = networks.network(plain(cfg.model))
    layer = network.layer(cfg.layer.name)
    networks.resolved(plain(cfg.model))
    _check_blur(cfg)
    indices(cfg, layer)
    read = _check_objective(cfg, network, layer) + _check_accentuation(cfg, network)
    padded = min(cfg.sides) + 2 * cfg.transform.pad
    if cfg.transform.crop >= padded:
        raise ConfigError(f"transform.crop={cfg.transform.crop}: expected less than the image and what is "
                          f"laid around it, {padded} px")  # fmt: skip
    _check_param(cfg)
    _check_colours(cfg, network)
    _check_sizes(cfg, network, [layer.name, *read])
    _check_maco(cfg, network)
    if schema.component("optimizer", cfg.optimizer).traits.get("line_search"):
        _check_line_search(cfg)
    start = cfg.start
    if hasattr(start, "low") and hasattr(start, "high") and start.low > start.high:
        raise ConfigError(f"start.low={start.low:g}: expected at most start.high, which is {start.high:g}")
    if specs.reads_photographs(cfg):
        facets.check(cfg)
    if hasattr(start, "path"):
        pictures.check("start.path", start.path, network.channels)


def indices(cfg: Config, layer: Layer) -> list[int]:
    """What ``layer.filters`` names: channels of the layer, rows of a file, or numbers of images.

    Raises:
      ConfigError: out of range, or not of that form.
    """
    spec = plain(cfg.layer.filters)  # a list, as it was typed
    entries = schema.component("objective", cfg.objective).traits.get("entries", "unit")
    if entries == "row":
        rows = len(_directions(cfg.objective.vectors, layer))
        return filters(spec, rows, cfg.objective.vectors, "rows")
    if entries == "image":
        if spec == "all":
            raise ConfigError("layer.filters=all: of this objective they are numbers of images; say 0-3")
        return filters(spec, MOST, "a job", "images at most")
    labels = networks.class_names(plain(cfg.model), layer)
    return filters(spec, layer.channels, layer.name, KINDS.get(layer.kind, "channels"), labels=labels)


def class_names(cfg: Config, layer: Layer, filters: Sequence[int]) -> list[str]:
    """What the classes among some filters are called, as it is shown; nothing where they are no classes."""
    entries = schema.component("objective", cfg.objective).traits.get("entries", "unit")
    labels = networks.class_names(plain(cfg.model), layer) if entries == "unit" else ()
    return [shown(labels[index]) for index in filters] if labels else []


def _directions(path: str, layer: Layer) -> np.ndarray:
    try:
        rows, made = direction_files.read(path), direction_files.made(path)
    except (OSError, ValueError) as err:
        raise ConfigError(f"objective.vectors={path}: not a .npy file that can be read ({err})") from err
    if made.get("layer", layer.name) != layer.name:
        raise ConfigError(
            f"objective.vectors={path}: got directions of {made['layer']} of {made.get('model')}, expected "
            f"some of {layer.name}: choose that layer, or other directions"
        )
    if rows.ndim != 2 or rows.shape[1] != layer.channels or rows.dtype.kind not in "fiu":
        raise ConfigError(
            f"objective.vectors={path}: got {rows.dtype} {rows.shape}, expected numbers "
            f"(n, {layer.channels}): a row is a direction among {layer.name}'s channels"
        )
    return rows


def _check_blur(cfg: Config) -> None:
    reg = cfg.reg
    if reg.blur > 0 and reg.blur_sigma > 0:
        raise ConfigError(f"reg.blur={reg.blur} and reg.blur_sigma={reg.blur_sigma:g}: expected one of them; "
                          "set the other to 0")  # fmt: skip
    if reg.blur_kind == "box" and reg.blur_sigma > 0:
        raise ConfigError("reg.blur_sigma: a box has no sigma; give reg.blur or reg.blur_kind=gaussian")


def _check_objective(cfg: Config, network: Network, layer: Layer) -> list[str]:
    """Refuse an objective that cannot be computed; the layers that it reads besides the job's."""
    objective = cfg.objective
    component = schema.component("objective", objective)
    options = {key: getattr(objective, key) for key in component.knobs}
    seen = transforms.crop_size(cfg.transform.crops_px if cfg.transform.crops else 0, cfg.sides)
    is_placed = options.get("row") is not None or options.get("column") is not None
    size = network.map_size(layer.name, seen) if is_placed else seen
    for key, side in zip(("row", "column"), size, strict=True):
        if options.get(key) is not None and options[key] >= side:
            raise ConfigError(
                f"objective.{key}={options[key]}: outside of the map; {layer.name} has {size[0]} x {size[1]} "
                f"positions at size={plain(cfg.size)}, 0 to {side - 1}"
            )
    if "channel" in options:
        filters(options["channel"], layer.channels, layer.name, key="objective.channel")
    paths = plain(getattr(objective, "pictures", schema.Settings()))
    try:
        terms = expressions.parse(options["terms"]) if "terms" in options else []
        given = {name: path is not None for name, path in paths.items()}
        other_layers = expressions.layers_of(options, given, layer.name)
    except ValueError as err:
        raise ConfigError(f"objective.terms: {err}") from err
    first = [] if any(key.endswith("_layers") for key in options) else [layer.name]
    for name in [*first, *other_layers]:
        lists = (key for key in options if key.endswith("_layers") and name in options[key])
        known = network.layer(name, f"objective.{next(lists, 'terms')}")
        if options.get("pre_activation") and not known.pre_activation:
            raise ConfigError(
                f"objective.pre_activation=true: the values before the nonlinearity of {known.name} "
                f"({known.kind}) cannot be had, for its code is its own; set objective.pre_activation=false"
            )
    for name, path in paths.items():
        if path is not None and cfg.transform.crops and not component.traits.get("seen_alike"):
            raise ConfigError(
                f"transform.crops={cfg.transform.crops}: expected 0, for objective.pictures.{name} is "
                "compared with the image as a whole, not with windows of it"
            )
        if path is not None:
            pictures.check(f"objective.pictures.{name}", path, network.channels)
    for term in terms:
        if term.index is not None:
            of = network.layer(term.layer or layer.name)
            filters(term.index, of.channels, of.name, key="objective.terms")
    return other_layers


def _check_param(cfg: Config) -> None:
    component = schema.component("param", cfg.param)
    regularizers = sorted(
        each.name for each in specs.enabled(cfg) if each.family == "reg" and not each.traits.get("penalty")
    )
    if regularizers and component.name != "pixel":
        raise ConfigError(
            f"reg: {', '.join(regularizers)} would act on pixels, and param={component.name} has none; "
            "set reg=none or param=pixel"
        )
    rule = schema.component("optimizer", cfg.optimizer)
    if rule.traits.get("pixels") and component.name != "pixel":
        raise ConfigError(
            f"optimizer={rule.name}: expected pixels to halve, and param={component.name} has none; take "
            "optimizer=adam, or param=pixel"
        )


def _check_colours(cfg: Config, network: Network) -> None:
    if "colour_rates" in specs.regularizers(cfg) and network.channels != 3:
        raise ConfigError(
            f"reg.red_rate, green_rate, blue_rate: got an image of {network.channels} channels, expected "
            "three colours; leave them at 1"
        )


def _check_accentuation(cfg: Config, network: Network) -> list[str]:
    """Refuse accentuation that has no features or no start to stay near; the layer that it reads."""
    if not cfg.reg.accentuation:
        return []
    if cfg.reg.accentuation_layer is None:
        raise ConfigError(
            f"reg.accentuation={cfg.reg.accentuation:g}: expected reg.accentuation_layer=..., the layer "
            "whose features are to stay near those of the start"
        )
    if getattr(cfg.param, "octaves", 1) > 1:
        raise ConfigError(
            f"reg.accentuation={cfg.reg.accentuation:g}: expected images of one size; set param.octaves=1"
        )
    return [network.layer(cfg.reg.accentuation_layer, "reg.accentuation_layer").name]


def _check_maco(cfg: Config, network: Network) -> None:
    if schema.component("param", cfg.param).name != "maco":
        return
    spectra.check(cfg.param.spectrum, network.channels)
    if cfg.param.standardize and (hasattr(cfg.start, "path") or specs.reads_photographs(cfg)):
        raise ConfigError(
            "start=picture: no picture has standardized phases, so param=maco would not show it; add "
            "param.standardize=false"
        )


def _check_sizes(cfg: Config, network: Network, layers: Sequence[str]) -> None:
    """Refuse images that a layer which is read cannot take, octaves and what the transform shows, too."""
    count, scale = getattr(cfg.param, "octaves", 1), getattr(cfg.param, "octave_scale", 1.0)
    # The network sees each octave's image whole, when it is measured, and what the transform makes of it.
    for size in octaves.sizes(count, scale, cfg.sides):
        window = transforms.out_size(cfg.transform.pad, cfg.transform.crop, size)
        if cfg.transform.crops:
            size = window = transforms.crop_size(cfg.transform.crops_px, size)
        for name, seen in itertools.product(layers, dict.fromkeys((size, window))):
            try:
                network.map_size(name, seen)
            except ConfigError as err:
                if seen == cfg.sides:
                    raise
                raise ConfigError(
                    "param.octaves, transform.pad, crop, crops_px: the network would see "
                    f"{seen[0]} x {seen[1]} px: {err}"
                ) from err


def _check_line_search(cfg: Config) -> None:
    for component in specs.enabled(cfg):
        # Bounds are the one operator of a line search; penalties are part of what it ascends.
        traits = component.traits
        if component.name != "clip_pixels" and (not traits.get("penalty") or traits.get("features")):
            raise ConfigError(
                f"optimizer=lbfgs: a line search needs one score for one image, and {component.name} "
                "would change it between steps; set reg=none transform=none"
            )
    if cfg.alpha:
        raise ConfigError("alpha=true: a line search takes many gradients in a step; take optimizer=adam")
    if getattr(cfg.param, "octaves", 1) > 1:
        raise ConfigError("optimizer=lbfgs: has no octaves; set param.octaves=1")
    if specs.is_joint(cfg):
        raise ConfigError("optimizer=lbfgs: takes one image at a time, and those of objective=diversity are "
                          "compared with one another; take optimizer=adam")  # fmt: skip
