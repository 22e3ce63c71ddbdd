"""``deepvis atlas``: cells by brute force, planted clusters, icons of their own cells, page and run."""

import csv
import re

import numpy as np
import pytest
from helpers.processes import store_of
from PIL import Image

import deepvis
from deepvis import atlas_cells, embeddings
from deepvis.analyses import layer_values
from deepvis.analyses.layer_values import LayerValues
from deepvis.analyses.photographs import Read
from deepvis.core import direction_files
from deepvis.core.errors import ConfigError

LAYER = "block2_conv2"
Y, X = np.mgrid[:16, :16]
WAVES = [np.sin(1.6 * X), np.sin(1.6 * Y), np.sin(0.9 * (X + Y)), np.sin(2.6 * X) * np.sin(2.6 * Y)]
COLOURS = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0)]
PIXELS = [
    np.rint(127.5 + 100 * w[..., None] * c).astype(np.uint8) for w, c in zip(WAVES, COLOURS, strict=True)
]
SMALL = {"grid": 2, "picture": 16, "least": 2, "positions": 12}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("atlas")
    (folder / "photos").mkdir()
    for k, each in enumerate(PIXELS):
        Image.fromarray(each).save(folder / "photos" / f"{k}.png")
    return folder


@pytest.fixture(scope="module")
def seen(place):
    return deepvis.atlas(
        "tiny", LAYER, place / "photos", method=SMALL, size=16, steps=30, precision="float32"
    )


def test_cells_are_means_by_brute_force_and_y_goes_up():
    rng = np.random.default_rng(2)
    values, places = rng.normal(size=(300, 5)), rng.normal(size=(300, 2)) * [3, 1] + [10, -4]
    found = atlas_cells.carter_2019(values, places, grid=4, least=6)
    at, cells = atlas_cells.normalized(places), {}
    for value, (x, y) in zip(values, at, strict=True):
        cells.setdefault((3 - min(int(4 * y), 3), min(int(4 * x), 3)), []).append(value)
    expected = {cell: np.mean(each, axis=0) for cell, each in sorted(cells.items()) if len(each) >= 6}
    assert len(expected) < len(cells)  # some have too few
    assert [*zip(found.rows.tolist(), found.columns.tolist(), strict=True)] == [*expected]
    np.testing.assert_allclose(found.means, np.stack([*expected.values()]))
    for mean, members in zip(found.means, found.members, strict=True):
        np.testing.assert_allclose(values[members].mean(axis=0), mean)
    with pytest.raises(
        ConfigError, match=r"atlas.least=400: got no cell of 4 x 4 with so many of 300 positions"
    ):
        atlas_cells.carter_2019(values, places, grid=4, least=400)


def test_places_far_outside_are_cut_at_percentiles():
    places = np.stack([np.arange(201.0), np.arange(201.0)], axis=1)
    places[200] = [1e6, -1e6]
    found = atlas_cells.normalized(places)
    assert found.min() == 0 and found.max() == 1
    low = 2 - 0.1 * 196  # percentiles 1 and 99 of x are 2 and 198
    high = 198 + 0.1 * (198 - low)
    np.testing.assert_allclose(found[:200, 0], np.arange(200) / high, atol=1e-6)


def test_planted_clusters_lie_in_cells_of_their_own():
    rng = np.random.default_rng(0)
    centres = np.eye(6)[:3] * 5
    group = np.repeat(np.arange(3), 40)
    values = centres[group] + rng.normal(0, 0.2, (120, 6))
    places = embeddings.tsne(values, perplexity=20.0, seed=1)
    found = atlas_cells.carter_2019(values, places, grid=6, least=2)
    assert all(len(set(group[members])) == 1 for members in found.members)
    assert {int(group[members[0]]) for members in found.members} == {0, 1, 2}


def test_whitening_is_the_inverse_of_the_shrunk_second_moment_at_all_positions():
    maps = np.random.default_rng(3).uniform(size=(3, 5, 4, 6)).astype(np.float32)
    of_layer = LayerValues("layer", Read([*"abc"], np.zeros((3, 8, 8, 3))), (5, 4), lambda k: maps[k])
    flat = maps.reshape(-1, 6).astype(float)
    moment = layer_values.second_moment(of_layer)
    np.testing.assert_allclose(moment, sum(np.outer(a, a) for a in flat) / len(flat))
    np.testing.assert_allclose(atlas_cells.whitening(moment, 1e-12), np.linalg.inv(moment), rtol=1e-6)
    np.testing.assert_allclose(
        atlas_cells.whitening(moment, 1.0), np.eye(6) * 6 / np.trace(moment), atol=1e-12
    )
    whitened = flat @ np.linalg.cholesky(atlas_cells.whitening(moment, 1e-12))
    np.testing.assert_allclose(whitened.T @ whitened / len(flat), np.eye(6), atol=1e-6)


def test_an_icon_is_nearer_to_its_own_cell_than_to_others(seen):
    own = np.diagonal(seen.cosines)
    others = seen.cosines[~np.eye(len(own), dtype=bool)].reshape(len(own), -1)
    # Of a random network cells overlap: an icon of one may be as near to its neighbour's.
    assert len(own) == 4 and own.mean() > max(2 * others.mean(), others.max(axis=1).mean())
    share = np.mean(own > others.max(axis=1))
    assert seen.nearest_own == share > 0.5
    assert any(f"{share:.0%} of the icons are nearer to their own cell" in line for line in seen.told())
    assert any("4 photographs are few" in line for line in seen.told())


def test_the_page_says_on_how_much_it_rests_and_tiles_the_icons(seen):
    page = seen.page()
    assert "48 positions of 4 photographs" in page
    (tile,) = re.findall(r"tile = ([\d.]+);", page)
    assert float(tile) == 2000
    assert page.count("positions of 0.png") + page.count("positions of 1.png") >= 1


def test_the_command_leaves_the_same_and_a_run(forker, place, seen):
    options = [f"atlas.{key}={value}" for key, value in SMALL.items()]
    said = forker.run(
        place, "atlas", "model=tiny", "layer=named", f"layer.name={LAYER}", "size=16", "steps=30",
        "data=folder", "data.path=photos", "precision=float32", *options,
    )  # fmt: skip
    assert said.code == 0 and "48 positions of 4 photographs" in said.out, said
    (folder,) = (place / "outputs").iterdir()
    np.testing.assert_array_equal(direction_files.read(folder / "vectors.npz"), seen.directions)
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "atlas.png")), seen.picture())
    rows = list(csv.DictReader((folder / "cells.csv").open()))
    assert [int(row["positions"]) for row in rows] == [len(each) for each in seen.cells.members]
    store = store_of(place)
    (run,) = store.client.search_runs([store.experiment_id], "tags.kind = 'atlas'")
    assert run.data.params["atlas.grid"] == "2" and run.data.params["embedding"] == "tsne"
    assert run.data.metrics["photographs"] == 4
    said = forker.run(place, "atlas", "model=tiny", "layer=block2_conv1", "reg.blur=3", "size=4",
                      "data=folder", "data.path=photos", "atlas.picture=16")  # fmt: skip
    assert said.code == 1 and "size: got a map of 2 x 2 positions" in said.err, said
