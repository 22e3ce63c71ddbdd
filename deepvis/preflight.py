"""The preflight: every job of a sweep is checked, weights and store included, before anything is written.

None of it needs TensorFlow.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf

from deepvis import config, errors, jobs, ledger, terminal
from deepvis.tracker import Tracker

_opened: list[Tracker] = []  # this process's tracker: the preflight opens it, the jobs use it


class Preflight(Callback):
    """Hydra's word that a run or a sweep is about to start."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        _refusing(lambda: [config], config, Path(config.hydra.run.dir).parent)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        _refusing(lambda: _composed(config), config, Path(config.hydra.sweep.dir))


def tracker_of(cfg: DictConfig) -> Tracker:
    """This process's tracker, opened once."""
    if not _opened:
        where = OmegaConf.to_container(cfg.tracker)
        _opened.append(get_method(where.pop("_target_"))(**where))
    return _opened[0]


def opened() -> Tracker | None:
    """This process's tracker, if it came to that."""
    return _opened[0] if _opened else None


def _refusing(compose: Callable[[], list[DictConfig]], whole: DictConfig, folder: Path) -> None:
    """Hydra turns a callback's exception into a warning and goes on; an exit it lets through."""
    typed = list(whole.hydra.overrides.task)
    try:
        _check_additions(typed)
        composed = compose()
        digests = _check(composed)
        tracker = tracker_of(composed[0] if composed else whole)
        _begin(folder.absolute(), composed, typed, digests, whole.resume, tracker)
    except Exception as err:
        terminal.error(errors.line(err, typed))
        raise SystemExit(1) from err


def _check(composed: list[DictConfig]) -> dict[str, str]:
    """Check every config and read every network's weights; returns their digests."""
    networks: dict[str, DictConfig] = {}
    for cfg in composed:
        config.check(config.without_hydra(cfg))
        networks[f"{cfg.model.name} {cfg.layer.name} {cfg.model.weights}"] = cfg
    terminal.take()
    digests = {}
    for cfg in networks.values():
        source = OmegaConf.to_container(cfg.model.weights)
        shapes = config.shapes(cfg.model.blocks, cfg.layer.name)
        read = get_method(source.pop("_target_"))(shapes=shapes, **source)
        digests[f"{cfg.model.name} {cfg.layer.name}"] = read.digest
    return digests


def _begin(folder: Path, composed: list[DictConfig], typed: list[str], digests: dict[str, str],
           resume: str | None, tracker: Tracker) -> None:  # fmt: skip
    """Write the sweep's ledger, or take up the one of the sweep that is resumed."""
    known = []
    for number, cfg in enumerate(composed):
        overrides = list(cfg.hydra.overrides.task)
        job = jobs.make(config.without_hydra(cfg), overrides, folder / config.job_folder(number, overrides))
        known.append({"name": job.name, "key": job.key, "folder": job.folder.name})
    sweep = os.environ["DEEPVIS_SWEEP"]
    entry = ledger.identity(sweep, typed, known, digests)
    if resume is not None:
        old = ledger.read(folder)
        ledger.check(old, entry)
        entry["start"], entry["overrides"] = old["start"], old["overrides"]
        tracker.mend(sweep, lambda token: ledger.is_alive(folder, token))
    ledger.write(folder, entry)
    os.environ["DEEPVIS_FOLDER"] = str(folder)  # the sweep has begun


def _composed(whole: DictConfig) -> list[DictConfig]:
    """Every job of a sweep; none where the sweeper thinks them up as it goes."""
    loader = GlobalHydra.instance().config_loader()
    fixed = [f"{key}={value}" for key, value in (whole.hydra.sweeper.params or {}).items()]
    parsed = OverridesParser.create(loader).parse_overrides([*fixed, *whole.hydra.overrides.task])
    os.environ["DEEPVIS_SWEPT"] = " ".join(o.get_key_element() for o in parsed if o.is_sweep_override())
    if not whole.hydra.sweeper._target_.endswith(BasicSweeper.__name__):
        return []
    (every,) = BasicSweeper.split_arguments(parsed, None)
    return [loader.load_sweep_config(whole, each) for each in every]


def _check_additions(typed: list[str]) -> None:
    """Refuse ``+reg.decya=0.8``, which Hydra accepts and nothing would read."""
    for override in OverridesParser.create().parse_overrides(typed):
        key = override.get_key_element()
        plain = key.lstrip("+~")
        if key == plain or plain.startswith("hydra."):
            continue
        if key[0] == "~" or not errors.is_option(plain, typed):
            raise config.ConfigError(errors.unknown(key, plain, typed))
