"""The launcher of a sweep that job_groups its jobs. Here because Hydra looks for launchers nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class PackedLauncherConf:
    _target_: str = "hydra_plugins.deepvis_packed_launcher.PackedLauncher"


ConfigStore.instance().store("packed", PackedLauncherConf, "hydra/launcher", provider="deepvis")


class PackedLauncher(Launcher):
    """All jobs of a sweep in one process, those with a common static_config in one graph."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.loader, self.config = hydra_context.config_loader, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from deepvis.sweeps import launcher

        return launcher.launch(self.loader, self.config, job_overrides, initial_job_idx)
