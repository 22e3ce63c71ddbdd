"""Laws of logging while a server fails: one run a job in the end, whole, none open, whatever failed.

MLflow's server behind a proxy that fails at each kind of call in turn; see helpers/faulty_proxy.py.
"""

import itertools
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.configs import plain_of
from helpers.faulty_proxy import Proxy, faulty_server

from deepvis.config import params, schema
from deepvis.results import result_folder
from deepvis.sweeps import events, jobs, logging_queue, runner
from deepvis.tracking import mlflow, none, runs, ui_images

pytestmark = pytest.mark.slow
TINY = ["model=tiny", "layer=block2_conv1", "size=16", "steps=2", "snapshot_every=2", "layer.filters=0"]


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    with faulty_server(tmp_path_factory.mktemp("server") / "mlflow") as found:
        yield found


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """Two finished jobs that no store knows: their folder."""
    folder = tmp_path_factory.mktemp("outputs")
    queue = [
        jobs.make(schema.resolve(plain_of(*TINY, f"seed={i}")), [f"seed={i}"], folder / f"{i}_x")
        for i in range(2)
    ]
    for job in queue:
        job.folder.mkdir()
    assert runner.run(queue, none.NoTracker(), "s") == {}
    return folder


def results_of(folder: Path) -> dict:
    return {path: result_folder.read(path) for path in result_folder.finished(folder)}


def whole(proxy: Proxy, sweep: str, folder: Path) -> None:
    """As the server's database and its files are: hundreds of calls take their time."""
    with closing(sqlite3.connect(proxy.folder / "mlflow.db")) as database:

        def rows(query: str, *values: str) -> set:
            found = database.execute(query, values).fetchall()
            assert len(set(found)) == len(found)
            return set(found)

        found = rows(
            "SELECT job.value, status, runs.run_uuid, start_time, artifact_uri FROM runs "
            "JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key = 'sweep' AND tags.value = ? "
            "LEFT JOIN tags job ON job.run_uuid = runs.run_uuid AND job.key = 'job' "
            "WHERE lifecycle_stage = 'active'", sweep)  # fmt: skip
        results = results_of(folder)
        assert sorted(job or "" for job, *_ in found) == ["", *(path.parent.name for path in results)]
        assert {status for _, status, *_ in found} == {"FINISHED"}
        mine = {job: rest for job, _, *rest in found}
        for path, result in results.items():
            run, start, uri = mine[path.parent.name]
            wanted = {
                (m.key, m.step, m.value, m.timestamp)
                for m in runs.metrics_of(result, start)
            }  # fmt: skip
            assert rows("SELECT key, step, value, timestamp FROM metrics WHERE run_uuid = ?", run) == wanted
            expected = {(p.key, p.value) for p in runs.params_of(params.main(result.params, ["seed"]), {})}
            assert rows("SELECT key, value FROM params WHERE run_uuid = ?", run) == expected
            there = proxy.folder / "artifacts" / uri.removeprefix("mlflow-artifacts:/")
            files = dict(ui_images.files(path, result, None, start))
            assert {str(p.relative_to(there)) for p in there.rglob("*") if p.is_file()} == set(files)
            for name, content in files.items():
                content = content if isinstance(content, bytes) else content.read_bytes()
                assert (there / name).read_bytes() == content, name


def log_all(store, sweep: str, folder: Path) -> None:
    results = results_of(folder)
    assert events.log_missing(sweep, results, store) == {}
    logging_queue.of(store).call(lambda: store.close(sweep, results, [], {}))


@pytest.fixture
def pauses(monkeypatch):
    monkeypatch.setattr(logging_queue, "PAUSES", (0.05, 0.1, 0.2))


@pytest.mark.parametrize("fault", ["500", "done 500", "hang"])
def test_a_server_that_fails_at_one_call_has_every_job_once_and_whole(
    fault, proxy, computed, monkeypatch, pauses
):
    """Every call but uploads, and the first and last of these; a sweep that is logged whole counts them."""
    store = mlflow.mlflow(proxy.uri, "", "deepvis")
    counted = []
    for sweep in (
        f"{fault[:4]}-none",
        f"{fault[:4]}-again",
    ):  # where the machine is busy a call may be repeated
        proxy.reset()
        log_all(replace(store, known={}), sweep, computed)
        counted.append(Counter(method == "PUT" for method, _ in proxy.calls))
        whole(proxy, sweep, computed)
    counts = counted[0] & counted[1]
    assert counts[False] >= 10 and counts[True] >= 20
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    for point in [*((False, n) for n in range(counts[False])), (True, 0), (True, counts[True] - 1)]:
        is_upload, number = point
        sweep, seen = f"{fault[:4].strip()}-{number}-{is_upload}", itertools.count()
        hit = []

        def answer(_, method, path, is_upload=is_upload, number=number, hit=hit, seen=seen):
            if (method == "PUT") != is_upload or next(seen) != number:
                return ""
            hit.append(path)
            return fault

        proxy.reset(answer)
        try:
            log_all(replace(store, known={}), sweep, computed)
        finally:
            proxy.reset()
        assert hit, point
        whole(proxy, sweep, computed)


def test_a_server_that_hangs_is_told_given_up_and_filled_later(proxy, computed, monkeypatch, capfd, pauses):
    store = replace(mlflow.mlflow(proxy.uri, "", "deepvis", timeout=1), patience=0.5)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    proxy.reset(lambda *call: "hang")
    queue = logging_queue.of(store)
    for path, result in results_of(computed).items():
        queue.add(events.run_of("hangs", path, result))
    assert len(queue.drain()) == 2
    said = capfd.readouterr().err
    assert "does not answer for 0.5 s" in said and "given up after 1 s" in said
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    proxy.reset()
    log_all(store, "hangs", computed)
    whole(proxy, "hangs", computed)
