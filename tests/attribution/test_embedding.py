"""``deepvis embedding``: what lies together stays together, no thumbnail over another, and the run."""

import csv
import itertools
import re
import sys
import warnings

import numpy as np
import pytest
from helpers.processes import store_of
from PIL import Image

import deepvis
from deepvis import embeddings
from deepvis.core.errors import ConfigError
from deepvis.report import thumbnail_map


def test_tsne_keeps_groups_apart_and_repeats_from_its_seed():
    rng = np.random.default_rng(0)
    codes = np.concatenate([centre + rng.normal(0, 0.05, (12, 8)) for centre in rng.normal(size=(3, 8))])
    places = embeddings.tsne(codes, perplexity=30.0, seed=1)
    np.testing.assert_array_equal(places, embeddings.tsne(codes, perplexity=30.0, seed=1))
    group = np.repeat(np.arange(3), 12)
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1) + 1e9 * np.eye(36)
    assert (group[distances.argmin(axis=1)] == group).all()
    assert embeddings.neighbours_kept(codes, codes[:, :8]) == 1
    assert embeddings.neighbours_kept(codes, rng.normal(size=(36, 2))) < 0.3


def test_umap_keeps_groups_apart_and_repeats_from_its_seed():
    pytest.importorskip("umap", reason="needs umap-learn: pip install 'deepvis[umap]'")
    rng = np.random.default_rng(0)
    codes = np.concatenate([centre + rng.normal(0, 0.05, (12, 8)) for centre in rng.normal(size=(3, 8))])
    options = {"neighbours": 8, "min_distance": 0.1}
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        places = embeddings.umap(codes, **options, seed=1)
        few = embeddings.umap(codes[::5], neighbours=1000, min_distance=0.1, seed=1)
    np.testing.assert_array_equal(places, embeddings.umap(codes, **options, seed=1))
    assert np.abs(places - embeddings.umap(codes, **options, seed=2)).max() > 0
    group = np.repeat(np.arange(3), 12)
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1) + 1e9 * np.eye(36)
    assert (group[distances.argmin(axis=1)] == group).all()
    assert few.shape == (8, 2) and np.isfinite(few).all()  # fewer than neighbours: all there are
    np.testing.assert_array_equal(few, embeddings.umap(codes[::5], neighbours=7, min_distance=0.1, seed=1))


@pytest.mark.parametrize(
    ("method", "package"), [("tsne", "sklearn.manifold"), ("umap", "umap")], ids=["tsne", "umap"]
)
def test_a_package_that_is_not_there_is_told_in_its_own_words(monkeypatch, tmp_path, method, package):
    options = {"tsne": {"perplexity": 2.0}, "umap": {"neighbours": 2, "min_distance": 0.1}}[method]
    monkeypatch.setitem(sys.modules, package, None)
    told = rf"embedding={method}: expected (scikit|umap)-learn, got .*{package}.*; pip install 'deepvis\["
    with pytest.raises(ConfigError, match=told):
        getattr(embeddings, method)(np.eye(5), **options, seed=0)
    if method == "umap":  # it is there, and what it needs is too old
        monkeypatch.delitem(sys.modules, package)
        (tmp_path / "umap.py").write_text("raise ImportError('Numba needs NumPy\\n 2.4 or less')")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ConfigError, match=r"got Numba needs NumPy 2.4 or less; pip"):
            embeddings.umap(np.eye(5), **options, seed=0)


def test_an_option_that_few_photographs_do_not_allow_is_told():
    images = np.random.default_rng(2).uniform(0, 255, (7, 16, 16, 3))
    options = {"preset": "tsne", "perplexity": 30}
    said = deepvis.embedding("tiny", "block2_conv2", images, method=options, size=16).told()
    assert said[1:] == ["perplexity 2 was taken instead of 30: the most of 7 photographs"]
    fits = options | {"perplexity": 2}
    assert len(deepvis.embedding("tiny", "block2_conv2", images, method=fits, size=16).told()) == 1


def test_a_grid_is_the_nearest_one_cell_a_photograph_and_y_goes_up():
    rng = np.random.default_rng(1)
    places = rng.normal(size=(6, 2))
    cells = embeddings.grid(places)
    assert len({tuple(cell) for cell in cells.tolist()}) == 6 and cells.max(axis=0).tolist() == [1, 2]
    scaled = (places - places.min(0)) / np.ptp(places, axis=0)
    targets = np.stack([1 - scaled[:, 1], 2 * scaled[:, 0]], axis=1)
    every = itertools.permutations([(i, j) for i in range(2) for j in range(3)])
    best = min(((np.array(each) - targets) ** 2).sum() for each in every)
    assert ((cells - targets) ** 2).sum() == pytest.approx(best)
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], float)
    assert embeddings.grid(corners).tolist() == [[1, 0], [1, 1], [0, 0], [0, 1]]


def test_no_thumbnail_lies_over_another():
    images = np.stack([np.full((30, 40, 3), 10.0 * (k + 1)) for k in range(5)])
    picture = thumbnail_map.picture(images, embeddings.grid(np.random.default_rng(2).normal(size=(5, 2))))
    values, counts = np.unique(picture[..., 0], return_counts=True)
    assert dict(zip(values.tolist(), counts.tolist(), strict=True)) | {255: 0} == {
        **{10 * (k + 1): 30 * 40 for k in range(5)}, 255: 0,
    }  # fmt: skip


def test_a_name_in_the_page_is_text():
    name = "</script><b>.png"
    page = thumbnail_map.page(np.zeros((2, 8, 8, 3)), np.array([[0.0, 0], [1, 2]]), [name, "b"], "<layer>")
    assert page.count("</script>") == 1 and "&lt;layer&gt;" in page
    (places,) = re.findall(r"const items = (.*), side", page)
    assert re.findall(r"\[(\d+), (\d+),", places) == [("0", "2000"), ("1000", "0")]


def test_the_command_leaves_a_folder_and_a_run(forker, tmp_path):
    (tmp_path / "photos").mkdir()
    for k in range(5):
        pixels = np.random.default_rng(k).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{k}.png")
    tiny = [
        "model=tiny",
        "layer=named",
        "layer.name=block2_conv2",
        "size=16",
        "data=folder",
        "data.path=photos",
    ]
    said = forker.run(tmp_path, "embedding", *tiny)
    assert said.code == 0, said
    (folder,) = (tmp_path / "outputs").iterdir()
    assert np.load(folder / "codes.npy").shape == (5, 16)
    rows = list(csv.DictReader((folder / "embedding.csv").open()))
    assert [row["photograph"] for row in rows] == [f"{k}.png" for k in range(5)]
    places = embeddings.tsne(np.load(folder / "codes.npy"), perplexity=30.0, seed=0)
    np.testing.assert_allclose([[float(row["x"]), float(row["y"])] for row in rows], places, rtol=1e-4)
    store = store_of(tmp_path)
    (run,) = store.client.search_runs([store.experiment_id], "tags.kind = 'embedding'")
    assert run.data.params["embedding"] == "tsne" and run.data.metrics["photographs"] == 5


def test_what_cannot_be_embedded_is_refused():
    with pytest.raises(ConfigError, match="data: got 3 photographs, expected 4 or more"):
        embeddings.tsne(np.eye(3), perplexity=30.0, seed=0)
    with pytest.raises(ConfigError, match=r"layer.name: got the same code for all photographs"):
        embeddings.tsne(np.ones((5, 3)), perplexity=30.0, seed=0)
