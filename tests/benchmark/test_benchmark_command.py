"""``deepvis benchmark``: rows against NumPy and `deepvis.visualize`, its files, going on, refusals."""

import csv
import json

import numpy as np
import pytest
from helpers.processes import store_of
from PIL import Image
from trust.test_contributions import unit

import deepvis
from deepvis import networks
from deepvis.config import groups
from deepvis.metrics import robustness

FILTERS = list(range(10))
TINY = ["model=tiny", "layer=block2_conv2", "layer.filters=0-9", "size=16", "steps=3", "precision=float32",
        "data=folder", "data.path=photos"]  # fmt: skip
METHODS = "methods=none,decay,octaves"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    (folder / "photos").mkdir()
    for k, each in enumerate(np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)):
        Image.fromarray(each).save(folder / "photos" / f"{k:02d}.png")
    return folder


@pytest.fixture(scope="module")
def seen():
    """Images of two methods from Python, one at a time would be the same."""
    chosen = {"none": {"reg": "none"}, "decay": {"reg": "decay"}}
    return {
        name: deepvis.visualize(
            "tiny", "block2_conv2", FILTERS, size=16, steps=3, seed=1, precision="float32", **how
        )
        for name, how in chosen.items()
    }


@pytest.fixture(scope="module")
def done(forker, place, seen):
    shown = np.stack([each.centred for each in seen.values()]) + networks_tiny().centre
    np.savez(place / "theirs.npz", images=np.clip(shown[:1], 0, 255).astype(np.float32), filters=FILTERS)
    said = forker.run(place, "benchmark", *TINY, METHODS, "seeds=2", "images.theirs=theirs.npz")
    assert said.code == 0, said
    (file,) = (place / "outputs").glob("*/analysis.json")
    return file.parent, said


def networks_tiny():
    return networks.network(groups.composed({"model": "tiny"})["model"])


def value(network, image, channel):
    """The mean of a channel's map behind its ReLU, in NumPy."""
    return np.maximum(unit(network, image, channel), 0).mean()


def rows_of(folder, table):
    return list(csv.DictReader((folder / table).open()))


def test_rows_are_those_of_the_images_that_visualize_makes(done, seen):
    folder, _ = done
    tiny = networks_tiny()
    rows = [row for row in rows_of(folder, "units.csv") if row["seed"] == "1" and row["budget"] == "steps"]
    for row in rows:
        if row["method"] not in seen:
            continue
        index = int(row["filter"])
        image = seen[row["method"]].centred[index]
        own = value(tiny, image, index)
        assert float(row["activation"]) == pytest.approx(own, rel=1e-4)
        assert float(row["top1"]) == (own >= max(value(tiny, image, k) for k in range(16)) * (1 - 1e-6))
        if index in (0, 7):
            changed = {
                name: np.array([[value(tiny, view, index)] for view in views])
                for name, views in robustness.of(image, index).items()
            }
            kept = robustness.retained(np.array([own]), changed)["robustness"][0]
            assert float(row["robustness"]) == pytest.approx(kept, rel=1e-3)
    theirs = {row["filter"]: row for row in rows_of(folder, "units.csv") if row["method"] == "theirs"}
    for row in rows:
        if row["method"] == "none":
            for name in ("activation", "robustness", "spectral_distance", "path_similarity"):
                np.testing.assert_allclose(
                    float(theirs[row["filter"]][name] or "nan"), float(row[name] or "nan"), rtol=2e-3
                )


def test_tables_page_pictures_and_run(done, place):
    folder, said = done
    results = rows_of(folder, "results.csv")
    methods = ("none", "decay", "octaves", "theirs")
    assert [(row["budget"], row["method"], row["steps"]) for row in results] == [
        (budget, method, steps)
        for budget, taken in (("passes", "3360"), ("steps", "3330"))
        for method, steps in zip(methods, taken, strict=True)
    ]
    units = rows_of(folder, "units.csv")
    assert len(units) == 10 * (2 * 2 * 3 + 1)
    for row in results:
        own = [float(each["activation"]) for each in units
               if each["method"] == row["method"] and each["budget"] in (row["budget"], "given")]  # fmt: skip
        assert min(own) <= float(row["activation"]) <= max(own)
    pairs = rows_of(folder, "pairs.csv")
    assert len({(row["budget"], row["measure"], row["method"], row["against"]) for row in pairs}) == len(
        pairs
    )
    page = (folder / "benchmark.html").read_text()
    for word in ("none", "decay", "octaves", "theirs", "The same number of steps", "data:image/webp"):
        assert word in page
    assert (folder / "passes_seed_1.png").exists()
    entry = json.loads((folder / "analysis.json").read_text())
    store = store_of(place)
    (run,) = store.client.search_runs([store.experiment_id], "tags.kind = 'benchmark'")
    assert run.data.metrics["steps/none/activation"] == pytest.approx(
        entry["metrics"]["steps/none/activation"]
    )
    assert run.data.params["benchmark.methods"] == "none,decay,octaves"
    assert entry["metrics"]["steps/none/activation"] == pytest.approx(
        float(results[4]["activation"]), rel=1e-5
    )
    assert "verdict" in said.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["reg=decay"], "deepvis benchmark does not read reg"),
        (["methods=decya"], "methods=decya: no such method; did you mean decay?"),
        (["budgets=time"], "budgets=time: got time, expected passes, steps, own, or several of these"),
        (["budgets=own"], "steps: budgets=own reads none"),
        (["budgets=steps", "passes=9"], "passes: budgets=steps reads none"),
        (
            ["budgets=passes,own", "method.mine=reg=decay steps=9"],
            "got steps=9, which budgets=passes decides",
        ),
        (["seeds=0"], "seeds"),
        (["images.decay=theirs.npz"], "images.decay: there is a method of that name"),
        (["size=[16,24]"], "expected a square"),
        (["method.mine=reg.decya=0.9"], "method.mine: reg.decya: no such option"),
        (["method.mine=reg.decay=0.9 steps=50"], "method.mine: got steps=50, which all methods share"),
        (["methods=decay,decay"], "got decay twice"),
        (["judges=efficientnet_lite"], "judges=efficientnet_lite: no such network"),
        (["images.x=missing.npz"], "images: got missing.npz, which is no file"),
        (["images.x=photos/00.png"], "which cannot be read so; expected an .npz"),
        (["images.x=bright.npz"], "expected grey levels, 0 to 255"),
        (["images.x=seeds.npz"], "seeds.npz: got images of 2 seeds, expected seeds=3, or one"),
        (["images.x=twice.npz"], "twice.npz: got a filter twice"),
        (["images.x=theirs.npz", "layer.filters=10"], "theirs.npz: has no image of filter 10"),
        (["method.mine=reg=no_such"], "reg=no_such: no such choice"),
    ],
)
def test_a_mistake_is_one_line(forker, place, done, words, said):
    for name, whose, most in (("bright", FILTERS, 900), ("twice", [0, 0], 9)):
        np.savez(place / f"{name}.npz", images=np.full((1, len(whose), 16, 16, 3), most), filters=whose)
    np.savez(place / "seeds.npz", images=np.zeros((2, 10, 16, 16, 3)), filters=FILTERS)
    before = sorted((place / "outputs").iterdir()) if (place / "outputs").exists() else []
    found = forker.run(place, "benchmark", *TINY, *words)
    assert found.code and said in found.err and len(found.err.strip().splitlines()) == 1, found
    assert (sorted((place / "outputs").iterdir()) if (place / "outputs").exists() else []) == before


def test_each_method_takes_its_own_steps_where_none_are_shared(forker, tmp_path, place):
    (tmp_path / "photos").symlink_to(place / "photos")
    words = [each for each in TINY if not each.startswith(("steps", "layer.filters"))]
    said = forker.run(tmp_path, "benchmark", *words, "layer.filters=0-1", "methods=none", "budgets=own",
                      "method.short=reg=decay steps=2", "seeds=1", "tracker=none")  # fmt: skip
    assert said.code == 0, said
    (folder,) = (tmp_path / "outputs").glob("2*")
    rows = {row["method"]: row for row in rows_of(folder, "results.csv")}
    assert {name: (row["budget"], row["steps"], float(row["passes"])) for name, row in rows.items()} == {
        "none": ("own", "20", 20.0), "short": ("own", "2", 2.0),
    }  # fmt: skip
    assert "Each its own number of steps" in (folder / "benchmark.html").read_text()
    assert [row["filter"] for row in rows_of(folder, "units.csv")] == ["0", "1", "0", "1"]


def test_an_interrupted_benchmark_goes_on_and_ends_as_one_that_was_not(forker, tmp_path, place):
    (tmp_path / "photos").symlink_to(place / "photos")
    words = ["benchmark", *TINY, "methods=none,decay", "seeds=2", "layer.filters=0-1", "tracker=none"]
    change = (
        "from deepvis.benchmark import measures\n"
        "kept, calls = measures.measured, []\n"
        "def broken(*given):\n    calls.append(0)\n    if len(calls) == 2: raise KeyboardInterrupt\n"
        "    return kept(*given)\n"
        "measures.measured = broken\n"
    )
    assert forker.run(tmp_path, *words, change=change).code == 130
    (folder,) = (tmp_path / "outputs").glob(".benchmark-*")
    first = sorted(folder.iterdir())
    assert len(first) == 2, "both methods' images are kept"
    again = "from deepvis.benchmark import made_images\ndef broken(*given): raise AssertionError\n"
    said = forker.run(tmp_path, *words, change=again + "made_images._optimized = broken\n")
    assert said.code == 0, said
    assert not folder.exists()
    (whole,) = (tmp_path / "outputs").glob("2*/units.csv")
    other = tmp_path / "other"
    other.mkdir()
    (other / "photos").symlink_to(place / "photos")
    assert forker.run(other, *words).code == 0
    (fresh,) = (other / "outputs").glob("2*/units.csv")
    assert whole.read_bytes() == fresh.read_bytes()
