"""``deepvis trust``: its table against a forward pass in NumPy, its folder, its run, what it refuses."""

import csv
import json

import numpy as np
import pytest
from helpers.processes import store_of
from PIL import Image
from trust.test_contributions import unit

import deepvis
from deepvis import networks, trusted
from deepvis.config import groups

TINY = ["model=tiny", "layer=block2_conv2", "layer.filters=[3,5]", "size=16", "steps=3",
        "precision=float32", "data=folder", "data.path=photos"]  # fmt: skip
COUNT = 12  # photographs


@pytest.fixture(scope="module")
def done(forker, tmp_path_factory):
    place = tmp_path_factory.mktemp("trust")
    (place / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 16, 16, 3), dtype=np.uint8)
    for k, each in enumerate(pixels):
        Image.fromarray(each).save(place / "photos" / f"{k:02d}.png")
    said = forker.run(place, "trust", *TINY)
    assert said.code == 0, said
    (file,) = (place / "outputs").glob("*/analysis.json")
    return place, said, file, pixels


def test_the_table_has_the_best_photograph_and_how_much_stronger_the_picture_is(done):
    _, said, file, pixels = done
    rows = list(csv.DictReader((file.parent / "trust.csv").open()))
    tiny = networks.network(groups.composed({"model": "tiny"})["model"])
    assert [row["filter"] for row in rows] == ["3", "5"]
    for row in rows:
        best = max(unit(tiny, each - np.array(tiny.centre), int(row["filter"])).max() for each in pixels)
        assert float(row["best_photograph"]) == pytest.approx(max(best, 0), rel=1e-4)
        assert f"{row['filter']}  {row['verdict']}" in said.out
        assert (float(row["strength"]) < 1) == ("weaker than a photograph" in row["verdict"])
    paths = list(csv.DictReader((file.parent / "paths.csv").open()))
    for row in rows:
        layers = [each for each in paths if each["filter"] == row["filter"]]
        assert [each["layer"] for each in layers] == ["block1_conv1", "block2_conv1"]
        lowest = np.nanmin([float(each["contributions"]) for each in layers])
        assert float(row["path_similarity"]) == pytest.approx(lowest)


def test_python_has_the_same_rows(done):
    place, _, file, _ = done
    found = deepvis.trust("tiny", "block2_conv2", [3, 5], data=place / "photos", size=16, steps=3)
    rows = list(csv.DictReader((file.parent / "trust.csv").open()))
    for ours, theirs in zip(found.rows(), rows, strict=True):
        assert (str(ours["filter"]), ours["verdict"]) == (theirs["filter"], theirs["verdict"])
        for key in ("strength", "path_similarity", "choice_by_pictures"):
            np.testing.assert_allclose(ours[key], float(theirs[key] or "nan"), rtol=1e-5)
    np.testing.assert_array_equal(found.sheet(), np.asarray(Image.open(file.parent / "trust.png")))
    saved = found.save(place / "saved")
    assert {each.name for each in saved.iterdir()} == {"trust.csv", "paths.csv", "trust.png", "saved.json"}
    np.testing.assert_array_equal(Image.open(saved / "trust.png"), Image.open(file.parent / "trust.png"))
    assert (saved / "paths.csv").read_text() == (file.parent / "paths.csv").read_text()


def test_there_is_one_run_with_the_same_numbers(done):
    place, _, file, _ = done
    entry = json.loads(file.read_text())
    store = store_of(place)
    (run,) = store.client.search_runs([store.experiment_id], "tags.kind = 'trust'")
    assert run.data.metrics["photographs"] == COUNT
    assert run.data.metrics["strength/median"] == pytest.approx(entry["metrics"]["strength/median"])
    width = np.asarray(Image.open(file.parent / "trust.png")).shape[1]
    assert width > 3 * 16 and run.data.params["trust.observer"] == "efficientnet_lite0"


def test_what_cannot_be_compared_is_refused_in_one_line(done, forker):
    place = done[0]
    (place / "few").mkdir()
    Image.new("RGB", (16, 16)).save(place / "few" / "one.png")
    for typed, text in [
        (["objective=neuron"], "objective=neuron: trust is measured of channels"),
        (["data.path=few"], "got 1 photograph that can be read, expected 8 or more"),
    ]:
        before = set((place / "outputs").iterdir())
        said = forker.run(place, "trust", *TINY, *typed)
        assert said.code == 1 and text in said.err and len(said.err.splitlines()) == 1
        assert set((place / "outputs").iterdir()) == before


@pytest.mark.parametrize(("rate", "said"), [(1e38, "diverged"), (1e10, "beyond the range of pixels")])
def test_a_picture_that_is_no_picture_is_not_believed(done, rate, said):
    place = done[0]
    step = {"preset": "normalized", "learning_rate": rate}
    found = deepvis.trust(
        "tiny", "block2_conv2", [3], data=place / "photos", size=16, steps=3, reg="none", optimizer=step
    )
    assert said in found.verdicts[0]


def test_the_machine_sees_pictures_as_a_gallery_shows_them(done, monkeypatch):
    seen = []

    def looks(images):
        seen.append(images)
        return images.mean(axis=(1, 2))

    monkeypatch.setattr(trusted, "observer", lambda cfg: ("a test", looks))
    found = deepvis.trust("tiny", "block2_conv2", [3, 5], data=done[0] / "photos", size=16, steps=2, seeds=2)
    np.testing.assert_array_equal(seen[-1].reshape(found.images.shape), found.images)
    assert np.ptp(found.images[0, 0]) > 100  # stretched: two steps leave it near grey
