"""Laws of deepvis.natural: extremes equal a brute-force reference however images come; crops are exact."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.configs import config_of, job_of
from omegaconf import OmegaConf
from PIL import Image

import deepvis
from deepvis import networks
from deepvis.ascent import objectives
from deepvis.config import schema
from deepvis.core.errors import ConfigError
from deepvis.data.photographs import of_folder
from deepvis.natural import examples, extremes, histograms, one_pass
from deepvis.natural.examples import Places
from deepvis.sweeps import natural_examples

RNG = np.random.default_rng(3)
SIDE, LAYER = 24, "block2_conv2"


def config(*overrides, batch_size=4, k=3, per_image=1):
    words = ["model=tiny", f"layer={LAYER}", "layer.filters=all", f"size={SIDE}", "precision=float32",
             "device=cpu", f"examples={k}", f"examples_per_image={per_image}", *overrides]  # fmt: skip
    plain = OmegaConf.to_container(config_of(*words), resolve=True)
    return dataclasses.replace(schema.resolve(plain), batch_size=batch_size)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Eleven pictures and half a one; two share a part, so that values tie."""
    home = tmp_path_factory.mktemp("photos")
    for n in range(11):
        pixels = RNG.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        if n in (4, 7):
            pixels[:] = 90
            pixels[0, 0] = n  # another content
        Image.fromarray(pixels).save(home / f"{n:02d}.png")
    (home / "05b.png").write_bytes((home / "05.png").read_bytes()[:500])
    return of_folder(str(home))


@pytest.fixture(scope="module")
def maps(photos):
    """The layer's maps before the ReLU, photograph by photograph; None of the broken one."""
    network = networks.network(schema.plain(config().model)).build([LAYER], (SIDE, SIDE), "float32")
    found = []
    for path in photos.paths:
        try:
            pixels = np.asarray(Image.open(path).convert("RGB"), np.float32)
        except OSError:
            found.append(None)
            continue
        image = tf.constant(pixels - np.array(network.mean, np.float32))[None]
        found.append(network.activations(image, [LAYER])[LAYER].pre.numpy()[0])
    return found


def brute_force(values, k, per_image, sign):
    """Sorted by value, image, position; of an image as many places as it may have. Python alone."""
    entries = []
    for number, each in enumerate(values):
        if each is not None:
            flat = sorted(((-sign * float(v), number, p) for p, v in enumerate(each.ravel())))
            entries += flat[: per_image or k]
    return [(sign * -value, number, place) for value, number, place in sorted(entries)[:k]]


def listed(places: Places, unit, width):
    columns = (places.values, places.images, places.rows * width + places.columns)
    rows = zip(*(each[unit].tolist() for each in columns), strict=True)
    return [row for row in rows if row[1] >= 0]


@pytest.mark.parametrize("batch_size", [1, 4, 16])
@pytest.mark.parametrize(("k", "per_image"), [(3, 1), (5, 2), (20, 0), (30, 1)])
def test_both_ends_equal_brute_force_for_any_batch(photos, maps, batch_size, k, per_image):
    cfg = config(batch_size=batch_size, k=k, per_image=per_image)
    found = examples(cfg, range(16), (), photos)
    assert found.count == 11 and [path.name for path, _ in found.broken] == ["05b.png"]
    width = maps[0].shape[1]
    for unit in range(16):
        values = [None if each is None else each[..., unit] for each in maps]
        for places, sign in ((found.top, 1), (found.bottom, -1)):
            assert listed(places, unit, width) == brute_force(values, k, per_image, sign)
    if k == 30:  # fewer photographs than that
        assert (found.top.images[:, 11:] == -1).all() and np.isnan(found.top.values[:, 11:]).all()


def test_the_order_in_which_images_come_does_not_matter():
    values = RNG.integers(0, 4, (9, 5, 2)).astype(np.float32)  # many ties
    values = -np.sort(-values, axis=2)
    places = np.sort(RNG.integers(0, 50, (9, 5, 2)), axis=2)
    expected = None
    for order in (np.arange(9), np.arange(9)[::-1], RNG.permutation(9)):
        state = extremes.nothing(5, 4)
        for part in np.array_split(order, 3):
            state = extremes.merged(state, values[part], places[part], part)
        found = state.values, state.images, state.positions
        expected = expected or found
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_neurons_directions_and_values_behind_the_relu_are_what_their_objectives_score(
    photos, maps, tmp_path
):
    there = [n for n, each in enumerate(maps) if each is not None]
    stacked = np.stack([maps[n] for n in there])
    neuron = examples(config("objective=neuron", "objective.row=2", "objective.column=7"), [3, 9], (), photos)
    order = np.argsort(-stacked[:, 2, 7, 3], kind="stable")[:3]
    assert neuron.top.images[0].tolist() == [there[n] for n in order]
    assert (neuron.top.rows == 2).all() and (neuron.top.columns == 7).all()
    rows = RNG.normal(size=(3, 16)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    words = ("objective=direction", f"objective.vectors={tmp_path}/rows.npy", "objective.cosine_power=2")
    direction = examples(config(*words), [2], (), photos)
    for count in (1, 16):
        alone = examples(config(*words, batch_size=count), [2], (), photos)
        np.testing.assert_array_equal(alone.top.values, direction.top.values)
    behind = np.maximum(stacked, 0)
    dots = behind @ rows[2]
    cosine = dots / (np.linalg.norm(behind, axis=-1) * np.linalg.norm(rows[2]) + 1e-30)
    values = (dots * np.maximum(0.1, cosine) ** 2).reshape(len(there), -1)
    assert direction.top.images[0].tolist() == [there[n] for n in np.argsort(-values.max(1))[:3]]
    np.testing.assert_allclose(direction.top.values[0], np.sort(values.max(1))[::-1][:3], rtol=1e-4)
    count = len(there)
    options = {"vectors": np.repeat(rows[2:], count, 0), "cosine_power": tf.fill([count], 2.0)}
    score = objectives.direction(LAYER, tf.zeros(count, tf.int32), **options)
    given = {LAYER: networks.Activation(tf.constant(stacked), tf.constant(behind))}
    np.testing.assert_allclose(direction.means[0, -1], score(given).numpy().max(), rtol=1e-4)
    with pytest.raises(
        ConfigError, match=r"objective=layer: natural examples are of units; expected channel"
    ):
        examples(config("objective=layer"), [0], (), photos)


def test_a_planted_patch_comes_first_and_is_what_the_crop_shows(photos, tmp_path):
    """The image that a unit was shown to like most at one place, in one photograph."""
    cfg = config()
    known = examples(cfg, [5], (), photos)
    (top, bottom), (left, right) = known.box(known.top, 0, 0)
    crop = known.crop(known.top, 0, 0)
    plain = np.full((SIDE, SIDE, 3), 128, np.uint8)
    Image.fromarray(plain).save(tmp_path / "a.png")
    plain[top : bottom + 1, left : right + 1] = crop
    Image.fromarray(plain).save(tmp_path / "z.png")
    found = examples(cfg, [5], (), of_folder(str(tmp_path)))
    assert found.photographs.names[found.top.images[0, 0]] == "z.png"
    assert found.top.values[0, 0] == known.top.values[0, 0]  # pixels outside of it change nothing, bitwise
    assert found.box(found.top, 0, 0) == ((top, bottom), (left, right))
    np.testing.assert_array_equal(found.crop(found.top, 0, 0), crop)


def test_resumed_equals_uninterrupted_bit_for_bit(photos, tmp_path, monkeypatch):
    cfg, checkpoint = config(batch_size=3), tmp_path / "checkpoint.npz"
    whole = examples(cfg, range(16), (), photos, "key")
    monkeypatch.setattr(one_pass, "PAUSE", 0.0)

    def stop(done):
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        examples(cfg, range(16), (), photos, "key", checkpoint, stop)
    said = []
    resumed = examples(
        dataclasses.replace(cfg, batch_size=4), range(16), (), photos, "key", checkpoint, said.append
    )
    assert said[0] == 6
    for name in ("top", "bottom"):
        for key, value in vars(getattr(whole, name)).items():
            np.testing.assert_array_equal(getattr(getattr(resumed, name), key), value)
    np.testing.assert_array_equal(resumed.maxima, whole.maxima)
    np.testing.assert_array_equal(resumed.means, whole.means)
    assert resumed.broken == whole.broken and resumed.count == whole.count
    said.clear()
    examples(cfg, range(16), (), photos, "another job", checkpoint, said.append)
    assert said[0] == 0
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    examples(cfg, range(16), (), photos, "key", checkpoint, said.append)
    assert said[-1] == 12


def test_quantiles_are_within_the_error_that_is_stated():
    values = np.concatenate([RNG.normal(size=(5000, 2)) * [1, 1e6], np.zeros((70, 2))]).astype(np.float32)
    values = np.maximum(values, [[-9, -9e9]]) * np.array([[1, 1]])
    state = histograms.nothing(2)
    for part in np.array_split(values.astype(np.float32), 7):
        state = histograms.added(state, part)
    exact = np.quantile(values, histograms.LEVELS, axis=0, method="inverted_cdf").T
    np.testing.assert_allclose(histograms.quantiles(state), exact, rtol=histograms.ERROR, atol=2.0**-32)
    np.testing.assert_array_equal(histograms.quantiles(state)[:, [0, -1]], exact[:, [0, -1]])


def test_pictures_fade_what_the_unit_does_not_see_and_files_hold_all(photos, tmp_path):
    found = examples(config(), [1, 5], (), photos)
    found.write(tmp_path)
    with np.load(tmp_path / "examples.npz") as file:
        np.testing.assert_array_equal(file["top.values"], found.top.values)
        np.testing.assert_array_equal(file["bottom.boxes"], found.bottom.boxes)
    assert sorted(path.name for path in Path(tmp_path, "units").iterdir()) == ["f001.png", "f005.png"]
    from deepvis.natural import pictures

    image = np.zeros((64, 64, 3), np.float32)
    shown = pictures.tile(image, ((0, 39), (10, 63)))
    scale = shown.shape[0] / 64
    assert (shown[: int(39 * scale), int(12 * scale) :] == 0).all()
    assert (shown[int(42 * scale) :] == round(255 * 0.7)).all()


def test_a_command_a_job_and_python_find_the_same(photos, tmp_path, monkeypatch):
    """The command twice in one process, a job with examples and its report; and Python."""
    monkeypatch.chdir(tmp_path)
    folder = str(photos.paths[0].parent)
    seen = deepvis.examples("tiny", LAYER, [0, 5], data=folder, k=2, size=SIDE)
    assert "2 units of block2_conv2 of tiny, top and bottom 2 of 11 photographs" in repr(seen)
    words = ["model=tiny", f"layer={LAYER}", "layer.filters=[0,5]", f"size={SIDE}", "precision=float32",
             "data=folder", f"data.path={folder}"]  # fmt: skip
    for typed in (["examples", "-m", "k=2", *words], [*words, "steps=2", "examples=2", "tracker=none"]):
        command = [sys.executable, "-m", "deepvis.run", *typed]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
    (analysis,) = tmp_path.glob("outputs/*/analysis.json")
    saved = seen.save(tmp_path / "saved")
    beside = {"analysis.json", "config.yaml", "report.html"}
    assert {each.name for each in saved.iterdir()} - {"saved.json"} == {
        each.name for each in analysis.parent.iterdir()
    } - beside
    np.testing.assert_array_equal(
        Image.open(saved / "gallery.png"), Image.open(analysis.parent / "gallery.png")
    )
    (job,) = tmp_path.glob("outputs/**/result")
    for at in (analysis.parent, job / "examples"):
        with np.load(at / "examples.npz") as file:
            np.testing.assert_array_equal(file["top.values"], seen.top.values)
            np.testing.assert_array_equal(file["bottom.boxes"], seen.bottom.boxes)
        assert "05b.png" in json.loads((at / "examples.json").read_text())["left_out"][0][0]
    assert (analysis.parent / "gallery.png").is_file() and not list(tmp_path.glob("outputs/.examples*"))
    assert "<h2>Natural examples</h2>" in (job.parent.parent / "report.html").read_text()
    wide, beside = (
        Image.open(path).width for path in (analysis.parent / "gallery.png", job / "examples.png")
    )
    assert beside > wide  # by the synthesized image
    logged = list(tmp_path.glob("mlruns/artifacts/*/artifacts/examples.npz"))
    assert len(logged) == 1  # of the command; the job has no tracker


def test_a_folder_that_changes_gives_other_examples(photos, tmp_path):
    for path in photos.paths[:3]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    words = ["model=tiny", f"layer={LAYER}", "layer.filters=0", f"size={SIDE}", "examples=2",
             "data=folder", f"data.path={tmp_path}"]  # fmt: skip

    def found():
        return natural_examples._of_job(job_of(tmp_path, *words))

    first = found()
    assert found() is first and first.count == 3
    (tmp_path / "4.png").write_bytes(photos.paths[5].read_bytes())
    assert found().count == 4
    (tmp_path / "4.png").write_bytes(photos.paths[6].read_bytes())
    assert photos.digests[6] in found().photographs.digests


def test_weights_that_change_in_their_file_give_other_examples(photos, tmp_path):
    keras.utils.set_random_seed(0)
    given = keras.Input((SIDE, SIDE, 3))
    model = keras.Model(given, keras.layers.Conv2D(2, 3, name="c")(given))
    words = [
        "model=file",
        f"model.path={tmp_path / 'a.keras'}",
        "model.preprocess=none",
        "layer.name=c",
        "layer.filters=0-1",
        f"size={SIDE}",
        "examples=2",
        "data=folder",
        f"data.path={photos.paths[0].parent}",
    ]

    def found():
        return natural_examples._of_job(job_of(tmp_path, *words))

    def units():
        return natural_examples.Units(job_of(tmp_path, *words), [0, 1])  # by which trust keeps what it found

    model.save(tmp_path / "a.keras")
    first = found()
    assert found() is first, "the same content is looked at once"
    before = units()
    assert units() == before
    model.set_weights([-each for each in model.get_weights()])
    model.save(tmp_path / "a.keras")
    np.testing.assert_array_equal(found().top.values, -first.bottom.values)
    assert units() != before
