"""Two hosts, two clocks, two folders: a sweep is the same wherever and whenever it goes on."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import faults
from helpers.processes import TINY, entry_of, newest, pixels, runs_of, same, statuses, store_of

SWEPT = ["-m", *TINY, "reg.decay=0.7,0.8,0.9"]
# In a name space of its own, which is what a container or another node of a cluster looks like from here.
HOST = """
import ctypes, socket
assert ctypes.CDLL(None).unshare(0x04000000) == 0
socket.sethostname("{name}")
"""
ZONE = "import os, time\nos.environ['TZ'] = '{name}'\ntime.tzset()\n"
DIES = """
import os, signal
from deepvis.results import result_folder
real, written = result_folder.write, []
def write(*given):
    written.append(real(*given))
    if len(written) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return written[-1]
result_folder.write = write
"""
HELD = """
import os, time
from deepvis.results import result_folder
real = result_folder.write
def write(*given):
    open("begun", "w").close()
    while not os.path.exists("go"):
        time.sleep(0.01)
    return real(*given)
result_folder.write = write
"""


def can_be_another_host() -> bool:
    code = "import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare(0x04000000) != 0)"
    return subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


elsewhere = pytest.mark.skipif(not can_be_another_host(), reason="no name space of its own is permitted here")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    made = faults.bench(tmp_path_factory.mktemp("bench"))
    yield made
    made.forker.close()


@pytest.fixture(scope="module")
def expected(bench, tmp_path_factory):
    """What the sweep computes where nothing happens to it."""
    cwd = tmp_path_factory.mktemp("expected")
    assert bench.run(cwd, *SWEPT, "tracker=none").code == 0
    return pixels(newest(cwd))


def whole(cwd: Path, expected) -> None:
    (folder,) = (cwd / "outputs").iterdir()
    same(pixels(folder), expected)
    ended = statuses(cwd, folder.name)
    assert sorted(name for name, status in ended if status == "FINISHED") == [
        "decay=0.7", "decay=0.8", "decay=0.9"]  # fmt: skip
    assert "RUNNING" not in {status for _, status in ended}
    assert [run.info.status for run in runs_of(cwd, folder.name, "sweep")] == ["FINISHED"]
    assert {job["state"] for job in entry_of(folder)["jobs"]} == {"FINISHED"}


@elsewhere
def test_a_sweep_that_was_killed_on_one_host_is_resumed_on_another(bench, tmp_path, expected):
    said = bench.run(tmp_path, *SWEPT, change=HOST.format(name="node-1") + DIES)
    assert said.code == -signal.SIGKILL, said
    said = bench.run(tmp_path, *SWEPT, "resume=latest", change=HOST.format(name="node-2"))
    assert (said.code, said.err) == (0, "")
    whole(tmp_path, expected)


@elsewhere
def test_a_sweep_that_runs_on_one_host_is_not_taken_by_another(bench, tmp_path, expected):
    process = bench.start(tmp_path, *SWEPT, change=HOST.format(name="node-1") + HELD)
    process.until((tmp_path / "begun").exists)
    try:
        said = bench.run(tmp_path, *SWEPT, "resume=latest", change=HOST.format(name="node-2"))
        assert said.code == 1 and "another process" in said.err and "node_1" in said.err, said
    finally:
        (tmp_path / "go").touch()
        first = process.wait()
    assert (first.code, first.err) == (0, "")
    whole(tmp_path, expected)


def test_latest_is_the_latest_whatever_the_clocks_say(bench, tmp_path):
    """The first is started where it is tomorrow already, the second where it is still yesterday."""
    tomorrow = ZONE.format(name="Pacific/Kiritimati")
    assert bench.run(tmp_path, *TINY, "tracker=none", "seed=1", change=tomorrow).code == 0
    one = newest(tmp_path)
    said = bench.run(tmp_path, *TINY, "tracker=none", "seed=2", change=ZONE.format(name="Pacific/Pago_Pago"))
    assert said.code == 0
    (two,) = set((tmp_path / "outputs").iterdir()) - {one}
    said = bench.run(tmp_path, *TINY, "tracker=none", "seed=2", "resume=latest", change=tomorrow)
    assert (said.code, said.err) == (0, ""), said
    assert str(two.name) in said.out and one.name not in said.out


def test_a_sweep_that_was_killed_by_one_clock_is_resumed_by_another(bench, tmp_path, expected):
    said = bench.run(tmp_path, *SWEPT, change=ZONE.format(name="Pacific/Kiritimati") + DIES)
    assert said.code == -signal.SIGKILL
    said = bench.run(tmp_path, *SWEPT, "resume=latest", change=ZONE.format(name="Pacific/Pago_Pago"))
    assert (said.code, said.err) == (0, "")
    whole(tmp_path, expected)


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_a_project_in_another_folder_keeps_its_pictures_and_writes_none_in_the_first(how, bench, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    assert bench.run(one, *TINY).code == 0
    first = newest(one)
    shutil.copytree(one, two) if how == "copied" else one.rename(two)
    before = sorted(one.rglob("*")) if how == "copied" else None
    said = bench.run(two, *TINY, "seed=1")
    assert (said.code, said.err) == (0, "")
    assert (sorted(one.rglob("*")) if one.exists() else None) == before
    store = store_of(two)
    for sweep in ((two / "outputs" / first.name), newest(two)):
        (run,) = runs_of(two, sweep.name)
        # By MLflow alone, as its UI does it.
        names = {each.path for each in store.client.list_artifacts(run.info.run_id)}
        assert {"gallery.png", "result.json", "images"} <= names, sweep
        copy = Path(store.client.download_artifacts(run.info.run_id, "gallery.png"))
        assert copy.read_bytes() == next(sweep.glob("**/result/gallery.png")).read_bytes()
        images = [each.path for each in store.client.list_artifacts(run.info.run_id, "images")]
        assert sum(name.endswith(".png") for name in images) >= 4


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_a_killed_sweep_is_resumed_in_another_folder(how, bench, tmp_path, expected):
    one, two = tmp_path / "one", tmp_path / "two"
    assert bench.run(one, *SWEPT, change=DIES).code == -signal.SIGKILL
    shutil.copytree(one, two) if how == "copied" else one.rename(two)
    before = sorted(one.rglob("*")) if how == "copied" else None
    said = bench.run(two, *SWEPT, "resume=latest")
    assert (said.code, said.err) == (0, "")
    assert (sorted(one.rglob("*")) if one.exists() else None) == before
    whole(two, expected)
    if how == "copied":  # and the first goes on by itself
        assert bench.run(one, *SWEPT, "resume=latest").code == 0
        whole(one, expected)
