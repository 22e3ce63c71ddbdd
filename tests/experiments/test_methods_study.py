"""The study of methods, whole, on `tiny`: its tables are those of each target, its files are there."""

import csv
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FOLDER = Path(__file__).parents[2] / "experiments" / "methods"


@pytest.fixture(scope="module")
def study():
    with pytest.MonkeyPatch.context() as patch:
        spec = importlib.util.spec_from_file_location("make_methods", FOLDER / "make.py")
        made = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, spec.name, made)  # for its dataclasses
        spec.loader.exec_module(made)
        yield made


def read(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_study_whole(study, tmp_path):
    photographs, to = tmp_path / "photographs", tmp_path / "to"
    photographs.mkdir()
    for k, each in enumerate(np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), dtype=np.uint8)):
        Image.fromarray(each).save(photographs / f"{k}.png")
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
