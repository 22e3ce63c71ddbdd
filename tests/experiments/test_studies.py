"""Every number in a study's text is found in its tables."""

import csv
import re
from pathlib import Path

import pytest

STUDIES = sorted(path.parent for path in (Path(__file__).parents[2] / "experiments").glob("*/README.md"))


def told(text: str) -> set[str]:
    """The decimal fractions of the tables and of the conclusion; settings stand elsewhere, or as code."""
    plain = re.sub(r"`[^`]*`|\]\([^)]*\)", " ", text)
    kept = [line for line in plain.splitlines() if line.startswith("|")]
    kept.append(plain.partition("**Conclusion")[2].partition("**Limits")[0])
    return {each for part in kept for each in re.findall(r"(?<![\w.])-?\d+\.\d+(?![\w.])", part)}


def found(folder: Path) -> list[float]:
    cells = []
    for path in folder.glob("*.csv"):
        with path.open(newline="") as file:
            for row in csv.reader(file):
                cells += [each for cell in row for each in re.findall(r"-?\d+\.?\d*(?:e[-+]\d+)?", cell)]
    return [float(each) for each in cells]


@pytest.mark.parametrize("study", STUDIES, ids=lambda path: path.name)
def test_every_number_of_a_study_is_in_its_tables(study):
    values, wrong = found(study), []
    for word in sorted(told((study / "README.md").read_text())):
        digits = len(word.partition(".")[2])
        half = 0.5000001 * 10**-digits
        if not any(abs(float(word) - value) <= half for value in values):
            wrong.append(word)
    assert not wrong
