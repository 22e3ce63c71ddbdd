"""Runs of MLflow: found before they are made, filled with what a job left, and ended.

Every call here may have been done although it failed (a server that answers 500 afterwards, a process that is
killed before it hears), so a run is looked for before it is created, and all that is logged to it is the
same when it is logged again: metrics carry the run's own time, files the same names.
"""

import getpass
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import numpy as np

from deepvis.config import params
from deepvis.core.version import __version__
from deepvis.metrics import convergence
from deepvis.results import result_folder
from deepvis.results.result_folder import Result
from deepvis.tracking import ui_images
from deepvis.tracking.base import JobRun

PAGE = 1000  # runs in one answer
PLACE = "place"  # tag by which a view sorts runs that started in another order
UPLOADS = 4  # files of a job sent to a server side by side
PARAM, TAG = 6000, 5000  # characters; MLflow cuts longer params and tags silently
# Of a sweep's jobs in its charts, distinct for colour-blind readers too (Okabe and Ito 2008); the UI draws
# its own at random, and they may be three blues.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#999933", "#444444")


@dataclass(frozen=True)
class StoredRun:
    """A run as the store has it."""

    id: str
    status: str  # MLflow's word: RUNNING, FINISHED, FAILED or KILLED
    start: int  # ms
    artifacts: str  # URI
    tags: Mapping[str, str]
    params: Mapping[str, str]

    @property
    def at(self) -> tuple[str, str]:
        """The job that it belongs to: its folder's name and its key."""
        return self.tags.get("job", ""), self.tags.get("job_key", "")


def stored(run: Any) -> StoredRun:
    """A run of MLflow's client."""
    info = run.info
    return StoredRun(
        info.run_id, info.status, info.start_time, info.artifact_uri, run.data.tags, run.data.params
    )


def search(client: Any, experiment_id: str, condition: str) -> Iterator[StoredRun]:
    """The runs that meet a condition, oldest first."""
    token = None
    while True:
        page = client.search_runs(
            [experiment_id], condition, max_results=PAGE, order_by=["attributes.start_time ASC"],
            page_token=token,
        )  # fmt: skip
        yield from map(stored, page)
        token = page.token
        if not token:
            return


def furthest(runs: list[StoredRun]) -> StoredRun:
    """Of several runs of one job the one that stays: FINISHED before the others, then the oldest."""
    order = ("FINISHED", "FAILED", "RUNNING", "KILLED")
    return min(runs, key=lambda run: order.index(run.status) if run.status in order else len(order))


def create(client: Any, experiment_id: str, name: str, tags: Mapping[str, str]) -> StoredRun:
    """Open a run with these tags, those of this process, and a name."""
    process = {"pid": str(os.getpid()), "host": socket.gethostname(), "mlflow.user": getpass.getuser()}
    common = process | {"deepvis": __version__}
    cut = {key: value[:TAG] for key, value in tags.items()}
    return stored(client.create_run(experiment_id, tags=common | cut, run_name=name))


def tags_of(run: JobRun) -> dict[str, str]:
    """The tags of a job's run."""
    number = run.job.partition("_")[0]
    colour = COLOURS[int(number) % len(COLOURS) if number.isdecimal() else 0]
    return {"mlflow.runColor": colour, "mlflow.loggedImages": "True"} | dict(run.tags) | {
        "sweep": run.sweep, "kind": "job", "job": run.job, "job_key": run.key,
    } | ({"reason": run.failure} if run.failure else {})  # fmt: skip


def fill(client: Any, target: StoredRun, run: JobRun, is_local: bool) -> None:
    """Log a job to its run, and end it; what is there already stays as it is."""
    from mlflow.entities import RunTag

    if target.status not in ("RUNNING", "KILLED"):
        client.update_run(target.id, status="RUNNING")  # until it is whole again
    metrics = [] if run.result is None else metrics_of(run.result, target.start)
    # A run that failed lacks what is known of a result only: its weights, device, precision ...
    wanted = tags_of(run)
    tags = {key: value[:TAG] for key, value in wanted.items() if target.tags.get(key) != value[:TAG]}
    if "reason" in target.tags and not run.failure:  # of an earlier attempt
        _delete_tag(client, target.id, "reason")
    client.log_batch(
        target.id, metrics=metrics, params=params_of(run.params, target.params),
        tags=[RunTag(key, value) for key, value in tags.items()],
    )  # fmt: skip
    if run.result is not None:
        found = ui_images.files(run.folder / "result", run.result, run.pictures, target.start)
        add_files(client, target, found, is_local)
    client.set_terminated(target.id, "FAILED" if run.failure else "FINISHED")


def _delete_tag(client: Any, run: str, key: str) -> None:
    """Delete a tag, unless a server that answered with an error has done it."""
    from mlflow.exceptions import MlflowException

    try:
        client.delete_tag(run, key)
    except MlflowException as err:
        if err.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


def add_file(client: Any, run: StoredRun, file: Path, is_local: bool) -> None:
    """Log a file to a run; MLflow itself would leave its temporary file there if it were killed."""
    if not is_local:
        client.log_artifact(run.id, file)
        return
    folder = local_path(run.artifacts)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, folder / file.name)


def add_files(client: Any, run: StoredRun, found: ui_images.Files, is_local: bool) -> None:
    """Log files by their names in the run; each replaces one that is there.

    To a server several go at once. The client would ask it for the run again, to learn what is known here.
    """
    if is_local:
        _write(found, local_path(run.artifacts), result_folder.link)
        return
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(run.artifacts, tracking_uri=client.tracking_uri)
    with tempfile.TemporaryDirectory(prefix="deepvis-") as staging, ThreadPoolExecutor(UPLOADS) as pool:
        names = _write(found, Path(staging), shutil.copyfile)
        uploads = [
            pool.submit(repository.log_artifact, str(Path(staging, name)), name.rpartition("/")[0] or None)
            for name in names
        ]
        try:
            for upload in uploads:
                upload.result()
        finally:
            pool.shutdown(cancel_futures=True)  # of a server that is away the others need not be told


def metrics_of(result: Result, start: int) -> list[Any]:
    """A job's figures and curves as MLflow's metrics, the same each time."""
    from mlflow.entities import Metric

    steps = len(result.history["score"]) - 1
    end = start + int(1000 * result.figures.get("time/seconds", 0))
    # How long it took is all that may change when the job is computed again: the later value counts.
    logged = [
        Metric(name, value, end if name.startswith("time/") else start, steps)
        for name, value in result.figures.items()
        if np.isfinite(value)
    ]
    for name, curve in convergence.curves(result.history).items():
        logged += [Metric(name, float(v), start, t) for t, v in enumerate(curve) if np.isfinite(v)]
    return logged


def order(client: Any, ordered: Sequence[StoredRun]) -> str:
    """What sorts runs as they are given: their start, or a tag of theirs where they started otherwise."""
    if list(ordered) == sorted(ordered, key=lambda run: run.start):
        return "attributes.start_time"
    for place, run in enumerate(ordered):
        if run.tags.get(PLACE) != f"{place:06d}":
            client.set_tag(run.id, PLACE, f"{place:06d}")
    return f"tags.`{PLACE}`"


def params_of(values: Mapping[str, params.Value], known: Mapping[str, str]) -> list[Any]:
    """Parameters as MLflow's, without those that a run has: it takes each once."""
    from mlflow.entities import Param

    return [
        Param(key, str(params.written(value))[:PARAM]) for key, value in values.items() if key not in known
    ]


def local_path(uri: str) -> Path:
    """The folder of a run's files, of a store on this machine."""
    return Path(url2pathname(urlparse(uri).path))


def _write(found: ui_images.Files, folder: Path, put: Callable[[Path, Path], object]) -> list[str]:
    """Write files below a folder; returns their names there.

    Linked, a file takes no second place on the disk, and it may be deleted in either. Whoever logs another
    file under its name with MLflow writes into both; the checksum of the result then says so.

    Args:
      found: names, and files or contents.
      folder: where they go; a file that is there is replaced.
      put: (file, its new name) -> a link or a copy.
    """
    made: set[Path] = set()
    written: dict[bytes, Path] = {}  # contents: a last image is also the last one on the way
    names = []
    for name, content in found:
        path = folder / name
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        path.unlink(missing_ok=True)  # it may be another name of a file that is to stay
        source = written.setdefault(content, path) if isinstance(content, bytes) else content
        if isinstance(content, bytes) and source is path:
            path.write_bytes(content)
        else:
            put(source, path)
        names.append(name)
    return names
