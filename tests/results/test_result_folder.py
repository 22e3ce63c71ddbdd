"""Laws of deepvis.results.result_folder: what is written is read, and a folder is whole or not there."""

import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepvis.core import files, images
from deepvis.core.files import write_csv
from deepvis.results import result_folder, trust
from deepvis.results.result_folder import Pictures, Result

FILTERS = (3, 0, 512)
STEPS = 4


def example(seed=0):
    rng = np.random.default_rng(seed)
    recorded = ("score", "rank", "image_rms")
    history = {name: rng.normal(0, 1, (STEPS + 1, 3)).astype(np.float32) for name in recorded}
    history["score"][2, 1] = np.nan
    history["alive"] = rng.random((STEPS + 1, 3)) > 0.3
    result = Result(
        name="decay=0.8 blur=3", key="0123456789ab", layer="block5_conv1", filters=FILTERS,
        ends=("converged", "stuck", "diverged"), params={"reg.decay": 0.8, "steps": STEPS, "seed": seed},
        choices={"reg": "decay"},
        tags={"weights.digest": "abc", "ü": "ø"}, figures={"final/score": 1.25}, history=history,
        features={"post": np.ones((3, 16))},
        twins={"score": rng.normal(0, 1, (2, STEPS + 1, 3)), "sparsity": np.ones((2, 3))},
        metrics={"sparsity": np.array([0.25, np.nan, 1.0]), "saturation": np.zeros(3)},
        config=f"seed: {seed}\nname: é\n",
    )  # fmt: skip

    def three():
        return [rng.integers(0, 256, (6, 6, 3), dtype=np.uint8) for _ in FILTERS]

    return result, Pictures(
        final=three(), best=three(), progress={2: three(), 4: three()}, twins=[three(), three()]
    )


def same(read, wrote):
    assert tuple(read.filters) == tuple(wrote.filters) and tuple(read.ends) == tuple(wrote.ends)
    for field in ("name", "key", "layer", "config", "params", "choices", "tags", "figures"):
        assert getattr(read, field) == getattr(wrote, field), field
    for ours, theirs in ((getattr(read, kind), getattr(wrote, kind)) for kind in result_folder.ARRAYS):
        assert ours.keys() == theirs.keys()
        for name, values in theirs.items():
            assert ours[name].dtype == values.dtype
            np.testing.assert_array_equal(ours[name], values)


def tree(folder):
    """Every file below a folder, and what is in it."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def pixels(path):
    with Image.open(path) as file:
        return np.asarray(file)


def test_what_was_written_is_what_is_read(tmp_path):
    result, pictures = example()
    folder = result_folder.write(tmp_path / "0_job", result, pictures)
    same(result_folder.read(folder), result)


def test_every_picture_is_where_the_layout_says_and_nothing_else_is(tmp_path):
    result, pictures = example()
    folder = result_folder.write(tmp_path / "0_job", result, pictures)
    assert folder == tmp_path / "0_job" / "result"
    numbers = ["f003", "f000", "f512"]
    wanted = {
        "gallery.png": images.gallery(pictures.final, numbers),
        "best.png": images.gallery(pictures.best, numbers),
    }
    for place, seen in {
        "filters": pictures.final,
        "best": pictures.best,
        "progress/step_00002": pictures.progress[2],
        "progress/step_00004": pictures.progress[4],
        "twins/1": pictures.twins[0],
        "twins/2": pictures.twins[1],
    }.items():
        wanted |= {
            f"{place}/f003.png": seen[0],
            f"{place}/f000.png": seen[1],
            f"{place}/f512.png": seen[2],
        }
    for place, picture in wanted.items():
        np.testing.assert_array_equal(pixels(folder / place), picture, err_msg=place)
    assert set(tree(tmp_path / "0_job")) == {f"result/{name}" for name in [*wanted, *result_folder.TEXTS]}
    json.loads((folder / "result.json").read_text(), parse_constant=pytest.fail)


def test_a_picture_is_encoded_once_whatever_its_names_are_and_a_start_once_for_all_jobs(
    tmp_path, monkeypatch
):
    """The last snapshot is the last image, here also the best; the start is that of another job."""
    result, pictures = example()
    begun = pictures.twins[0]
    pictures = replace(
        pictures,
        best=pictures.final,
        progress={0: begun, 2: pictures.progress[2], 4: pictures.final},
        twins=(),
    )
    result_folder.write(tmp_path / "0_job", result, replace(pictures, progress={0: begun}))
    encoded, own = [], images.png
    monkeypatch.setattr(images, "png", lambda picture: encoded.append(picture) or own(picture))
    folder = result_folder.write(tmp_path / "1_job", result, pictures)
    assert [each.shape[:2] for each in encoded[1:]] == [(6, 6)] * 6  # three last images, three on the way
    np.testing.assert_array_equal(encoded[0], images.gallery(pictures.final, ["f003", "f000", "f512"]))
    for names in (
        ["gallery.png", "best.png"],
        ["filters/f000.png", "best/f000.png", "progress/step_00004/f000.png"],
    ):
        assert len({(folder / name).read_bytes() for name in names}) == 1
    for number, name in enumerate(["f003", "f000", "f512"]):
        for place, shown in (("step_00000", begun), ("step_00004", pictures.final)):
            np.testing.assert_array_equal(pixels(folder / "progress" / place / f"{name}.png"), shown[number])


def test_the_documented_layout_is_the_real_one(tmp_path):
    """The header of result_folder.py: a line a file, and a file a line."""
    result, pictures = example()
    measured = dict.fromkeys(trust.MEASURES, np.ones(len(result.filters)))
    result = replace(
        result, params={**result.params, "animation": True}, metrics=dict(result.metrics) | measured
    )

    def more(at):
        (at / "examples").mkdir()
        (at / "examples.png").touch()

    folder = result_folder.write(tmp_path, result, pictures, more)
    heads = [
        line.split("   ")[0].split() for line in result_folder.__doc__.splitlines() if line.startswith("  ")
    ]
    told = {Path(place).parts[0] for head in heads for place in head}
    assert told == {path.name for path in folder.iterdir()}


def fail_at(monkeypatch, owner, name, k, failure):
    """Make the k-th call of a function fail, after it has done half its work where that is writing."""
    own, calls = getattr(owner, name), []

    def fails(*args, **kwargs):
        calls.append(args)
        if len(calls) == k:
            raise failure
        return own(*args, **kwargs)

    monkeypatch.setattr(owner, name, fails)
    return calls


FULL = OSError(errno.ENOSPC, "No space left on device")
STAGES = (
    # 2 galleries, then 3 pictures of 6 kinds: each is a file of bytes
    [(Path, "write_bytes", k) for k in range(1, 21)]
    + [(np, "savez_compressed", k) for k in range(1, 5)]
    + [(json, "dumps", 1)]
    + [(Path, "write_text", 1), (Path, "write_text", 2)]
    + [(Path, "mkdir", k) for k in range(1, 4)]
)
NAMES = [f"{owner.__name__}.{name}-{k}" for owner, name, k in STAGES]


@pytest.mark.parametrize("before", [False, True], ids=["first", "again"])
@pytest.mark.parametrize(("owner", "name", "k"), STAGES, ids=NAMES)
def test_a_failure_anywhere_leaves_what_was_there(tmp_path, monkeypatch, owner, name, k, before):
    old, pictures = example(1)
    if before:
        result_folder.write(tmp_path, old, pictures)
    was = tree(tmp_path)
    calls = fail_at(monkeypatch, owner, name, k, FULL)
    with pytest.raises(OSError, match="No space left"):
        result_folder.write(tmp_path, *example(2))
    monkeypatch.undo()
    assert len(calls) >= k
    assert tree(tmp_path) == was
    assert [p.name for p in tmp_path.iterdir()] == (["result"] if before else [])
    # And the disk having room again, it works.
    same(result_folder.read(result_folder.write(tmp_path, *example(2))), example(2)[0])


def test_the_stages_above_are_all_there_are(tmp_path, monkeypatch):
    calls = fail_at(monkeypatch, Path, "write_bytes", 0, FULL)
    result_folder.write(tmp_path, *example())
    assert len(calls) == len([1 for _, name, _ in STAGES if name == "write_bytes"])


@pytest.mark.parametrize("k", [1, 2])
def test_a_rename_that_fails_leaves_the_old_result(tmp_path, monkeypatch, k):
    """Replacing a result takes two renames: the old one must not be lost between them."""
    old, pictures = example(1)
    result_folder.write(tmp_path, old, pictures)
    was, own, calls = tree(tmp_path), Path.replace, []

    def fails(self, target):
        if self.suffix != ".png" and self.parent == tmp_path:  # not the renames of single pictures
            calls.append(self)
            if len(calls) == k:
                raise OSError(errno.EIO, "Input/output error")
        return own(self, target)

    monkeypatch.setattr(Path, "replace", fails)
    with pytest.raises(OSError, match="Input/output"):
        result_folder.write(tmp_path, *example(2))
    monkeypatch.undo()
    assert len(calls) >= k
    assert tree(tmp_path) == was


def test_an_interrupt_leaves_nothing_half_written(tmp_path, monkeypatch):
    fail_at(monkeypatch, Path, "write_bytes", 5, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        result_folder.write(tmp_path, *example())
    assert tree(tmp_path) == {}


def test_the_remains_of_a_killed_process_are_no_result_and_not_in_the_way(tmp_path):
    """kill -9 cannot be cleaned up after, so its half must not be taken for a whole."""
    job = tmp_path / "0_job"
    shutil.move(result_folder.write(job, *example(1)), files.partial(job / "result"))
    assert list(result_folder.finished(tmp_path)) == []
    same(result_folder.read(result_folder.write(job, *example(2))), example(2)[0])
    assert list(result_folder.finished(tmp_path)) == [job / "result"]


def test_as_many_names_as_pictures_or_nothing(tmp_path):
    result, pictures = example()
    with pytest.raises(ValueError, match="zip"):
        result_folder.write(tmp_path, result, replace(pictures, final=pictures.final[:2]))
    assert tree(tmp_path) == {}


def test_a_sweep_lists_its_finished_jobs_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 2, 0, 33):
        result_folder.write(tmp_path / f"{number}_decay=0.8_x", *example(number))
    files.partial(tmp_path / "1_failed" / "result").mkdir(parents=True)
    (tmp_path / "3_running").mkdir()
    found = [result_folder.read(folder).params["seed"] for folder in result_folder.finished(tmp_path)]
    assert found == [0, 2, 10, 33]


@pytest.mark.parametrize(("index", "name"), [(0, "f000"), (12, "f012"), (511, "f511"), (4095, "f4095")])
def test_labels_sort_as_their_filters_within_a_layer(index, name):
    assert result_folder.label(index) == name


def test_a_table_has_every_key_and_so_many_digits(tmp_path):
    write_csv(tmp_path / "t.csv", [{"a": 1 / 3, "b": "x, y"}, {"c": 12345678, "a": float("nan")}], digits=3)
    assert (tmp_path / "t.csv").read_text() == 'a,b,c\n0.333,"x, y",\nnan,,12345678\n'
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


# --- validity ----------------------------------------------------------------------------------------

KEY = "0123456789ab"


def test_a_written_result_has_no_problem_and_one_of_another_job_has(tmp_path):
    folder = result_folder.write(tmp_path, *example())
    assert result_folder.problem(folder, KEY) is None
    other = result_folder.problem(folder, "other")
    assert KEY in other and "other" in other
    assert "missing" in result_folder.problem(tmp_path / "nothing", KEY)
    (folder / "notes.txt").write_text("of the user's: no fault")
    assert result_folder.problem(folder, KEY) is None


def damages():
    """Every file of a result, damaged in every way that a crash or a disk damages one."""
    return {
        "empty": lambda path: path.write_bytes(b""),
        "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
        "missing": Path.unlink,
        "a folder": lambda path: (path.unlink(), path.mkdir()),
        "one bit": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
    }


@pytest.mark.parametrize("damage", damages())
def test_a_damaged_file_is_named_whichever_it_is(tmp_path, damage):
    whole = result_folder.write(tmp_path / "whole", *example())
    for name in tree(whole):
        folder = tmp_path / "damaged"
        shutil.copytree(whole, folder)
        damages()[damage](folder / name)
        found = result_folder.problem(folder, KEY)
        assert found is not None and "\n" not in found and str(folder / name) in found, (name, found)
        shutil.rmtree(folder)


@pytest.mark.parametrize("text", ["[]", "{}", "null", '"files"', '{"files": []}', '{"files": {"a": 3}}'])
def test_json_of_something_else_is_no_result(tmp_path, text):
    folder = result_folder.write(tmp_path, *example())
    (folder / "result.json").write_text(text)
    assert str(folder / "result.json") in result_folder.problem(folder, KEY)


def test_a_result_that_lists_less_than_all_is_none(tmp_path):
    folder = result_folder.write(tmp_path, *example())
    content = json.loads((folder / "result.json").read_text())
    for lacking in (*result_folder.IN_JSON, "history.npz", "config.yaml"):
        less = {k: v for k, v in content.items() if k != lacking}
        less["files"] = {k: v for k, v in content["files"].items() if k != lacking}
        (folder / "result.json").write_text(json.dumps(less))
        assert lacking in result_folder.problem(folder, KEY)


def test_only_what_deepvis_left_half_written_is_removed(tmp_path):
    mine = {".name.123", ".result.77", ".hidden", "notes.deepvis-partial"}
    for name in mine:
        (tmp_path / name).write_text("of the user's")
    for each in (files.partial(tmp_path / "sweep.json"), files.partial(tmp_path / "live.png")):
        each.write_text("half")
    (files.partial(tmp_path / "result") / "filters").mkdir(parents=True)
    result_folder.clear(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == mine


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """A machine that crashes between the two would leave an empty file under the final name."""
    done, sync, replace = [], files.sync, Path.replace
    monkeypatch.setattr(files, "sync", lambda path: (done.append(("sync", path)), sync(path))[1])
    monkeypatch.setattr(Path, "replace", lambda a, b: (done.append(("replace", a)), replace(a, b))[1])
    files.write_text(tmp_path / "a.txt", "é")
    (first, temporary), (second, same_one), (third, parent) = done
    assert (first, second, third) == ("sync", "replace", "sync")
    assert temporary == same_one and parent == tmp_path
    assert (tmp_path / "a.txt").read_bytes() == "é".encode()
