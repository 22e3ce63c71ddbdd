"""Laws of finished jobs: a sweep's results are its manifest's, whole, each of its own job."""

import json
import shutil

import numpy as np
import pytest

from deepvis.core.errors import ConfigError
from deepvis.results import finished_jobs, manifest, result_folder


@pytest.fixture
def sweep(tmp_path):
    for name in "ab":
        history = {"score": np.ones((2, 1))}
        result = result_folder.Result(
            name=name, key=name * 4, layer="l", filters=[0], choices={}, ends=["converged"], params={},
            tags={}, figures={}, history=history, metrics={}, features={}, twins={}, config="",
        )  # fmt: skip
        picture = [np.zeros((4, 4, 3), np.uint8)]
        result_folder.write(tmp_path / name, result, result_folder.Pictures(picture, picture, {1: picture}))
    listed = [{"name": name, "key": name * 4, "folder": name} for name in "abc"]
    manifest.write(tmp_path, manifest.identity("s1", [], listed, {}))
    return tmp_path


def read(folder):
    return finished_jobs.read(folder, manifest.read(folder), {})


def test_jobs_of_the_manifest_with_a_result_are_read_and_no_copy_beside_them(sweep):
    shutil.copytree(sweep / "a", sweep / "a copy")
    shutil.copytree(sweep / "a/result", sweep / "result")
    assert [(path, found.key) for path, found in read(sweep).items()] == [
        (sweep / "a/result", "aaaa"), (sweep / "b/result", "bbbb"),
    ]  # fmt: skip


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
@pytest.mark.parametrize("name", ["result.json", "history.npz", "metrics.npz"])
def test_a_broken_file_is_named(sweep, name, content):
    (sweep / "b/result" / name).write_text(content)
    with pytest.raises(ConfigError) as refused:
        read(sweep)
    assert f"b/result/{name}: " in str(refused.value) and "resume=s1 computes" in str(refused.value)


def test_a_missing_file_is_told_with_the_version_only_where_that_differs(sweep):
    (sweep / "b/result/metrics.npz").unlink()
    with pytest.raises(ConfigError, match=r"metrics\.npz is missing; resume=s1"):
        read(sweep)
    entry = json.loads((sweep / manifest.FILE).read_text())
    entry["versions"]["deepvis"] = "0.4.0"
    manifest.write(sweep, entry)
    with pytest.raises(ConfigError, match=r"ran with deepvis 0\.4\.0"):
        read(sweep)


def test_a_result_of_another_job_is_refused(sweep):
    shutil.rmtree(sweep / "b")
    shutil.copytree(sweep / "a", sweep / "b")
    with pytest.raises(ConfigError, match="got the result of the job aaaa, expected bbbb"):
        read(sweep)
