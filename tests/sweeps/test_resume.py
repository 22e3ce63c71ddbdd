"""Laws of resume: what is finished is not run again, what was lost is, and a live process is left alone.

See test_packed.py for how the processes of deepvis are started here.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.processes import (
    TINY,
    entry_of,
    kill_group,
    list_runs,
    newest,
    pixels,
    runs_of,
    same,
    states,
    statuses,
    store_of,
)  # fmt: skip
from PIL import Image

from deepvis.metrics import convergence
from deepvis.results import manifest, result_folder
from deepvis.tracking import mlflow

SWEPT = ["reg.decay=0.7,0.8,0.9", "seed=0,1"]
# Dies in the middle of the third batch, as by a power cut: nothing is told to anybody.
DIES = """
import os, signal
from deepvis.ascent import program
from deepvis.sweeps import runner
runner.MOST_PENDING = 0  # what is done is reported before the next chunk
real_dying, begun = program.snapshots, []
def ascend(*given):
    begun.append(given)
    for look in real_dying(*given):
        if len(begun) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        yield look
program.snapshots = ascend
"""
# Whoever computes leaves a trace in the file `computed`, one line an image.
TELLS = """
from deepvis.ascent import program
from deepvis.sweeps import jobs
real_ascend, real_climber, folders = program.snapshots, jobs.image_spec, {}
def image_spec(pack, row):
    folders[id(pack.jobs[row.job].cfg)] = pack.jobs[row.job].folder.name
    return real_climber(pack, row)
jobs.image_spec = image_spec
def ascend(made, images, *given):
    with open("computed", "a") as file:
        for each in images:
            print(folders[id(each.cfg)], each.index, file=file)
    return real_ascend(made, images, *given)
program.snapshots = ascend
"""
IS_KILLED = -signal.SIGKILL


def dead(forker, cwd):
    """Six jobs in three batches; the process died in the third."""
    typed = ["-m", *TINY, *SWEPT, "batch_size=4", "snapshot_every=5"]
    said = forker.run(cwd, *typed, change=DIES)
    assert said.code == IS_KILLED
    folder = newest(cwd)
    assert len(result_folder.finished(folder)) == 4  # however many of them were logged
    return typed, folder


@pytest.fixture
def died(forker, tmp_path):
    return dead(forker, tmp_path)


@pytest.fixture(scope="module")
def untouched(forker, tmp_path_factory):
    """The same, for those who are refused and hence change nothing."""
    cwd = tmp_path_factory.mktemp("died")
    return cwd, *dead(forker, cwd)


def ended(cwd, folder):
    return {run.info.run_id: (run.info.status, run.info.end_time) for run in runs_of(cwd, folder.name)}


def whole(cwd: Path, folder: Path, uri: str = "") -> None:
    """A sweep that is done: every job finished once, nothing open, nothing half, all of it in the store."""
    assert set(states(folder).values()) == {"FINISHED"}
    store = mlflow.mlflow(uri, "", "deepvis") if uri else store_of(cwd)
    finished = list_runs(store, folder.name)
    assert {run.info.status for run in finished} == {"FINISHED"}
    assert [run.info.status for run in list_runs(store, folder.name, "sweep")] == ["FINISHED"]
    assert sorted(run.data.tags["job"] for run in finished) == sorted(
        job["folder"] for job in entry_of(folder)["jobs"]
    )
    assert (folder / "summary.csv").exists() and (folder / "contact.png").exists()
    for run in finished:
        complete(store.client, run, folder / run.data.tags["job"] / "result")
    halves = [p for p in folder.rglob("*") if p.name.startswith(".") and p.name != ".hydra"]
    assert halves == []


def complete(client, run, place: Path) -> None:
    """All metrics and all images of a result folder are in the store."""
    result = result_folder.read(place)
    steps = len(result.history["score"]) - 1
    wanted = {(k, steps): v for k, v in result.figures.items() if np.isfinite(v)}
    for name, curve in convergence.curves(result.history).items():
        wanted |= {(name, t): float(v) for t, v in enumerate(curve) if np.isfinite(v)}
    seen = [(m.key, m.step, m.value) for key in run.data.metrics
            for m in client.get_metric_history(run.info.run_id, key)]  # fmt: skip
    assert len(seen) == len(wanted)  # none twice
    assert {(key, step): value for key, step, value in seen} == pytest.approx(wanted)
    folder = Path(client.download_artifacts(run.info.run_id, ""))
    logged = {}
    for path in folder.glob("images/*.png"):
        key, _, step, _ = path.name.split("+", 3)
        assert (key, int(step)) not in logged, "an image is logged twice"
        with Image.open(path) as picture:
            logged[key, int(step)] = np.asarray(picture)
    wanted = {(f"final~{path.stem}", steps): path for path in place.glob("filters/*.png")}
    for path in place.glob("progress/*/*.png"):
        wanted[f"progress~{path.stem}", int(path.parent.name.removeprefix("step_"))] = path
    assert logged.keys() == wanted.keys() and len(logged) >= 2 * len(result.filters)
    for each, path in wanted.items():
        with Image.open(path) as picture:
            np.testing.assert_array_equal(logged[each], np.asarray(picture), err_msg=str(path))
    for path in ("history.npz", "gallery.png", "best.png", "config.yaml", "result.json"):
        assert (folder / path).read_bytes() == (place / path).read_bytes()


@pytest.mark.parametrize("word", ["latest", "id"])
def test_what_is_finished_is_skipped_and_the_rest_run_once(word, died, forker, tmp_path):
    typed, folder = died
    before = ended(tmp_path, folder)
    kept = {p: p.stat().st_mtime_ns for p in folder.glob("*/result/**/*")}
    resume = f"resume={'latest' if word == 'latest' else folder.name}"
    said = forker.run(tmp_path, *typed, resume, change=TELLS)
    assert (said.code, said.err) == (0, "")
    lost = [job["folder"] for job in entry_of(folder)["jobs"][4:]]
    computed = (tmp_path / "computed").read_text().splitlines()
    assert sorted(computed) == sorted(f"{job} {index}" for job in lost for index in (0, 1))
    after = ended(tmp_path, folder)
    logged = {run: ended for run, ended in before.items() if ended[0] == "FINISHED"}
    assert after | logged == after  # they are as they were, to the millisecond
    assert after.keys() >= before.keys()  # one that was not whole is the same run
    assert Counter(status for status, _ in after.values()) == {"FINISHED": 6}
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    whole(tmp_path, folder)
    fresh = tmp_path / "fresh"
    assert forker.run(fresh, *typed, "tracker=none").code == 0
    same(pixels(folder), pixels(newest(fresh)))


def test_a_sweep_that_is_done_is_resumed_without_computing_or_logging_anything(forker, tmp_path):
    typed = ["-m", *TINY, *SWEPT]
    assert forker.run(tmp_path, *typed).code == 0
    folder = newest(tmp_path)
    before = ended(tmp_path, folder)
    said = forker.run(tmp_path, *typed, "resume=latest", change=TELLS)
    assert (said.code, said.err) == (0, "")
    assert not (tmp_path / "computed").exists()
    assert ended(tmp_path, folder) == before
    assert len(runs_of(tmp_path, folder.name, "sweep")) == 1


def test_a_job_that_failed_is_run_again(forker, tmp_path):
    typed = ["-m", *TINY, *SWEPT]
    change = """
from deepvis.ascent import program
real = program.start
def start(image_spec, mean):
    if image_spec.cfg.reg.decay == 0.8:
        raise RuntimeError("not today")
    return real(image_spec, mean)
program.start = start
"""
    assert forker.run(tmp_path, *typed, change=change).code == 1
    folder = newest(tmp_path)
    assert forker.run(tmp_path, *typed, "resume=latest", change=TELLS).code == 0
    assert {line.split()[0] for line in (tmp_path / "computed").read_text().splitlines()} == {
        job["folder"] for job in entry_of(folder)["jobs"] if "decay=0.8" in job["name"]
    }
    assert Counter(s for _, s in statuses(tmp_path, folder.name)) == {"FINISHED": 6}


def test_a_job_that_went_non_finite_is_not_logged_twice(forker, tmp_path):
    """Its results are whole and in the store, and computing it again would give the same."""
    typed = ["-m", *TINY, "optimizer=sgd", "optimizer.learning_rate=100,3e38"]
    assert forker.run(tmp_path, *typed).code == 1
    folder = newest(tmp_path)
    before = ended(tmp_path, folder)
    said = forker.run(tmp_path, *typed, "resume=latest", change=TELLS)
    assert said.code == 1 and "not finite" in said.out
    assert ended(tmp_path, folder) == before


def test_resuming_by_another_launcher_gives_the_same(died, forker, tmp_path):
    typed, folder = died
    said = forker.run(tmp_path, *typed, "resume=latest", "hydra/launcher=basic")
    assert (said.code, said.err) == (0, "")
    whole(tmp_path, folder)
    fresh = tmp_path / "fresh"
    assert forker.run(fresh, *typed, "tracker=none").code == 0
    same(pixels(folder), pixels(newest(fresh)))


# --- refused -----------------------------------------------------------------------------------------


def refused(said, words):
    assert said.code == 1 and said.out == ""
    assert said.err.count("\n") == 1 and said.err.startswith("deepvis: "), said.err
    for word in words:
        assert word in said.err, (word, said.err)


CHANGED = {
    "steps": (["steps=5"], "", ["steps=2", "steps=5"]),
    "a number of reg": (["reg.norm_percentile=10"], "", ["reg.norm_percentile=10"]),
    "the values of a sweep": (["seed=0,2"], "", ["seed=0,1", "seed=0,2"]),
    "fewer jobs": (["seed=0"], "", ["seed=0,1"]),
    "version": (
        [],
        "from deepvis.results import manifest; manifest.__version__ = '9.9.9'",
        ["deepvis 0.", "9.9.9"],
    ),
    "tensorflow": (
        [],
        "from deepvis.results import manifest; real = manifest.installed\n"
        "manifest.installed = lambda name: '9.8.7' if name == 'tensorflow' else real(name)",
        ["tensorflow 2.", "9.8.7"],
    ),
    "weights": (["model.weights.seed=1"], "", ["weights"]),
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_sweep_that_would_not_be_the_same_is_refused_and_the_difference_named(what, untouched, forker):
    cwd, typed, folder = untouched
    more, change, words = CHANGED[what]
    keys = [each.partition("=")[0] for each in more]
    typed = [each for each in typed if each.partition("=")[0] not in keys] + more
    before, entry = ended(cwd, folder), (folder / manifest.FILE).read_bytes()
    refused(forker.run(cwd, *typed, "resume=latest", change=change + "\n"), [folder.name, *words])
    # Not even its dead runs are touched: whoever is refused has changed nothing.
    assert ended(cwd, folder) == before
    assert (folder / manifest.FILE).read_bytes() == entry


def test_an_unknown_sweep_and_none_at_all_are_refused(forker, tmp_path):
    for word in ("latest", "20260101-000000-abcd"):
        refused(forker.run(tmp_path, "-m", *TINY, *SWEPT, f"resume={word}"), [f"resume={word}", "none"])
        assert list(tmp_path.iterdir()) == []
    assert forker.run(tmp_path, "-m", *TINY, "tracker=none", "seed=0").code == 0
    folder = newest(tmp_path)
    said = forker.run(tmp_path, "-m", *TINY, *SWEPT, "resume=20260101-000000-abcd")
    refused(said, ["resume=20260101-000000-abcd", folder.name])
    assert list((tmp_path / "outputs").iterdir()) == [folder]


# --- a process that lives ----------------------------------------------------------------------------


def test_a_process_that_lives_keeps_its_jobs_and_nothing_is_run_twice(forker, tmp_path):
    """The first of three batches is held up while another process resumes the sweep."""
    typed = ["-m", *TINY, *SWEPT, "batch_size=4", "snapshot_every=1"]
    change = """
import os, time
from deepvis.ascent import program
real_held = program.snapshots
def ascend(*given):
    for look in real_held(*given):
        yield look
        open("begun", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.01)
program.snapshots = ascend
"""
    process = forker.start(tmp_path, *typed, change=TELLS + change)
    process.until((tmp_path / "begun").exists)
    folder = newest(tmp_path)
    try:
        other = forker.run(tmp_path, *typed, "resume=latest", change=TELLS)
        assert other.code == 1 and "another process" in other.err
    finally:
        (tmp_path / "go").touch()
        said = process.wait()
    assert (said.code, said.err) == (0, "")
    computed = Counter((tmp_path / "computed").read_text().splitlines())
    assert set(computed.values()) == {1}
    assert sorted(status for _, status in statuses(tmp_path, folder.name)) == ["FINISHED"] * 6
    assert forker.run(tmp_path, *typed, "resume=latest").code == 0
    whole(tmp_path, folder)


# --- computed, but not logged ------------------------------------------------------------------------

REFUSES = """
from deepvis.tracking import mlflow
real_log = mlflow.Mlflow.log
def log(self, run):
    if "decay=0.8" in run.job:
        raise ConnectionError("the store said no")
    return real_log(self, run)
mlflow.Mlflow.log = log
"""
COMPUTES_NOT = """
from deepvis.ascent import program
def compiled(*given):
    open("compiled", "w").close()
    raise AssertionError("nothing was to be computed")
program.compiled = compiled
"""


@pytest.mark.parametrize("launcher", ["packed", "basic"])
def test_what_was_computed_and_not_logged_is_kept_reported_and_uploaded_once(launcher, forker, tmp_path):
    typed = ["-m", *TINY, *SWEPT, f"hydra/launcher={launcher}", "tracker.timeout=1"]
    said = forker.run(tmp_path, *typed, change=REFUSES)
    folder = newest(tmp_path)
    assert said.code == 1
    assert set(states(folder).values()) == {"FINISHED"}  # which is what their folders say
    told = said.err.splitlines()[-1]
    for word in ("2 of 6 jobs are not logged", "the store said no", folder.name, "resume="):
        assert word in told
    assert Counter(s for _, s in statuses(tmp_path, folder.name)) == {"FINISHED": 4}
    assert f"resume={folder.name}" in said.out
    computed = pixels(folder)
    kept = {p: p.stat().st_mtime_ns for p in folder.glob("*/result/**/*")}
    # Refused once more, uploaded, and then there is nothing left to do.
    again = forker.run(tmp_path, *typed, "resume=latest", change=REFUSES + COMPUTES_NOT)
    assert again.code == 1 and "2 of 6 jobs are not logged (the store said no)" in again.err
    assert "RUNNING" not in dict(statuses(tmp_path, folder.name)).values()
    for _ in range(2):
        done = forker.run(tmp_path, *typed, "resume=latest", change=COMPUTES_NOT)
        assert (done.code, done.err) == (0, "")
        assert Counter(s for _, s in statuses(tmp_path, folder.name))["FINISHED"] == 6
    assert not (tmp_path / "compiled").exists()
    same(pixels(folder), computed)
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    whole(tmp_path, folder)


# --- the kill tests ----------------------------------------------------------------------------------

LARGE = [
    "-m",
    *TINY,
    "steps=6",
    "snapshot_every=3",
    "reg.decay=0.7,0.8,0.9,1",
    "reg.blur=0,3",
    "seed=0,1,2,3",
]


def test_what_the_kill_tests_take_for_half_written_is_what_a_killed_process_leaves(forker, tmp_path):
    """Killed in the middle of writing a result: it is in the folder, and resuming clears it away."""
    change = """
import os, signal
from deepvis.core import images
real, calls = images.png, []
def png(picture):
    calls.append(0)
    if len(calls) == 5:  # gallery, best, two filters
        os.kill(os.getpid(), signal.SIGKILL)
    return real(picture)
images.png = png
"""
    typed = ["-m", *TINY, "reg.decay=0.7,0.8"]
    assert forker.run(tmp_path, *typed, change=change).code == IS_KILLED
    folder = newest(tmp_path)
    assert list(folder.glob("*/.result.*/gallery.png"))
    assert forker.run(tmp_path, *typed, "resume=latest").code == 0
    whole(tmp_path, folder)


@pytest.mark.slow
def test_a_sweep_killed_at_twenty_random_moments_loses_nothing_and_repeats_nothing(forker, tmp_path):
    """Most of them from the moment when there is work; some while the sweep is taken up again.

    However fast the machine, a process may finish only so many jobs that work is left for all the kills.
    """
    rng = np.random.default_rng(3)
    typed = [*LARGE, "batch_size=8"]
    kills, said = 0, None

    def finished():
        return len(list(tmp_path.glob("outputs/*/*/result")))

    for attempt in range(60):
        resume = ["resume=latest"] if attempt else []
        process = forker.start(tmp_path, *typed, *resume)
        begun = Begun(tmp_path)
        early = attempt and rng.random() < 0.2
        if early:
            time.sleep(rng.uniform(0, 1))
        deadline = time.monotonic() + 120
        while kills < 20 and not early and not begun() and is_running(process):
            assert time.monotonic() < deadline, "a process is not at its jobs after 120 s"
            time.sleep(0.002)
        if kills < 20:
            until = time.monotonic() + rng.uniform(0, 0.35)
            while time.monotonic() < until and finished() < 1.4 * (kills + 1):
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 0.04))
            if is_running(process):
                os.kill(process.pid, signal.SIGKILL)
        said = process.wait()
        kills += said.code == IS_KILLED
        assert said.code in (IS_KILLED, 0), said
        if said.code == 0:
            break
    folder = newest(tmp_path)
    assert (said.code, said.err, len(list((tmp_path / "outputs").iterdir()))) == (0, "", 1)
    print(f"{kills} kills, {Counter(s for _, s in statuses(tmp_path, folder.name))}")
    assert kills == 20
    whole(tmp_path, folder)
    fresh = tmp_path / "fresh"
    assert forker.run(fresh, *typed, "tracker=none").code == 0
    same(pixels(folder), pixels(newest(fresh)))


class Begun:
    """Whether a process that was just started is at its jobs: some live.png or result is newer than it."""

    def __init__(self, cwd: Path) -> None:
        self.cwd, self.since = cwd, time.time_ns()

    def __call__(self) -> bool:
        live = self.cwd.glob("outputs/*/*/live.png")
        return any(path.stat().st_mtime_ns > self.since for path in live)


def is_running(process) -> bool:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


class Server:
    """A real MLflow server that can be killed and started again on the same port and store."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.uri, self.process = folder, f"http://127.0.0.1:{self.port}", None
        folder.mkdir()

    def start(self) -> None:
        port = str(self.port)
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port),
            *("--workers", "1", "--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"),
            *("--serve-artifacts", "--artifacts-destination", str(self.folder / "artifacts")),
        ]
        log = (self.folder / "log").open("a")
        # Its workers are its children: a session of their own, so that kill -9 can reach all of them.
        self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=1) as answer:
                    assert answer.status == 200
                    return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail((self.folder / "log").read_text()[-2000:])
                time.sleep(0.1)

    def kill(self) -> None:
        kill_group(self.process)


@pytest.mark.slow
def test_a_server_killed_and_restarted_in_the_middle_of_a_sweep_loses_nothing(forker, tmp_path):
    """Killed while jobs are logged: their results are kept; restarted, and resume logs them."""
    server = Server(tmp_path / "server")
    cwd = tmp_path / "cwd"
    typed = ["-m", *TINY, "steps=3", "reg.decay=0.7,0.8,0.9,1", "seed=0,1", f"tracker.uri={server.uri}"]
    typed += ["tracker.timeout=1"]
    server.start()
    try:
        process = forker.start(cwd, *typed, "batch_size=4", change=TELLS)
        process.until(lambda: len(list(cwd.glob("outputs/*/*/result"))) >= 3)
        server.kill()
        said = process.wait()
        assert said.code == 1
        folder = newest(cwd)
        # What the server missed was computed all the same, and is told.
        assert set(states(folder).values()) == {"FINISHED"}
        assert "logged (" in said.err and "resume=" in said.err and f"resume={folder.name}" in said.out
        server.start()
        for _ in range(2):  # the second has nothing to do
            done = forker.run(cwd, *typed, "batch_size=4", "resume=latest", change=TELLS)
            assert (done.code, done.err) == (0, "")
        whole(cwd, folder, server.uri)
        computed = Counter((cwd / "computed").read_text().splitlines())
        assert len(computed) == 16 and set(computed.values()) == {1}
    finally:
        server.kill()
    fresh = tmp_path / "fresh"
    assert forker.run(fresh, *typed[:-2], "tracker=none").code == 0
    same(pixels(folder), pixels(newest(fresh)))
