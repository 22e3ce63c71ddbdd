"""Laws of sweep folders: nothing is mixed, and what deepvis did not write is left alone."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.configs import job_of

from deepvis.core import files as core_files
from deepvis.core.errors import ConfigError
from deepvis.results import manifest, written_files
from deepvis.sweeps import jobs, process_locks, sweep_folders


def refused(match, function, *given):
    with pytest.raises(ConfigError, match=match) as error:
        function(*given)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "names",
    [["same", "same"], ["a/b", "a/c"], ["../x", "y"], ["/tmp/x", "y"], ["a", "A"], [".hidden", "b"],
     ["", "b"], ["result", "b"], ["summary.csv", "b"], ["a b", "c"], [".", "b"], ["..", "b"]],
)  # fmt: skip
def test_each_job_has_one_folder_of_its_own_in_the_sweeps(tmp_path, names):
    refused("hydra.sweep.subdir", sweep_folders.check_plans, tmp_path, [tmp_path / name for name in names])


def test_plain_folders_and_the_sweeps_own_are_taken(tmp_path):
    sweep_folders.check_plans(tmp_path, [tmp_path / "0_decay=0.8", tmp_path / "1_é+x,y"])
    sweep_folders.check_plans(tmp_path, [tmp_path])
    sweep_folders.check_plans(tmp_path, [])


def test_two_jobs_of_one_setting_are_refused(tmp_path):
    one, two = job_of(tmp_path / "0", "reg.decay=0.8"), job_of(tmp_path / "1", "reg.decay=0.80")
    refused("same settings", sweep_folders.check_different, [one, two])
    sweep_folders.check_different([one, job_of(tmp_path / "1", "reg.decay=0.9")])


def entry(folder, own_folder=False):
    job = replace(job_of(folder / "0_a"), name="a")
    return manifest.identity("s", [], [jobs.manifest_entry(job)], {}, own_folder=own_folder)


@pytest.mark.parametrize("own_folder", [True, False])
@pytest.mark.parametrize("name", [*written_files.OF_SWEEP, *written_files.OF_JOB])
def test_a_file_that_would_be_overwritten_is_named(tmp_path, name, own_folder):
    inside = tmp_path if own_folder or name in written_files.OF_SWEEP else tmp_path / "0_a"
    inside.mkdir(exist_ok=True)
    (tmp_path / "notes.txt").write_text("of the user's, and in nobody's way")
    sweep_folders.check_new(tmp_path, entry(tmp_path, own_folder))
    (inside / name).write_text("of the user's")
    said = refused("would be overwritten", sweep_folders.check_new, tmp_path, entry(tmp_path, own_folder))
    assert str(inside / name) in said and (inside / name).read_text() == "of the user's"


def test_a_folder_has_one_sweep(tmp_path):
    manifest.write(tmp_path, entry(tmp_path))
    assert "resume=s" in refused("it has the sweep s", sweep_folders.check_new, tmp_path, entry(tmp_path))


def test_the_same_sweep_typed_again_is_told_and_offered(tmp_path, capsys):
    manifest.write(tmp_path / "s", entry(tmp_path / "s"))
    sweep_folders.check_new(tmp_path / "t", entry(tmp_path / "t"))
    assert "resume=s" in capsys.readouterr().out
    other = entry(tmp_path / "t")
    other["jobs"][0]["key"] = "another"
    sweep_folders.check_new(tmp_path / "t", other)
    assert capsys.readouterr().out == ""


def test_only_what_a_dead_process_left_before_its_manifest_is_removed(tmp_path):
    """A folder stays that has a process, a manifest or a file of the user's; so does what a link shows."""
    outputs = tmp_path / "outputs"
    for name in ("dead", "half written", "lives", "begun", "of the user's", "locks of the user's"):
        locks = outputs / name / process_locks.FOLDER
        locks.mkdir(parents=True)
        for lock in ("host-1-abcdef", f"host-1-abcdef{process_locks.BEAT}"):
            (locks / lock).write_text(f"{process_locks._kernel()} 0")
        (outputs / name / f".sweep.json.01234567{core_files.PARTIAL}").write_text("{")
    for lock in (outputs / "half written" / process_locks.FOLDER).iterdir():
        lock.unlink()
    process_locks.sign(outputs / "lives")
    manifest.write(outputs / "begun", entry(outputs / "begun"))
    (outputs / "of the user's" / "notes.txt").write_text("mine")
    (outputs / "locks of the user's" / process_locks.FOLDER / "notes.txt").write_text("mine")
    (outputs / "empty").mkdir()
    (tmp_path / "linked" / process_locks.FOLDER).mkdir(parents=True)
    (outputs / "link").symlink_to(tmp_path / "linked")
    kept = {path for path in tmp_path.rglob("*") if not {"dead", "half written"} & set(path.parts)}
    sweep_folders.remove_unbegun(outputs)
    assert set(tmp_path.rglob("*")) == kept
    process_locks.tidy(outputs / "lives")


def test_a_broken_manifest_is_made_again_only_of_what_fits_the_results(tmp_path, capsys):
    (tmp_path / manifest.FILE).write_text("{")
    new = entry(tmp_path)
    result = tmp_path / "0_a" / "result"
    result.mkdir(parents=True)
    key = new["jobs"][0]["key"]
    (result / "result.json").write_text(f'{{"key": "{key}"}}')
    assert sweep_folders.manifest_of(tmp_path, new)["jobs"] == new["jobs"]
    assert str(tmp_path / manifest.FILE) in capsys.readouterr().out
    (result / "result.json").write_text("torn")
    sweep_folders.manifest_of(tmp_path, new)  # it is computed again
    (result / "result.json").write_text('{"key": "another"}')
    refused("of another job", sweep_folders.manifest_of, tmp_path, new)
    shutil.move(tmp_path / "0_a", tmp_path / "7_b")
    refused("of another job", sweep_folders.manifest_of, tmp_path, new)


@pytest.mark.parametrize("folder", [".", "..", "my results #1", ".hidden", "a/../b", "/", "é,b"])
def test_any_folder_of_a_single_job_has_a_manifest_that_can_be_read(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = job_of(Path(folder))
    manifest.write(tmp_path, manifest.identity("s", [], [jobs.manifest_entry(job)], {}, own_folder=True))
    (read,) = manifest.read(tmp_path)["jobs"]
    assert read["folder"] == job.folder_name
    assert jobs.manifest_entry(job_of(tmp_path / "é,b"))["folder"] == "é,b"


def test_a_file_of_the_manifests_name_that_is_none_is_not_called_a_sweep(tmp_path):
    (tmp_path / manifest.FILE).write_text("mine")
    assert "torn or not deepvis'; choose another" in refused(
        "is there", sweep_folders.check_no_sweep, tmp_path
    )
