"""Workers: how many tasks the launchers of Hydra's run at a time, and so into how many a sweep is divided."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MEMORY = 2  # GB that a worker may take, where its launcher is not told: TensorFlow and 16 images of 128 px
PLUGINS = "hydra_plugins.hydra_"


def count(launcher: Mapping[str, Any]) -> int | None:
    """Of a launcher's config; None where that is not known: then each job is a task, as Hydra has it."""
    known = {
        f"{PLUGINS}joblib_launcher.joblib_launcher.JoblibLauncher": _joblib,
        f"{PLUGINS}submitit_launcher.submitit_launcher.LocalLauncher": _submitit_local,
        f"{PLUGINS}submitit_launcher.submitit_launcher.SlurmLauncher": _slurm,
        f"{PLUGINS}ray_launcher.ray_launcher.RayLauncher": _ray,
    }
    rule = known.get(launcher["_target_"])
    return rule(launcher) if rule else None


def _joblib(launcher: Mapping[str, Any]) -> int:
    """Below zero all cores but some, as joblib counts."""
    asked = int(launcher["n_jobs"])
    return asked if asked > 0 else max(1, cores() + 1 + asked)


def _submitit_local(launcher: Mapping[str, Any]) -> int:
    """As many as the cores and the memory of this machine hold: submitit starts all of them at once."""
    by_memory = memory() / ((launcher.get("mem_gb") or MEMORY) * 1e9)
    return max(1, int(min(cores() / (launcher.get("cpus_per_task") or 1), by_memory)))


def _slurm(launcher: Mapping[str, Any]) -> int:
    return int(launcher["array_parallelism"])


def _ray(launcher: Mapping[str, Any]) -> int | None:
    """Of a cluster that is started here; the size of another is not known before Ray asks it."""
    init, remote = launcher["ray"]["init"], launcher["ray"]["remote"]
    if init.get("address"):
        return None
    return max(1, int((init.get("num_cpus") or cores()) / (remote.get("num_cpus") or 1)))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """Bytes of memory that are free or can be freed, of the machine and of the container."""
    bounds = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    lines = _text(Path("/proc/meminfo")).splitlines()
    bounds += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    group = Path("/sys/fs/cgroup")
    if (limit := _text(group / "memory.max").strip()).isdecimal():
        bounds.append(int(limit) - int(_text(group / "memory.current") or 0))
    return min(bounds)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
