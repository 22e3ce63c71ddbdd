"""Real command lines in forked processes, and what their sweeps leave.

The processes are forked from one that has imported TensorFlow and MLflow and done nothing with them, so a
sweep costs two seconds and not ten; a case may change the product in its own process before it begins, to
break what cannot be broken from outside. No wait is without an end, and nothing that was started outlives
its test: a process is killed with its group.
"""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from deepvis.results import manifest, result_folder
from deepvis.tracking import mlflow

TINY = ["model=tiny", "layer=block2_conv1", "layer.filters=0-1", "size=16", "steps=2", "precision=float32"]
QUIET = [*TINY, "tracker=none"]

LONGEST = 150  # seconds for one process of deepvis
# TensorFlow is imported when it is first used: each process would do it for itself, in seconds.
WARM = """
import mlflow.tracking, mlflow.store.tracking.sqlalchemy_store, mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.artifact.local_artifact_repo, matplotlib.backends.backend_svg
import deepvis.sweeps.runner, deepvis.sweeps.finalize, deepvis.report.page, deepvis.report.figures
from hydra.core.plugins import Plugins
from deepvis.networks import backend
Plugins.instance()
backend.load()
"""
FORKER = """
import json, os, sys
from deepvis import run

print("ready", flush=True)
for line in sys.stdin:
    ask = json.loads(line)
    if "wait" in ask:
        print(os.waitstatus_to_exitcode(os.waitpid(ask["wait"], 0)[1]), flush=True)
        continue
    pid = os.fork()
    if pid == 0:
        os.setsid()  # as from a shell: a Ctrl-C meant for the tests is not meant for it
        os.chdir(ask["cwd"])
        for fd, name in ((0, os.devnull), (1, ask["out"]), (2, ask["err"])):
            os.dup2(os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC), fd)
        sys.argv = ["deepvis", *ask["argv"]]
        code = 99
        try:
            exec(ask["change"], {})
            run.main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            sys.stdout.flush()
            os._exit(code if isinstance(code, int) else 1)
    print(pid, flush=True)
"""


@dataclass(frozen=True)
class Said:
    """What a process said."""

    code: int
    out: str
    err: str


def environment() -> dict[str, str]:
    """This one, without what another deepvis or pytest would have left in it."""
    names = ("DEEPVIS", "HYDRA", "TF_", "MLFLOW")
    return {k: v for k, v in os.environ.items() if not k.startswith(names)}


class Forker:
    """Starts processes of deepvis that need not import again what one of them has imported."""

    def __init__(self, logs: Path, setup: str = WARM, env: dict[str, str] | None = None) -> None:
        self.logs, self.count = logs, 0
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"{setup}\n{FORKER}"], text=True, env=env or environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(logs / "forker").open("w"),
        )  # fmt: skip
        self._heard = line_of(self.process, LONGEST).strip()
        assert self._heard == "ready", (logs / "forker").read_text()

    def _ask(self, **what) -> int:
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        answer = line_of(self.process)
        assert answer, f"{what}: no answer; {(self.logs / 'forker').read_text()[-2000:]}"
        return int(answer)

    def start(self, cwd: Path, *typed: str, change: str = "") -> "Started":
        self.count += 1
        out, err = (self.logs / f"{self.count}.{name}" for name in ("out", "err"))
        out.write_text("")
        cwd.mkdir(parents=True, exist_ok=True)
        pid = self._ask(cwd=str(cwd), argv=typed, out=str(out), err=str(err), change=change)
        _running[pid] = Started(self, pid, out, err)
        return _running[pid]

    def run(self, cwd: Path, *typed: str, change: str = "") -> Said:
        return self.start(cwd, *typed, change=change).wait()

    def wait(self, pid: int) -> int:
        """How a process ended that has ended; what it started and left is killed."""
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        _running.pop(pid, None)
        return self._ask(wait=pid)

    def close(self) -> None:
        with suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()


@dataclass(frozen=True)
class Started:
    """A process that runs."""

    forker: Forker
    pid: int
    out: Path
    err: Path

    def wait(self, seconds: float = LONGEST) -> Said:
        """To its end; a process that does not end is killed, and what it said is told."""
        opened = os.pidfd_open(self.pid)
        try:
            ended = bool(select.select([opened], [], [], seconds)[0])
        finally:
            os.close(opened)
        if not ended:
            os.kill(self.pid, signal.SIGKILL)
        code = self.forker.wait(self.pid)
        said = Said(code, self.out.read_text(), self.err.read_text())
        if not ended:
            pytest.fail(f"it did not end in {seconds:g} s: {said}")
        return said

    def until(self, ready, seconds: float = 60) -> None:
        """Returns once `ready()` is true; kills a process that does not come so far."""
        deadline = time.monotonic() + seconds
        while not ready():
            over = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
            if over or time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                pytest.fail(f"it did not come so far in {seconds:g} s: {self.wait()}")
            time.sleep(0.005)


_running: dict[int, Started] = {}  # of all forkers


def end_running() -> None:
    """Kill what a test has started and, because it failed, not waited for."""
    for pid, started in list(_running.items()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        started.forker.wait(pid)


def line_of(process: subprocess.Popen, seconds: float = 60) -> str:
    """The next line that a process says; of one that says none it is killed, and the line is empty."""
    late = threading.Timer(seconds, process.kill)
    late.start()
    try:
        return process.stdout.readline()
    finally:
        late.cancel()


@contextmanager
def group(command: list[str], **more) -> Iterator[subprocess.Popen]:
    """A process that is killed at the end with all that it started, also after a failure."""
    process = subprocess.Popen(command, start_new_session=True, **more)
    try:
        yield process
    finally:
        kill_group(process)


def kill_group(process: subprocess.Popen) -> None:
    """Kill a process that leads a group, and the group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def newest(cwd: Path) -> Path:
    """The folder of the sweep that was started last."""
    return max((cwd / "outputs").iterdir(), key=lambda path: (path.stat().st_ctime_ns, path.name))


def entry_of(folder: Path) -> dict:
    return json.loads((folder / manifest.FILE).read_text())


def states(folder: Path) -> dict[str, str]:
    return {job["name"]: job["state"] for job in entry_of(folder)["jobs"]}


def pixels(folder: Path) -> dict[str, dict[str, bytes]]:
    """All that a sweep computed, to the last bit: key of a job -> what -> bytes."""
    found = {}
    for place in result_folder.finished(folder):
        read = result_folder.read(place)
        kept = {str(p.relative_to(place)): p.read_bytes() for p in sorted(place.rglob("*.png"))}
        kept |= {f"history.{name}": values.tobytes() for name, values in read.history.items()}
        assert kept.keys() > {"gallery.png", "best.png", "history.score"}
        found[read.key] = kept
    return found


def same(ours: dict, theirs: dict) -> None:
    """Equal, and a difference is named and not printed."""
    assert ours.keys() == theirs.keys()
    wrong = [
        (job, what)
        for job, kept in ours.items()
        for what in kept.keys() | theirs[job].keys()
        if kept.get(what) != theirs[job].get(what)
    ]
    assert wrong == []


def store_of(cwd: Path) -> mlflow.Mlflow:
    return mlflow.mlflow(f"sqlite:///{cwd}/mlruns/mlflow.db", f"{cwd}/mlruns/artifacts", "deepvis")


def runs_of(cwd: Path, sweep: str, kind: str = "job") -> list:
    store = store_of(cwd)
    return list_runs(store, sweep, kind)


def list_runs(store: mlflow.Mlflow, sweep: str, kind: str = "job") -> list:
    """The runs of a sweep in a store, as MLflow's own client finds them."""
    where = f"tags.sweep = '{sweep}' and tags.kind = '{kind}'"
    return list(store.client.search_runs([store.experiment_id], where, max_results=1000))


def statuses(cwd: Path, sweep: str) -> list[tuple[str, str]]:
    """Every run that a sweep has: (job's name, how it ended)."""
    return sorted((run.info.run_name, run.info.status) for run in runs_of(cwd, sweep))


def words_of(command: str) -> list[str]:
    """What a shell makes of a command that was copied into it."""
    done = subprocess.run(
        ["bash", "-c", f'printf "%s\\0" {command}'], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split("\0")[:-1]


def advised(said: Said) -> list[str]:
    """The arguments of the one command that goes on with the sweep."""
    (line,) = [line for line in said.out.splitlines() if "resume=" in line]
    words = words_of(line[line.index("deepvis") :])
    assert words[0] == "deepvis"
    return words[1:]
