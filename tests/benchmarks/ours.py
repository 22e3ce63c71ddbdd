"""deepvis, as the benchmarks use it: the one module here that knows it."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from conftest import config_of
from hydra._internal.utils import create_config_search_path
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from hydra.utils import instantiate

from deepvis import composer, graph, harness, jobs, units
from deepvis.climbers import Look
from deepvis.jobs import Job, Pack
from deepvis.tracker import Tracker


def command(*overrides: str) -> list[str]:
    """What a person types."""
    return [sys.executable, "-m", "deepvis.run", *overrides]


def job(folder: Path, *overrides: str) -> Job:
    """What becomes of it."""
    return made(composer.Plan(config_of(*overrides), overrides, folder))


def made(plan: composer.Plan) -> Job:
    """A composed job, and its folder."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    return jobs.make(*plan)


def pack(queue: Sequence[Job]) -> Pack:
    """The one pack of jobs that differ in numbers only."""
    (only,) = jobs.packs(queue)
    return only


def climb(whole: Pack) -> Iterator[Look]:
    """The graph alone: starts, steps, and what the host sees of them."""
    made = graph.compiled(whole.skeleton, whole.active)
    for batch in whole.batches:
        images = [jobs.climber(whole, row) for row in batch]
        starts = np.stack([graph.start(each, made.network.mean) for each in images])
        total = max(each.cfg["steps"] for each in images)
        yield from graph.ascend(made, images, starts, len(whole.batches[0]), total)


def traces(packs: Sequence[Pack]) -> int:
    """How often the graphs of these packs have been traced so far."""
    graphs = {graph.compiled(each.skeleton, each.active).ascent.advance for each in packs}
    return sum(advance.experimental_get_tracing_count() for advance in graphs)


def tracker(folder: Path) -> Tracker:
    """A new MLflow store."""
    place = (f"tracker.uri=sqlite:///{folder}/mlflow.db", f"tracker.artifacts={folder}/artifacts")
    return instantiate(config_of(*place).tracker)


def sweep(queue: Sequence[Job], told: Tracker) -> None:
    """Run jobs, with everything around the graph."""
    lost = harness.run(queue, told, "benchmark")
    assert not lost, lost


def compose(whole: Sequence[str], each: Sequence[Sequence[str]]) -> list[composer.Plan]:
    """The configs of a sweep's jobs, as its launcher has them composed."""
    setup_globals()
    loader = composer.Composer(create_config_search_path(str(units.CONF)))
    master = loader.load_configuration("config", list(whole), RunMode.MULTIRUN)
    return [composer.plan(loader, master, [*whole, *own], number) for number, own in enumerate(each)]
