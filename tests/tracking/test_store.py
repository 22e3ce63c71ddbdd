"""Laws of a store: what is not MLflow's is left alone, a moved one is right, and no tag is a path."""

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from deepvis.cli import tracking_variables
from deepvis.core import credentials
from deepvis.core.errors import ConfigError, DeepvisError, TrackingError
from deepvis.tracking import mlflow, moved_store, runs
from deepvis.tracking.base import JobRun


def opened(project: Path) -> mlflow.Mlflow:
    return mlflow.mlflow(f"sqlite:///{project}/mlruns/mlflow.db", f"{project}/mlruns/artifacts", "deepvis")


def made(store: mlflow.Mlflow, job: str, text: str) -> str:
    """A finished run with one file; its id."""
    store.log(JobRun("s", job, f"key-{job}", job, {"seed": 1}, {}, None, Path("nowhere")))
    (run,) = runs.search(store.client, store.experiment_id, f"tags.job = '{job}'")
    folder = runs.local_path(run.artifacts)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(text)
    return run.id


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "one"
    made(opened(folder), "0_a", "old")
    return folder


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_a_project_that_was_copied_or_moved_writes_and_reads_where_it_is(how, project, tmp_path, capsys):
    before = sorted(project.rglob("*"))
    other = tmp_path / "two"
    (shutil.copytree if how == "copied" else shutil.move)(project, other)
    store = opened(other)
    assert "moved" in capsys.readouterr().out
    made(store, "1_b", "new")
    (other / "old").mkdir()
    for job, text in (("0_a", "old"), ("1_b", "new")):
        (run,) = runs.search(store.client, store.experiment_id, f"tags.job = '{job}'")
        file = store.client.download_artifacts(run.id, "result.json", str(other / "old"))
        assert Path(file).read_text() == text
        assert runs.local_path(run.artifacts).is_relative_to(other)
    # The original is as it was: there, whole and with nothing new, or not there.
    assert sorted(project.rglob("*")) == (before if how == "copied" else [])
    opened(other)
    assert capsys.readouterr().out == ""  # said once


@pytest.mark.parametrize("status", ["RUNNING", "FAILED", "KILLED"])
def test_a_run_that_has_no_file_yet_goes_on_in_the_copy(status, project, tmp_path):
    """Killed between its first row and its first file."""
    store = opened(project)
    run = store.client.create_run(store.experiment_id)
    store.client.update_run(run.info.run_id, status=status)
    shutil.copytree(project, tmp_path / "two")
    before = sorted(project.rglob("*"))
    (tmp_path / "result.json").write_text("new")
    opened(tmp_path / "two").client.log_artifact(run.info.run_id, str(tmp_path / "result.json"))
    assert sorted(project.rglob("*")) == before
    assert len(list((tmp_path / "two").rglob("result.json"))) == 2


def test_a_finished_run_whose_files_were_not_copied_is_still_read(project, tmp_path):
    other = tmp_path / "two/mlruns"
    other.mkdir(parents=True)
    shutil.copy(project / "mlruns/mlflow.db", other)
    store = opened(tmp_path / "two")
    (run,) = runs.search(store.client, store.experiment_id, "tags.job = '0_a'")
    (tmp_path / "read").mkdir()
    file = store.client.download_artifacts(run.id, "result.json", str(tmp_path / "read"))
    assert Path(file).read_text() == "old"


def test_files_elsewhere_stay_where_they_are(project, tmp_path, capsys):
    """A database that several projects share is not turned to the folder of the last one."""
    file = project / "mlruns/mlflow.db"
    moved_store.adopt(file, tmp_path / "three/mlruns/artifacts", "deepvis")
    store = mlflow.mlflow(f"sqlite:///{file}", None, "deepvis")
    where = store.client.get_experiment(store.experiment_id).artifact_location
    assert where == (project / "mlruns/artifacts").as_uri() and capsys.readouterr().out == ""


@pytest.mark.parametrize("artifacts", ["artifacts", None])
def test_a_database_of_something_else_is_refused_and_not_given_tables(artifacts, tmp_path):
    file = tmp_path / "mine.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE experiments (name TEXT)")
        database.execute("CREATE TABLE birds (name TEXT)")
    database.close()
    before = file.read_bytes()
    with pytest.raises(TrackingError, match=r"birds.*expected MLflow's"):
        mlflow.mlflow(f"sqlite:///{file}", artifacts and f"{tmp_path}/{artifacts}", "deepvis")
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]


def test_a_store_of_another_version_is_refused_in_mlflows_words(project):
    file = project / "mlruns/mlflow.db"
    with sqlite3.connect(file) as database:
        database.execute("UPDATE alembic_version SET version_num = '0584bdc529eb'")
    database.close()
    copy = file.with_name("other.db")  # MLflow keeps stores that it opened
    file.rename(copy)
    with pytest.raises(TrackingError) as error:
        mlflow.mlflow(f"sqlite:///{copy}", f"{project}/mlruns/artifacts", "deepvis")
    text = str(error.value)
    assert f"mlflow db upgrade sqlite:///{copy}" in text and "0584bdc529eb" in text and "\n" not in text


@pytest.mark.parametrize("name", ["../../out", "/tmp/out", "..", ".", "a/b", "a\nb", ""])
def test_a_tag_of_a_store_never_is_a_path(name, project, tmp_path):
    store = opened(project)
    id = made(store, "1_b", "{}")
    store.client.set_tag(id, "job", name)
    target = tmp_path / "deep/er/target"
    target.mkdir(parents=True)
    with pytest.raises(ConfigError, match="expected the name of a folder"):
        store.fetch("s", target)
    assert not [path for path in (tmp_path / "deep").rglob("*") if path.is_file()]


def test_a_creation_that_failed_though_it_was_done_is_found_and_not_repeated(project, monkeypatch):
    store = opened(project)
    create = store.client.create_run

    def done_but_failed(*args, **kwargs):
        create(*args, **kwargs)
        raise ConnectionError("500")

    run = JobRun("s", "2_c", "key", "c", {}, {}, None, Path("nowhere"))
    with monkeypatch.context() as patch:
        patch.setattr(store.client, "create_run", done_but_failed)
        with pytest.raises(ConnectionError):
            store.log(run)
    store.log(run)
    (only,) = runs.search(store.client, store.experiment_id, "tags.job = '2_c'")
    assert only.status == "FINISHED"


def test_of_two_runs_of_a_job_one_stays_and_none_is_left_open(project):
    """A creation that hung may be done after its repetition."""
    store = opened(project)
    run = JobRun("s", "0_a", "key-0_a", "a", {}, {}, None, Path("nowhere"))
    runs.create(store.client, store.experiment_id, "a", runs.tags_of(run))
    runs.create(
        store.client, store.experiment_id, "b", {"sweep": "s", "kind": "job", "job": "5", "job_key": ""}
    )
    jobs, _ = store._sorted(runs.search(store.client, store.experiment_id, "tags.sweep = 's'"))
    store._tidy(jobs)
    left = list(runs.search(store.client, store.experiment_id, "tags.sweep = 's'"))
    assert sorted((run.at[0], run.status) for run in left) == [("0_a", "FINISHED"), ("5", "KILLED")]


def test_passwords_are_taken_out_of_addresses_and_masked_in_others(monkeypatch):
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")  # to be restored
    typed = 'tracker.uri="https://me:p%40ss:w@host:5000/x"'
    assert credentials.taken(typed) == 'tracker.uri="https://host:5000/x"'
    assert os.environ["MLFLOW_TRACKING_USERNAME"] == "me"
    assert os.environ["MLFLOW_TRACKING_PASSWORD"] == "p@ss:w"
    same = "objective=a@b http://host:5000/x@y start.path=a:b@c.png"
    assert credentials.taken(same) == same == credentials.masked(same)
    assert credentials.masked("postgresql://me:secret@host/db: no") == "postgresql://me:***@host/db: no"
    long = "x" * 10**6  # of which no letter but the first may begin an address: that would never end
    assert credentials.masked(f"{long} {long}://me:secret@host") == f"{long} {long}://me:***@host"
    with pytest.raises(TrackingError) as error:
        mlflow.mlflow("postgresql://me:secret@host/db", None, "deepvis")
    assert "secret" not in str(error.value)


def test_mlflows_variables_count_where_nothing_is_typed(monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///else where/m.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", 'my "own"')
    added = ['tracker.uri="sqlite:///else where/m.db"', 'tracker.experiment="my \\"own\\""']
    assert tracking_variables.added(["seed=1"]) == ["seed=1", *added]
    said = capsys.readouterr().out
    assert "from MLFLOW_TRACKING_URI" in said and "from MLFLOW_EXPERIMENT_NAME" in said
    for typed in (["tracker=none"], ["resume=latest"], ["tracker.uri=x", "tracker.experiment=y"]):
        assert tracking_variables.added(typed) == typed
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [("timeout", -1), ("timeout", float("nan")), ("timeout", float("inf")), ("timeout", "soon"),
     ("timeout", None), ("uri", None), ("uri", "http://"), ("experiment", None), ("experiment", "")],
)  # fmt: skip
def test_a_setting_that_is_not_of_its_kind_is_named(tmp_path, monkeypatch, key, value):
    monkeypatch.chdir(tmp_path)
    settings = {"uri": "sqlite:///mlflow.db", "artifacts": "files", "experiment": "deepvis", "timeout": 1}
    with pytest.raises(DeepvisError, match=rf"^tracker\.{key}=.*expected"):
        mlflow.mlflow(**(settings | {key: value}))
    assert not list(tmp_path.iterdir())
