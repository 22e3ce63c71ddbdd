"""The preflight: every job of a sweep is checked, weights and store included, before anything is written.

None of it needs TensorFlow. Other processes of a sweep learn what they need of it from the environment:
``DEEPVIS_SWEEP`` (its id), ``DEEPVIS_SWEPT`` (keys that name its jobs), ``DEEPVIS_FOLDER`` (where it is).
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.utils import get_method
from omegaconf import DictConfig

from deepvis import networks
from deepvis.ascent import validation
from deepvis.config import schema
from deepvis.config.compose import Plan, plain_mapping
from deepvis.config.schema import Config
from deepvis.core import files, terminal
from deepvis.core.errors import ConfigError
from deepvis.results import manifest, result_folder
from deepvis.sweeps import jobs, process_locks, search
from deepvis.sweeps.jobs import Job
from deepvis.tracking.base import Tracker

_opened: list[Tracker] = []  # this process's tracker: the preflight opens it, the jobs use it
_checked: dict[tuple[object, ...], Job] = {}  # the jobs that were checked, by folder and overrides


def sweep_id() -> str:
    """The id of the sweep that this process belongs to."""
    return os.environ["DEEPVIS_SWEEP"]


def name_jobs_by(keys: Iterable[str]) -> None:
    """Say which keys are swept; a job is named by its values of them."""
    os.environ["DEEPVIS_SWEPT"] = " ".join(keys)


def tracker_of(settings: Mapping[str, Any]) -> Tracker:
    """This process's tracker, opened once."""
    if not _opened:
        options = dict(settings)
        _opened.append(get_method(options.pop("_target_"))(**options))
    return _opened[0]


def opened() -> Tracker:
    """This process's tracker, once a sweep has begun."""
    return _opened[0]


def job_of(plan: Plan) -> Job:
    """A plan's job, checked: that of the preflight, but not every sweeper composes its jobs beforehand."""
    key = plan.folder.absolute(), *plan.overrides
    if key not in _checked:
        cfg = schema.resolve(plain_mapping(plan.cfg))
        validation.check_job(cfg)
        _checked[key] = jobs.make(cfg, plan.overrides, plan.folder)
    return _checked[key]


def begin(folder: Path, plans: Sequence[Plan], typed: Sequence[str], sweep_config: DictConfig) -> None:
    """Check a sweep, then write its manifest, or resume the sweep that ``resume`` names.

    Args:
      folder: of the sweep.
      plans: its jobs; none where a search draws them one after the other.
      typed: every override, as typed.
      sweep_config: of the whole, for the tracker and ``resume``.

    Raises:
      DeepvisError: something is wrong; nothing was written.
    """
    resume = sweep_config.resume
    files.check_folder(folder)
    digests = _check(plans)
    tracker = tracker_of(plain_mapping((plans[0].cfg if plans else sweep_config).tracker, resolve=False))
    folder = folder.absolute()
    entry = manifest.identity(
        sweep_id(), typed, [jobs.manifest_entry(job_of(each)) for each in plans], digests
    )
    if resume is not None:
        old = manifest.read(folder)
        if not plans:
            search.check_resumable(plain_mapping(sweep_config.hydra.sweeper), old)
            entry["jobs"], entry["weights"] = old["jobs"], old["weights"]  # each is checked when it is drawn
        manifest.check(old, entry)
        process_locks.refuse(folder, sweep_id())
        result_folder.clear(folder)
        entry["start"], entry["overrides"] = old["start"], old["overrides"]
        tracker.mend(sweep_id(), lambda token: process_locks.holds(folder, token))
    process_locks.sign(folder)
    manifest.write(folder, entry)
    os.environ["DEEPVIS_FOLDER"] = str(folder)  # the sweep has begun


def _check(plans: Sequence[Plan]) -> dict[str, str]:
    """Check every config and read every network's weights; returns their digests."""
    terminal.take()
    different: dict[str, Config] = {}
    for plan in plans:
        cfg = job_of(plan).cfg
        different[f"{cfg.model} {cfg.layer.name}"] = cfg
        if plan.cfg.tracker != plans[0].cfg.tracker:
            raise ConfigError("tracker: one sweep has one tracker; it cannot be swept")
    digests = {}
    for cfg in different.values():
        network = networks.network(schema.plain(cfg.model))
        digests[f"{cfg.model.name} {cfg.layer.name}"] = network.digest(cfg.layer.name)
    return digests
