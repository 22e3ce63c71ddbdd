"""An MLflow server with a real PostgreSQL: the recipe of the documentation, run as it is written there.

Several sweeps write to it while server and database are gone for a while.
"""

import os
import re
import shlex
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.postgres import Cluster, free_port, programs
from helpers.processes import TINY, kill_group, newest, states

from deepvis.results import result_folder
from deepvis.tracking import mlflow

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed: apt-get install postgresql"),
    pytest.mark.skipif(find_spec("psycopg2") is None, reason="psycopg2 is not installed: deepvis[server]"),
]
PAGE = Path(__file__).parents[2] / "docs/how-to/tracking-server.md"
WRITERS = 4


def recipe() -> list[list[str]]:
    """The commands of the page's first block, without the installation."""
    block = re.search(r"```bash\n(.*?)```", PAGE.read_text(), re.S)
    assert block
    lines = block[1].replace("\\\n", " ").splitlines()
    found = [words for line in lines if (words := shlex.split(line, comments=True))]
    assert found[0][:2] == ["pip", "install"] and found[-1][:2] == ["mlflow", "server"]
    return found[1:]


@dataclass
class Server:
    """MLflow's server as the page starts it, at another place."""

    cluster: Cluster
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """The page's commands for the database, which its administrator gives."""
        for words in recipe()[:-1]:
            assert words[:3] == ["sudo", "-u", "postgres"], words
            environment = os.environ | self.cluster.environment
            subprocess.run(words[3:], check=True, env=environment, stdout=subprocess.DEVNULL, timeout=60)

    def start(self) -> None:
        here = {"localhost/deepvis": f"localhost:{self.cluster.port}/deepvis", "5000": str(self.port),
                "/srv/deepvis/artifacts": str(self.folder / "artifacts"), "0.0.0.0": "127.0.0.1"}  # fmt: skip
        words = recipe()[-1]
        for said, ours in here.items():
            assert any(said in word for word in words), said
            words = [word.replace(said, ours) for word in words]
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *words, "--workers", "1"], cwd=self.folder, stdout=log, stderr=log,
                start_new_session=True, env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
            )  # fmt: skip
        deadline = time.monotonic() + 240
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                return
            log_so_far = (self.folder / "server.log").read_text()
            assert self.process.poll() is None and time.monotonic() < deadline, log_so_far
            time.sleep(0.2)

    def kill(self) -> None:
        if self.process is not None:
            kill_group(self.process)
            self.process = None


@pytest.fixture
def server(tmp_path) -> Iterator[Server]:
    cluster = Cluster.make()
    served = Server(cluster, tmp_path)
    try:
        cluster.start()
        served.prepare()
        served.start()
        yield served
    finally:
        served.kill()
        cluster.remove()


def test_nothing_is_lost_where_the_server_and_its_database_are_gone_for_a_while(server, forker, tmp_path):
    typed = ["-m", *TINY, "steps=40", "snapshot_every=1", "reg.decay=0.7,0.8,0.9,1.0",
             f"tracker.uri={server.uri}"]  # fmt: skip
    writers = [forker.start(tmp_path / f"writer{n}", *typed, f"seed={n}") for n in range(WRITERS)]
    for n, writer in enumerate(writers):  # each has its store open
        writer.until(lambda n=n: list(tmp_path.glob(f"writer{n}/outputs/*/*/live.png")), 120)
    server.kill()
    server.cluster.stop()
    time.sleep(2)
    server.cluster.start()
    server.start()
    for writer in writers:
        said = writer.wait()
        assert said.code == 0, said

    folders = [newest(tmp_path / f"writer{n}") for n in range(WRITERS)]
    was = runs(server.uri)
    for folder in folders:
        assert list(states(folder).values()) == ["FINISHED"] * 4
        of_sweep = [run for run in was if run.data.tags["sweep"] == folder.name]
        jobs = {run.data.tags["job"]: run for run in of_sweep if run.data.tags["kind"] == "job"}
        assert len(of_sweep) == 5 and {run.info.status for run in of_sweep} == {"FINISHED"}
        for place in result_folder.finished(folder):
            run, result = jobs[place.parent.name], result_folder.read(place)
            assert run.data.tags["job_key"] == result.key
            assert run.data.metrics["score/mean"] == pytest.approx(
                result.history["score"][-1].mean(), rel=1e-5
            )
            history = store(server.uri).client.get_metric_history(run.info.run_id, "score/mean")
            assert sorted(each.step for each in history) == list(range(41))
            files = {file.path for file in store(server.uri).client.list_artifacts(run.info.run_id)}
            assert {"result.json", "history.npz", "config.yaml"} <= files
    said = forker.run(tmp_path / "writer0", "resume=latest")
    assert said.code == 0, said
    assert {run.info.run_id: run.info.status for run in runs(server.uri)} == {
        run.info.run_id: run.info.status for run in was
    }


def store(uri: str) -> mlflow.Mlflow:
    return mlflow.mlflow(uri, None, "deepvis")


def runs(uri: str) -> list:
    opened = store(uri)
    return list(opened.client.search_runs([opened.experiment_id], max_results=1000))
