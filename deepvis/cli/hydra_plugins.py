"""Hydra's plugins: the sweeper and the launcher of deepvis, and the callback for what neither sees.

Hydra 1.3 instantiates a plugin only if the config names it ``hydra_plugins.<...>``, and looks such a name up
in a dict that its public `Plugins.register` fills under the class's own module. `register` therefore writes
into that dict itself: the one place where deepvis relies on what Hydra does not promise. The classes keep
their own module, so that other processes can unpickle them.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, flag_override, read_write

from deepvis.cli import messages, overrides
from deepvis.config import compose
from deepvis.config.compose import SweepComposer
from deepvis.sweeps import amount, launcher, preflight, search, tasks, workers

MODULE = "hydra_plugins.deepvis"  # what conf/hydra/{launcher,sweeper} name
BASIC = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"  # one job after the other in this process


class PackedLauncher(Launcher):
    """All jobs of a sweep in one process, those with a common static config in one graph."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.task_function = config, task_function
        self.composer = SweepComposer(hydra_context.config_loader, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        numbered = enumerate(job_overrides, start=initial_job_idx)
        plans = [self.composer.plan(overrides, number) for number, overrides in numbered]
        return launcher.launch(plans, Path(self.config.hydra.sweep.dir), initial_job_idx)


class TaskLauncher(Launcher):
    """Another launcher, whose tasks are groups of jobs; jobs of a lost worker are run again."""

    def __init__(self, launcher: DictConfig) -> None:
        self.launcher = launcher  # the config of the other

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.config = hydra_context, config.copy()
        with flag_override(self.config, ["struct", "readonly"], False):
            self.config.hydra.launcher = self.launcher
        self.composer = SweepComposer(hydra_context.config_loader, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        numbered = enumerate(job_overrides, start=initial_job_idx)
        plans = [self.composer.plan(overrides, number) for number, overrides in numbered]
        launch = tasks.Launch(
            SweepComposer(self.context.config_loader, self.config),  # without what this one has composed
            Path(self.config.hydra.sweep.dir).absolute(),
            workers.count(compose.plain_mapping(self.launcher)) or len(plans),
            self._start,
        )
        return launch.launch(plans, job_overrides, initial_job_idx)

    def _start(self, task: tasks.Task, folders: Sequence[Path]) -> Sequence[JobReturn]:
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.context, task_function=task, config=self.config
        )
        sweep = Path(self.config.hydra.sweep.dir).absolute()
        names = [os.path.relpath(folder.absolute(), sweep).replace("'", r"\'") for folder in folders]
        return launcher.launch(
            [[f"hydra.sweep.subdir='{name}'", "hydra.output_subdir=null"] for name in names], 0
        )


class ProductSweeper(Sweeper):
    """Every combination of the values typed; all jobs are checked, then launched in one call."""

    config: DictConfig  # set before `sweep` is called, as the launcher is
    launcher: Launcher

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        self.params = [f"{key}={value}" for key, value in (params or {}).items()]

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.loader = config, hydra_context.config_loader
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Sequence[JobReturn]:
        folder = Path(self.config.hydra.sweep.dir)
        typed = [*self.params, *overrides.checked(arguments)]
        count, first = compose.count(self.loader, typed)
        if count > self.config.max_jobs:
            job = preflight.job_of(SweepComposer(self.loader, self.config).plan(first, 0))
            amount.check_jobs(count, self.config.max_jobs, job, folder.parent)
        expansion = compose.expand(self.loader, typed)
        preflight.name_jobs_by(expansion.swept)
        composer = (
            self.launcher.composer
            if isinstance(self.launcher, PackedLauncher | TaskLauncher)
            else SweepComposer(self.loader, self.config)
        )
        plans = [composer.plan(each, number) for number, each in enumerate(expansion.jobs)]
        preflight.begin(folder, plans, typed_of(self.config), self.config)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        returns = self.launcher.launch(expansion.jobs, initial_job_idx=0)
        for each in returns:
            _ = each.return_value  # raises what the job raised
        return returns


class Preflight(Callback):
    """The checks of a single job and of a search, called before either starts.

    Hydra turns a callback's exception into a warning and goes on; an exit it lets through.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        def planned() -> tuple[Path, Sequence[compose.Plan]]:
            folder = Path(config.hydra.run.dir)
            # A folder that the user chose for one job is the job's and its sweep's in one.
            of_sweep = folder.parent if folder.parent.name == preflight.sweep_id() else folder
            return of_sweep, [compose.planned(config, folder)]

        self._begin(planned, config)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        if config.hydra.launcher._target_ not in (f"{MODULE}.{PackedLauncher.__name__}", BASIC):
            with flag_override(config.hydra, ["struct", "readonly"], False):
                config.hydra.launcher = {
                    "_target_": f"{MODULE}.{TaskLauncher.__name__}", "_recursive_": False,
                    "launcher": config.hydra.launcher,
                }  # fmt: skip
        if config.hydra.sweeper._target_ == f"{MODULE}.{ProductSweeper.__name__}":
            return  # it checks its jobs itself
        sampler = config.hydra.sweeper.get("sampler")
        if OmegaConf.is_dict(sampler) and "seed" in sampler and sampler.seed is None:
            with read_write(sampler):
                sampler.seed = search.seed(preflight.sweep_id())
        params = getattr(config.hydra.sweeper, "params", None) or {}
        fixed = [f"{key}={value}" for key, value in params.items()]
        preflight.name_jobs_by(compose.swept([*fixed, *config.hydra.overrides.task]))
        self._begin(lambda: (Path(config.hydra.sweep.dir), []), config)

    def _begin(self, planned: Callable[[], tuple[Path, Sequence[compose.Plan]]], config: DictConfig) -> None:
        typed = compose.plain_mapping(config.hydra.overrides, resolve=False)["task"]
        try:
            overrides.checked(typed)
            folder, plans = planned()
            search.check_settings(config.hydra.sweeper if not plans else {})
            preflight.begin(folder, plans, typed_of(config), config)
        except Exception as err:
            messages.report(err, typed)
            raise SystemExit(1) from err


def typed_of(config: DictConfig) -> list[str]:
    """Everything that was typed, but ``-m``, which Hydra adds as an override."""
    given = compose.plain_mapping(config.hydra.overrides, resolve=False)
    return given["task"] + [each for each in given["hydra"] if not each.startswith("hydra.mode=")]


def register() -> None:
    """Make Hydra know the plugins, in this process."""
    for plugin in (PackedLauncher, TaskLauncher, ProductSweeper):
        Plugins.instance().class_name_to_class[f"{MODULE}.{plugin.__name__}"] = plugin
