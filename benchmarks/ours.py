"""deepvis, as the benchmarks use it: the one module here that knows it."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from helpers.configs import config_of
from hydra._internal.utils import create_config_search_path
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from hydra.utils import instantiate

from deepvis.ascent import program
from deepvis.ascent.specs import Snapshot
from deepvis.config import compose
from deepvis.core import names
from deepvis.sweeps import jobs, runner
from deepvis.sweeps.jobs import Job, JobGroup
from deepvis.tracking.base import Tracker


def command(*overrides: str) -> list[str]:
    """What a person types."""
    return [sys.executable, "-m", "deepvis.run", *overrides]


def job(folder: Path, *overrides: str) -> Job:
    """What becomes of it."""
    return made(compose.Plan(config_of(*overrides), overrides, folder))


def made(plan: compose.Plan) -> Job:
    """A composed job, and its folder."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    return jobs.make(*plan)


def pack(queue: Sequence[Job]) -> JobGroup:
    """The one pack of jobs that differ in numbers only."""
    (only,) = jobs.job_groups(queue)
    return only


def climb(whole: JobGroup) -> Iterator[Snapshot]:
    """The graph alone: starts, steps, and what the host sees of them."""
    made = program.compiled(whole.static_config, whole.active)
    for batch in whole.batches:
        images = [jobs.image_spec(whole, row) for row in batch]
        starts = np.stack([program.start(each, made.network.mean) for each in images])
        total = max(each.cfg["steps"] for each in images)
        yield from program.ascend(made, images, starts, len(whole.batches[0]), total)


def traces(job_groups: Sequence[JobGroup]) -> int:
    """How often the graphs of these job_groups have been traced so far."""
    graphs = {program.compiled(each.static_config, each.active).ascent.advance for each in job_groups}
    return sum(advance.experimental_get_tracing_count() for advance in graphs)


def tracker(folder: Path) -> Tracker:
    """A new MLflow store."""
    place = (f"tracker.uri=sqlite:///{folder}/mlflow.db", f"tracker.artifacts={folder}/artifacts")
    return instantiate(config_of(*place).tracker)


def sweep(queue: Sequence[Job], told: Tracker) -> None:
    """Run jobs, with everything around the graph."""
    lost = runner.run(queue, told, "benchmark")
    assert not lost, lost


def compose(whole: Sequence[str], each: Sequence[Sequence[str]]) -> list[compose.Plan]:
    """The configs of a sweep's jobs, as its launcher has them composed."""
    setup_globals()
    loader = compose.Composer(create_config_search_path(str(names.CONF)))
    master = loader.load_configuration("config", list(whole), RunMode.MULTIRUN)
    return [compose.plan(loader, master, [*whole, *own], number) for number, own in enumerate(each)]
