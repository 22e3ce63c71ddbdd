"""Each study's `make.py` runs on a tiny sample, and its tables have the columns of the published ones."""

import csv
import importlib.util
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from helpers.processes import Forker

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
TINY = ["model=tiny", "layer=block2_conv1", "layer.filters=0-9", "size=16", "steps=2", "tracker=none",
        "snapshot_every=2", "batch_size=12"]  # fmt: skip
LAYERS = "layer=block1_conv1,block2_conv1"

Sweep = Callable[..., Path]


@pytest.fixture
def sweep(forker: Forker, tmp_path: Path) -> Sweep:
    """Runs a tiny sweep; its folder."""

    def run(name: str, *overrides: str) -> Path:
        last = dict(each.split("=", 1) for each in (*TINY, *overrides))  # a choice may stand only once
        typed = [f"{key}={value}" for key, value in last.items()]
        said = forker.run(tmp_path, "-m", *typed, f"hydra.sweep.dir={tmp_path / name}")
        assert said.code == 0, said.out + said.err
        return tmp_path / name

    return run


def module_of(study: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"make_{study}", EXPERIMENTS / study / "make.py")
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made  # for its dataclasses
    spec.loader.exec_module(made)
    return made


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def numbers(rows: list[dict[str, str]], *columns: str) -> list[float]:
    return [float(row[column]) for row in rows for column in columns]


def made_by(study: str, monkeypatch: pytest.MonkeyPatch, to: Path, *sweeps: Path) -> dict[str, list]:
    """What the study's command line writes: rows by table."""
    argv = ["make.py", *map(str, sweeps), "--to", str(to)]
    monkeypatch.setattr(sys, "argv", argv)
    made = module_of(study)
    made.study.run(made.__file__, made.make, *(f"sweep_{i}" for i in range(len(sweeps))))
    return tables_of(study, to)


def tables_of(study: str, to: Path, rename: Callable[[str], str] = lambda name: name) -> dict[str, list]:
    """Tables in a folder, once their names and columns are the published ones'; pictures are there, too."""
    published = {path.name for path in (EXPERIMENTS / study).iterdir()} - {
        "README.md",
        "make.py",
        "__pycache__",
    }
    assert {path.name for path in to.iterdir()} == published
    tables = {}
    for path in to.glob("*.csv"):
        tables[path.stem] = rows_of(path)
        expected = list(rows_of(EXPERIMENTS / study / path.name)[0])
        assert [rename(column) for column in tables[path.stem][0]] == expected, path.name
    return tables


def finite(values: list[float]) -> bool:
    return len(values) > 0 and all(map(math.isfinite, values))


def test_decay_blur(sweep, monkeypatch, tmp_path):
    place = sweep("sweep", "experiment=decay_blur", "reg.decay=1,0.9,0.8", "reg.blur=0,3", "seed=0,1")
    tables = made_by("decay_blur", monkeypatch, tmp_path / "to", place)
    assert [(row["decay"], row["blur"]) for row in tables["cells"]] == [
        (decay, blur) for decay in ("1", "0.9", "0.8") for blur in ("0", "3")
    ]
    assert finite(numbers(tables["cells"], "activation", "robustness", "diversity", "robustness_floor"))
    assert "decay: 0.8 against 0.9" in {row["comparison"] for row in tables["results"]}
    assert finite(numbers([row for row in tables["results"] if row["median"]], "median"))


def test_norm_percentile(sweep, monkeypatch, tmp_path):
    place = sweep(
        "sweep", "experiment=norm_percentile", "reg.norm_percentile=0,30", "reg.decay=1,0.9", "seed=0,1"
    )
    tables = made_by("norm_percentile", monkeypatch, tmp_path / "to", place)
    assert [(row["decay"], row["percentile"]) for row in tables["cells"]] == [
        (decay, percentile) for decay in ("1", "0.9") for percentile in ("0", "30")
    ]
    assert finite(numbers(tables["cells"], "activation", "sparsity", "diversity"))
    assert {row["decay"] for row in tables["results"]} == {"1", "0.9", "0.9 against 1"}


def test_precision(sweep, monkeypatch, tmp_path):
    place = sweep(
        "sweep", "experiment=precision", LAYERS, "seed=0", "layer.filters=0-5", "precision=float32,bfloat16"
    )
    tables = made_by("precision", monkeypatch, tmp_path / "to", place)
    assert [row["pair"] for row in tables["results"]] == ["float32 twin", "bfloat16", "bfloat16 twin"] * 2
    assert len(tables["filters"]) == 2 * 3 * 6
    assert finite(numbers(tables["filters"], "activation", "change", "correlation", "curve"))


def test_gildenblat_2016(sweep, monkeypatch, tmp_path):
    panels = sweep("panels", "experiment=gildenblat_2016", "seed=0,1")
    controls = sweep(
        "controls", "start=raw_noise,noise", "objective.pre_activation=false,true", "seed=0,1", "steps=1"
    )
    tables = made_by("gildenblat_2016", monkeypatch, tmp_path / "to", panels, controls)
    assert [int(row["filters"]) for row in tables["results"]] == [10] * (4 * 2 + 4 * 2)
    assert {row["reg"] for row in tables["filters"]} == {"none", "decay", "blur", "gildenblat_2016"}
    for row in tables["results"][:8]:
        assert sum(int(row[end]) for end in ("converged", "rising", "stuck", "diverged")) == 10


def test_stuck_filters(sweep, monkeypatch, tmp_path):
    survey = ["experiment=stuck_filters", LAYERS, "layer.filters=all"]
    starts = sweep(
        "starts", *survey, "steps=1", "start=noise,raw_noise,gaussian", "objective.pre_activation=true,false"
    )
    defaults = sweep("defaults", *survey)
    last = sweep("last", "layer.filters=0", "start=noise,gaussian", "seed=0,1", "robustness=false")
    tables = made_by("stuck_filters", monkeypatch, tmp_path / "to", starts, defaults, last)
    every = [row for row in tables["results"] if row["layer"] == "all"]
    assert [row["filters"] for row in every] == ["20"] * (6 + 1)
    assert [row["start"] for row in tables["resisting"]] == ["noise", "noise", "gaussian", "gaussian"]
    assert finite(numbers(tables["resisting"], "kernel_norm", "pre_activation_of_black", "score"))


def test_yosinski_recipes(sweep, monkeypatch, tmp_path):
    steps = ["steps=4", "layer.filters=0-9"]
    rows = "yosinski_1,yosinski_2,yosinski_3,yosinski_4"
    published = sweep("published", f"experiment={rows}", *steps)
    one_rule = sweep("one_rule", "experiment=yosinski_recipes", *steps)
    combined = sweep("combined", "reg=combined", "seed=0", *steps)
    tables = made_by("yosinski_recipes", monkeypatch, tmp_path / "to", published, one_rule, combined)
    rules = [(row["rule"], row["reg"]) for row in tables["recipes"]]
    assert rules == [("own", reg) for reg in (*rows.split(","), "combined")] + [
        ("shared", reg) for reg in rows.split(",")
    ]
    assert finite(numbers(tables["recipes"], "activation", "total_variation", "sparsity"))


def test_two_trainings(sweep, tmp_path):
    """Two random networks in the place of the two trainings."""
    networks = ["model.weights.seed=0,1", "model.name=net${model.weights.seed}", "seed=0,1"]
    place = sweep("sweep", "experiment=two_trainings", LAYERS, "layer.filters=0-7", *networks)
    (tmp_path / "to").mkdir()
    module_of("two_trainings").make(tmp_path / "to", place)
    tables = tables_of(
        "two_trainings", tmp_path / "to", lambda name: name.replace("net0", "vgg16").replace("net1", "hed")
    )
    assert [row["layer"] for row in tables["layers"]] == ["block1_conv1", "block2_conv1"]
    assert finite(numbers(tables["layers"], "pixels_twins", "features_seeds", "share_of_start_net0"))
    assert all(value > 0.9 for value in numbers(tables["layers"], "pixels_twins"))
    assert len(tables["filters"]) == 8 + 8


def test_noise_floor(tmp_path):
    settings = {"model": "tiny", "layer": "block2_conv1", "layer.filters": "0-9", "size": 16}
    (tmp_path / "to").mkdir()
    module_of("noise_floor").make(tmp_path / "to", ("none", "decay"), ("float32",), settings)
    tables = tables_of("noise_floor", tmp_path / "to")
    assert [(row["start"], row["reg"]) for row in tables["results"]] == [
        (start, reg) for start in ("raw", "mean-subtracted") for reg in ("none", "decay")
    ]
    assert finite(numbers(tables["results"], "distance_1", "distance_20", "score_moved_percent"))
    assert all(0 < value < 1e-3 for value in numbers(tables["results"], "distance_1"))


def test_fewer_flops(tmp_path):
    (tmp_path / "to").mkdir()
    made = module_of("fewer_flops")
    settings = {"model": "tiny", "size": 16, "precision": "float32", "robustness": False}
    made.make(tmp_path / "to", ("block2_conv1",), range(4), range(4, 12), range(2), settings)
    tables = tables_of("fewer_flops", tmp_path / "to")
    assert [int(row["steps"]) for row in tables["search"]] == [20] + [5] * 4 + [7] * 4 + [10] * 4
    assert finite(numbers(tables["search"], "activation", "robustness"))
    (row,) = tables["results"]
    assert int(row["filters"]) + int(row["silent"]) == 8
