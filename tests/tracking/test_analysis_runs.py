"""Laws of deepvis.tracking.analysis_runs: the run of an analysis that could not be logged whole says so."""

import errno

import pytest

from deepvis.tracking import mlflow, runs
from deepvis.tracking.base import AnalysisRun


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    place = tmp_path_factory.mktemp("project")
    return mlflow.mlflow(f"sqlite:///{place}/mlruns/mlflow.db", f"{place}/mlruns/artifacts", "deepvis")


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (None, "FINISHED"),
        (OSError(errno.ENOSPC, "No space left on device"), "FAILED"),
        (KeyboardInterrupt(), "KILLED"),
        (SystemExit(143), "KILLED"),  # SIGTERM
    ],
)
def test_a_run_ends_however_its_files_were_logged(store, tmp_path, monkeypatch, raised, status):
    (tmp_path / "trust.csv").write_text("filter\n0\n")

    def add_files(*_, **__):
        if raised is not None:
            raise raised

    monkeypatch.setattr(runs, "add_files", add_files)
    run = AnalysisRun("trust", f"of {status} {raised!r}", "trust", {"seed": 0}, {"believable": 1.0}, tmp_path)
    if raised is None:
        store.log_analysis(run)
    else:
        with pytest.raises(type(raised)):
            store.log_analysis(run)
    (found,) = store.client.search_runs([store.experiment_id], f'tags.analysis = "{run.id}"')
    assert found.info.status == status and found.info.end_time is not None
