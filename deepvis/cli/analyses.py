"""Analyses: what ``deepvis examples`` and commands like it share: overrides -> a folder and a run.

    run("examples", typed, compute) -> exit code

The config is a job's, composed and checked as for a sweep; ``-m`` does one combination after the other. The
folder, ``outputs/<id>``, is written whole or not at all, and then logged as one run.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml

from deepvis import networks
from deepvis.ascent import validation
from deepvis.cli import arguments, overrides, tracking_variables
from deepvis.config import compose, params, schema
from deepvis.core import files, images, names, progress, terminal
from deepvis.core.errors import ConfigError, TrackingError, first_line
from deepvis.core.version import __version__
from deepvis.networks import backend
from deepvis.results import analysis_folder
from deepvis.sweeps import jobs, preflight
from deepvis.sweeps.jobs import Job
from deepvis.tracking.base import AnalysisRun, Tracker

OUTPUTS = Path("outputs")


@dataclass(frozen=True)
class Found:
    """What an analysis has found, and how it is written."""

    params: Mapping[str, params.Value]  # beside the config's
    metrics: Mapping[str, float]
    pictures: Mapping[str, np.ndarray]  # uint8 [H, W, 3] by file name, without .png
    write: Callable[[Path], None]  # its other files into a folder
    said: Sequence[str] = field(default_factory=tuple)  # lines for the person


# (job: config, filters, classes, key; path of a checkpoint) -> what was found
Compute = Callable[[Job, Path], Found]


def run(
    name: str,
    argv: Sequence[str],
    compute: Compute,
    read: Collection[str] = (),
    check: Callable[[Job], object] = lambda job: None,
) -> int:
    """Compute, write and log an analysis, or several with ``-m``; returns the exit code.

    Args:
      name: of the command.
      argv: behind it.
      compute: may write a checkpoint, which is removed once the folder is there.
      read: groups that it reads beside those of a job.
      check: refuses a job that cannot be computed, before any is.
    """
    command_line = arguments.parse(argv)
    if command_line.flags not in ([], ["-m"], ["--multirun"]):
        raise ConfigError(f"deepvis {name}: got {' '.join(command_line.flags)}, expected key=value, or -m")
    for each in command_line.overrides:
        if each.startswith(("hydra", "resume")):
            raise ConfigError(
                f"{each}: deepvis {name} has no launchers and takes its folder's name by itself"
            )
    typed = tracking_variables.added(arguments.with_recipe(command_line.overrides))
    schema.store(typed)
    several = compose.expand(None, typed).jobs if command_line.multirun else [typed]
    terminal.take()
    checked = [_checked(each, read) for each in several]
    for job in checked:
        check(job)
    with progress.doing("opening the tracking store"):
        tracker = preflight.tracker_of(schema.plain(checked[0].cfg.tracker))
    for job in checked:
        _run_one(name, job, compute, tracker)
    return 0


def _checked(typed: Sequence[str], read: Collection[str]) -> Job:
    """The job of some overrides, checked; its folder is new."""
    plain = compose.plain_mapping(compose.config(overrides.checked(typed, read)))
    cfg = schema.resolve(plain)
    validation.check_job(cfg)
    folder = OUTPUTS / names.new_id()
    files.check_folder(folder, "go to another folder")
    with progress.doing(f"loading the weights of {cfg.model.name}"):
        weights = networks.network(schema.plain(cfg.model)).digest(cfg.layer.name)
    return jobs.make(cfg, typed, folder, weights)


def _run_one(name: str, job: Job, compute: Compute, tracker: Tracker) -> None:
    OUTPUTS.mkdir(parents=True, exist_ok=True)
    checkpoint = OUTPUTS / f".{name}-{job.key}.npz"
    with progress.doing("loading TensorFlow"):
        backend.load()
    begun = datetime.now(UTC).isoformat(timespec="milliseconds")
    found = compute(job, checkpoint)
    flat = jobs.params(job) | dict(found.params)
    with files.replacing_folder(job.folder) as partial:
        found.write(partial)
        for title, picture in found.pictures.items():
            images.save(partial / f"{title}.png", picture)
        config = yaml.safe_dump(jobs.resolved(job), sort_keys=False)
        (partial / "config.yaml").write_text(config, encoding="utf-8")
        entry = {
            "kind": name, "id": job.folder.name, "key": job.key, "deepvis": __version__, "start": begun,
            "overrides": list(job.overrides), "params": flat, "metrics": dict(found.metrics),
            "files": files.checksums(partial),
        }  # fmt: skip
        files.write_text(partial / analysis_folder.FILE, json.dumps(entry, indent=1))
    checkpoint.unlink(missing_ok=True)
    for line in found.said:
        terminal.say(line)
    terminal.say(f"pictures  {job.folder}")
    logged = AnalysisRun(
        name,
        job.folder.name,
        f"{name} {job.name}",
        params.main(flat, found.params),
        found.metrics,
        job.folder,
    )
    try:
        tracker.log_analysis(logged)
    except Exception as err:  # MLflow, the disk and the network each fail in their own way
        raise TrackingError(
            f"{tracker.place}: not logged ({first_line(err)}); all of it is in {job.folder}"
        ) from err
