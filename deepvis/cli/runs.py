"""Runs: Hydra's task, and what comes before and after the jobs of one command line.

Apart from `main`, for ``--help`` and ``--cfg job`` do without what it imports.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from deepvis.cli import hydra_plugins, messages, resume
from deepvis.config import compose
from deepvis.config.compose import Plan
from deepvis.core import names, terminal
from deepvis.core.errors import ReportedError
from deepvis.results import manifest, result_folder
from deepvis.sweeps import finalize, launcher, nothing_left, preflight, process_locks


def job(cfg: DictConfig) -> float | list[float]:
    """Hydra's task: one job, where a launcher hands jobs out one by one."""
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    terminal.take(folder / "deepvis.log")
    one = preflight.job_of(Plan(compose.plain_mapping(cfg), list(hydra_config.overrides.task), folder))
    if launcher.run([one], manifest.of_job(folder)):
        raise ReportedError(one.name)
    return result_folder.value(folder / "result", one.cfg.objective_value)


def start(typed: Sequence[str]) -> None:
    """Run the jobs of the command line, which Hydra reads by itself."""
    for name in ("DEEPVIS_SWEPT", "DEEPVIS_FOLDER", "DEEPVIS_DRAWN"):  # of a sweep that started this process
        os.environ.pop(name, None)
    sweep = resume.sought(typed)
    if sweep and resume.adds_nothing(sweep, typed) and nothing_left.is_finished(sweep.folder, sweep.entry):
        terminal.say(f"nothing left to do: all jobs of the sweep {sweep.id} are finished and logged")
        terminal.say(f"pictures  {sweep.folder}")
        process_locks.tidy(sweep.folder)  # it may have been killed between its last file and its end
        return
    os.environ["DEEPVIS_SWEEP"] = sweep.id if sweep else names.new_id()
    hydra_plugins.register()
    hydra.main(version_base="1.3", config_path=str(names.CONF), config_name="config")(job)()
    os.environ["DEEPVIS_DRAWN"] = "1"  # a search has drawn all that it will


def close() -> int:
    """Sum up what was started, however it ended; returns the exit code."""
    if "DEEPVIS_FOLDER" not in os.environ:  # nothing had begun
        return 0
    folder = Path(os.environ["DEEPVIS_FOLDER"])
    try:
        is_drawn = "DEEPVIS_DRAWN" in os.environ
        return 0 if finalize.close(preflight.sweep_id(), folder, preflight.opened(), is_drawn) else 1
    except Exception as err:  # the store is gone, or the disk is full
        terminal.error(f"the sweep could not be summed up: {messages.line(err)}")
        finalize.go_on(manifest.read(folder), folder)
        return 1
    finally:
        process_locks.tidy(folder)
