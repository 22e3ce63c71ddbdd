"""Schema: the typed config, frozen dataclasses whose groups follow from the declared knobs.

    resolve(composed config, plain) -> Config

Neutral values come from the knobs (`neutral`), all other defaults from conf/.
"""

import functools
import keyword
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass
from typing import TYPE_CHECKING, Any, cast

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from deepvis.config import knobs
from deepvis.config.image_size import SIZE
from deepvis.config.knobs import REQUIRED, Component, Knob
from deepvis.core.errors import ConfigError
from deepvis.core.names import nearest

CHOICES = ("objective", "param", "optimizer", "start")  # groups that choose one component
SETS = ("reg", "transform")  # groups whose components are all there, each off until a knob switches it on
COMBINE = Knob("chain", "one after the other, or the weighted mean of copies", choices=("chain", "mix"))
WEIGHT = Knob(1.0, "weight of a copy, for mix", low=0, unit="weight")


@dataclass(frozen=True)
class Settings:
    """The settings of a group; its fields are the group's keys. Each set of keys has a class of its own."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


@dataclass(frozen=True)
class Named:
    """Values by names that are the user's and may be anything."""

    items: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Target(Settings):
    """The settings of a group that chooses a component: its function, and its knobs."""

    target: "str | Callable[..., Any]"


@dataclass(frozen=True)
class Layer:
    """The layer, and what of it is optimized."""

    name: str
    filters: "str | int | tuple[int | str, ...]"


def _key(kind: type, help: str, default: str | None = REQUIRED, **limits: Any) -> Any:
    """A key of no group and its range; its default is in conf/config.yaml."""
    return field(metadata={"knob": Knob(default, help, kind=kind, **limits)})


@dataclass(frozen=True, kw_only=True)
class Config:
    """All that a job is made of."""

    model: Settings  # ``target`` and what that kind of network needs
    layer: Layer
    reg: Settings
    objective: Target
    param: Target
    transform: Settings
    optimizer: Target
    start: Target
    tracker: Settings  # ``target`` and where it keeps things
    data: Settings  # ``target`` and where the photographs are
    seed: int = _key(int, "of the start and of the transforms", low=0)
    twins: int = _key(int, "perturbed replicas of each image: start changed by one ulp", low=0, high=1000)
    steps: int = _key(int, "of gradient ascent", low=1, high=1_000_000)
    size: int | tuple[int, int] = field(metadata={"knob": SIZE})
    batch_size: int = _key(int, "images in one program; 0 chooses", low=0)
    snapshot_every: int = _key(int, "steps between two snapshots", low=1)
    robustness: bool = _key(bool, "whether finished images are measured under small changes")
    examples: int = _key(int, "natural examples of each unit, of each end; 0: none", low=0, high=1000)
    examples_per_image: int = _key(int, "of these, places that one photograph may have; 0: any number", low=0)
    trust: bool = _key(bool, "whether a job says of each picture if it can be believed, beside photographs")
    alpha: bool = _key(bool, "whether pictures are transparent where the gradient was small")
    animation: bool = _key(bool, "whether a job leaves an animated WebP of its snapshots")
    precision: str = _key(str, "of the convolutions", choices=("auto", "float32", "bfloat16"))
    device: str = _key(str, "auto, cpu, gpu, or gpu:1 for the second one")
    resume: str | None = _key(str, "latest, or the id of a sweep", default=None)
    resume_force: bool = _key(bool, "compute again what has changed since")
    max_jobs: int = _key(int, "jobs that a sweep may have", low=1)
    objective_value: "str | tuple[str, ...]"

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the image, px."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size


KEYS: dict[str, Knob] = {key.name: key.metadata["knob"] for key in fields(Config) if key.metadata}


def resolve(composed: Mapping[str, Any]) -> Config:
    """A composed config as a `Config`: every value typed and within its range.

    Args:
      composed: plain, without Hydra's own node.

    Raises:
      ConfigError: something is not given, of another type or out of range; the first mistake found.
    """
    for key in missing(composed):
        raise ConfigError(f"{key} is not given: add {key}=...")
    values: dict[str, Any] = {key: knob.read(key, composed[key]) for key, knob in KEYS.items()}
    groups: dict[str, Any] = {name: choice(name, composed[name]) for name in CHOICES}
    _refuse_unknown("transform", composed["transform"], transform := _set("transform"))
    transforms = _read("transform", composed["transform"], transform)
    _check_given("transform", transforms)
    groups["transform"] = _settings("transform", transforms)
    groups["reg"] = _reg(composed["reg"])
    groups |= {name: free(name, composed[name]) for name in ("model", "tracker", "data")}
    names = composed["objective_value"]
    return Config(
        **groups,
        **values,
        layer=Layer(str(composed["layer"]["name"]), freeze(composed["layer"]["filters"])),
        objective_value=tuple(map(str, names)) if isinstance(names, list) else str(names),
    )


def missing(composed: Mapping[str, Any], under: str = "") -> list[str]:
    """The keys of a plain config that are required and not given."""
    keys = []
    for key, value in composed.items():
        if isinstance(value, Mapping):
            keys += missing(value, f"{under}{key}.")
        elif value == REQUIRED:
            keys.append(f"{under}{key}")
    return sorted(keys)


def choice(group: str, settings: Mapping[str, Any]) -> Target:
    """The settings of a group that chooses a component.

    Raises:
      ConfigError: a key that its function does not take. Of a function of the user's such a key is left out:
        it is one of the file that the function was typed over.
    """
    component = knobs.component(group, settings["_target_"])
    pictures, paths = component.traits.get("pictures", ()), settings.get("pictures", {})
    if component.is_builtin:
        _refuse_unknown(group, settings, [*component.knobs, *(["pictures"] if pictures else [])])
        if pictures:
            _refuse_unknown(f"{group}.pictures", paths, pictures)
    values = _read(group, settings, component.knobs)
    if pictures:
        values["pictures"] = free("pictures", {name: paths.get(name) for name in pictures})
    return cast(Target, _settings(group, {"target": settings["_target_"], **values}, Target))


def component(group: str, settings: Target) -> Component:
    """The component that a group chose."""
    return knobs.component(group, settings.target)


def _reg(settings: Mapping[str, Any]) -> Settings:
    targets = settings.get("_target_") or ()
    for target in [targets] if isinstance(targets, str) or callable(targets) else targets:
        knobs.component("reg", target)
    declared, weights = _set("reg"), settings.get("weights", {})
    _refuse_unknown("reg", settings, [*declared, "weights"])
    _refuse_unknown("reg.weights", weights, _weights())
    values = _read("reg", settings, declared)
    _check_given("reg", values)
    values["weights"] = _settings("weights", _read("reg.weights", weights, _weights()))
    return _settings("reg", values)


def _set(group: str) -> dict[str, Knob]:
    """The knobs of all components of a group."""
    declared = {key: knob for each in knobs.components(group).values() for key, knob in each.knobs.items()}
    return declared | ({"combine": COMBINE} if group == "reg" else {})


def _check_given(group: str, values: Mapping[str, Any]) -> None:
    """Refuse a function without a decorator that acts, and lacks an option that has no default."""
    for each in knobs.components(group).values():
        missing = [key for key in each.knobs if values[key] is None]
        if missing and each.traits.get("undecorated") and values[each.name]:
            raise ConfigError(f"{group}.{missing[0]} is not given: {each.name} needs it")


def _weights() -> dict[str, Knob]:
    """By regularizer that takes part in a mix."""
    return {name: WEIGHT for name, each in knobs.components("reg").items()
            if not any(map(each.traits.get, ("last", "penalty", "step")))}  # fmt: skip


def _read(group: str, settings: Mapping[str, Any], declared: Mapping[str, Knob]) -> dict[str, Any]:
    return {
        key: knob.read(f"{group}.{key}", settings.get(key, knob.default)) for key, knob in declared.items()
    }


def _refuse_unknown(group: str, settings: Any, known: Collection[str]) -> None:
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{group}={settings}: expected a mapping of {', '.join(known)}")
    for key in settings:
        if key not in known and key != "_target_":
            raise ConfigError(
                f"{group}.{key}: no such option, nothing would read it; {nearest(str(key), known)}"
            )


def free(group: str, settings: Mapping[str, Any]) -> Settings:
    """Settings whose keys are those that are given."""
    return _settings(group, {key.strip("_"): freeze(value) for key, value in settings.items()})


def freeze(value: Any) -> Any:
    """A plain value as one that can be a key: lists become tuples, mappings become settings."""
    if isinstance(value, Mapping):
        if not all(map(_is_key, map(str, value))):
            return Named(tuple((str(key), freeze(each)) for key, each in value.items()))
        return free("settings", value)
    return tuple(map(freeze, value)) if isinstance(value, list | tuple) else value


def _is_key(name: str) -> bool:
    """Whether a name can be a field of settings, and none of the user's, as an input of a network has."""
    own = name == "_target_" or (name != "target" and name.strip("_") == name)
    return own and name.isidentifier() and not keyword.iskeyword(name)


def plain(value: Any) -> Any:
    """The opposite of `freeze`, for files: settings become mappings, tuples lists, a function its path."""
    if isinstance(value, Settings | Config | Layer):
        return {"_target_" if each.name == "target" else each.name: plain(getattr(value, each.name))
                for each in fields(value)}  # fmt: skip
    if isinstance(value, Named):
        return {name: plain(each) for name, each in value.items}
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return f"{value.__module__}.{value.__qualname__}" if callable(value) else value


def _settings(group: str, values: Mapping[str, Any], base: type = Settings) -> Any:
    return _class(group, tuple(values), base)(**values)


@functools.cache
def _class(group: str, keys: tuple[str, ...], base: type) -> type:
    added = [(key, Any) for key in keys if key != "target" or base is Settings]
    return make_dataclass(f"{group.title()}Settings", added, bases=(base,), frozen=True)


def neutral() -> dict[str, Any]:
    """The neutral values of `SETS`, from the declarations: what every preset of conf/ starts from."""
    values: dict[str, Any] = {
        group: {key: knob.default for key, knob in _set(group).items()} for group in SETS
    }
    values["reg"] |= {"_target_": None, "weights": dict.fromkeys(_weights(), WEIGHT.default)}
    return values


def store(typed: Sequence[str] = ()) -> None:
    """Register the neutral values with Hydra, those of the user's functions included.

    Args:
      typed: overrides as typed; ``reg._target_=my_package.my_function`` adds the knobs of that function.

    Raises:
      ConfigError: there is no such function.
    """
    added: dict[str, dict[str, Any]] = {}
    own: dict[str, dict[str, Any]] = {}  # of the user's: over the group's file, which is for another function
    for override in typed:
        found = re.fullmatch(r"\+{0,2}(\w+)\._target_=(.+)", override)
        group, targets = found.groups() if found and found[1] in knobs.FAMILIES else ("", "")
        for target in filter(None, targets.strip("[]").split(",")):
            component = knobs.component(group, target.strip(" \"'"))
            own.setdefault(group, {}).update(knobs.given(group, component.function))
            for key, knob in component.knobs.items() if group in CHOICES else ():
                default = added.setdefault(group, {}).setdefault(key, knob.default)
                if default != knob.default and not any(f"{group}.{key}=" in each for each in typed):
                    raise ConfigError(f"{override}: their defaults of {key} differ; add {group}.{key}=...")
                if not component.is_builtin and knob is not knobs.DISPLAY:
                    own.setdefault(group, {})[key] = knob.default
    ConfigStore.instance().store(name="schema", node=neutral() | added, provider="deepvis")
    ConfigStore.instance().store(name="functions", node=own, provider="deepvis")


def without_hydra(cfg: DictConfig) -> DictConfig:
    """A composed config without Hydra's own node: what a job is."""
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
