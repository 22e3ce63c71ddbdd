"""The studies of methods, whole, on `tiny`: tables are those of each target, files are there."""

import csv
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepvis.benchmark import methods
from deepvis.config import compose, schema
from deepvis.sweeps import jobs

PHOTOGRAPH = Path("docs/how-to/trust.jpg")
FOLDER = Path(__file__).parents[2] / "experiments" / "methods"


def loaded(folder, script):
    """A script of a study as a module."""
    spec = importlib.util.spec_from_file_location(
        f"{folder}_{script}", FOLDER.parent / folder / f"{script}.py"
    )
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made  # for its dataclasses
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    for k, each in enumerate(np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), dtype=np.uint8)):
        Image.fromarray(each).save(folder / f"{k}.png")
    return folder


def base_of(recipe):
    typed = (*recipe.units, "layer.filters=0")
    return jobs.make(schema.resolve(compose.plain_mapping(compose.config(typed))), typed, Path()).cfg


def read(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_study_of_methods_whole(photographs, tmp_path):
    study, to = loaded("methods", "make"), tmp_path / "to"
    targets = [
        study.Target(name, "textures", ("model=tiny", f"layer={layer}", "size=16"), 2, 3, ("none", "octaves"))
        for name, layer in (("one", "block2_conv1"), ("two", "block2_conv2"))
    ]
    for each in targets:
        (to / each.name).mkdir(parents=True)
    study.make(to, photographs, tmp_path / "cells", targets)
    rows = read(to / "results.csv")
    assert [(row["target"], row["budget"], row["method"], row["steps"]) for row in rows] == [
        (target, budget, method, steps) for target in ("one", "two")
        for budget, method, steps in (("passes", "none", "2"), ("passes", "octaves", "4"),
                                      ("steps", "none", "2"), ("steps", "octaves", "2"))
    ]  # fmt: skip
    for each in targets:
        own = read(to / each.name / "results.csv")
        assert [row["activation"] for row in own] == [
            r["activation"] for r in rows if r["target"] == each.name
        ]
        assert (to / each.name / "benchmark.html").exists() and (
            to / each.name / "passes_seed_0.jpg"
        ).exists()
        assert len(read(to / each.name / "units.csv")) == 4 * 3 * study.SEEDS


def test_the_study_of_fewer_passes_whole(photographs, tmp_path):
    study, to = loaded("fewer_passes", "make"), tmp_path / "to"
    units = ("model=tiny", "layer=block2_conv1", "size=16")
    recipes = [
        study.Recipe("a recipe", units, "reg=decay steps=4", {"half": "reg=decay steps=2"}),
        study.Recipe("another", units, "reg=blur steps=2", {"half": "reg=blur steps=1"}),
    ]
    study.make(to, photographs, tmp_path / "cells", recipes)
    rows = read(to / "results.csv")
    assert [(row["recipe"], row["method"], float(row["passes"])) for row in rows] == [
        ("a recipe", "published", 4.0), ("a recipe", "half", 2.0),
        ("another", "published", 2.0), ("another", "half", 1.0),
    ]  # fmt: skip
    pairs = read(to / "pairs.csv")
    assert {(row["method"], row["against"]) for row in pairs} == {("published", "half")}
    assert (to / "a_recipe" / "pictures.jpg").exists()


def test_each_published_recipe_can_be_made_shorter_as_the_study_says():
    study = loaded("fewer_passes", "make")
    for recipe in study.RECIPES:
        published, *fewer = (methods.config(each, base_of(recipe), PHOTOGRAPH) for each in recipe.methods())
        whole = published.steps * methods.passes_per_step(published)
        for each in fewer:
            assert each.steps * methods.passes_per_step(each) <= whole / 2 + 1e-9


def test_a_number_of_a_second_run_is_within_the_interval_of_the_first_or_not():
    row = {"target": "one", "budget": "steps", "method": "none", "top1": "0.5", "top1_low": "0.4",
           "top1_high": "0.6", "logit": "", "logit_low": "", "logit_high": ""}  # fmt: skip
    compared = loaded("methods", "reproduced").compared
    for again, within in (("0.45", 1), ("0.39", 0), ("0.6", 1)):
        (found,) = compared([row], [row | {"top1": again}])
        assert (found["measure"], found["second"], found["within"]) == ("top1", float(again), within)
    assert not list(compared([row], [row | {"method": "decay"}]))


def test_a_recipe_of_pictures_is_compared_by_its_own_score(photographs, tmp_path, monkeypatch):
    study = loaded("fewer_passes", "own_objectives")
    monkeypatch.setattr(study, "SIZE", 16)
    monkeypatch.setattr(study, "PICTURES", 4)
    typed = (
        "model=tiny layer=block2_conv1 layer.filters=0 start=picture start.path={0} robustness=false steps=4"
    )
    of = study.Recipe("mine", typed, {"same": "", "fewer": "steps=1"})
    rows = {(row["against"], row["measure"]): row for row in study.compared(of, photographs, tmp_path)}
    assert rows["same", "score"]["difference"] == rows["same", "spectral_distance"]["difference"] == 0
    assert rows["fewer", "score"]["difference"] > 0.01
    assert rows["fewer", "score"]["pictures"] == 4
    assert (tmp_path / "own_mine.jpg").exists()
