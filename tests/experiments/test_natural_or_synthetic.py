"""The study of explanations: units of which the answer is known, and the whole study on `tiny`."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "experiments" / "natural_or_synthetic"
UNITS = 24


@pytest.fixture(scope="module")
def study_of_explanations():
    """Its `make.py`; other studies have modules of that name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        spec = importlib.util.spec_from_file_location("make_natural_or_synthetic", FOLDER / "make.py")
        made = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, spec.name, made)  # for its dataclasses
        spec.loader.exec_module(made)
        yield made


@pytest.fixture(scope="module")
def modules(study_of_explanations):
    return sys.modules["measured"], sys.modules["compared"]


@pytest.fixture(scope="module")
def known(modules):
    """120 photographs, the feature k of which is what excites unit k."""
    measured, _ = modules
    values = np.random.default_rng(0).normal(size=(120, UNITS))
    tops = np.argsort(-values, axis=0)[: measured.K].T
    is_scene = np.arange(120) % 2 == 0
    return measured.Natural(np.arange(UNITS), values, is_scene, values, values, lambda x: x, tops, {}, (),
                            lambda *_: None, np.zeros(3))  # fmt: skip


def test_what_excites_a_unit_tells_and_its_opposite_misleads(modules, known):
    measured, _ = modules
    for measure in ("choice", "choice_scenes"):
        right = [row[measure] for row in measured.choices(known, np.eye(UNITS)[:, None])]
        assert right == [1.0] * UNITS
        assert [row[measure] for row in measured.choices(known, -np.eye(UNITS)[:, None])] == [0.0] * UNITS
        assert np.mean([row[measure] for row in measured.choices(known)]) > 0.9


def test_shuffled_explanations_tell_nothing(modules, known):
    measured, compared = modules
    shares = np.array([row["choice"] for row in measured.choices(known, shuffled=True)])
    low, high = compared.interval(shares, measured.TASKS["choice"])
    assert low < 0.5 < high < low + 0.15


def test_pairs_are_compared_unit_by_unit(modules):
    _, compared = modules
    kinds = (("photographs", np.nan, 0.9), ("one", 3.0, 0.8), ("two", 1.0, 0.6), ("noise", 0.5, 0.5))
    rows = [
        {"network": "net", "layer": "top", "unit": unit, "explanation": kind, "strength": factor * (unit + 1),
         "path": 0.5, "choice": share, "choice_scenes": np.nan}
        for kind, factor, share in kinds for unit in range(12)
    ]  # fmt: skip
    results, pairs = compared.tables(rows, {"all": [("net", "top")]})
    assert [(row["explanation"], row["strength"], row["choice"]) for row in results[1:3]] == [
        ("one", 19.5, pytest.approx(0.8)), ("two", 6.5, pytest.approx(0.6))
    ]  # fmt: skip
    found = {(row["measure"], row["explanation"], row["against"]): row for row in pairs}
    strength, choice = (found[measure, "one", "two"] for measure in ("strength", "choice"))
    assert strength["mean"] == pytest.approx(3) and strength["higher"] == 12
    assert choice["mean"] == pytest.approx(0.2) and choice["p_holm"] == pytest.approx(6 * choice["p"])
    assert found["path", "one", "two"]["mean"] == 0
    ordered = found["choice", "all settings", "noise"]
    assert ordered["mean"] == pytest.approx(0.2) and ordered["p_holm"] == pytest.approx(2 * ordered["p"])
    assert found["choice", "photographs", "all settings"]["mean"] == pytest.approx(0.2)


def test_the_study_runs_on_a_sample(study_of_explanations, tmp_path, monkeypatch):
    chance = np.random.default_rng(0)
    for k in range(80):
        folder = tmp_path / "photographs" / ("scenes" if k % 2 else "cutouts")
        folder.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(chance.integers(0, 256, (4, 4, 3), np.uint8))
        coarse.resize((32, 32)).save(folder / f"{k}.png")
    monkeypatch.setattr(study_of_explanations, "SIZE", 32)
    target = study_of_explanations.Target("tiny", "block2_conv2", 4, "tiny")
    to, cells = tmp_path / "to", tmp_path / "cells"
    to.mkdir()
    study_of_explanations.make(to, tmp_path / "photographs", cells, [target], ["none", "blur"])
    assert {path.name for path in to.iterdir()} == {"units.csv", "results.csv", "pairs.csv", "pictures.jpg"}
    for path in to.glob("*.csv"):
        assert path.read_text().splitlines()[0] == (FOLDER / path.name).read_text().splitlines()[0]
    monkeypatch.setattr(study_of_explanations.deepvis, "visualize", None)  # all images are in a file
    units = target.chosen(16)
    centred, shown = study_of_explanations.synthesized(target, "blur", units, cells)
    assert centred.shape == shown.shape == (4, 32, 32, 3) and shown.std(axis=(1, 2, 3)).min() > 31
    fewer, _ = study_of_explanations.synthesized(target, "blur", units[2:], cells)
    np.testing.assert_array_equal(fewer, centred[2:])
