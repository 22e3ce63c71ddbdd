"""Laws of images that are not square: height comes first everywhere, and a transposed problem has the
transposed image."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import deepvis
from deepvis.core import images
from deepvis.report import comparison, selection, thumbnails
from deepvis.results import result_folder

HEIGHT, WIDTH = 20, 36
RATE = {"learning_rate": 3}


@pytest.fixture(scope="module")
def networks():
    """A network of convolutions, a pool and unequal strides, and the same one of transposed images."""
    import keras

    def made(transposed: bool):
        def sides(one: int, other: int) -> tuple[int, int]:
            return (other, one) if transposed else (one, other)

        image = keras.Input((None, None, 3))
        x = keras.layers.Conv2D(8, sides(3, 5), padding="same", activation="relu")(image)
        x = keras.layers.AveragePooling2D(sides(2, 1))(x)
        return keras.Model(image, keras.layers.Conv2D(6, sides(3, 3), strides=sides(1, 2), name="last")(x))

    one, other, chance = made(False), made(True), np.random.default_rng(0)
    weights = [chance.normal(0, 0.2, each.shape) for each in one.get_weights()]
    one.set_weights(weights)
    other.set_weights([w.swapaxes(0, 1) if w.ndim == 4 else w for w in weights])
    return one, other


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    """A picture of just that size: its four corners are of four colours, and so is no other part of it."""
    blocks = np.random.default_rng(1).integers(60, 190, (HEIGHT // 4, WIDTH // 4, 3), dtype=np.uint8)
    pixels = blocks.repeat(4, axis=0).repeat(4, axis=1)
    corners = ((0, 0), (0, -9), (-5, 0), (-5, -9))
    for (y, x), colour in zip(corners, ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)), strict=True):
        pixels[y:, x:][:5, :9] = colour
    folder = tmp_path_factory.mktemp("pictures")
    Image.fromarray(pixels).save(folder / "photo.png")
    Image.fromarray(pixels.swapaxes(0, 1)).save(folder / "turned.png")
    return folder / "photo.png"


CASES = {
    "plain": {},
    "regularized": {"reg": {"decay": 0.9, "blur": 3, "norm_percentile": 20.0, "clip_pixels": True}},
    "mixed": {"reg": {"combine": "mix", "decay": 0.9, "blur_sigma": 1.5, "value_percentile": 30.0}},
    "octaves": {"param": {"preset": "octaves", "octaves": 2}, "steps": 4},
    "layer": {"objective": "layer"},
    "adam": {"optimizer": {"preset": "adam", "learning_rate": 2}},
    "padded and cropped about the centre": {"transform": {"pad": 3, "crop": 0}},
}


@pytest.mark.parametrize("case", CASES)
def test_a_transposed_problem_has_the_transposed_image(case, networks, photo):
    common = {"steps": 5, "precision": "float32", "optimizer": RATE, "preprocess": "none"} | CASES[case]

    def seen(network, size, path, **more):
        start = {"preset": "picture", "path": path}
        return deepvis.visualize(network, "last", [0, 4], size=size, start=start, **(common | more))

    wide = seen(networks[0], (HEIGHT, WIDTH), photo)
    tall = seen(networks[1], (WIDTH, HEIGHT), photo.with_name("turned.png"))
    assert wide.images.shape == (2, HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(wide.history["score"], tall.history["score"], rtol=1e-3)
    np.testing.assert_allclose(wide.centred, tall.centred.swapaxes(1, 2), atol=0.02)
    assert (wide.history["score"][-1] != wide.history["score"][0]).all()


def test_a_neuron_is_named_by_row_and_column(networks, photo):
    common = {"steps": 3, "precision": "float32", "optimizer": RATE, "preprocess": "none"}
    seen = []
    for network, size, (row, column) in (
        (networks[0], (HEIGHT, WIDTH), (1, 14)), (networks[1], (WIDTH, HEIGHT), (14, 1)),
    ):  # fmt: skip
        objective = {"preset": "neuron", "row": row, "column": column}
        start = {"preset": "picture", "path": photo.with_name("turned.png") if seen else photo}
        found = deepvis.visualize(network, "last", 0, size=size, objective=objective, start=start, **common)
        seen.append(found.centred[0])
    np.testing.assert_allclose(seen[0], seen[1].swapaxes(0, 1), atol=0.02)
    objective = {"preset": "neuron", "row": 14, "column": 1}
    with pytest.raises(deepvis.ConfigError, match=r"row=14: outside of the map; last has 8 x 17 positions"):
        deepvis.visualize(networks[0], "last", 0, size=(HEIGHT, WIDTH), objective=objective, **common)


@pytest.mark.parametrize("param", ["pixel", "fourier"])
def test_a_picture_comes_out_as_it_lay(param, photo, tmp_path):
    """Hardly moved, in natural colours, it is the picture: height first."""
    seen = deepvis.visualize(
        "tiny", "block2_conv2", 0, size=[HEIGHT, WIDTH], steps=1, precision="float32", param=param,
        optimizer={"learning_rate": 1e-4}, start={"preset": "picture", "path": photo},
    )  # fmt: skip
    wanted = np.asarray(Image.open(photo), float)
    np.testing.assert_allclose(seen.images[0], wanted, atol=1)
    np.testing.assert_array_equal(np.asarray(seen.gallery()), images.gallery(list(seen.images), ["0"]))


SIZES = {"0_size=": 24, "1_size=": (HEIGHT, WIDTH), "2_size=": (WIDTH, HEIGHT)}


def typed(photo: Path) -> list[str]:
    return [
        "model=tiny", "layer=block2_conv1", "layer.filters=0-2", "steps=2", "snapshot_every=1",
        f"size=24,[{HEIGHT},{WIDTH}],[{WIDTH},{HEIGHT}]", "precision=float32", "start=picture",
        f"start.path={photo}", "optimizer.learning_rate=1e-4",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def swept(forker, photo, tmp_path_factory):
    """A sweep over a square and two rectangles, hardly moved from a picture."""
    place = tmp_path_factory.mktemp("sweep")
    said = forker.run(place, "-m", *typed(photo))
    assert said.code == 0, said.err
    (folder,) = (place / "outputs").iterdir()
    return folder


def fitted(photo: Path, size) -> np.ndarray:
    """The middle of the picture, by Pillow from an exact box."""
    height, width = (size, size) if isinstance(size, int) else size
    scale = min(HEIGHT / height, WIDTH / width)
    left, top = (WIDTH - width * scale) / 2, (HEIGHT - height * scale) / 2
    with Image.open(photo) as file:
        box = left, top, WIDTH - left, HEIGHT - top
        return np.asarray(file.resize((width, height), Image.Resampling.BICUBIC, box=box), float)


def test_saved_pictures_lie_as_their_picture(swept, photo):
    jobs = sorted(path.parent for path in swept.glob("*/result"))
    assert [job.name[:7] for job in jobs] == list(SIZES)
    for job, size in zip(jobs, SIZES.values(), strict=True):
        wanted = fitted(photo, size)
        for name in ("filters/f000", "progress/step_00001/f001", "filters/f002"):
            shown = np.asarray(Image.open(job / "result" / f"{name}.png"), float)
            np.testing.assert_allclose(shown, wanted, atol=1)
    assert [result_folder.read(job / "result").params["size"] for job in jobs] == [24, "20,36", "36,20"]


def test_mlflow_gets_them_as_they_lie(swept, photo):
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{swept.parents[1]}/mlruns/mlflow.db")
    (experiment,) = [each.experiment_id for each in client.search_experiments() if each.name == "deepvis"]
    runs = {run.data.params["size"]: run for run in client.search_runs([experiment], "tags.kind = 'job'")}
    assert runs.keys() == {"24", "20,36", "36,20"}
    for size, run in zip(SIZES.values(), (runs["24"], runs["20,36"], runs["36,20"]), strict=True):
        images = Path(run.info.artifact_uri.removeprefix("file://")) / "images"
        (whole,), (small,) = images.glob("final~f000*.png"), images.glob("final~f000*.webp")
        wanted = fitted(photo, size)
        np.testing.assert_allclose(np.asarray(Image.open(whole), float), wanted, atol=1)
        with Image.open(small) as copy:
            assert copy.width * wanted.shape[0] == pytest.approx(copy.height * wanted.shape[1], rel=0.02)
            again = np.asarray(copy.convert("RGB").resize(wanted.shape[1::-1], Image.Resampling.BOX), float)
        assert np.abs(again - wanted).mean() < 20 < np.abs(again[::-1] - wanted).mean()


def test_the_report_and_the_contact_sheet_keep_proportions(swept, photo):
    compared = comparison.of_sweeps([swept], {})
    assert compared.levels == {"size": [24, "[20,36]", "[36,20]"]}
    cells = thumbnails.make(selection.of(compared))
    assert (cells.height, cells.width) == (WIDTH, WIDTH)  # the smallest that holds all three
    sheet = np.asarray(Image.open(swept / "contact.png"), float)
    for job, size in enumerate(SIZES.values()):
        strip = np.asarray(Image.open(io.BytesIO(base64.b64decode(cells.strips[0][0][-1]))), float)
        cell = strip[:, job * cells.width :][:, : cells.width]
        assert shown_in(cell, fitted(photo, size))
        assert is_in(sheet, contained(fitted(photo, size), 24))
    text = (swept / "report.md").read_text()
    assert text.startswith("# What does size (24, [20,36], [36,20]) do to 3 filters of tiny block2_conv1?")


def contained(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture scaled until its longer side has that length."""
    height, width = (round(own * side / max(picture.shape[:2])) for own in picture.shape[:2])
    return np.asarray(Image.fromarray(picture.astype(np.uint8)).resize((width, height)), float)


def is_in(sheet: np.ndarray, picture: np.ndarray) -> bool:
    """Whether a picture is anywhere in a sheet, but for a few grey levels."""
    windows = np.lib.stride_tricks.sliding_window_view(sheet, picture.shape)[:, :, 0]
    return bool((np.abs(windows - picture).max(axis=(2, 3, 4)) <= 4).any())


def shown_in(cell: np.ndarray, picture: np.ndarray) -> bool:
    """Whether a picture is in the middle of a cell: in its own proportions, upright, and white beside it."""
    grown = contained(picture, len(cell))
    top, left = ((whole - own) // 2 for whole, own in zip(cell.shape[:2], grown.shape[:2], strict=True))
    inside = cell[top:, left:][: grown.shape[0], : grown.shape[1]]
    apart = np.abs(inside - grown).mean()
    beside = np.concatenate([cell[: max(0, top - 2)].ravel(), cell[:, : max(0, left - 2)].ravel()])
    return bool(apart < 25 < np.abs(inside[::-1] - grown).mean() and (beside > 235).all())


def test_a_sweep_of_rectangles_that_is_finished_is_not_run_again(swept, photo, forker):
    results = sorted(swept.glob("*/result/result.json"))
    before = {path: path.stat().st_mtime_ns for path in results}
    said = forker.run(swept.parents[1], "-m", *typed(photo), "resume=latest")
    assert said.code == 0, said.err
    assert len(before) == 3 and {path: path.stat().st_mtime_ns for path in results} == before


WRONG = {
    (1, 20): "size=1: too small for block2_conv2",
    (20, 1): "size=1: too small for block2_conv2",
    (20, 30, 3): "size=[20, 30, 3]: expected a whole number of px of 1 or more, or two: [height,width]",
    (0, 20): "size=[0, 20]: expected a whole number",
    (20, -3): "size=[20, -3]: expected a whole number",
    (20, 30.5): "size=[20, 30.5]: expected a whole number",
    ("20", 30): "size=['20', 30]: expected a whole number",
    (True, 30): "size=[True, 30]: expected a whole number",
    ((20, 30), 30): "size=[[20, 30], 30]: expected a whole number",
    (20,): "size=[20]: expected a whole number",
    (): "size=[]: expected a whole number",
    "20,30": "size=20,30: got text, expected a whole number of px of 1 or more, or two: [height,width]",
    0: "size=0: expected a whole number",
    20.5: "size=20.5: expected a whole number",
    None: "size=None: expected a whole number",
}


@pytest.mark.parametrize("size", WRONG)
def test_a_wrong_size_is_refused_in_one_line(size):
    with pytest.raises(deepvis.ConfigError) as error:
        deepvis.visualize("tiny", "block2_conv2", 0, size=size, steps=1)
    assert str(error.value).startswith(WRONG[size]) and "\n" not in str(error.value)


@pytest.mark.parametrize("size", [np.array([8, 12]), (np.int64(8), 12), [8.0, 12], (8, 12)])
def test_numbers_of_numpy_are_numbers(size):
    assert deepvis.visualize("tiny", "block2_conv2", 0, size=size, steps=1).images.shape == (1, 8, 12, 3)


def test_what_one_axis_cannot_hold_is_refused(photo):
    with pytest.raises(deepvis.ConfigError, match=r"transform\.crop=20: expected less than .* 20 px"):
        deepvis.visualize("tiny", "block2_conv2", 0, size=(20, 30), transform={"crop": 20}, steps=1)
    with pytest.raises(deepvis.ConfigError, match="the network would see 1 x 18 px: size=1: too small"):
        deepvis.visualize("tiny", "block2_conv2", 0, size=(3, 20), transform={"crop": 2}, steps=1)
    with pytest.raises(deepvis.ConfigError, match="the network would see 1 x 10 px"):
        deepvis.visualize("tiny", "block2_conv2", 0, size=(2, 20), steps=2,
                          param={"preset": "octaves", "octaves": 2, "octave_scale": 2.0})  # fmt: skip
