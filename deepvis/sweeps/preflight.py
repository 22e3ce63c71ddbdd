"""The preflight: every job of a sweep is checked, weights and store included, before anything is written.

None of it needs TensorFlow.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf

from deepvis import networks
from deepvis.ascent import validation
from deepvis.cli import messages
from deepvis.config import compose, schema
from deepvis.config.compose import Composer, Plan
from deepvis.config.schema import Config
from deepvis.core import disk, terminal
from deepvis.core.errors import ConfigError
from deepvis.results import manifest, result_folder
from deepvis.sweeps import jobs, process_locks
from deepvis.sweeps.jobs import Job
from deepvis.tracking.base import Tracker

_opened: list[Tracker] = []  # this process's tracker: the preflight opens it, the jobs use it
_made: dict[tuple[Path | str, ...], Job] = {}  # the jobs that were checked, by folder and overrides


class Preflight(Callback):
    """Hydra's word that a run or a sweep is about to start."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        own = Path(config.hydra.run.dir)
        # A folder that the user chose for one job is the job's and its sweep's in one.
        folder = own.parent if own.parent.name == os.environ["DEEPVIS_SWEEP"] else own
        _refusing(lambda: [compose.planned(config, own)], config, folder)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        hydra = GlobalHydra.instance().hydra
        hydra.config_loader = Composer(hydra.config_loader.get_search_path())
        _refusing(lambda: _composed(config), config, Path(config.hydra.sweep.dir))


def tracker_of(tracker: Mapping[str, Any]) -> Tracker:
    """This process's tracker, opened once."""
    if not _opened:
        where = dict(tracker)
        _opened.append(get_method(where.pop("_target_"))(**where))
    return _opened[0]


def opened() -> Tracker:
    """This process's tracker, once a sweep has begun."""
    return _opened[0]


def job_of(plan: Plan) -> Job:
    """A plan's job, checked: that of the preflight, but not every sweeper composes its jobs beforehand."""
    key = plan.folder.absolute(), *plan.overrides
    if key not in _made:
        cfg = schema.resolve(OmegaConf.to_container(plan.cfg, resolve=True))
        validation.check_job(cfg)
        _made[key] = jobs.make(cfg, plan.overrides, plan.folder)
    return _made[key]


def _refusing(plan: Callable[[], list[Plan]], whole: DictConfig, folder: Path) -> None:
    """Hydra turns a callback's exception into a warning and goes on; an exit it lets through."""
    typed = OmegaConf.to_container(whole.hydra.overrides.task)
    of_hydra = [
        o for o in OmegaConf.to_container(whole.hydra.overrides.hydra) if not o.startswith("hydra.mode=")
    ]
    try:
        _check_additions(typed)
        planned = plan()
        if whole.resume is not None and not planned:
            raise ConfigError(
                f"resume={whole.resume}: a search thinks up its jobs as it goes and cannot be taken up; "
                "start it again"
            )
        disk.check_folder(folder)
        digests = _check(planned)
        tracker = tracker_of(OmegaConf.to_container(planned[0].cfg.tracker if planned else whole.tracker))
        _begin(folder.absolute(), planned, typed + of_hydra, digests, whole.resume, tracker)
    except Exception as err:
        terminal.error(messages.line(err, typed))
        raise SystemExit(1) from err


def _check(planned: list[Plan]) -> dict[str, str]:
    """Check every config and read every network's weights; returns their digests."""
    terminal.take()
    different: dict[str, Config] = {}
    for plan in planned:
        cfg = job_of(plan).cfg
        different[f"{cfg.model} {cfg.layer.name}"] = cfg
        if plan.cfg.tracker != planned[0].cfg.tracker:
            raise ConfigError("tracker: one sweep has one tracker; it cannot be swept")
    digests = {}
    for cfg in different.values():
        network = networks.network(schema.plain(cfg.model))
        digests[f"{cfg.model.name} {cfg.layer.name}"] = network.digest(cfg.layer.name)
    return digests


def _begin(folder: Path, planned: list[Plan], typed: list[str], digests: dict[str, str], resume: str | None,
           tracker: Tracker) -> None:  # fmt: skip
    """Write the sweep's ledger, or take up the one of the sweep that is resumed."""
    made = [job_of(each) for each in planned]
    sweep = os.environ["DEEPVIS_SWEEP"]
    entry = manifest.identity(sweep, typed, [jobs.listed(job) for job in made], digests)
    if resume is not None:
        old = manifest.read(folder)
        manifest.check(old, entry)
        process_locks.refuse(folder, sweep)
        result_folder.clear(folder)
        entry["start"], entry["overrides"] = old["start"], old["overrides"]
        tracker.mend(sweep, lambda token: process_locks.holds(folder, token))
    process_locks.sign(folder)
    manifest.write(folder, entry)
    os.environ["DEEPVIS_FOLDER"] = str(folder)  # the sweep has begun


def _composed(whole: DictConfig) -> list[Plan]:
    """Every job of a sweep; none where the sweeper thinks them up as it goes."""
    loader = GlobalHydra.instance().config_loader()
    fixed = [f"{key}={value}" for key, value in (whole.hydra.sweeper.params or {}).items()]
    parsed = OverridesParser.create(loader).parse_overrides([*fixed, *whole.hydra.overrides.task])
    os.environ["DEEPVIS_SWEPT"] = " ".join(o.get_key_element() for o in parsed if o.is_sweep_override())
    if not whole.hydra.sweeper._target_.endswith(BasicSweeper.__name__):
        return []
    (every,) = BasicSweeper.split_arguments(parsed, None)
    return [compose.plan(loader, whole, each, number) for number, each in enumerate(every)]


def _check_additions(typed: list[str]) -> None:
    """Refuse ``+reg.decya=0.8``, which Hydra accepts and nothing would read."""
    for override in OverridesParser.create().parse_overrides(typed):
        key = override.get_key_element()
        plain = key.lstrip("+~")
        if key == plain or plain.startswith("hydra."):
            continue
        if key[0] == "~" or not messages.is_option(plain, typed):
            raise ConfigError(messages.unknown(key, plain, typed))
