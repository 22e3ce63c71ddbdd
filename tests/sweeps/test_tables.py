"""`deepvis.results` says what the jobs left, from their folders and from MLflow alike."""

import csv
import shutil

import numpy as np
import pandas as pd
import pytest
from helpers.processes import newest

import deepvis
from deepvis.core.errors import ConfigError
from deepvis.metrics import convergence, image_statistics
from deepvis.report import comparison
from deepvis.tracking import store

TINY = ["model=tiny", "layer=block2_conv1", "size=16", "steps=2", "precision=float32"]
SWEPT = ["reg.decay=0.8,0.9", "seed=0,1", "optimizer=normalized,sgd", "layer.filters='2,5','3'"]


@pytest.fixture(scope="module")
def place(forker, tmp_path_factory):
    """A folder with two sweeps."""
    cwd = tmp_path_factory.mktemp("frames")
    assert forker.run(cwd, "-m", *TINY, "reg.decay=0.5,0.6", "layer.filters=4").code == 0
    assert forker.run(cwd, "-m", *TINY, *SWEPT).code == 0
    return cwd


@pytest.fixture(scope="module")
def frame(place):
    return deepvis.results(folder=place / "outputs")


def test_a_row_a_job_and_filter(place, frame):
    done = [job.result for job in comparison.of_sweeps([newest(place)], {}).jobs]
    assert [result.params["reg.decay"] for result in done] == [0.9] * 8 + [0.8] * 8, "as the report has them"
    assert len(done) == 16 and len(frame) == sum(len(each.filters) for each in done) == 24
    assert not frame.duplicated(["job", "filter"]).any()
    at = iter(frame.itertuples(index=False))
    for result in done:
        for i, index in enumerate(result.filters):
            row = next(at)
            assert (row.job, row.filter, row.end) == (result.name, index, result.ends[i])
            assert row.score == result.history["score"][-1, i]
            assert row.rank == result.history["rank"][-1, i]
            for name in image_statistics.METRICS:
                assert getattr(row, name) == result.metrics[name][i] or np.isnan(result.metrics[name][i])


def test_what_was_swept_is_there_as_it_was_meant(frame):
    assert set(frame["reg.decay"]) == {0.8, 0.9} and frame["reg.decay"].dtype == float
    assert set(frame["seed"]) == {0, 1} and frame["seed"].dtype.kind == "i"
    assert set(frame["optimizer"]) == {"normalized", "sgd"}
    assert set(frame["end"]) <= set(convergence.ENDS)
    counts = frame.groupby(["reg.decay", "seed", "optimizer"]).size()
    assert len(counts) == 8 and set(counts) == {3}


def test_it_agrees_with_the_summary(place, frame):
    with (newest(place) / "summary.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert list(lines[0]) == list(frame)
    for name in ("score", "activation", *image_statistics.METRICS):
        np.testing.assert_allclose([float(line[name]) for line in lines], frame[name], rtol=1e-5)


def test_mlflow_gives_the_same_and_needs_no_folder(place, frame, tmp_path, monkeypatch):
    uri = f"sqlite:///{place}/mlruns/mlflow.db"
    monkeypatch.chdir(tmp_path)
    pd.testing.assert_frame_equal(deepvis.results("latest", folder="nowhere", uri=uri), frame)
    assert list(tmp_path.iterdir()) == [], "asking leaves nothing"


def test_by_id_and_in_a_folder_of_its_own(place, frame, tmp_path):
    first, last = sorted((place / "outputs").iterdir(), key=lambda path: path.stat().st_ctime_ns)
    old = deepvis.results(first.name, folder=place / "outputs")
    assert set(old["reg.decay"]) == {0.5, 0.6}
    uri = f"sqlite:///{place}/mlruns/mlflow.db"
    pd.testing.assert_frame_equal(deepvis.results(first.name, uri=uri), old)
    shutil.copytree(last, tmp_path / "own")
    pd.testing.assert_frame_equal(deepvis.results(folder=tmp_path / "own"), frame)


def test_no_such_sweep_is_one_line(place, tmp_path):
    with pytest.raises(ConfigError, match=r"sweep=2020: no such sweep; the latest are: \d"):
        deepvis.results("2020", folder=place / "outputs")
    with pytest.raises(ConfigError, match="sweep=latest: no such sweep; the latest are: none"):
        deepvis.results(folder=tmp_path)
    with pytest.raises(ConfigError, match=r"sweep=2020: sqlite.* has no finished job"):
        deepvis.results("2020", uri=f"sqlite:///{place}/mlruns/mlflow.db")
    with pytest.raises(store.TrackingError, match="expected sqlite:///"):
        deepvis.results(uri="nonsense")
    with pytest.raises(store.TrackingError, match="there is no such SQLite database"):
        deepvis.results(uri=f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(store.TrackingError, match="it has no experiment 'mine'"):
        deepvis.results(uri=f"sqlite:///{place}/mlruns/mlflow.db", experiment="mine")
    assert list(tmp_path.iterdir()) == []
