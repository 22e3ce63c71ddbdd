"""deepvis, as the benchmarks use it: the one module here that knows it."""

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from hydra.utils import instantiate

from deepvis.ascent import inputs, program, regularizers, specs
from deepvis.ascent.gradient_ascent import Hyper
from deepvis.ascent.parts import Record, State
from deepvis.ascent.specs import Snapshot
from deepvis.config import compose as composer
from deepvis.config import schema
from deepvis.core import names
from deepvis.sweeps import jobs, runner
from deepvis.sweeps.jobs import Job, JobGroup
from deepvis.tracking.base import Tracker

_sweeps = itertools.count()


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
        images = [jobs.image_spec(whole, row) for row in batch]
        starts = np.stack([program.start(each, using.network.mean) for each in images])
        yield from program.snapshots(using, images, starts, len(whole.batches[0]))


def regularizers_of(whole: JobGroup) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The regularizers of a step of one batch alone: (image, gradient) -> image."""
    using = program.compiled(whole.static_config, whole.enabled)
    images = [jobs.image_spec(whole, row) for row in whole.batches[0]]
    given = inputs.of(using.network, using.layers, images, using.static.size, using.regularizers)
    hyper = inputs.padded(specs.numbers(images) | given, 0)
    combine, mean = using.static.combine, using.network.mean

    @tf.function(autograph=False)
    def call(image, gradient, hyper):
        return regularizers.build(using.regularizers, hyper, combine, mean)(image, gradient, tf.constant(0))

    return lambda image, gradient: call(image, gradient, hyper)


def traces(job_groups: Sequence[JobGroup]) -> int:
    """How often the graphs of these groups have been traced so far."""
    graphs = {program.compiled(each.static_config, each.enabled).ascent.advance for each in job_groups}
    return sum(advance.experimental_get_tracing_count() for advance in graphs)


def new_tracker(folder: Path) -> Tracker:
    """A new MLflow store."""
    place = (f"tracker.uri=sqlite:///{folder}/mlflow.db", f"tracker.artifacts={folder}/artifacts")
    return instantiate(schema.plain(job(folder, *place).cfg.tracker))


def sweep(queue: Sequence[Job], tracker: Tracker) -> None:
    """Run jobs, with everything around the graph; as another sweep each time, of which nothing is logged."""
    failed = runner.run(queue, tracker, f"benchmark-{next(_sweeps)}")
    assert not failed, failed


def composed(whole: Sequence[str], each: Sequence[Sequence[str]]) -> list[composer.Plan]:
    """The configs of a sweep's jobs, as its launcher has them composed."""
    with initialize_config_dir(config_dir=str(names.CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        of_sweep = composer.SweepComposer(
            loader, loader.load_configuration("config", list(whole), RunMode.MULTIRUN)
        )
        return [of_sweep.plan([*whole, *own], number) for number, own in enumerate(each)]


def step_for_xla(whole: JobGroup) -> tuple[program.Program, State, Hyper]:
    """A program that XLA compiles, and what its first step takes of the images of one batch."""
    using = program.compiled(whole.static_config, whole.enabled, xla=True)
    images = [jobs.image_spec(whole, row) for row in whole.batches[0]]
    static = using.static
    given = inputs.of(using.network, using.layers, images, static.size, using.regularizers)
    drawn = inputs.sampled_transforms(images, static.size, 0) if using.is_sampled else {}
    hyper = inputs.padded(specs.numbers(images) | given | drawn, 0)
    first = np.stack([program.start(each, using.network.mean) for each in images])
    return using, using.ascent.begin(tf.constant(first), hyper), hyper


def bare_for_xla(using: program.Program) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """The network alone: (image, filters) -> the mean of each image's map, and its gradient by the image."""
    (layer,) = using.layers

    @tf.function(autograph=False, jit_compile=True)
    def call(image, filters):
        with tf.GradientTape() as tape:
            tape.watch(image)
            means = tf.reduce_mean(using.network.activations(image, [layer])[layer].pre, axis=[1, 2])
            score = tf.gather(means, filters, axis=1, batch_dims=1)
        return score, tape.gradient(score, image)

    return call


def steps_on_processor(whole: JobGroup, state: State, hyper: Hyper, count: int) -> tuple[State, Record]:
    """The state after some steps as TensorFlow takes them without XLA, and the record of the last one."""
    using = program.compiled(whole.static_config, whole.enabled)
    for _ in range(count):
        state, record = using.ascent.advance(state, hyper)
    return state, record
