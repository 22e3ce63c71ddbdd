"""The MLflow tracker: a run a job, and for a sweep one more run and a saved view.

Several threads and processes log at once, so each run is named by its id; nothing is logged asynchronously by
MLflow, because a killed process would lose it.
"""

import tempfile
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deepvis.config import params
from deepvis.core import credentials
from deepvis.core.errors import ConfigError
from deepvis.core.names import is_plain
from deepvis.metrics import convergence
from deepvis.results import manifest, result_folder
from deepvis.results.manifest import JobState
from deepvis.results.result_folder import Result
from deepvis.tracking import analysis_runs, choice, filter_table, runs, saved_view, store, ui_images
from deepvis.tracking.base import JobRun
from deepvis.tracking.runs import StoredRun

UI = "http://127.0.0.1:5000"  # where `deepvis ui` serves a local store
DOWNLOADS = 8  # jobs fetched side by side from a server
SHOWN = "shown"  # tag of the runs in the view of a sweep that has more than the UI shows
WRITERS = 4  # jobs logged side by side to a server; a file takes one writer at a time

Runs = dict[tuple[str, str], list[StoredRun]]  # by job folder's name and key


@dataclass(frozen=True)
class Mlflow:
    """An MLflow store or server: one flat run a job, one for the sweep, and a view of it in the UI."""

    client: Any
    experiment_id: str
    uri: str
    timeout: float = 120
    patience: float = 5  # seconds; a server is waited for longer
    known: dict[str, Runs] = field(default_factory=dict)  # by sweep: the runs of its jobs
    unsure: set[tuple[str, str]] = field(default_factory=set)  # jobs whose run may have been made or not
    inodes: list[int] = field(default_factory=list)  # of the database, the last one it was used with
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def file(self) -> Path | None:
        """The database, of a store without a server."""
        return store.file(self.uri)

    @property
    def place(self):
        return self.file.name if self.file else self.uri

    @property
    def writers(self):
        return 1 if self.file else WRITERS

    def obstacle(self):
        return store.obstacle(self.file) if self.file else store.silence(self.uri)

    def load(self):
        store.load(self.client)

    def log(self, run):
        self._check_there()
        target = self._run_of(run)
        runs.fill(self.client, target, run, is_local=self.file is not None)
        ended = "FAILED" if run.failure else "FINISHED"
        with self.lock:
            kept = {key: value for key, value in target.tags.items() if key != "reason"}
            self.known[run.sweep][run.job, run.key] = [
                replace(target, status=ended, tags=kept | runs.tags_of(run))
            ]

    def log_analysis(self, run):
        self._check_there()
        analysis_runs.log(self.client, self.experiment_id, run, is_local=self.file is not None)

    def states(self, sweep):
        self._check_there()
        found = self._jobs(sweep)
        with self.lock:
            self.known[sweep] = found
        last = {at: runs.furthest(several) for at, several in found.items()}
        return {at: JobState(run.status, run.tags.get("reason", "")) for at, run in last.items()}

    def close(self, sweep, results, files, tags):
        self._check_there()
        table = filter_table.files(results)
        results = {manifest.folder_name(folder.parent): result for folder, result in results.items()}
        found = list(runs.search(self.client, self.experiment_id, f"tags.sweep = '{sweep}'"))
        jobs, own = self._sorted(found)
        self._tidy(jobs)
        done = list(results.values())
        varied = params.varied([result.params for result in done])
        chosen = choice.of_jobs(results)
        shown = SHOWN if len(chosen) < len(results) else ""
        self._log_varied(jobs, results, varied)
        if shown:
            self._tag_shown(jobs, chosen)
        run = own[0] if own else runs.create(
            self.client, self.experiment_id, f"sweep {sweep}", {"sweep": sweep, "kind": "sweep"})  # fmt: skip
        for extra in own[1:]:
            self.client.delete_run(extra.id)
        self._log_sweep(run, len(done), files, table, tags)
        keys = sorted(
            {pair for each in done for pair in zip(each.filters, ui_images.keys(each), strict=True)}
        )
        last = {job: runs.furthest(several) for (job, _), several in jobs.items()}
        view = saved_view.state(
            sweep,
            image_keys=[f"final/{key}" for _, key in keys],
            curves=["score/median", "activation/median", "gradient_rms/mean"],
            params=varied,
            others=[*convergence.curves(done[0].history), *done[0].figures, "progress/"],
            runs=len(chosen),
            shown=shown,
            order=runs.order(self.client, [last[job] for job in chosen if job in last]),
        )
        count = f", {len(chosen)} of {len(done):,} jobs" if shown else ""
        key, value = saved_view.tag(sweep, f"sweep {sweep}{count}", view)
        self.client.set_experiment_tag(self.experiment_id, key, value)
        return saved_view.link(self._base(), self.experiment_id, sweep)

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
        """Give a folder the results of a sweep's jobs, without pictures; returns the result folders in order.

        Raises:
          ConfigError: a job's name is no name of a folder; whoever may write to a store may write any tag.
        """
        last = {job: runs.furthest(found) for (job, _), found in self._jobs(sweep).items()}
        for job, run in last.items():
            if not is_plain(job):
                raise ConfigError(
                    f"{self.place}: run {run.id} has the tag job={job!r}, expected the name of a folder; "
                    "if deepvis did not make this run, delete it in the UI"
                )
        with ThreadPoolExecutor(1 if self.file else DOWNLOADS) as pool:
            list(pool.map(lambda each: self._fetch_job(each[1], folder / each[0] / "result"), last.items()))
        return result_folder.finished(folder)

    def _fetch_job(self, run: StoredRun, target: Path) -> None:
        """Make a job's result folder of what its run has; nothing where its job left no result."""
        if self.file:
            source = runs.local_path(run.artifacts)
            if (source / "result.json").is_file():
                target.parent.mkdir(parents=True)
                target.symlink_to(source, target_is_directory=True)
            return
        if run.status != "FINISHED":  # it may have failed without a result
            listed = self.client.list_artifacts(run.id)
            if not any(file.path == "result.json" for file in listed):
                return
        target.mkdir(parents=True)
        for name in result_folder.TEXTS:
            self.client.download_artifacts(run.id, name, str(target))

    def _run_of(self, run: JobRun) -> StoredRun:
        """The job's run, made where there is none.

        Of a creation that failed nobody knows whether it was done, so the next attempt looks again.
        """
        at = run.job, run.key
        with self.lock:
            if run.sweep not in self.known or at in self.unsure:
                self.known[run.sweep] = self.known.get(run.sweep, {}) | self._jobs(run.sweep)
                self.unsure.discard(at)
            found = self.known[run.sweep].get(at)
        if found:
            return runs.furthest(found)
        with self.lock:
            self.unsure.add(at)
        created = runs.create(self.client, self.experiment_id, run.name, runs.tags_of(run))
        with self.lock:
            self.unsure.discard(at)
            self.known[run.sweep][at] = [created]
        return created

    def _check_there(self) -> None:
        """Refuse a database that is gone; of one that has taken its place nothing is known."""
        if self.file is None:
            return
        inode = store.inode(self.file)
        with self.lock:
            is_other = bool(self.inodes) and self.inodes != [inode]
            self.inodes[:] = [inode]
            if is_other:
                self.known.clear()
                store.disconnect(self.client)

    def _base(self) -> str:
        return UI if self.file else self.uri

    def _jobs(self, sweep: str) -> Runs:
        condition = f"tags.sweep = '{sweep}' and tags.kind = 'job'"
        return self._sorted(runs.search(self.client, self.experiment_id, condition))[0]

    def _sorted(self, found: Iterable[StoredRun]) -> tuple[Runs, list[StoredRun]]:
        """The runs of a sweep's jobs, and its own."""
        jobs: Runs = {}
        own = []
        for run in found:
            if run.tags.get("kind") == "sweep":
                own.append(run)
            else:
                jobs.setdefault(run.at, []).append(run)
        return jobs, own

    def _tidy(self, jobs: Runs) -> None:
        """Leave one run a job, and none open: whoever opened them is gone."""
        for found in jobs.values():
            stays = runs.furthest(found)
            for run in found:
                if run is not stays:
                    self.client.delete_run(run.id)
            if stays.status == "RUNNING":
                self.client.set_terminated(stays.id, "KILLED")

    def _tag_shown(self, jobs: Runs, chosen: Collection[str]) -> None:
        """Tag the runs that the view is to show, and take the tag from those of an earlier choice."""
        for (job, _), found in jobs.items():
            run = runs.furthest(found)
            if job in chosen and run.tags.get(SHOWN) != "yes":
                self.client.set_tag(run.id, SHOWN, "yes")
            if job not in chosen and SHOWN in run.tags:
                self.client.delete_tag(run.id, SHOWN)

    def _log_sweep(
        self,
        run: StoredRun,
        done: int,
        files: Iterable[Path],
        table: ui_images.Files,
        tags: Mapping[str, str],
    ) -> None:
        from mlflow.entities import Metric, RunTag

        self.client.log_batch(
            run.id,
            metrics=[Metric("jobs/finished", done, run.start, done)],
            tags=[RunTag(key, value[: runs.TAG]) for key, value in (*tags.items(), filter_table.TAG)],
        )
        for file in files:
            runs.add_file(self.client, run, file, is_local=self.file is not None)
        runs.add_files(self.client, run, table, is_local=self.file is not None)
        self.client.set_terminated(run.id, "FINISHED")

    def _log_varied(self, jobs: Runs, results: Mapping[str, Result], varied: list[str]) -> None:
        """Log what varies within a sweep, where the job could not know that it does."""
        for (job, _), found in jobs.items() if varied else ():
            run, result = runs.furthest(found), results.get(job)
            if result is not None:
                missing = {key: result.params[key] for key in varied if key in result.params}
                if logged := runs.params_of(missing, run.params):
                    self.client.log_batch(run.id, params=logged)


def mlflow(uri: str, artifacts: str | None, experiment: str, timeout: float = 120) -> Mlflow:
    """An MLflow store or server, made where it does not exist if artifacts are given; see `store.connect`."""
    store.check_settings(uri, experiment, timeout)
    client, experiment_id = store.connect(uri, artifacts, experiment, timeout)
    clean = credentials.taken(uri)
    opened = Mlflow(client, experiment_id, clean, timeout, store.patience(clean))
    opened._check_there()
    return opened


@contextmanager
def fetched(uri: str, experiment: str, sweep: str) -> Iterator[list[Path]]:
    """Copies of the result folders of a sweep in an MLflow store, for as long as they are needed.

    Raises:
      ConfigError: there is no such sweep, or none of its jobs is finished.
    """
    store = mlflow(uri, None, experiment)
    name = store.latest() if sweep == "latest" else sweep
    with tempfile.TemporaryDirectory() as folder:
        folders = store.fetch(name, Path(folder)) if name and is_plain(name) else []
        if not folders:
            raise ConfigError(f"sweep={sweep}: {store.uri} has no finished job of such a sweep")
        yield folders
