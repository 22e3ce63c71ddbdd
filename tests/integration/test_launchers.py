"""Laws of the engines that are not ours: the same sweep in other processes, with the same results.

Real sweeps on real engines. No machine but this one is asked for anything.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.processes import TINY, entry_of, kill_group, newest, pixels, runs_of, same, states, statuses

from deepvis.results import result_folder
from deepvis.sweeps import process_locks

pytestmark = pytest.mark.slow

SCRIPT = str(Path(sys.executable).with_name("deepvis"))
SWEPT = ["reg.decay=0.7,0.9", "reg.blur=0,3"]
ENGINES = {
    "joblib": ["hydra.launcher.n_jobs=4"],
    "submitit_local": ["hydra.launcher.timeout_min=5"],
    "ray": ["+hydra.launcher.ray.init.num_cpus=2"],
}


# Long enough to be killed in the middle: a snapshot of every job after each step.
LONG = [*TINY, "steps=60", "snapshot_every=1", *SWEPT, "seed=0,1"]
TWO_WORKERS = ENGINES | {"joblib": ["hydra.launcher.n_jobs=2"]}


def needs(engine: str) -> None:
    plugin = f"hydra_plugins.hydra_{engine.partition('_')[0]}_launcher"
    if find_spec(plugin) is None:
        pytest.skip(f"{plugin} is not installed: pip install deepvis[{engine.partition('_')[0]}]")


def start_in(folder: Path, *typed: str) -> subprocess.Popen:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DEEPVIS", "HYDRA", "TF_", "MLFLOW"))}
    # No network: whoever asks for a proxy or a name is told at once.
    kept |= {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    kept |= {"NO_PROXY": f"127.0.0.1,localhost,{socket.gethostname()}"}
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [SCRIPT, "-m", *typed], cwd=folder, env=kept, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def ended(process: subprocess.Popen) -> subprocess.CompletedProcess:
    try:
        out, err = process.communicate(timeout=240)
    finally:
        kill_group(process)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def run_in(folder: Path, *typed: str) -> subprocess.CompletedProcess:
    return ended(start_in(folder, *typed))


def children_of(word: str) -> list[str]:
    """Command lines of the processes that have this word in them or in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            line = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
        except OSError:
            continue
        if word.encode() in line and place.name != str(os.getpid()):
            found.append((place / "cmdline").read_text().replace("\0", " "))
    return found


@pytest.fixture(scope="module")
def packed(forker, tmp_path_factory):
    """What the packed launcher makes of the same sweep."""
    cwd = tmp_path_factory.mktemp("packed")
    assert forker.run(cwd, "-m", *TINY, "tracker=none", *SWEPT).code == 0
    return pixels(newest(cwd))


@pytest.mark.parametrize("engine", ENGINES)
def test_another_engine_makes_the_store_once_loses_nothing_and_gives_the_same(engine, packed, tmp_path):
    """Into a store that does not exist yet, which four processes must not make at once."""
    needs(engine)
    said = run_in(tmp_path, *TINY, *SWEPT, f"hydra/launcher={engine}", *ENGINES[engine])
    assert (said.returncode, said.stderr) == (0, "")
    folder = newest(tmp_path)
    assert f"pictures  outputs/{folder.name}" in said.stdout
    assert set(states(folder).values()) == {"FINISHED"}
    assert statuses(tmp_path, folder.name) == sorted((name, "FINISHED") for name in states(folder))
    same(pixels(folder), packed)
    keys = {job["folder"]: job["key"] for job in entry_of(folder)["jobs"]}
    assert {p.parent.name: result_folder.read(p).key for p in result_folder.finished(folder)} == keys
    # Several processes of the engine ran them.
    assert len({run.data.tags["pid"] for run in runs_of(tmp_path, folder.name)}) >= 2
    # Nothing is left running: a cluster that was started for this sweep ends with it.
    deadline = time.monotonic() + 20
    while children_of(folder.name) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert children_of(folder.name) == []
    # A worker may outlive the summary by a moment, and its lock with it; nobody is taken to be alive now.
    assert not [p.name for p in (folder / ".alive").glob("*") if process_locks.holds(folder, p.name)]


@pytest.fixture(scope="module")
def long(forker, tmp_path_factory):
    """What the packed launcher makes of the longer sweep."""
    cwd = tmp_path_factory.mktemp("long")
    assert forker.run(cwd, "-m", *LONG, "tracker=none").code == 0
    return pixels(newest(cwd))


def worker_at_work(cwd: Path, main: int) -> int | None:
    """A process of the sweep other than the first, once a job of one has begun."""
    tokens = [path.name for path in cwd.glob("outputs/*/.alive/*")]
    pids = [int(token.split("-")[-2]) for token in tokens if not token.startswith(".")]
    others = [pid for pid in pids if pid != main]
    return others[0] if others and list(cwd.glob("outputs/*/*/live.png")) else None


@pytest.mark.parametrize("engine", ENGINES)
def test_the_jobs_of_a_worker_that_is_killed_are_run_again(engine, long, tmp_path):
    needs(engine)
    process = start_in(tmp_path, *LONG, f"hydra/launcher={engine}", *TWO_WORKERS[engine])
    try:
        deadline = time.monotonic() + 120
        while (worker := worker_at_work(tmp_path, process.pid)) is None:
            assert process.poll() is None, process.communicate(timeout=30)
            assert time.monotonic() < deadline, "no worker is at work after 120 s"
            time.sleep(0.05)
        os.kill(worker, signal.SIGKILL)
        said = ended(process)
    finally:
        kill_group(process)
    assert said.returncode == 0, said
    assert engine == "ray" or "a worker was lost" in said.stderr  # Ray starts the task again by itself
    folder = newest(tmp_path)
    assert set(states(folder).values()) == {"FINISHED"} and len(states(folder)) == 8
    assert statuses(tmp_path, folder.name) == sorted((name, "FINISHED") for name in states(folder))
    same(pixels(folder), long)
    assert not list(folder.glob(".round*"))


@pytest.mark.parametrize("engine", ["joblib"])
def test_a_job_that_fails_in_another_process_is_listed_and_goes_into_the_exit_code(engine, forker, tmp_path):
    needs(engine)
    typed = [*TINY, "optimizer=sgd", "optimizer.learning_rate=100,3e38,50,2e38"]
    said = run_in(tmp_path, *typed, f"hydra/launcher={engine}", *ENGINES[engine])
    assert said.returncode == 1
    folder = newest(tmp_path)
    listed = [line for line in said.stdout.splitlines() if line.startswith("FAILED")]
    broken = [name for name, state in states(folder).items() if state == "FAILED"]
    assert len(broken) == len(listed) == 2
    for name in broken:
        assert any(name in line and "not finite: f000 at step" in line for line in listed)
    assert (
        sorted(status for _, status in statuses(tmp_path, folder.name)) == ["FAILED"] * 2 + ["FINISHED"] * 2
    )
    alone = tmp_path / "alone"
    assert forker.run(alone, "-m", *typed, "tracker=none").code == 1
    same(pixels(folder), pixels(newest(alone)))
