"""A network trained here, from the command line and from Python, and judged by Keras: a picture of a class is
of that class. Networks whose image has one channel, or five."""

import os
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
from helpers import digits
from helpers.configs import typed_of
from PIL import Image

import deepvis
from deepvis.ascent import validation
from deepvis.metrics import robustness
from deepvis.results import result_folder
from deepvis.sweeps import jobs, runner
from deepvis.tracking.none import NoTracker

MEAN, SCALE = digits.PREPROCESS["mean"], digits.PREPROCESS["scale"]
# Pixels as a scanner gives them, shown as they are, so that the file on disk can be given to the network.
TYPED = [
    "model=file", f"model.preprocess={{mean: {MEAN}, scale: {SCALE}}}", "layer=named", "layer.name=logits",
    "layer.filters=all", "size=8", "precision=float32", "steps=48", "snapshot_every=48",
    "optimizer.learning_rate=4",
    "reg.clip_pixels=true", "start.display=natural", "tracker=none",
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return digits.make_digits(tmp_path_factory.mktemp("digits"))


def classes(model, pixels):
    """What the model takes pictures for, and how sure it is: grey levels [n, 8, 8, 1] -> [n], [n]."""
    sure = model.predict((np.asarray(pixels, np.float32) - MEAN) / SCALE, verbose=0)
    return sure.argmax(axis=1).tolist(), sure.max(axis=1)


def on_disk(folder, model):
    """Judge what a job left: each file is grey, 8 x 8, and what its name says."""
    pictures = []
    for index in range(10):
        with Image.open(folder / "filters" / f"{result_folder.label(index)}.png") as file:
            pixels = np.asarray(file)
        assert pixels.shape == (8, 8, 3) and (pixels == pixels[..., :1]).all() and pixels.std() > 5
        pictures.append(pixels[..., :1])
    seen, sure = classes(model, pictures)
    assert seen == list(range(10)) and sure.min() > 0.95
    found = result_folder.read(folder)
    history = found.history
    assert history["score"].shape == (49, 10) and (history["rank"][-1] == 0).all()
    assert (history["margin"][-1] > 0).all() and history["alive"].all()
    assert np.isfinite(history["score"]).all()
    assert {"robustness", *(f"retained_{name}" for name in robustness.CHANGES)} <= found.metrics.keys()
    for name, values in found.metrics.items():
        assert values.shape == (10,) and not np.isinf(values).any(), name
    assert np.isfinite(found.metrics["robustness"]).all()
    assert found.features["post"].shape == (10, 10)
    return found


def test_from_the_command_line_every_class_is_recognized(trained, tmp_path):
    path, model = trained
    env = {k: v for k, v in os.environ.items() if not k.startswith(("DEEPVIS", "HYDRA"))}
    typed = [sys.executable, "-m", "deepvis.run", *TYPED, f"model.path={path}"]
    said = subprocess.run(typed, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240)
    assert said.returncode == 0, said.stderr
    assert "Warning" not in said.stderr and "Traceback" not in said.stderr
    (result,) = tmp_path.glob("outputs/*/*/result")
    assert "Warning" not in (result.parent / "deepvis.log").read_text()
    on_disk(result, model)


def test_through_the_harness_without_a_warning(trained, tmp_path):
    path, model = trained
    cfg = typed_of(*TYPED, f"model.path={path}", "optimizer=adam", "twins=1")
    validation.check_job(cfg)
    job = jobs.make(cfg, [], tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert runner.run([job], NoTracker(), "sweep") == {}
    found = on_disk(tmp_path / "result", model)
    assert found.twins["score"].shape == (1, 49, 10) and np.isfinite(found.figures["floor/score"])


@pytest.mark.parametrize(
    ("param", "rate", "reg"), [("pixel", 4, {"clip_pixels": True}), ("fourier", 0.3, "none")]
)
def test_from_python_every_class_is_recognized(trained, param, rate, reg):
    _, model = trained
    before = model.get_weights()
    seen = deepvis.visualize(
        model, "logits", "all", preprocess=digits.PREPROCESS, size=8, steps=48, precision="float32",
        param=param, reg=reg, optimizer={"learning_rate": rate},
        start={"preset": "noise", "display": "natural"},
    )  # fmt: skip
    assert seen.filters == list(range(10)) and seen.centred.shape == (10, 8, 8, 1)
    recognized, sure = classes(model, seen.centred + MEAN)
    assert recognized == seen.filters and sure.min() > 0.95
    shown = seen.images[..., :1]
    assert seen.images.shape == (10, 8, 8, 3) and (seen.images == shown).all()
    assert classes(model, shown)[0] == seen.filters
    for ours, theirs in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_score_is_the_logit_that_keras_computes(trained):
    _, model = trained
    seen = deepvis.visualize(model, "logits", [3, 8], preprocess=digits.PREPROCESS, size=8, steps=5,
                             precision="float32")  # fmt: skip
    top = keras.Model(model.inputs, model.get_layer("flat").output)
    kernel, bias = model.get_layer("logits").get_weights()
    logits = np.asarray(top([seen.centred / SCALE])) @ kernel + bias
    np.testing.assert_allclose(seen.history["score"][-1], [logits[0, 3], logits[1, 8]], rtol=1e-4)


# --- Other channels ----------------------------------------------------------------------------------------


def small(channels):
    keras.utils.set_random_seed(channels)
    layers = [
        keras.Input((None, None, channels)),
        keras.layers.Conv2D(8, 3, activation="relu", padding="same", name="low"),
        keras.layers.MaxPooling2D(2),
        keras.layers.Conv2D(6, 3, name="high"),
    ]
    return keras.Sequential(layers, name=f"small{channels}")


PARAMS = [("pixel", 4), ("fourier", 0.1), ("maco", 0.2), ({"preset": "octaves", "octaves": 2}, 4)]


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize(("param", "rate"), PARAMS, ids=["pixel", "fourier", "maco", "octaves"])
def test_an_image_of_any_channels_climbs_whatever_it_is_made_of(param, rate, channels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        seen = deepvis.visualize(
            small(channels), "high", [0, 5], param=param, optimizer={"learning_rate": rate}, size=16, steps=8,
            preprocess="tf", transform={"jitter": 2}, precision="float32",
        )  # fmt: skip
    assert seen.centred.shape == (2, 16, 16, channels) and np.isfinite(seen.centred).all()
    assert seen.images.shape == (2, 16, 16, 3) and (seen.images == seen.images[..., :1]).all()
    assert (seen.history["score"][-1] > seen.history["score"][0]).all()
    for k in range(channels):  # every channel climbs
        assert seen.centred[..., k].std() > 1
    if param == "fourier":
        assert (np.abs(seen.centred) <= 127.5).all()


def picture(folder):
    path = folder / "p.png"
    pixels = np.random.default_rng(0).integers(40, 216, (20, 24, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_a_picture_in_colour_starts_one_channel_in_grey(tmp_path):
    path = picture(tmp_path)
    seen = deepvis.visualize(
        small(1), "high", 2, size=16, steps=1, preprocess="tf", precision="float32",
        start={"preset": "picture", "path": str(path)}, optimizer={"learning_rate": 1e-6},
    )  # fmt: skip
    with Image.open(path) as file:
        wanted = file.convert("L").resize((16, 16), Image.Resampling.BICUBIC, box=(2, 0, 22, 20))
    assert np.abs(seen.images[0, ..., 0].astype(float) - np.asarray(wanted)).max() <= 1
