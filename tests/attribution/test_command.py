"""``deepvis attribution``: its folder and its run; ``deepvis.attribution`` gives the same maps."""

import csv
import json

import numpy as np
import pytest
from helpers.processes import store_of
from PIL import Image

import deepvis
from deepvis.core.errors import ConfigError
from deepvis.report import heat_pictures

TINY = ["model=tiny", "layer=named", "layer.name=block2_conv2", "layer.filters=[3,5]", "size=[24,32]",
        "data=folder", "data.path=photos"]  # fmt: skip


@pytest.fixture(scope="module")
def done(forker, tmp_path_factory):
    """A folder with photographs and what one sweep over three methods left in it."""
    place = tmp_path_factory.mktemp("attribution")
    (place / "photos").mkdir()
    for k in range(3):
        pixels = np.random.default_rng(k).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / "photos" / f"{k}.png")
    (place / "photos" / "broken.png").write_bytes((place / "photos" / "0.png").read_bytes()[:300])
    said = forker.run(place, "attribution", "-m", "attribution=saliency,integrated_gradients,grad_cam", *TINY)
    assert said.code == 0, said
    return (
        place,
        said,
        sorted((place / "outputs").glob("*/analysis.json"), key=lambda path: path.stat().st_mtime),
    )


def test_each_method_leaves_a_folder_and_a_run(done):
    place, said, found = done
    entries = [json.loads(path.read_text()) for path in found]
    methods = ["saliency", "integrated_gradients", "grad_cam"]
    assert [each["params"]["attribution"] for each in entries] == methods
    assert entries[2]["params"]["attribution.layer"] == "block2_conv1"
    assert {each["params"]["precision"] for each in entries} == {"float32"}
    store = store_of(place)
    runs = store.client.search_runs([store.experiment_id], "tags.kind = 'attribution'")
    assert {run.data.params["attribution"] for run in runs} == set(methods)
    assert {run.data.metrics["photographs"] for run in runs} == {3}
    (complete,) = (run for run in runs if run.data.params["attribution"] == methods[1])
    assert complete.data.metrics["completeness_error/max"] <= 0.01
    assert "left out" in said.out and "broken.png" in said.out and "of it at most" in said.out


def test_the_arrays_are_those_of_python(done):
    place, _, found = done
    files = [place / "photos" / f"{k}.png" for k in range(3)]
    for path, method in zip(found, ("saliency", "integrated_gradients", "grad_cam"), strict=True):
        seen = deepvis.attribution("tiny", "block2_conv2", [3, 5], files, method=method, size=(24, 32))
        for k, caption in enumerate(("f003", "f005")):
            np.testing.assert_array_equal(np.load(path.parent / "maps" / f"{caption}.npy"), seen.maps[k])
            sheet = np.asarray(Image.open(path.parent / f"{caption}.png"))
            np.testing.assert_array_equal(sheet, seen.sheet(k))
        rows = list(csv.DictReader((path.parent / "table.csv").open()))
        assert [row["image"] for row in rows] == ["0.png", "1.png", "2.png"] * 2
        np.testing.assert_allclose([float(row["score"]) for row in rows], seen.scores.ravel(), rtol=1e-4)


def test_what_cannot_be_done_is_refused_in_one_line(done, forker):
    place = done[0]
    for typed, text in [
        (["attribution", "precision=bfloat16"], "precision=bfloat16: this is computed in float32"),
        (
            ["attribution", "attribution=grad_cam", "attribution.layer=blok"],
            "attribution.layer=blok: tiny has no",
        ),
        (
            ["attribution", "attribution=occlusion", "attribution.stride=17"],
            "attribution.stride",
        ),
        (["attribution=occlusion"], "attribution=occlusion: no job reads it; expected deepvis attribution"),
        (
            ["attribution", "objective=inversion", "objective.pictures.picture=photos/0.png"],
            "objective=inversion",
        ),
        (["examples", "k=3", "sizee=16"], "sizee: no such option"),  # k, its own option, is none of a job's
        (["trust", "seeds=2", "randomized=2", "reg.decya=0"], "reg.decya: no such option"),
        (["tuning", "size.height=16"], "size.height: no such option, for size is one value; type size=..."),
    ]:
        said = forker.run(place, *typed, *TINY, "tracker=none")
        assert said.code == 1 and text in said.err and len(said.err.strip().splitlines()) == 1, said
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))"
    before = sorted((place / "outputs").iterdir())
    said = forker.run(place, "attribution", *TINY, "tracker=none", change=full)
    assert said.code == 1 and said.err.endswith("make room there, or go to another folder\n"), said
    assert len(said.err.splitlines()) == 1 and sorted((place / "outputs").iterdir()) == before
    images = np.full((1, 24, 32, 3), 0.5)
    with pytest.raises(ConfigError, match=r"images: got values up to 0.5, expected .* multiply by 255"):
        deepvis.attribution("tiny", "block2_conv2", [0], images, size=(24, 32))
    with pytest.raises(ConfigError, match=r"images: got an array of \(1, 24, 32, 3\), expected"):
        deepvis.attribution("tiny", "block2_conv2", [0], images, size=32)


def test_colours_part_at_zero_and_end_where_the_bar_says():
    values = np.linspace(-1, 1, 400).reshape(20, 20)
    colours, end, beyond = heat_pictures.coloured(values, signed=True)
    assert end == pytest.approx(np.percentile(np.abs(values), 99.5)) and beyond
    assert (
        colours[0, 0, 2] > colours[0, 0, 0] and colours[-1, -1, 0] > colours[-1, -1, 2]
    )  # blue below, red above
    assert colours[10, 0].min() > 230  # nearly white beside zero
    colours, end, beyond = heat_pictures.coloured(np.abs(values), signed=False)
    assert colours[10, 0].max() < 20 and colours[0, 0].sum() > 500  # black at zero
    flat, end, beyond = heat_pictures.coloured(np.zeros((4, 4)), signed=False)
    assert end == 0 and not beyond and flat.max() < 20
