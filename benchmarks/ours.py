"""deepvis, as the benchmarks use it: the one module here that knows it."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from hydra.utils import instantiate

from deepvis.ascent import program
from deepvis.ascent.specs import Snapshot
from deepvis.config import compose as composer
from deepvis.config import schema
from deepvis.core import names
from deepvis.sweeps import jobs, runner
from deepvis.sweeps.jobs import Job, JobGroup
from deepvis.tracking.base import Tracker


def command(*overrides: str) -> list[str]:
    """What a person types."""
    return [sys.executable, "-m", "deepvis.run", *overrides]


def job(folder: Path, *overrides: str) -> Job:
    """What becomes of it."""
    with initialize_config_dir(str(names.CONF), version_base="1.3"):
        cfg = schema.without_hydra(compose("config", list(overrides)))
    return made(composer.Plan(cfg, overrides, folder))


def made(plan: composer.Plan) -> Job:
    """A composed job, and its folder."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    cfg = schema.resolve(composer.plain_mapping(plan.cfg))
    return jobs.make(cfg, plan.overrides, plan.folder)


def group(queue: Sequence[Job]) -> JobGroup:
    """The one group of jobs that differ in numbers only."""
    (only,) = jobs.job_groups(queue)
    return only


def optimize(whole: JobGroup) -> Iterator[Snapshot]:
    """The graph alone, chunk by chunk: starts, steps, and what the host sees of them."""
    using = program.compiled(whole.static_config, whole.enabled)
    for batch in whole.batches:
        specs = [jobs.image_spec(whole, row) for row in batch]
        starts = np.stack([program.start(each, using.network.mean) for each in specs])
        yield from program.snapshots(using, specs, starts, len(whole.batches[0]))


def traces(job_groups: Sequence[JobGroup]) -> int:
    """How often the graphs of these groups have been traced so far."""
    graphs = {program.compiled(each.static_config, each.enabled).ascent.advance for each in job_groups}
    return sum(advance.experimental_get_tracing_count() for advance in graphs)


def new_tracker(folder: Path) -> Tracker:
    """A new MLflow store."""
    place = (f"tracker.uri=sqlite:///{folder}/mlflow.db", f"tracker.artifacts={folder}/artifacts")
    return instantiate(schema.plain(job(folder, *place).cfg.tracker))


def sweep(queue: Sequence[Job], tracker: Tracker) -> None:
    """Run jobs, with everything around the graph."""
    failed = runner.run(queue, tracker, "benchmark")
    assert not failed, failed


def composed(whole: Sequence[str], each: Sequence[Sequence[str]]) -> list[composer.Plan]:
    """The configs of a sweep's jobs, as its launcher has them composed."""
    with initialize_config_dir(config_dir=str(names.CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        of_sweep = composer.SweepComposer(
            loader, loader.load_configuration("config", list(whole), RunMode.MULTIRUN)
        )
        return [of_sweep.plan([*whole, *own], number) for number, own in enumerate(each)]
