"""Compose: overrides -> config, and (a sweep's config, overrides) -> `Plan`, by Hydra's public interface.

Hydra reads and merges every file again for every job. Here each set of files that a sweep chooses is composed
once, and the values of each job are put into it, as Hydra would put them, in a twentieth of the time.
Whatever is not a plain value is left to Hydra.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from omegaconf import DictConfig, OmegaConf, flag_override, open_dict
from omegaconf.errors import OmegaConfBaseException

from deepvis.config import job_names as job_names  # its resolver names the folders in conf/config.yaml
from deepvis.config import schema
from deepvis.core.errors import ConfigError
from deepvis.core.names import CONF


@dataclass(frozen=True)
class Plan:
    """A job before it is checked."""

    cfg: Mapping[str, Any]  # plain and resolved, without Hydra's own node
    overrides: Sequence[str]  # as typed
    folder: Path


@dataclass(frozen=True)
class Expansion:
    """The product of what a sweep's overrides list."""

    swept: tuple[str, ...]  # keys with several values
    jobs: tuple[tuple[str, ...], ...]  # overrides, by job


def config(overrides: Sequence[str]) -> DictConfig:
    """The config of these overrides, without Hydra's own node."""
    if GlobalHydra.instance().is_initialized():  # inside Hydra's main
        return hydra_compose("config", list(overrides))
    with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        return hydra_compose("config", list(overrides))


def plain_mapping(cfg: Any, resolve: bool = True) -> dict[str, Any]:
    """A node of a config that is a mapping, as a plain dict; with ``resolve`` without interpolations."""
    return cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=resolve))


def parse(overrides: Sequence[str], loader: ConfigLoader | None = None) -> list[Override]:
    """Overrides as Hydra's grammar reads them."""
    return OverridesParser.create(loader).parse_overrides(list(overrides))


def swept(overrides: Sequence[str]) -> tuple[str, ...]:
    """The keys of the overrides that have several values."""
    return tuple(each.get_key_element() for each in parse(overrides) if each.is_sweep_override())


def expand(loader: ConfigLoader | None, overrides: Sequence[str]) -> Expansion:
    """Every combination of the values that overrides list; of a key typed twice the last counts.

    Args:
      loader: Hydra's; it knows the files that ``reg=glob(*)`` means; None: there are no globs.
      overrides: as typed.

    Raises:
      ConfigError: an interval, which only a search can draw from; or a list of no values.
    """
    values, swept = _values(loader, overrides, whole=True)
    return Expansion(swept, tuple(itertools.product(*values.values())))


def count(loader: ConfigLoader, overrides: Sequence[str]) -> tuple[int, tuple[str, ...]]:
    """How many jobs there would be, and the overrides of the first; nothing is made that grows with them.

    Raises:
      ConfigError: as for `expand`.
    """
    values, _ = _values(loader, overrides, whole=False)
    lengths = {each.get_key_element(): _length(each) for each in parse(overrides, loader)}
    number = math.prod(1 if each is None else each for each in lengths.values())
    return number, tuple(each[0] for each in values.values())


def _length(each: Override) -> int | None:
    """How many values an override lists; None: it is no list."""
    value = each.value()
    if isinstance(value, RangeSweep):
        first, last, step = (Decimal(str(number)) for number in (value.start, value.stop, value.step))
        if step == 0:
            raise ConfigError(f"{each.input_line}: got a step of 0, expected another")
        return max(0, math.ceil((last - first) / step))
    return sum(1 for _ in each.sweep_string_iterator()) if each.is_discrete_sweep() else None


def _values(
    loader: ConfigLoader | None, overrides: Sequence[str], whole: bool
) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """The values of each key, or the first of them, and the keys with several."""
    values: dict[str, list[str]] = {}
    swept: dict[str, None] = {}
    for each in parse(overrides, loader):
        key = each.get_key_element()
        # `++` sets or adds; keys that do not exist were refused before, so it sets.
        key = key.removeprefix("++") if each.is_force_add() and not _of_hydra(each) else key
        if not each.is_sweep_override():
            values[key] = [f"{key}={each.get_value_element_as_str()}"]
        elif each.is_discrete_sweep():
            swept[key] = None
            value = each.value()
            if isinstance(value, ChoiceSweep | RangeSweep) and value.shuffle:
                raise ConfigError(
                    f"{each.input_line}: shuffle draws another order each time, so the sweep could not be "
                    "resumed; list the values without it: the order of jobs changes no result"
                )
            if isinstance(value, RangeSweep) and _length(each) and not whole:
                values[key] = [f"{key}={value.start}"]
                continue
            values[key] = [f"{key}={value}" for value in each.sweep_string_iterator()]
            if not values[key]:
                raise ConfigError(
                    f"{each.input_line}: got no value, expected one or more: it matches nothing"
                )
        else:
            raise ConfigError(
                f"{each.input_line}: an interval has no list of values; type them, or search it with "
                "hydra/sweeper=optuna"
            )
    return values, tuple(swept)


@dataclass(frozen=True)
class _Filled:
    """A config with the values of the last job."""

    cfg: DictConfig
    lines: Mapping[str, str]  # what was typed, by key, in order


class SweepComposer:
    """Composes the jobs of one sweep: with the loader and the sweep's config that Hydra gives to a plugin."""

    def __init__(self, loader: ConfigLoader, sweep: DictConfig) -> None:
        self._loader, self._sweep = loader, sweep
        self._groups = set(loader.list_groups(""))
        self._composed: dict[tuple[str, ...], DictConfig] = {}  # by the overrides that choose files
        self._filled: dict[tuple[str, ...], _Filled] = {}  # likewise
        self._parsed: dict[str, Override] = {}
        self._plans: dict[tuple[int, tuple[str, ...]], Plan] = {}
        # Hydra derives it from a job's values: where it is in a folder's name all is left to Hydra.
        self._whole = "override_dirname" in str(plain_mapping(sweep.hydra.sweep, resolve=False))

    def plan(self, overrides: Sequence[str], number: int) -> Plan:
        """One job: its config and its folder, as Hydra's own launcher would have them."""
        key = number, tuple(overrides)
        if key not in self._plans:
            cfg = self._compose(list(overrides))
            with open_dict(cfg):
                cfg.hydra.job.id = cfg.hydra.job.num = number
            folder = Path(cfg.hydra.sweep.dir) / str(cfg.hydra.sweep.subdir)
            typed = list(cfg.hydra.overrides.task)
            if any("${" in each and "hydra" in each for each in overrides):
                cfg = schema.without_hydra(cfg)  # a copy, which costs; as for any job, no value can name it
            self._plans[key] = Plan(_job_only(cfg), typed, folder)
        return self._plans[key]

    def _compose(self, overrides: list[str]) -> DictConfig:
        values = [each for each in map(self._parse, overrides) if self._is_value(each)]
        plain = {each.input_line for each in values}
        files = tuple(each for each in overrides if each not in plain)
        if self._whole or not all(map(self._is_choice, map(self._parse, files))):
            return self._loader.load_sweep_config(self._sweep, overrides)
        try:
            cfg = self._with_values(files, values)
        except OmegaConfBaseException:  # Hydra says what is wrong
            return self._loader.load_sweep_config(self._sweep, overrides)
        cfg.hydra.overrides.task = [each for each in overrides if not _of_hydra(self._parse(each))]
        OmegaConf.copy_cache(from_config=self._sweep, to_config=cfg)
        return cfg

    def _with_values(self, files: tuple[str, ...], values: Sequence[Override]) -> DictConfig:
        """The config of some files with a job's values; it is the next job's, too, so it is read at once.

        Copying a config costs more than all else. A job that sets the keys that the one before it set takes
        its config, and sets those whose values differ.
        """
        if files not in self._composed:
            self._composed[files] = _pruned(self._loader.load_sweep_config(self._sweep, list(files)))
        keys = [each.key_or_group for each in values]
        last = self._filled.pop(files, None)
        if last is None or list(last.lines) != keys or _is_nested(keys):
            last = _Filled(self._composed[files].copy(), {})
        for each in values:
            if last.lines.get(each.key_or_group) != each.input_line:
                OmegaConf.update(last.cfg, each.key_or_group, each.value(), merge=True)
        self._filled[files] = _Filled(last.cfg, {each.key_or_group: str(each.input_line) for each in values})
        return last.cfg

    def _parse(self, override: str) -> Override:
        if override not in self._parsed:
            (self._parsed[override],) = parse([override], self._loader)
        return self._parsed[override]

    def _is_value(self, each: Override) -> bool:
        """Whether an override is ``key=value`` of an option."""
        sets = not (each.is_add() or each.is_force_add() or each.is_delete() or each.is_sweep_override())
        path = each.package is None and "/" not in each.key_or_group and each.key_or_group not in self._groups
        return sets and path and not _of_hydra(each) and not isinstance(each.value(), dict)

    def _is_choice(self, each: Override) -> bool:
        """Whether an override chooses a file or is Hydra's own, so that its position does not matter."""
        chooses = each.key_or_group in self._groups and not isinstance(each.value(), dict)
        return chooses or _of_hydra(each)


def planned(cfg: DictConfig, folder: Path) -> Plan:
    """A composed config and its folder as a plan."""
    return Plan(plain_mapping(schema.without_hydra(cfg)), list(cfg.hydra.overrides.task), folder)


def _job_only(cfg: DictConfig) -> dict[str, Any]:
    """What a config holds beside Hydra's own node, plain and resolved."""
    plain = {}
    for key in (str(key) for key in cfg if key != "hydra"):
        value = "???" if OmegaConf.is_missing(cfg, key) else cfg[key]
        plain[key] = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    return plain


def _is_nested(keys: Sequence[str]) -> bool:
    """Whether one of these keys is a part of another: then their order matters."""
    return any(key.startswith(f"{other}.") for key in keys for other in keys)


def _pruned(cfg: DictConfig) -> DictConfig:
    """A config without what no job's folder depends on: most of Hydra's own node, and copying costs."""
    with flag_override(cfg.hydra, ["struct", "readonly"], False):
        for key in ("help", "hydra_help", "hydra_logging", "job_logging", "callbacks", "launcher", "sweeper"):
            del cfg.hydra[key]
    return cfg


def _of_hydra(each: Override) -> bool:
    return each.is_hydra_override() or each.key_or_group == "hydra"
