"""The preflight: every job of a sweep is checked, weights and store included, before anything is written.

None of it needs TensorFlow. Other processes of a sweep learn what they need of it from the environment:
``DEEPVIS_SWEEP`` (its id), ``DEEPVIS_SWEPT`` (keys that name its jobs), ``DEEPVIS_FOLDER`` (where it is).
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.types import RunMode
from hydra.utils import get_method
from omegaconf import DictConfig

from deepvis import networks
from deepvis.ascent import validation
from deepvis.config import schema
from deepvis.config.compose import Plan, plain_mapping
from deepvis.config.schema import Config
from deepvis.core import files, progress, terminal
from deepvis.core.errors import ConfigError
from deepvis.results import manifest, resumption
from deepvis.sweeps import amount, job_trust, jobs, natural_examples, process_locks, search, sweep_folders
from deepvis.sweeps.jobs import Job
from deepvis.tracking.base import Tracker

TRACKERS = ("deepvis.tracking.mlflow.mlflow", "deepvis.tracking.none.NoTracker")
_opened: list[Tracker] = []  # this process's tracker: the preflight opens it, the jobs use it
_checked: dict[tuple[object, ...], Job] = {}  # the jobs that were checked, by folder and overrides
_digests: dict[tuple[object, ...], str] = {}  # of weights, by model and layer


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
        if (made_by := options.pop("_target_")) not in TRACKERS:
            raise ConfigError(f"tracker._target_={made_by}: expected one of {', '.join(TRACKERS)}")
        _opened.append(get_method(made_by)(**options))
    return _opened[0]


def opened() -> Tracker:
    """This process's tracker, once a sweep has begun."""
    return _opened[0]


def job_of(plan: Plan) -> Job:
    """A plan's job, checked: that of the preflight, but not every sweeper composes its jobs beforehand."""
    key = plan.folder.absolute(), *plan.overrides
    if key not in _checked:
        cfg = schema.resolve(plan.cfg)
        validation.check_job(cfg)
        if cfg.examples:
            natural_examples.check(cfg)
        if cfg.trust:
            job_trust.check(cfg)
        job = jobs.make(cfg, plan.overrides, plan.folder, _digest(cfg))
        amount.check_memory(job.cfg, len(job.filters))
        _checked[key] = job
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
    terminal.take()
    folder = folder.absolute()
    sweep_folders.check_plans(folder, [plan.folder.absolute() for plan in plans])
    for plan in plans:
        if plan.cfg["tracker"] != plans[0].cfg["tracker"]:
            raise ConfigError("tracker: one sweep has one tracker; it cannot be swept")
    with progress.doing(f"checking {len(plans)} jobs" if len(plans) > 1 else "checking the job"):
        queue = [job_of(plan) for plan in plans]
    sweep_folders.check_different(queue)
    settings = dict(plans[0].cfg["tracker"]) if plans else plain_mapping(sweep_config.tracker)
    entry = manifest.identity(
        sweep_id(), typed, [jobs.manifest_entry(job) for job in queue], _weights(queue),
        files={name: digest for job in queue for name, digest in job.files.items()},
        tracker=settings,
        multirun=sweep_config.hydra.mode == RunMode.MULTIRUN,
        own_folder=[plan.folder.absolute() for plan in plans] == [folder],
    )  # fmt: skip
    if resume is None:
        sweep_folders.check_new(folder, entry)
    else:
        old = sweep_folders.manifest_of(folder, entry)
        if not plans:
            search.check_resumable(plain_mapping(sweep_config.hydra.sweeper), old)
            entry |= {
                key: old[key] for key in ("jobs", "weights", "files")
            }  # each is checked when it is drawn
        resumption.check(old, entry, typed, bool(sweep_config.resume_force))
        entry |= {key: old[key] for key in ("start", "overrides", "multirun") if key in old}
    entry["search"] = not plans  # whose jobs are known only once they are drawn
    if not plans:  # what is drawn may still turn robustness on
        read = plain_mapping(sweep_config, resolve=False)["objective_value"]
        validation.check_objective_value(read, has_robustness=True)
        entry["trials"] = plain_mapping(sweep_config.hydra.sweeper).get("n_trials")
    with progress.doing("opening the tracking store"):
        tracker_of(settings)
    process_locks.enter(folder, sweep_id())
    try:
        if resume is None:
            sweep_folders.check_no_sweep(folder)  # that began in the meantime
        terminal.say_notes()
        files.remove_partials(folder, manifest.FILE if resume is None else "")
        manifest.write(folder, entry)
        sweep_folders.remove_unbegun(folder.parent)
    except BaseException:
        process_locks.tidy(folder)
        raise
    os.environ["DEEPVIS_FOLDER"] = str(folder)  # the sweep has begun


def _weights(queue: Sequence[Job]) -> dict[str, str]:
    """Digest of the weights of every network and layer of a sweep."""
    return {f"{job.cfg.model.name} {job.cfg.layer.name}": _digest(job.cfg) for job in queue}


def _digest(cfg: Config) -> str:
    """The weights of a config's network, read once; they are part of a job's identity."""
    network = networks.network(schema.plain(cfg.model))
    key = cfg.model, cfg.layer.name, network.fingerprint()
    if key not in _digests:
        with progress.doing(f"loading the weights of {cfg.model.name}"):
            _digests[key] = network.digest(cfg.layer.name)
    return _digests[key]
