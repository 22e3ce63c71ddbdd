"""Laws of deepvis.tracking.mlflow: what MLflow gives back is what the jobs left in their folders.

A real SQLite store, real jobs on `tiny`, read back with MLflow's own client.
"""

import base64
import errno
import json
import math
import os
import re
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.configs import plain_of
from helpers.processes import kill_group
from PIL import Image

from deepvis import __version__
from deepvis.config import params, schema
from deepvis.core.errors import TrackingError
from deepvis.metrics import convergence
from deepvis.results import manifest, result_folder
from deepvis.sweeps import events, finalize, jobs, logging_queue, runner
from deepvis.tracking import filter_table, mlflow, none, ui_images
from deepvis.tracking import runs as runs_of_mlflow

SWEEP = "20260102-030405-abcd"
TINY = ["model=tiny", "layer=block2_conv1", "size=16", "steps=5", "snapshot_every=2", "precision=float32"]
TYPED = {
    "0_decay=0.8": ["reg.decay=0.8", "layer.filters=0-2"],
    "1_decay=0.8000001": ["reg.decay=0.8000001", "layer.filters=0-2"],  # all but the same job
    "2_sgd": [
        "optimizer=sgd",
        "optimizer.learning_rate=1e38",
        "layer.filters=[4,7]",
    ],  # leaves the finite numbers
}


def made(folder, *typed):
    folder.mkdir(parents=True)
    return jobs.make(schema.resolve(plain_of(*TINY, *typed)), typed, folder)


def listed(folder, queue):
    """The manifest of a sweep of these jobs, in its folder."""
    manifest.write(folder, manifest.identity(folder.name, [], list(map(jobs.manifest_entry, queue)), {}))


def opened(folder):
    return mlflow.mlflow(f"sqlite:///{folder}/mlruns/mlflow.db", f"{folder}/mlruns/artifacts", "deepvis")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def store(place):
    return opened(place)


@pytest.fixture(scope="module")
def swept(place, store):
    """A sweep of three jobs, run and closed: its folder."""
    folder = place / "outputs" / SWEEP
    queue = [made(folder / name, *typed) for name, typed in TYPED.items()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of infinite scores: test_metrics asks for silence
        runner.run(queue, store, SWEEP)
    listed(folder, queue)
    finalize.close(SWEEP, folder, store)
    return folder


@pytest.fixture(scope="module")
def runs(store, swept):
    """The runs of the sweep's jobs, in the order of the jobs."""
    found = store.client.search_runs([store.experiment_id], f"tags.sweep = '{SWEEP}' and tags.kind = 'job'")
    return sorted(found, key=lambda run: run.info.start_time)


@pytest.fixture(params=range(len(TYPED)), ids=TYPED)
def pair(request, runs, swept):
    """A job's run, and its result folder."""
    return runs[request.param], list(result_folder.finished(swept))[request.param]


def pixels(path):
    with Image.open(path) as file:
        return np.asarray(file.convert("RGB"))


def artifacts(store, run, folder=None):
    return {entry.path for entry in store.client.list_artifacts(run.info.run_id, folder)}


def images_of(store, run, tmp_path):
    """(key, step) -> pixels, of what MLflow keeps as logged images."""
    found = {}
    for path in artifacts(store, run, "images"):
        if path.endswith(".png"):
            key, _, step, *_ = Path(path).name.split("+")
            assert (key, int(step)) not in found, "logged twice"
            found[key.replace("~", "/"), int(step)] = pixels(
                store.client.download_artifacts(run.info.run_id, path, str(tmp_path))
            )
    return found


def test_a_run_a_job_flat_and_ended(store, runs, swept):
    """The one whose images are not finite has failed, and keeps them nevertheless."""
    assert len(runs) == 3
    for run in runs:
        assert run.info.status == ("FAILED" if "sgd" in run.info.run_name else "FINISHED")
        assert "mlflow.parentRunId" not in run.data.tags
    everything = store.client.search_runs([store.experiment_id], f"tags.sweep = '{SWEEP}'")
    assert len(everything) == 4


def test_tags_say_what_is_needed_to_trust_and_to_find_a_run(pair):
    run, folder = pair
    tags, result = run.data.tags, result_folder.read(folder)
    assert run.info.run_name == result.name
    wanted = {
        "sweep": SWEEP, "kind": "job", "job_key": result.key, "deepvis": __version__, "precision": "float32",
        "pid": str(os.getpid()), "host": socket.gethostname(), "weights.source": "seeded",
        "weights.verified": "yes",
    }  # fmt: skip
    assert {key: tags.get(key) for key in wanted} == wanted
    assert tags["device"] in ("cpu", "gpu")
    assert len(tags["weights.digest"]) == 12 and int(tags["weights.digest"], 16) >= 0


def test_jobs_that_nearly_are_the_same_are_told_apart(runs):
    first, second, _ = runs
    assert first.data.tags["job_key"] != second.data.tags["job_key"]
    assert first.data.params["reg.decay"] == "0.8" and second.data.params["reg.decay"] == "0.8000001"
    assert first.info.run_name != second.info.run_name


def test_params_are_what_names_a_job_its_knobs_and_what_varies_whatever_was_typed(pair):
    run, folder = pair
    logged, whole = run.data.params, result_folder.read(folder).params
    named = {"model", "layer", "layer.filters", "steps", "size", "seed", "precision"}
    knobs = {key for key in whole if key.partition(".")[0] in ("reg", "objective", "optimizer")}
    knobs -= {key for key in whole if key.startswith("reg.weights.")}  # of a mix
    knobs -= {f"reg.{key}" for key in ("blur_kind", "blur_every", "accentuation_layer")}  # of what is off
    knobs -= {f"reg.{key}" for key in ("total_variation_power", "p_norm_power", "high_frequency_sigma")}
    assert set(logged) == named | knobs
    assert {key: str(params.written(whole[key])) for key in logged} == logged
    assert {"reg.decay", "optimizer", "optimizer.learning_rate"} <= set(logged)
    assert len(logged) < 30, "MLflow's image grid has no room for more"
    assert run.data.tags["overrides"] == shlex.join(TYPED[folder.parent.name])


def curves_by_hand(history):
    """What the chart should show, one step and one filter at a time."""
    found = {}
    for step in range(len(history["score"])):
        alive = [
            f
            for f in range(history["score"].shape[1])
            if history["alive"][step, f] and np.isfinite(history["score"][step, f])
        ]
        if not alive:
            continue
        for name in ("score", "activation", "gradient_rms", "image_rms", "rank", "margin"):
            values = [float(history[name][step, f]) for f in alive]
            found[f"{name}/mean", step] = sum(values) / len(values)
            if name in ("score", "activation"):
                found[f"{name}/median", step] = statistics.median(values)
            if name == "score":
                found["score/min", step], found["score/max", step] = min(values), max(values)
        tops = [f for f in alive if history["rank"][step, f] == 0]
        found["rank/top_share", step] = len(tops) / history["score"].shape[1]
    # MLflow would show an infinite value as 1.8e308; it is not logged.
    return {at: value for at, value in found.items() if np.isfinite(value)}


def test_metrics_by_step_are_the_curves_of_the_history(pair, store):
    run, folder = pair
    with np.load(folder / "history.npz") as file:
        wanted = curves_by_hand(dict(file))
    names = {name for name, _ in wanted}
    logged = {
        (name, metric.step): metric.value
        for name in run.data.metrics
        if name in names
        for metric in store.client.get_metric_history(run.info.run_id, name)
    }
    assert logged.keys() == wanted.keys()
    for at, value in wanted.items():
        assert logged[at] == pytest.approx(value, rel=1e-5, abs=1e-7), at
    assert {step for name, step in logged if name == "score/mean"} >= {0}


def test_every_metric_is_a_number_that_mlflow_did_not_bend(pair):
    run, _ = pair
    for name, value in run.data.metrics.items():
        assert np.isfinite(value) and abs(value) < 1e300, name


def test_ends_are_counted_once_a_filter(pair):
    run, folder = pair
    result = result_folder.read(folder)
    counted = {
        name.partition("/")[2]: v for name, v in run.data.metrics.items() if name.startswith("filters/")
    }
    share = counted.pop("top_share")
    assert counted.keys() == {"converged", "rising", "stuck", "diverged"}
    assert sum(counted.values()) == len(result.filters)
    assert all(counted[end] == list(result.ends).count(end) for end in counted)
    assert 0 <= share <= 1
    # The third job was made to diverge, the others were not.
    assert (counted["diverged"] > 0) == ("sgd" in folder.parent.name)


def test_finals_and_progress_are_there_by_key_and_step_pixel_by_pixel(pair, store, tmp_path):
    run, folder = pair
    wanted = {(f"final/{path.stem}", 5): pixels(path) for path in folder.glob("filters/*.png")}
    for path in folder.glob("progress/*/*.png"):
        wanted[f"progress/{path.stem}", int(path.parent.name.removeprefix("step_"))] = pixels(path)
    filters = len(list(folder.glob("filters/*.png")))
    assert len(wanted) == filters * (1 + 4)  # the start, and after 2, 4 and 5 steps
    logged = images_of(store, run, tmp_path)
    assert logged.keys() == wanted.keys()
    for key, picture in wanted.items():
        np.testing.assert_array_equal(logged[key], picture, err_msg=str(key))


def test_the_gallery_the_history_and_the_config_are_artifacts_byte_by_byte(pair, store, tmp_path):
    run, folder = pair
    assert artifacts(store, run) >= {"gallery.png", "history.npz", "config.yaml"}
    for name in ("gallery.png", "history.npz", "config.yaml"):
        kept = store.client.download_artifacts(run.info.run_id, name, str(tmp_path))
        assert Path(kept).read_bytes() == (folder / name).read_bytes(), name
    assert "tracker:" in (folder / "config.yaml").read_text()  # the whole config, not a selection


def test_artifacts_are_below_the_folder_that_was_asked_for(pair, place):
    run, _ = pair
    assert run.info.artifact_uri.startswith((place / "mlruns/artifacts").as_uri())


def test_the_sweep_has_a_run_of_its_own_with_its_summary(store, swept, tmp_path):
    (run,) = store.client.search_runs(
        [store.experiment_id], f"tags.sweep = '{SWEEP}' and tags.kind = 'sweep'"
    )
    assert run.info.status == "FINISHED" and "mlflow.parentRunId" not in run.data.tags
    assert run.data.metrics["jobs/finished"] == 3
    assert run.data.tags["version.deepvis"] == __version__ and "overrides" in run.data.tags
    for name in ("summary.csv", "contact.png"):
        kept = store.client.download_artifacts(run.info.run_id, name, str(tmp_path))
        assert Path(kept).read_bytes() == (swept / name).read_bytes(), name


def test_the_saved_view_shows_this_sweeps_filters_by_jobs(store, swept):
    tags = store.client.get_experiment(store.experiment_id).tags
    saved = json.loads(tags[f"mlflow.sharedViewState.{SWEEP}"])
    kind, _, packed = saved["state"].partition(";")
    assert kind == "deflate"
    view = json.loads(zlib.decompress(base64.b64decode(packed)))
    (grid,) = [chart for chart in view["compareRunCharts"] if chart["type"] == "IMAGE"]
    assert grid["imageKeys"] == ["final/f000", "final/f001", "final/f002", "final/f004", "final/f007"]
    assert SWEEP in view["searchFilter"]
    lines = {chart["metricKey"] for chart in view["compareRunCharts"] if chart["type"] == "LINE"}
    first = result_folder.read(result_folder.finished(swept)[0])
    logged = {*first.figures, *(name for name, _ in curves_by_hand(first.history))}
    assert lines and lines <= logged
    shown = [column for column in view["selectedColumns"] if column.startswith("params.")]
    assert "params.`reg.decay`" in shown and "params.`seed`" not in shown  # what differs, only


def test_a_job_in_a_folder_of_any_name_is_read_back_from_the_store(tmp_path):
    store = opened(tmp_path)
    folder = tmp_path / "outputs" / "o x #1"
    job = made(folder, "layer.filters=0-1")
    runner.run([job], store, "own")
    manifest.write(folder, manifest.identity("own", [], [jobs.manifest_entry(job)], {}, own_folder=True))
    finalize.close("own", folder, store)
    assert list(store.states("own")) == [(job.folder_name, job.key)]
    with mlflow.fetched(f"sqlite:///{tmp_path}/mlruns/mlflow.db", "deepvis", "own") as folders:
        assert [result_folder.read(each).key for each in folders] == [job.key]


def test_the_newest_sweep_is_the_last_one_closed(store, swept, place):
    assert SWEEP in store.address("http://127.0.0.1:5000")
    other = "20260102-030406-ffff"
    folder = place / "outputs" / other
    queue = [made(folder / "0_x", "layer.filters=1", "tracker.experiment=x")]
    runner.run(queue, store, other)
    listed(folder, queue)
    finalize.close(other, folder, store)
    newest = store.address("http://127.0.0.1:5000")
    assert other in newest and newest.startswith("http://127.0.0.1:5000/#/experiments/")


@pytest.mark.parametrize("swept", ["", "start.high"])
def test_what_varies_is_logged_for_every_job_though_it_is_no_main_knob(swept, store, place, monkeypatch):
    """With the job where it is known to be swept, and else at the end."""
    monkeypatch.setenv("DEEPVIS_SWEPT", swept)
    sweep = f"varied{swept}"
    folder = place / "outputs" / sweep
    queue = [
        made(folder / f"{i}_x", "layer.filters=0", *typed) for i, typed in enumerate(([], ["start.high=5"]))
    ]
    runner.run(queue, store, sweep)
    listed(folder, queue)
    for _ in range(2):  # closing it again changes nothing
        finalize.close(sweep, folder, store)
    found = store.client.search_runs([store.experiment_id], f"tags.sweep = '{sweep}' and tags.kind = 'job'")
    assert sorted(run.data.params["start.high"] for run in found) == ["20", "5"]
    assert all("start.low" not in run.data.params for run in found)


def test_a_result_of_this_process_is_not_read_back_and_another_is_read_once(store, place, monkeypatch):
    folder = place / "outputs" / "handed"
    queue = [made(folder / f"{i}_x", "layer.filters=0-1", f"seed={i}") for i in range(2)]
    reads, read, open_image = [], result_folder.read, Image.open

    def counted(path):
        reads.append(path)
        return read(path)

    def refused(source):
        assert not isinstance(source, Path), "a picture in memory was decoded again"
        return open_image(source)

    monkeypatch.setattr(result_folder, "read", counted)
    with monkeypatch.context() as patch:
        patch.setattr(ui_images.Image, "open", refused)
        assert runner.run(queue, store, "handed") == {}
    listed(folder, queue)
    finalize.close("handed", folder, store)
    assert reads == []
    finalize.close("handed", folder, store)  # as another process would
    assert sorted(reads) == sorted(job.folder / "result" for job in queue)


def test_files_of_a_run_are_the_same_from_memory_and_from_files_and_each_time(pair):
    _, folder = pair
    result = result_folder.read(folder)
    filters = result.filters

    def loaded(name):
        return [pixels(folder / name / f"{result_folder.label(index)}.png") for index in filters]

    progress = {
        int(path.name.removeprefix("step_")): loaded(f"progress/{path.name}")
        for path in folder.glob("progress/*")
    }
    pictures = result_folder.Pictures(loaded("filters"), loaded("best"), progress)
    first, second, third = (
        dict(ui_images.files(folder, result, given, 7)) for given in (None, pictures, pictures)
    )
    assert first == second == third
    assert len([name for name in first if name.endswith(".webp")]) == len(filters) * 5


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("first line\nsecond line " + "x" * 9000),
        KeyboardInterrupt(),
        SystemExit(143),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_job_that_raises_has_a_run_with_the_reason(store, tmp_path, monkeypatch, failure):
    def fails(*args):
        raise failure

    own = f"failing-{type(failure).__name__}"
    queue = [made(tmp_path / str(i), "layer.filters=0", f"seed={i}") for i in range(2)]
    monkeypatch.setattr(result_folder, "write", fails)
    if not isinstance(failure, Exception):  # an interrupted job is as if it had not begun
        with pytest.raises(type(failure)):
            runner.run(queue, store, own)
        assert store.client.search_runs([store.experiment_id], f"tags.sweep = '{own}'") == []
        return
    assert set(runner.run(queue, store, own)) == {job.folder for job in queue}
    said = str(failure).splitlines()[0].rpartition("] ")[2]
    found = store.client.search_runs([store.experiment_id], f"tags.sweep = '{own}'")
    assert [run.info.status for run in found] == ["FAILED", "FAILED"]
    for run in found:
        assert said in run.data.tags["reason"] and "\n" not in run.data.tags["reason"]
        assert run.info.end_time is not None


@pytest.mark.parametrize("where", ["this process", "another"])
def test_a_job_that_failed_while_the_store_did_is_logged_at_the_end(where, store, tmp_path, monkeypatch):
    """Its parameters are known where it failed; elsewhere its folder says why."""
    own, impatient = f"outage-{where[:4]}", replace(store, timeout=0, known={})
    job = made(tmp_path / "0_x", "layer.filters=0", "seed=7")
    entry = manifest.identity(own, [], [{"name": job.name, "key": job.key, "folder": "0_x"}], {})
    manifest.write(tmp_path, entry)
    with monkeypatch.context() as patch:
        patch.setattr(store.client, "create_run", raises(ConnectionError("500")))
        patch.setattr(result_folder, "write", raises(RuntimeError("broken")))
        assert "broken" in runner.run([job], impatient, own)[job.folder]
    assert len(logging_queue.of(impatient).unlogged) == 1
    if where == "another":
        monkeypatch.setattr(events, "_failures", {})
    for _ in range(2):
        assert finalize.close(own, tmp_path, replace(store, known={}))
        (run,) = store.client.search_runs([store.experiment_id], f"tags.sweep = '{own}'")
        assert (run.info.status, run.data.tags["job_key"]) == ("FAILED", job.key)
        assert "broken" in run.data.tags["reason"] and run.info.run_name == job.name
        assert run.data.params.get("seed") == (None if where == "another" else "7")


def test_a_run_that_is_filled_in_half_is_not_finished_and_the_same_one_is_filled_later(
    store, tmp_path, monkeypatch
):
    impatient = replace(store, timeout=0)
    with monkeypatch.context() as patch:
        patch.setattr(runs_of_mlflow, "_write", raises(OSError(errno.ENOSPC, "No space left")))
        assert runner.run([made(tmp_path / "0", "layer.filters=0-2")], impatient, "half") == {}
    folder = tmp_path / "0/result"
    result = result_folder.read(folder)  # the folder came first, and is whole
    ((_, reason),) = logging_queue.of(impatient).unlogged.items()
    assert "No space left" in reason
    (half,) = store.client.search_runs([store.experiment_id], "tags.sweep = 'half'")
    assert half.info.status == "RUNNING"
    again = replace(store, known={})  # as another process
    for _ in range(2):  # the second has nothing to do
        assert events.log_missing("half", {folder: result}, again) == {}
        (run,) = store.client.search_runs([store.experiment_id], "tags.sweep = 'half'")
        assert (run.info.run_id, run.info.status) == (half.info.run_id, "FINISHED")
        assert artifacts(store, run) >= {"gallery.png", "history.npz", "result.json", "images"}
        stored = runs_of_mlflow.local_path(run.info.artifact_uri)
        assert (stored / "gallery.png").samefile(folder / "gallery.png")  # no second one on the disk
        curve = store.client.get_metric_history(run.info.run_id, "score/mean")
        assert [metric.step for metric in curve] == list(range(6))


def raises(error):
    def fails(*args, **options):
        raise error

    return fails


def test_the_sweeps_run_has_a_table_of_every_filter_the_best_first(store, swept, tmp_path):
    """And what it has is the same when the sweep is closed again."""
    (run,) = store.client.search_runs(
        [store.experiment_id], f"tags.sweep = '{SWEEP}' and tags.kind = 'sweep'"
    )
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [{"path": "filters.json", "type": "table"}]
    path = Path(store.client.download_artifacts(run.info.run_id, "filters.json", str(tmp_path)))
    table, written = json.loads(path.read_text()), path.read_bytes()
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    results = {manifest.folder_name(path.parent): path for path in result_folder.finished(swept)}
    assert not any("." in column for column in table["columns"])  # the UI would show empty cells
    assert {row["reg/decay"] for row in rows if "sgd" not in row["job"]} == {"0.8000000", "0.8000001"}
    scores = []
    for row in rows:
        _, job, _ = row["picture"]["filepath"].split("/")
        result = result_folder.read(results[job])
        i = list(map(result_folder.label, result.filters)).index(row["filter"])
        score = float(result.history["score"][-1][i])
        scores.append(score if np.isfinite(score) else -np.inf)
        shown = next(value for key, value in row.items() if key.startswith("score"))
        assert shown == "–" if not np.isfinite(score) else float(shown) == pytest.approx(score, rel=1e-2)
        assert (row["job"], row["status"]) == (result.name, convergence.ENDS[result.ends[i]])
        small = pixels(
            store.client.download_artifacts(run.info.run_id, row["picture"]["filepath"], str(tmp_path))
        )
        whole = pixels(results[job] / "filters" / f"{row['filter']}.png")
        grey = [each.mean(axis=-1).ravel() for each in (small, whole)]  # webp halves the colours' resolution
        assert np.corrcoef(*grey)[0, 1] > 0.8
    assert scores == sorted(scores, reverse=True) and len(rows) == 8
    assert [int(row["place"]) for row in rows] == list(range(1, 9))
    finalize.close(SWEEP, swept, store)
    again = store.client.download_artifacts(run.info.run_id, "filters.json", tempfile.mkdtemp(dir=tmp_path))
    assert Path(again).read_bytes() == written


@pytest.mark.parametrize("count", [3, 10, 40])
@pytest.mark.parametrize("decimals", [None, 2])
def test_numbers_of_the_table_are_sorted_by_the_ui_as_numbers(count, decimals):
    """Both of its ways (@tanstack/table-core, `basic` and `alphanumeric`), written again."""
    numbers = [round(float(v), 3) for v in 10 ** np.random.default_rng(count).uniform(-2, 3, count)]
    texts = filter_table.sortable(numbers, decimals)
    order = sorted(range(count), key=lambda k: round(numbers[k], 3 if decimals is None else decimals))
    assert sorted(range(count), key=lambda k: texts[k]) == order

    def chunks(k: int) -> list[tuple[int, float | str]]:
        parts = filter(None, re.split("([0-9]+)", texts[k]))
        return [(1, int(part)) if part.isdigit() else (0, part) for part in parts]

    assert sorted(range(count), key=chunks) == order
    assert filter_table.sortable([1e-5, 0.25], None) == ["0.00001", "0.25000"]
    assert filter_table.sortable([math.nan, 7.0, 30.0], 0) == ["–", "07", "30"]


def test_memory_keeps_what_it_is_told(tmp_path):
    memory = none.NoTracker()
    runner.run([made(tmp_path / "0", "layer.filters=3", "reg.decay=0.9")], memory, "s")
    (run,) = memory.runs.values()
    assert (run["sweep"], run["status"], run["params"]["reg.decay"]) == ("s", "FINISHED", 0.9)
    assert run["folder"] == tmp_path / "0/result"
    assert memory.close("s", {}, [], {}) is None


OPEN = """
import sys
from deepvis.tracking import mlflow
store = mlflow.mlflow("sqlite:///deep/er/mlflow.db", "arti/facts", "deepvis")
from pathlib import Path
from deepvis.tracking.base import JobRun
store.log(JobRun("s", sys.argv[1], "key", sys.argv[1], {"seed": 1}, {}, "none", Path("x")))
print(store.experiment_id, len(store.client.search_experiments()))
"""


def test_four_processes_may_make_one_store_at_once_and_only_one_migrates(tmp_path):
    """MLflow's own processes crash each other here; and who opens a store later finds nothing to do."""
    env = os.environ | {"MLFLOW_LOGGING_LEVEL": "INFO"}
    processes = [
        subprocess.Popen([sys.executable, "-c", OPEN, str(i)], cwd=tmp_path, env=env, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        for i in range(4)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=200) for process in processes]
    finally:
        for process in processes:
            kill_group(process)
    assert [process.returncode for process in processes] == [0] * 4, said
    assert len({out for out, _ in said}) == 1
    migrated = [err for _, err in said if "database tables" in err or "alembic" in err.lower()]
    assert len(migrated) == 1
    store = mlflow.mlflow(f"sqlite:///{tmp_path}/deep/er/mlflow.db", None, "deepvis")
    names = {run.info.run_name for run in store.client.search_runs([store.experiment_id])}
    assert names == {"0", "1", "2", "3"}
    where = store.client.get_experiment(store.experiment_id).artifact_location
    assert where == (tmp_path / "arti/facts").as_uri()


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("mlruns", "sqlite:///folder/file.db"),
        ("file:///tmp/x", "sqlite:///folder/file.db"),
        ("sqlite:///text.db", "not an SQLite database"),
        ("sqlite:///text.db/below/a.db", "text.db"),
        ("http://127.0.0.1:9", "tracker=none"),
    ],
)
def test_a_store_that_cannot_be_opened_is_one_line_and_leaves_nothing(uri, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.db").write_text("no database\n" * 100)
    with pytest.raises(TrackingError) as error:
        mlflow.mlflow(uri, "arti/facts", "deepvis")
    text = str(error.value)
    assert text.startswith(f"tracker.uri={uri}: ") and says in text and "\n" not in text
    assert [path.name for path in tmp_path.iterdir()] == ["text.db"]
    assert (tmp_path / "text.db").read_text() == "no database\n" * 100


def test_an_experiment_deleted_in_the_ui_is_refused_before_a_job_runs(tmp_path, place, store):
    """MLflow finds it by name, but takes no runs for it: that must not come out after the first job."""
    gone = mlflow.mlflow(f"sqlite:///{place}/mlruns/mlflow.db", f"{tmp_path}/artifacts", "gone")
    gone.client.delete_experiment(gone.experiment_id)
    with pytest.raises(TrackingError, match="gone"):
        mlflow.mlflow(f"sqlite:///{place}/mlruns/mlflow.db", f"{tmp_path}/artifacts", "gone")


@pytest.mark.slow
def test_a_real_server_takes_a_job(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
             "--workers", "1", "--backend-store-uri", f"sqlite:///{tmp_path}/server.db",
             "--artifacts-destination", str(tmp_path / "served")],
            cwd=tmp_path, stdout=log, stderr=log, start_new_session=True,
            env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{base}/health", timeout=5):
                break
            assert server.poll() is None and time.monotonic() < deadline, (
                tmp_path / "server.log"
            ).read_text()
            time.sleep(0.5)
        store = mlflow.mlflow(base, "not used", "deepvis")
        folder = tmp_path / "outputs/s"
        queue = [made(folder / "0_x", "layer.filters=0-1", f"tracker.uri={base}")]
        runner.run(queue, store, "s")
        listed(folder, queue)
        finalize.close("s", folder, store)
        (run,) = store.client.search_runs([store.experiment_id], "tags.kind = 'job'")
        result = result_folder.read(folder / "0_x/result")
        assert run.info.status == "FINISHED" and run.data.tags["job_key"] == result.key
        assert run.data.metrics["score/mean"] == pytest.approx(result.history["score"][-1].mean(), rel=1e-5)
        logged = images_of(store, run, tmp_path)
        for path in (folder / "0_x/result/filters").glob("*.png"):
            np.testing.assert_array_equal(logged[f"final/{path.stem}", 5], pixels(path))
        assert store.address(base).startswith(f"{base}/#/experiments/{store.experiment_id}/runs?")
        assert not (tmp_path / "not used").exists()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
