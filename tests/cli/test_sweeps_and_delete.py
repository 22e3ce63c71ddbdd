"""Sweeps are listed by what their folders hold; of a deleted one only what deepvis wrote goes."""

import json
import os
import sqlite3
import subprocess
import sys

import pytest
from helpers.processes import newest, runs_of

import deepvis.cli.main  # noqa: F401  declares the config
from deepvis.cli import delete, sweeps
from deepvis.core.errors import ConfigError
from deepvis.results import manifest
from deepvis.tracking import mlflow

TINY = ["model=tiny", "layer=block2_conv1", "layer.filters=0-1", "size=16", "steps=2"]


@pytest.fixture(scope="module")
def project(forker, tmp_path_factory):
    """A folder with a sweep of two jobs, tracked."""
    folder = tmp_path_factory.mktemp("project")
    said = forker.run(folder, "-m", *TINY, "seed=0,1")
    assert said.code == 0, said.err
    return folder


@pytest.fixture
def here(project, tmp_path, monkeypatch):
    """A copy of it that a test may change."""
    os.system(f"cp -a {project}/. {tmp_path}")
    monkeypatch.chdir(tmp_path)
    return newest(tmp_path)


def test_a_sweep_is_listed_by_its_results(here, capsys):
    assert sweeps.main([]) == 0
    _, line = capsys.readouterr().out.splitlines()
    stored = sum({f.stat().st_ino: f.stat().st_size for f in here.rglob("*") if f.is_file()}.values())
    assert line.split()[0] == here.name and line.split()[3:5] == ["finished", "2/2"]
    assert sweeps.size(here) == stored
    assert f"deepvis -m {' '.join(TINY)} seed=0,1" in line
    (here / "1_seed=1/result/filters/f000.png").write_bytes(b"torn")
    sweeps.main([])
    assert capsys.readouterr().out.splitlines()[1].split()[3:5] == ["unfinished", "1/2"]


def test_a_search_is_finished_with_all_of_its_trials_or_when_it_has_drawn_all_that_it_will(here, capsys):
    manifest.write(here, manifest.read(here) | {"search": True, "trials": 4})
    sweeps.main([])
    assert capsys.readouterr().out.splitlines()[1].split()[3:5] == ["unfinished", "2/4"]
    manifest.close(here, {}, is_drawn=True)
    sweeps.main([])
    assert capsys.readouterr().out.splitlines()[1].split()[3:5] == ["finished", "2/2"]


def test_jobs_are_added_by_one_process_at_a_time_and_no_lock_stays(tmp_path):
    manifest.write(tmp_path, {"id": "s", "start": "2026-01-01T00:00:00+00:00", "overrides": [], "weights": {},
                              "versions": {"deepvis": "1"}, "jobs": []})  # fmt: skip
    script = (
        "import sys; from pathlib import Path; from deepvis.results import manifest\nfor i in range(20):\n"
    )
    script += "    name = f'{sys.argv[2]}_{i}'\n"
    script += "    manifest.add_jobs(Path(sys.argv[1]), [{'name': name, 'key': name, 'folder': name}])"
    started = [subprocess.Popen([sys.executable, "-c", script, tmp_path, each]) for each in "ab"]
    assert [each.wait(60) for each in started] == [0, 0]
    assert len({job["folder"] for job in manifest.read(tmp_path)["jobs"]}) == 40
    assert [path.name for path in tmp_path.iterdir()] == [manifest.FILE]


def test_the_latest_is_last_by_utc_and_a_broken_manifest_hides_no_other(here, capsys, caplog):
    outputs = here.parent
    for name, start in {"a": "2000-01-01T23:00:00+0900", "b": "2000-01-01T15:00:00+00:00"}.items():
        entry = json.loads((here / manifest.FILE).read_text()) | {"id": name, "start": start, "jobs": []}
        manifest.write(outputs / name, entry)
    for name, text in {"c": '{"id": ', "d": "[]", "e": '{"id": "e"}', "f": ""}.items():
        (outputs / name).mkdir()
        (outputs / name / manifest.FILE).write_text(text)
    (outputs / "g").symlink_to("/nowhere")
    assert sweeps.main([]) == 0
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["c", "d", "e", "f", "a", "b", here.name]
    for name in "cdef":
        assert any(f"outputs/{name}/{manifest.FILE}: torn" in each for each in caplog.messages)


def test_a_narrow_terminal_has_the_command_on_a_line_of_its_own():
    listed = sweeps.Listed("20260102-030405-abcd", None, "finished", 2, 2, 1234567, "deepvis -m " + "x" * 99)
    narrow, wide = (list(sweeps._lines([listed], width)) for width in (60, 200))
    assert max(len(line) for line in narrow[::2]) <= 60 + 20 and narrow[3] == f"  {listed.command}"
    assert len(wide) == 2 and wide[1].endswith(f"1.2 MB  {listed.command}")


SIZES = {0: "0 B", 999: "999 B", 1000: "1.0 kB", 9960: "10 kB", 999_600: "1.0 MB", 5 * 10**12: "5000 GB"}


@pytest.mark.parametrize(("count", "text"), SIZES.items())
def test_sizes(count, text):
    assert sweeps.shown_size(count) == text


def test_what_deepvis_wrote_goes_and_the_users_files_stay(here, forker, tmp_path):
    """Also those behind links, and those whose names look like deepvis' in another place."""
    outside = tmp_path / "outside"
    (outside / "result").mkdir(parents=True)
    (outside / "result/gallery.png").write_text("mine")
    yours = {
        here / "notes.txt": None, here / "gallery.png": None, here / "0_seed=0/result/gallery.bak": None,
        here / "mine/live.png": None, here / "study.db": None, here / "0_seed=0/filters/f000.png": None,
        here / "link": outside, here / "2_seed=2": outside,
    }  # fmt: skip
    for path, target in yours.items():
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(target) if target else path.write_text("mine")
    said = forker.run(tmp_path, "delete", "latest", "--yes")
    assert (said.code, said.err) == (0, "")
    left = {path for path in here.rglob("*") if path.is_symlink() or path.is_file()}
    assert left == set(yours)
    assert (outside / "result/gallery.png").read_text() == "mine"
    assert f"{len(yours)} files of yours" in said.out


def test_nothing_is_left_of_a_sweep_and_its_runs_are_deleted(here, forker, tmp_path):
    assert len(runs_of(tmp_path, here.name)) == 2
    said = forker.run(tmp_path, "delete", here.name, "-y")
    assert (said.code, said.err) == (0, "")
    assert not here.exists() and list(here.parent.iterdir()) == []
    assert runs_of(tmp_path, here.name) == [] == runs_of(tmp_path, here.name, "sweep")
    with sqlite3.connect(tmp_path / "mlruns/mlflow.db") as store:
        stages = store.execute("select lifecycle_stage from runs").fetchall()
        views = store.execute("select key from experiment_tags where key like '%View%'").fetchall()
    assert stages == [("deleted",)] * 3 and views == []
    assert "mlflow gc --backend-store-uri sqlite:///mlruns/mlflow.db --run-ids " in said.out


@pytest.mark.parametrize("answer", ["", "n\n", "no\n", "yes please\n"])
def test_only_yes_deletes(here, answer, monkeypatch, tmp_path):
    (tmp_path / "answer").write_text(answer)
    with (tmp_path / "answer").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert delete.main(["latest"]) == 1
    assert (here / "0_seed=0/result/result.json").is_file() and len(runs_of(tmp_path, here.name)) == 2


def test_a_sweep_that_runs_or_a_link_or_a_lost_store_is_refused(here, forker, monkeypatch, tmp_path):
    (here.parent / "link").symlink_to(here)
    with pytest.raises(ConfigError, match="got a link"):
        delete.main(["outputs/link", "-y"])
    (here.parent / "link").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(delete.process_locks, "alive", lambda folder: ["host-1-abc"])
        with pytest.raises(ConfigError, match="a process still runs it"):
            delete.main([f"outputs/{here.name}", "-y"])
    (elsewhere := tmp_path / "elsewhere").mkdir()
    mlflow.mlflow(f"sqlite:///{elsewhere}/mlruns/mlflow.db", f"{elsewhere}/mlruns/artifacts", "deepvis")
    said = forker.run(elsewhere, "delete", here.name, "-y", f"folder={here.parent}")
    assert said.code == 1 and "mlflow.db has no run of it; run this in the folder" in said.err
    assert (here / manifest.FILE).is_file() and len(runs_of(tmp_path, here.name)) == 2
    (tmp_path / "mlruns/mlflow.db").rename("moved.db")
    said = forker.run(tmp_path, "delete", here.name, "-y")
    assert said.code == 1 and said.err.startswith("deepvis: tracker.uri=sqlite:///mlruns/mlflow.db: ")
    assert (here / manifest.FILE).is_file()
    assert forker.run(tmp_path, "delete", here.name, "-y", "tracker=none").code == 0 and not here.exists()
