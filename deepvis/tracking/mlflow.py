"""The MLflow tracker: a run a job, and for a sweep one more run and a saved view.

Several runs are open at once, so each is named by its id; nothing is logged asynchronously, because a killed
process would lose it.
"""

import getpass
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepvis.config import params
from deepvis.core.errors import ConfigError
from deepvis.core.version import __version__
from deepvis.metrics import convergence
from deepvis.results import result_folder
from deepvis.results.manifest import JobState
from deepvis.tracking import saved_view, store, ui_images
from deepvis.tracking.base import furthest

BATCH = 1000  # metrics in one request; MLflow's own limit
PARAM, TAG = 6000, 5000  # characters; MLflow cuts longer params and tags silently
# Of a sweep's jobs in its charts, distinct for colour-blind readers too (Okabe and Ito 2008); the UI draws
# its own at random, and they may be three blues.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#999933", "#444444")
UI = "http://127.0.0.1:5000"  # where `deepvis ui` serves a local store


@dataclass(frozen=True)
class Mlflow:
    """An MLflow store or server: one flat run a job, one for the sweep, and a view of it in the UI."""

    client: Any
    experiment_id: str
    base: str  # of the UI's address

    def start(self, sweep, name, params, tags):
        number = tags.get("job", "").partition("_")[0]
        colour = COLOURS[int(number) % len(COLOURS) if number.isdecimal() else 0]
        run = self._create(
            sweep, "job", name, {"mlflow.runColor": colour, "mlflow.loggedImages": "True"} | dict(tags)
        )
        self._log_params(run, params)
        return run

    def finish(self, run, result, folder, failure, pictures=None):
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        steps = len(result.history["score"]) - 1
        logged = [Metric(k, v, now, steps) for k, v in result.figures.items() if np.isfinite(v)]
        for name, curve in convergence.curves(result.history).items():
            logged += [Metric(name, float(v), now, t) for t, v in enumerate(curve) if np.isfinite(v)]
        for i in range(0, len(logged), BATCH):
            self.client.log_batch(run, metrics=logged[i : i + BATCH])
        with ui_images.staged(folder, steps, result, pictures) as staged:
            self.client.log_artifacts(run, staged)
        if failure:
            self.client.set_tag(run, "reason", failure[:TAG])
        self.client.set_terminated(run, "FAILED" if failure else "FINISHED")

    def end(self, run, status, reason):
        self.client.set_tag(run, "reason", reason[:TAG])
        self.client.set_terminated(run, status)

    def states(self, sweep):
        runs = self._runs(sweep, "tags.kind = 'job'")
        return furthest(
            (run.data.tags["job"], JobState(run.info.status, run.data.tags.get("reason", ""))) for run in runs
        )

    def mend(self, sweep, is_running):
        for run in self._runs(sweep, "attributes.status = 'RUNNING'"):
            if not is_running(run.data.tags["process"]):
                self.end(run.info.run_id, "KILLED", "its process was gone when the sweep was resumed")

    def close(self, sweep, results, files, tags):
        varied = params.varied([result.params for result in results.values()])
        self._log_varied(sweep, results, varied)
        done = list(results.values())
        run = next((run.info.run_id for run in self._runs(sweep, "tags.kind = 'sweep'")), None)
        run = run or self._create(sweep, "sweep", f"sweep {sweep}", {})
        for key, value in tags.items():
            self.client.set_tag(run, key, value[:TAG])
        for file in files:
            self.client.log_artifact(run, file)
        self.client.log_metric(run, "jobs/finished", len(done))
        self.client.set_terminated(run, "FINISHED")
        keys = sorted(
            {pair for each in done for pair in zip(each.filters, ui_images.keys(each), strict=True)}
        )
        view = saved_view.state(
            sweep,
            image_keys=[f"final/{key}" for _, key in keys],
            curves=["score/mean", "activation/mean", "gradient_rms/mean"],
            params=varied,
            others=[*convergence.curves(done[0].history), *done[0].figures, "progress/"],
            runs=len(done),
        )
        key, value = saved_view.tag(sweep, f"sweep {sweep}", view)
        self.client.set_experiment_tag(self.experiment_id, key, value)
        return saved_view.link(self.base, self.experiment_id, sweep)

    def latest(self) -> str | None:
        """The latest sweep's id, where there is one."""
        found = self.client.search_runs([self.experiment_id], "tags.kind = 'sweep'",
                                        max_results=1, order_by=["attributes.start_time DESC"])  # fmt: skip
        return found[0].data.tags["sweep"] if found else None

    def address(self, base: str) -> str:
        """Of the latest sweep's view, or of the experiment in a store without one."""
        sweep = self.latest()
        if sweep is None:
            return f"{base}/#/experiments/{self.experiment_id}"
        return saved_view.link(base, self.experiment_id, sweep)

    def fetch(self, sweep: str, folder: Path) -> list[Path]:
        """Copy the results of a sweep's jobs, without their pictures; returns the result folders in order."""
        for run in self._runs(sweep, "tags.kind = 'job'"):
            if any(file.path == "result.json" for file in self.client.list_artifacts(run.info.run_id)):
                copy = folder / run.data.tags["job"] / "result"
                copy.mkdir(parents=True, exist_ok=True)
                for name in result_folder.TEXTS:
                    self.client.download_artifacts(run.info.run_id, name, str(copy))
        return result_folder.finished(folder)

    def _log_params(self, run: str, values: Mapping[str, params.Value]) -> None:
        from mlflow.entities import Param

        written = {key: str(params.written(value))[:PARAM] for key, value in values.items()}
        self.client.log_batch(run, params=[Param(key, text) for key, text in written.items()])

    def _log_varied(self, sweep: str, results: Mapping[str, result_folder.Result], varied: list[str]) -> None:
        """Log what varies within a sweep, where `start` could not know that it does."""
        for run in self._runs(sweep, "tags.kind = 'job'") if varied else ():
            if result := results.get(run.data.tags["job"]):
                known = result.params.keys() - run.data.params
                if missing := {key: result.params[key] for key in varied if key in known}:
                    self._log_params(run.info.run_id, missing)

    def _runs(self, sweep, condition):
        token, where = None, f"tags.sweep = '{sweep}' and {condition}"
        while True:
            page = self.client.search_runs([self.experiment_id], where, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _create(self, sweep, kind, name, tags):
        process = {"pid": str(os.getpid()), "host": socket.gethostname(), "mlflow.user": getpass.getuser()}
        common = process | {"sweep": sweep, "kind": kind, "deepvis": __version__}
        created = self.client.create_run(self.experiment_id, tags=common | dict(tags), run_name=name)
        return created.info.run_id


def mlflow(uri: str, artifacts: str | None, experiment: str) -> Mlflow:
    """An MLflow store or server, made where it does not exist if artifacts are given; see `store.connect`."""
    client, experiment_id = store.connect(uri, artifacts, experiment)
    return Mlflow(client, experiment_id, uri if uri.startswith("http") else UI)


@contextmanager
def fetched(uri: str, experiment: str, sweep: str) -> Iterator[list[Path]]:
    """Copies of the result folders of a sweep in an MLflow store, for as long as they are needed.

    Raises:
      ConfigError: there is no such sweep, or none of its jobs is finished.
    """
    store = mlflow(uri, None, experiment)
    name = store.latest() if sweep == "latest" else sweep
    with tempfile.TemporaryDirectory() as folder:
        folders = store.fetch(name, Path(folder)) if name else []
        if not folders:
            raise ConfigError(f"sweep={sweep}: {uri} has no finished job of such a sweep")
        yield folders
