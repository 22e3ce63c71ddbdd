"""The composer: (a sweep's config, overrides) -> `Plan`, a job's config, as Hydra composes it but faster.

Hydra reads and merges every file again for every job. The jobs of a sweep choose few sets of files and
differ in values: each set is composed once, by Hydra, and the values are put into a copy of it, by Hydra's
own function. That takes a tenth of the time.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from deepvis.config import schema


class Plan(NamedTuple):
    """A job before it is checked."""

    cfg: DictConfig  # without Hydra's own node
    overrides: Sequence[str]  # as typed
    folder: Path


class Composer(ConfigLoaderImpl):
    """Hydra's config loader; put in its place when a sweep starts, it serves every sweeper and launcher."""

    def __init__(self, path: ConfigSearchPath) -> None:
        super().__init__(path)
        self.composed: dict[tuple[str, ...], DictConfig] = {}  # by the overrides that choose files
        self.jobs: dict[tuple[str, ...], DictConfig] = {}  # by all of a job's; it is asked for three times
        self.parsed: dict[str, tuple[Override, bool]] = {}  # and whether it is a value

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: Sequence[str]) -> DictConfig:
        """One job's config.

        Args:
          master_config: the sweep's.
          sweep_overrides: of the job.
        """
        typed = tuple(sweep_overrides)
        if typed not in self.jobs:
            self.jobs[typed] = self._compose(master_config, typed)
        return self.jobs[typed]

    def _compose(self, master_config: DictConfig, sweep_overrides: Sequence[str]) -> DictConfig:
        told = [self._parse(override) for override in sweep_overrides]
        every = [each for each, _ in told]
        self.validate_sweep_overrides_legal(every, RunMode.RUN, from_shell=True)
        values = [each for each, is_value in told if is_value]
        files = tuple(each.input_line for each, is_value in told if not is_value)
        if files not in self.composed:
            self.composed[files] = super().load_sweep_config(master_config, list(files))
        cfg = self.composed[files].copy()
        self._apply_overrides_to_config(values, cfg)
        task = [each for each in every if not each.is_hydra_override()]
        cfg.hydra.overrides.task = [each.input_line for each in task]
        of_name = cfg.hydra.job.config.override_dirname
        cfg.hydra.job.override_dirname = get_overrides_dirname(
            task, kv_sep=of_name.kv_sep, item_sep=of_name.item_sep, exclude_keys=of_name.exclude_keys
        )
        OmegaConf.copy_cache(from_config=master_config, to_config=cfg)
        return cfg

    def __getstate__(self) -> dict[str, Any]:
        """Empty to another process: an engine sends the loader along with every single job."""
        return self.__dict__ | {"composed": {}, "jobs": {}, "parsed": {}}

    def _parse(self, override: str) -> tuple[Override, bool]:
        if override not in self.parsed:
            (each,) = OverridesParser.create(self).parse_overrides([override])
            self.parsed[override] = each, self._is_value(each)
        return self.parsed[override]

    def _is_value(self, each: Override) -> bool:
        """Whether an override chooses no file and is none of Hydra's own."""
        chooses = self.repository.group_exists(each.key_or_group) and not isinstance(each.value(), dict)
        return not (chooses or each.is_hydra_override())


def plan(loader: ConfigLoader, whole: DictConfig, overrides: Sequence[str], number: int) -> Plan:
    """One job of a sweep: its config and its folder, as Hydra's own launcher would have them.

    Args:
      loader: Hydra's.
      whole: the sweep's config.
      overrides: of the job.
      number: of the job.
    """
    cfg = loader.load_sweep_config(whole, list(overrides))
    with open_dict(cfg):
        cfg.hydra.job.id = cfg.hydra.job.num = number
    return planned(cfg, Path(cfg.hydra.sweep.dir) / str(cfg.hydra.sweep.subdir))


def planned(cfg: DictConfig, folder: Path) -> Plan:
    """A composed config and its folder as a plan."""
    return Plan(schema.without_hydra(cfg), list(cfg.hydra.overrides.task), folder)
