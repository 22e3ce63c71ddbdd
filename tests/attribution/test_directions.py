"""``deepvis directions``: factors beside NumPy, where values are taken, the file that an objective takes."""

import csv

import numpy as np
import pytest
import yaml
from helpers import reference
from helpers.processes import store_of
from PIL import Image

import deepvis
from deepvis import factorizations, networks
from deepvis.analyses import layer_values
from deepvis.analyses.layer_values import LayerValues
from deepvis.analyses.photographs import Read
from deepvis.core import direction_files
from deepvis.core.errors import ConfigError
from deepvis.core.names import CONF
from deepvis.report import direction_sheet

LAYER = "block2_conv2"
TINY = ["model=tiny", "layer=named", f"layer.name={LAYER}", "size=16"]


def planted(k: int = 3, n: int = 200, channels: int = 12):
    """Positions that are mixtures of groups of channels of their own, and the groups, each of length 1."""
    rng = np.random.default_rng(4)
    groups = np.zeros((k, channels))
    for index in range(k):
        groups[index, index * 4 : index * 4 + 4] = rng.uniform(0.5, 2, 4)
    groups /= np.linalg.norm(groups, axis=1, keepdims=True)
    amounts = rng.uniform(0, 1, (n, k)) * (rng.uniform(size=(n, k)) < 0.5) * np.array([1, 5, 2])[:k]
    return amounts @ groups, groups, amounts


def test_nmf_finds_planted_groups_and_how_much_of_each_is_where():
    values, groups, amounts = planted()
    found = factorizations.nmf(values, k=3, iterations=2000, seed=0)
    order = [1, 2, 0]  # by their sums
    np.testing.assert_allclose(found.directions, groups[order], atol=0.01)
    np.testing.assert_allclose(found.weights(values[:50]), amounts[:50][:, order], atol=0.05)
    rebuilt = found.weights(values) @ found.directions
    left = ((values - rebuilt) ** 2).sum() / ((values - values.mean(axis=0)) ** 2).sum()
    assert found.explained == pytest.approx(1 - left, abs=1e-3) and found.explained > 0.999
    assert found.shares.sum() == pytest.approx(1) and (np.diff(found.shares) < 0).all()
    few = factorizations.nmf(values, k=2, iterations=2000, seed=0)
    assert few.explained < factorizations.pca(values, k=2, seed=0).explained < 1


def test_nmf_says_that_it_did_not_converge():
    assert "had not converged" in factorizations.nmf(planted()[0], k=3, iterations=1, seed=0).told


def test_principal_components_are_numpys_and_their_variance_is_told():
    values = np.random.default_rng(1).normal(size=(60, 7)) @ np.random.default_rng(2).normal(size=(7, 7)) + 3
    found = factorizations.pca(values, k=3, seed=0)
    centred = values - values.mean(axis=0)
    u, sigma, rows = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(rows[np.arange(3), np.abs(rows[:3]).argmax(axis=1)])
    np.testing.assert_allclose(found.directions, rows[:3] * signs[:, None], atol=1e-10)
    np.testing.assert_allclose(found.weights(values), u[:, :3] * sigma[:3] * signs, atol=1e-9)
    np.testing.assert_allclose(found.shares, sigma[:3] ** 2 / (centred**2).sum())
    assert found.explained == pytest.approx((sigma[:3] ** 2).sum() / (sigma**2).sum())


@pytest.mark.parametrize(
    ("values", "k", "text"),
    [
        (np.eye(5) - 0.25, 2, r"directions=nmf: got a value of -0.25 in the layer, expected none below 0"),
        (np.eye(5), 6, r"directions.k=6: got 5 positions of 5 channels, expected at least as many"),
        (np.ones((5, 3)), 2, "layer.name: got the same values at all positions"),
        (np.full((5, 3), np.nan), 2, "layer.name: got NaN or infinity"),
    ],
)
def test_what_cannot_be_factorized_is_refused(values, k, text):
    with pytest.raises(ConfigError, match=text):
        factorizations.nmf(values, k=k, iterations=10, seed=0)


def test_positions_are_drawn_once_each_off_the_edge_and_from_the_seed():
    maps = np.arange(2 * 6 * 5).reshape(2, 6, 5, 1).astype(np.float32)
    of_layer = LayerValues("layer", Read(["a", "b"], np.zeros((2, 8, 8, 3))), (6, 5), lambda k: maps[k])
    some = layer_values.sampled(of_layer, 4, seed=3, edge=1)
    assert some.images.tolist() == [0] * 4 + [1] * 4
    for number, place, value in zip(some.images, some.places, some.values, strict=True):
        assert maps[number][tuple(place)] == value
        assert 1 <= place[0] <= 4 and 1 <= place[1] <= 3
    assert len({tuple(each) for each in np.column_stack([some.images, some.places]).tolist()}) == 8
    again = layer_values.sampled(of_layer, 4, seed=3, edge=1)
    np.testing.assert_array_equal(again.places, some.places)
    assert (layer_values.sampled(of_layer, 4, seed=4, edge=1).places != some.places).any()
    assert len(layer_values.sampled(of_layer, 0, seed=0).values) == 60
    with pytest.raises(
        ConfigError, match="size: got a map of 6 x 5 positions in layer, expected more than 6"
    ):
        layer_values.sampled(of_layer, 1, seed=0, edge=3)


def test_shown_are_the_photographs_that_have_most_of_each_direction():
    maps = np.zeros((2, 5, 1, 1))
    maps[0, :, 0, 0], maps[1, :, 0, 0] = [1, 5, 2, 0, 4], [0, 0, -9, 1, 0]
    assert direction_sheet.chosen(maps, 2) == [1, 2] and direction_sheet.chosen(maps, 3) == [1, 2, 4]
    assert direction_sheet.chosen(maps, 9) == [0, 1, 2, 3, 4]


def test_the_command_leaves_a_file_that_the_objective_takes(forker, tmp_path):
    (tmp_path / "photos").mkdir()
    pixels = [np.random.default_rng(k).integers(0, 256, (16, 16, 3), dtype=np.uint8) for k in range(3)]
    for k, each in enumerate(pixels):
        Image.fromarray(each).save(tmp_path / "photos" / f"{k}.png")
    data = ["data=folder", "data.path=photos"]
    options = ["directions=pca", "directions.k=2", "directions.picture=16", "directions.positions=0"]
    said = forker.run(tmp_path, "directions", *TINY, *data, *options, "steps=2")
    assert said.code == 0 and "3 photographs" in said.out, said
    (folder,) = (tmp_path / "outputs").iterdir()
    file = folder / "vectors.npz"
    seen = deepvis.directions(
        "tiny", LAYER, tmp_path / "photos", size=16, steps=2,
        method={"preset": "pca", "k": 2, "picture": 16, "positions": 0},
    )  # fmt: skip
    np.testing.assert_array_equal(direction_files.read(file), seen.directions)
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "directions.png")), seen.picture())
    # Beside NumPy: all positions of all photographs.
    network = networks.network(yaml.safe_load((CONF / "model" / "tiny.yaml").read_text()))
    weights, mean = network.read(LAYER).layers, np.array([123.68, 116.779, 103.939])
    maps = np.maximum([reference.forward(each - mean, weights, LAYER)[0] for each in pixels], 0)
    flat = maps.reshape(-1, 16)
    rows = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)[2][:2]
    np.testing.assert_allclose(np.abs(seen.directions), np.abs(rows), atol=1e-4)
    heats = (maps[1] - flat.mean(axis=0)) @ seen.directions.T
    np.testing.assert_allclose(seen.maps(1), heats.transpose(2, 0, 1), rtol=1e-3, atol=1e-2)
    made = direction_files.made(file)
    assert made["layer"] == LAYER and made["model"] == "tiny" and made["sampled"] == 3 * 64
    table = list(csv.DictReader((folder / "directions.csv").open()))
    assert [float(row["share"]) for row in table] == pytest.approx(seen.factors.shares.tolist(), rel=1e-4)
    store = store_of(tmp_path)
    (run,) = store.client.search_runs([store.experiment_id], "tags.kind = 'directions'")
    assert run.data.params["directions"] == "pca" and run.data.params["directions.k"] == "2"
    assert run.data.metrics["explained"] == pytest.approx(seen.factors.explained)
    job = [
        "objective=direction",
        f"objective.vectors={file}",
        "size=16",
        "steps=1",
        "robustness=false",
        "tracker=none",
    ]
    said = forker.run(tmp_path, *TINY, *job, "layer.filters=0-1")
    assert said.code == 0, said
    said = forker.run(tmp_path, *TINY, *job, "layer.name=block2_conv1")
    assert said.code == 1 and f"got directions of {LAYER} of tiny, expected some of block2_conv1" in said.err
