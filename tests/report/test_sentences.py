"""A small part of benchmarks/sentences.py: a report's sentences are true of simulated sweeps."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from deepvis.report import front

PATH = Path(__file__).parents[2] / "benchmarks" / "sentences.py"
SPEC = importlib.util.spec_from_file_location("sentences", PATH)
sentences = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(sentences)


@pytest.mark.parametrize("law", ["normal", "heavy"])
def test_one_page_in_twenty_has_a_false_sentence_where_nothing_has_an_effect(law):
    def is_false(rng):
        return sentences.claims(sentences.concluded(sentences.sweep(rng, (2, 2), {}, law=law))) > 0

    assert sentences.share(80, is_false, 1) <= 0.125  # 10 of 80 are more than 5 % in one run of 300


def test_a_setting_that_is_worse_in_both_is_never_listed_and_an_equal_one_seldom_left_out():
    worse = np.array([0, 0, 0, -0.2])
    kinds = [
        sentences.concluded(
            sentences.sweep(np.random.default_rng(k), (2, 2), {"score": worse, "robustness": worse}, seeds=3)
        ).front
        for k in range(40)
    ]
    assert not any(each[3][1] == front.OPTIMAL for each in kinds)
    assert np.mean([each[3][1] == front.DOMINATED for each in kinds]) > 0.6
    assert np.mean([any(kind == front.DOMINATED for _, kind in each[:3]) for each in kinds]) <= 0.125


def test_every_row_of_the_table_can_be_made():
    rows = [row for rows in sentences.ROWS for row in rows(1)]
    assert len(rows) > 40 and all(len(row) == 3 and "%" in row[1] for row in rows)
    assert all(row[0] in sentences.TABLE.read_text() for row in rows)
