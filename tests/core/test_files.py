"""Tables that a spreadsheet opens: no cell is a formula, and every number stays a number."""

import csv

import pytest

from deepvis.core import files


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=", "-", "--1"]
)
def test_a_text_that_begins_like_a_formula_is_inert(text, tmp_path):
    files.write_csv(tmp_path / "t.csv", [{"job": text, "other": 1}])
    with (tmp_path / "t.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row == {"job": f"'{text}".replace("\r", " "), "other": "1"}


@pytest.mark.parametrize(
    "value", [-0.5, "-0.5", "+3", "-inf", -7, "1e-3", "decay=1", "'x", "", "a=b", None, True]
)
def test_numbers_and_other_texts_stay_as_they_are(value, tmp_path):
    files.write_csv(tmp_path / "t.csv", [{"job": value}])
    with (tmp_path / "t.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["job"] == ("" if value is None else str(value))


def test_only_what_no_process_fills_is_removed(tmp_path):
    """The lock is on the folder or file, whoever asks: another process, or this one by another opening."""
    mine, file = tmp_path / "done", tmp_path / "file.npz"
    with files.replacing_folder(mine) as being_filled, files.replacing(file) as being_written:
        (being_filled / "a").write_text("a")
        being_written.write_text("b")
        left = files.partial(tmp_path / "killed")
        left.mkdir()
        (left / "b").write_text("b")
        half = files.partial(file)
        half.write_text("half")
        (tmp_path / "target").mkdir()
        link = files.partial(tmp_path / "link")
        link.symlink_to(tmp_path / "target")
        (tmp_path / ".of_the_user").mkdir()
        files.remove_left(tmp_path)
        assert not left.exists() and not half.exists() and being_written.exists()
    kept = {"done", "file.npz", "target", ".of_the_user", link.name}
    assert {path.name for path in tmp_path.iterdir()} == kept
    assert (mine / "a").read_text() == "a" and file.read_text() == "b"


def test_a_file_that_was_taken_for_left_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    real, taken = files.fcntl.flock, []

    def flock(opened, how):
        if not taken:
            (made,) = tmp_path.glob(f".*{files.PARTIAL}")
            taken.append(made.unlink())
        real(opened, how)

    monkeypatch.setattr(files.fcntl, "flock", flock)
    files.write_text(tmp_path / "file", "whole")
    assert taken and (tmp_path / "file").read_text() == "whole" and len(list(tmp_path.iterdir())) == 1
