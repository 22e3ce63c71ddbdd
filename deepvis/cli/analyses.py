"""Analyses: what ``deepvis examples`` and commands like it share: overrides -> a folder and a run.

    run("examples", typed, compute) -> exit code

The config is a job's, composed and checked as for a sweep; ``-m`` does one combination after the other. The
folder, ``outputs/<id>``, is written whole or not at all, and then logged as one run.
"""

import json
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from deepvis import networks
from deepvis.analyses.folders import Analysis
from deepvis.analyses.photographs import Read
from deepvis.ascent import validation
from deepvis.cli import arguments, messages, overrides, tracking_variables
from deepvis.config import compose, params, schema
from deepvis.config.schema import Target
from deepvis.core import files, images, names, progress, terminal
from deepvis.core.errors import ConfigError, TrackingError, first_line, remedy
from deepvis.core.version import __version__
from deepvis.networks import backend
from deepvis.report import analysis_page
from deepvis.results import analysis_folder, result_folder
from deepvis.sweeps import jobs, preflight
from deepvis.sweeps.jobs import Job
from deepvis.tracking.base import AnalysisRun, Tracker

OUTPUTS = Path("outputs")
READ = ("batch_size", "device", "experiment", "layer", "model", "precision", "size", "tracker")  # by all
FILTERS = "layer.filters"
UNITS = ("data", FILTERS, "objective")  # by those of what units do on photographs


@dataclass(frozen=True)
class Found:
    """What an analysis has found, and how it is written."""

    params: Mapping[str, params.Value]  # beside the config's
    metrics: Mapping[str, float]
    pictures: Mapping[str, np.ndarray]  # uint8 [H, W, 3] by file name, without .png
    write: Callable[[Path], None]  # its other files into a folder
    said: Sequence[str] = field(default_factory=tuple)  # lines for the person

    @classmethod
    def of(cls, record: Analysis, read: Read | None = None, advice: str = "") -> "Found":
        """What a record has.

        Args:
          record: of an analysis.
          read: the photographs that it is of.
          advice: what its lines begin with.
        """
        chosen = dict(record.params()) | ({"data": {"digest": read.digest}} if read else {})
        said = [*(read.told if read else ()), *(f"{advice}{line}" for line in record.told())]
        return cls(params.flatten(chosen), record.metrics(), record.pictures(), record.write, said)


@dataclass(frozen=True)
class Task:
    """What an analysis is asked for."""

    job: Job  # config, filters, classes, key
    methods: Mapping[str, Target]  # the settings of groups that the command reads beside those of a job
    checkpoint: Path  # may be written; it is removed once the folder is there

    @property
    def checkpoints(self) -> Path:
        """A folder of several, likewise."""
        return self.checkpoint.with_suffix("")

    @property
    def captions(self) -> list[str]:
        """Of the units: ``f012``, or the class and its number."""
        return result_folder.captions_for(self.job.filters, self.job.classes)


Compute = Callable[[Task], Found]


def run(
    name: str,
    argv: Sequence[str],
    compute: Compute,
    reads: Collection[str],
    check: Callable[[Task], object] = lambda task: None,
    complete: Callable[[Sequence[str]], Sequence[str]] = lambda typed: typed,
) -> int:
    """Compute, write and log an analysis, or several with ``-m``; returns the exit code.

    Args:
      name: of the command.
      argv: behind it.
      compute: (task) -> what was found.
      reads: options and groups that it reads beside `READ`; what else is typed is refused.
      check: refuses a task that cannot be computed, before any is.
      complete: overrides as typed -> with those that the command adds itself.
    """
    command_line = arguments.parse(argv)
    if command_line.flags not in ([], ["-m"], ["--multirun"]):
        raise ConfigError(f"deepvis {name}: got {' '.join(command_line.flags)}, expected key=value, or -m")
    for each in command_line.overrides:
        if each.startswith(("hydra", "resume")):
            raise ConfigError(
                f"{each}: deepvis {name} has no launchers and takes its folder's name by itself"
            )
        _check_read(name, each, {*READ, *reads})
    read = [group for group in overrides.OF_COMMANDS if group in reads]
    typed = tracking_variables.added(arguments.with_recipe(complete(command_line.overrides)))
    schema.store(typed)
    try:
        several = compose.expand(None, typed).jobs if command_line.multirun else [typed]
        terminal.take()
        checked = [_checked(name, each, read) for each in several]
    except (
        HydraException,
        OmegaConfBaseException,
    ) as err:  # of these words, not of the command's own
        raise ConfigError(messages.line(err, typed, command_line.multirun)) from err
    for task in checked:
        check(task)
    with progress.doing("opening the tracking store"):
        tracker = preflight.tracker_of(schema.plain(checked[0].job.cfg.tracker))
    for task in checked:
        try:
            _run_one(name, task, compute, tracker)
        except (KeyboardInterrupt, SystemExit) as err:
            terminal.error(_ended(task, isinstance(err, KeyboardInterrupt)))
            raise
    return 0


def _ended(task: Task, is_interrupt: bool) -> str:
    """What a person should know whose command was ended by a signal."""
    what = "interrupted" if is_interrupt else "terminated"
    if task.job.folder.exists():
        return f"{what}; all of it is in {task.job.folder}, but it may not be logged"
    goes_on = task.checkpoint.exists() or task.checkpoints.exists()
    return f"{what}; " + ("the same command goes on where it was" if goes_on else "nothing was written")


def _check_read(name: str, typed: str, read: Collection[str]) -> None:
    """Refuse an option of a job that a command would pass over."""
    key = typed.lstrip("+~").partition("=")[0]
    group = key.partition(".")[0]
    is_option = group in {each.name for each in fields(schema.Config)}
    if is_option and key not in read and (group not in read or key == FILTERS):
        raise ConfigError(
            f"{typed}: deepvis {name} does not read {key}; of the options it reads {', '.join(sorted(read))}"
        )


def _checked(name: str, typed: Sequence[str], read: Collection[str]) -> Task:
    """The task of some overrides, checked; its folder is new."""
    plain = compose.plain_mapping(compose.config(overrides.checked(typed, read)))
    methods = {group: schema.choice(group, plain[group]) for group in read}
    cfg = schema.resolve(plain)
    validation.check_job(cfg)
    folder = OUTPUTS / names.new_id()
    files.check_folder(folder, "go to another folder")
    with progress.doing(f"loading the weights of {cfg.model.name}"):
        weights = networks.network(schema.plain(cfg.model)).digest(cfg.layer.name)
    job = jobs.make(cfg, typed, folder, weights)
    return Task(job, methods, OUTPUTS / f".{name}-{job.key}.npz")


def in_float32(typed: Sequence[str]) -> list[str]:
    """Overrides, and float32 where nobody says another precision."""
    return [*typed, *([] if any("precision=" in each for each in typed) else ["precision=float32"])]


def of_few_units(typed: Sequence[str]) -> list[str]:
    """Overrides, and four units where nobody names any: each takes a pass or hundreds for each photograph."""
    names_units = any(each.startswith("layer.filters=") for each in typed)
    return in_float32([*typed, *([] if names_units else ['layer.filters="first 4"'])])


@contextmanager
def counting(what: str, images: int, steps: int = 1) -> Iterator[Callable[[int, int], None]]:
    """Show how far a command is with some images, each of so many steps.

    Args:
      what: is done with them.
      images: how many.
      steps: of each.

    Yields:
      What is called with the images x steps, and the images, that were done since.
    """
    with progress.progress("", images, images * steps) as shown:
        shown.unit = "images x steps" if steps > 1 else "images"
        shown.doing(what)
        yield shown.count


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder to fill, whole or not at all; a disk that takes no more is said in one line."""
    try:
        with files.replacing_folder(folder) as partial:
            yield partial
    except OSError as err:
        reason = err.strerror or first_line(err)
        raise ConfigError(
            f"output folder {folder}: {reason}; {remedy(err)}, or go to another folder"
        ) from err


def _run_one(name: str, task: Task, compute: Compute, tracker: Tracker) -> None:
    job = task.job
    OUTPUTS.mkdir(parents=True, exist_ok=True)
    files.remove_left(OUTPUTS)
    with progress.doing("loading TensorFlow"):
        backend.load()
    begun = datetime.now(UTC).isoformat(timespec="milliseconds")
    found = compute(task)
    flat = jobs.params(job) | dict(found.params)
    with _whole(job.folder) as partial:
        found.write(partial)
        for title, picture in found.pictures.items():
            images.save(partial / f"{title}.png", picture)
        config = yaml.safe_dump(jobs.resolved(job), sort_keys=False)
        (partial / "config.yaml").write_text(config, encoding="utf-8")
        entry = {
            "kind": name, "id": job.folder.name, "key": job.key, "deepvis": __version__, "start": begun,
            "overrides": list(job.overrides), "params": flat, "metrics": dict(found.metrics),
        }  # fmt: skip
        files.write_text(partial / analysis_page.NAME, analysis_page.page(partial, entry))
        entry["files"] = files.checksums(partial)
        files.write_text(partial / analysis_folder.FILE, json.dumps(entry, indent=1))
    task.checkpoint.unlink(missing_ok=True)
    shutil.rmtree(task.checkpoints, ignore_errors=True)
    for line in found.said:
        terminal.say(line)
    terminal.say(f"pictures  {job.folder}")
    terminal.say(f"report    {job.folder / analysis_page.NAME}")
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
