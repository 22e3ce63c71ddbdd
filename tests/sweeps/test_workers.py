"""How many tasks the launchers get, and which jobs share one."""

import pytest
from helpers.configs import typed_of
from omegaconf import OmegaConf

from deepvis.sweeps import jobs, tasks, workers

TINY = ["model=tiny", "layer=block2_conv1", "layer.filters=0-1", "size=16", "device=cpu"]
LAUNCHERS = {
    "joblib": "joblib_launcher.joblib_launcher.JoblibLauncher",
    "local": "submitit_launcher.submitit_launcher.LocalLauncher",
    "slurm": "submitit_launcher.submitit_launcher.SlurmLauncher",
    "ray": "ray_launcher.ray_launcher.RayLauncher",
}


@pytest.mark.parametrize(
    ("launcher", "options", "expected"),
    [
        ("joblib", {"n_jobs": 4}, 4),
        ("joblib", {"n_jobs": -1}, 8),
        ("joblib", {"n_jobs": -3}, 6),
        ("local", {"mem_gb": None, "cpus_per_task": None}, 5),  # memory: 10 GB, 2 each
        ("local", {"mem_gb": 1, "cpus_per_task": None}, 8),
        ("local", {"mem_gb": 1, "cpus_per_task": 3}, 2),
        ("local", {"mem_gb": 64, "cpus_per_task": 1}, 1),
        ("slurm", {"array_parallelism": 16}, 16),
        ("ray", {"ray": {"init": {"address": None}, "remote": {}}}, 8),
        ("ray", {"ray": {"init": {"num_cpus": 6}, "remote": {"num_cpus": 2}}}, 3),
        ("ray", {"ray": {"init": {"address": "auto"}, "remote": {}}}, None),
    ],
)
def test_a_launcher_gets_as_many_groups_as_it_runs_at_a_time(launcher, options, expected, monkeypatch):
    monkeypatch.setattr(workers, "cores", lambda: 8)
    monkeypatch.setattr(workers, "memory", lambda: 10.5e9)
    assert workers.count({"_target_": f"hydra_plugins.hydra_{LAUNCHERS[launcher]}"} | options) == expected


def test_another_launcher_gets_job_by_job():
    assert workers.count({"_target_": "somebody.Launcher"}) is None


def test_the_memory_of_a_container_bounds_that_of_the_machine(monkeypatch):
    def text(file):
        return {"meminfo": "MemFree: 1 kB\nMemAvailable: 4000000 kB\n", "memory.max": "3000000000\n",
                "memory.current": "500000000\n"}[file.name]  # fmt: skip

    monkeypatch.setattr(workers, "_text", text)
    assert workers.memory() == 2_500_000_000


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_jobs_with_one_static_config_share_a_group_and_groups_are_of_equal_size(count, tmp_path):
    queue = []
    for number, (size, decay) in enumerate((s, d) for d in (0.7, 0.8, 0.9) for s in (16, 24)):
        typed = [*TINY[:3], f"size={size}", TINY[4], f"reg.decay={decay}"]
        queue.append(jobs.make(typed_of(*typed), typed, tmp_path / str(number), "digest"))
    groups = tasks.split(queue, range(6), count)
    assert sorted(i for group in groups for i in group) == list(range(6))
    assert len(groups) == min(count, 6)
    assert {len(group) for group in groups} <= {6 // len(groups), -(-6 // len(groups))}
    if count == 2:
        assert groups == [[0, 2, 4], [1, 3, 5]]
    assert tasks.split(queue, [1, 4], 2) == [[4], [1]]


def test_the_launchers_of_the_table_are_those_that_are_installed():
    for name in LAUNCHERS.values():
        module, _, kind = f"hydra_plugins.hydra_{name}".rpartition(".")
        assert hasattr(pytest.importorskip(module), kind)
    conf = pytest.importorskip("hydra_plugins.hydra_submitit_launcher.config")
    assert {"mem_gb", "cpus_per_task"} <= OmegaConf.structured(conf.LocalQueueConf).keys()
    assert "array_parallelism" in OmegaConf.structured(conf.SlurmQueueConf)
