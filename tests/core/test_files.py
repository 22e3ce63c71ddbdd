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
