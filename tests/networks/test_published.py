"""Networks that others trained and published: read as they are; they recognize a picture of a class."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import original, published
from PIL import Image

import deepvis
from deepvis import networks
from deepvis.results import result_folder

RECORD = published.RECORD


def run(folder, *typed, seconds=240):
    """The pictures that a command saved, by number, and its result."""
    said = subprocess.run([sys.executable, "-m", "deepvis.run", *typed], cwd=folder, capture_output=True,
                          text=True, timeout=seconds)  # fmt: skip
    assert said.returncode == 0, said.stderr
    (result,) = folder.glob("outputs/*/*/result")
    found = result_folder.read(result)
    files = [result / "filters" / f"{result_folder.label(index)}.png" for index in found.filters]
    return found, np.stack([np.asarray(Image.open(file)) for file in files])


def test_the_reader_of_digits_equals_the_original():
    """Its weights are PyTorch's and its dense layer read channels first; what PyTorch gave is recorded."""
    pixels = published.handwriting()
    with np.load(RECORD) as record:
        expected = record["digits"]
    ours = published.digits()(((pixels - published.INK["mean"]) / published.INK["scale"]).astype(np.float32))
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    assert (expected.argmax(axis=1) == published.WRITTEN).sum() >= 30  # of 40: it does read handwriting


def test_the_reader_of_digits_equals_the_original_live():
    pytest.importorskip("torch", reason="needs torch")
    with np.load(RECORD) as record:
        np.testing.assert_allclose(
            published.read_digits(published.handwriting()), record["digits"], atol=1e-6
        )


def test_a_file_of_keras_2_gives_what_keras_gives():
    path = published.file(*published.FER)
    model = keras.saving.load_model(path, compile=False)
    described = {"_target_": "deepvis.networks.model_files.saved_file", "name": None, "path": str(path),
                 "allow_code": False, "preprocess": published.FACES, "mean": None}  # fmt: skip
    known = networks.network(described)
    assert known.channels == 1 and known.layer("predictions").channels == 7
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 64, 64, 1)).astype(np.float32)
    for name in ("activation_1", "separable_conv2d_3", "add_2", "predictions"):
        built = known.build([name], (64, 64), "float32")
        ours = built.activations(tf.constant(pixels - 127.5), [name])[name].post
        theirs = keras.Model(model.inputs, model.get_layer(name).output)
        expected = theirs([(pixels - 127.5) / 127.5]).numpy()
        np.testing.assert_allclose(np.reshape(ours, expected.shape), expected, atol=2e-4, err_msg=name)


@pytest.mark.slow
def test_all_ten_digits_are_read_from_their_saved_pictures(tmp_path):
    published.digits().save(tmp_path / "digits.keras")
    (tmp_path / "labels.txt").write_text("\n".join(map(str, range(10))))
    pixels = f"{{mean: {published.INK['mean']}, scale: {published.INK['scale']}}}"
    found, pictures = run(
        tmp_path, "model=file", "model.path=digits.keras", "model.labels=labels.txt",
        f"model.preprocess={pixels}", "layer=named", "layer.name=digit", "layer.filters=all", "size=28",
        "experiment=distill_2017", "steps=256", "tracker=none",
    )  # fmt: skip
    assert list(found.filters) == list(range(10))
    grey = pictures[..., :1].astype(np.float32)
    sure = np.diag(published.digits()((grey - published.INK["mean"]) / published.INK["scale"]))
    assert sure.min() > 0.9, sure


@pytest.mark.slow
def test_all_seven_emotions_are_seen_in_their_saved_pictures(tmp_path):
    path = published.file(*published.FER)
    found, pictures = run(
        tmp_path, "model=file", f"model.path={path}", f"model.labels=[{','.join(published.EMOTIONS)}]",
        "model.preprocess={mean: 127.5, scale: 127.5}", "layer=named", "layer.name=predictions",
        "layer.filters=all", "size=64", "experiment=distill_2017", "steps=128", "tracker=none",
    )  # fmt: skip
    assert list(found.classes) == published.EMOTIONS
    model = keras.saving.load_model(path, compile=False)
    sure = np.diag(model([(pictures[..., :1].astype(np.float32) - 127.5) / 127.5]))
    assert sure.min() > 0.9, sure


@pytest.mark.slow
def test_classes_of_imagenet_are_seen_in_their_saved_pictures(tmp_path):
    """By the original network where PyTorch is, else by ours, which is compared with it elsewhere."""
    from deepvis.networks import efficientnet_lite

    original.skip_without("efficientnet_lite0")
    found, pictures = run(
        tmp_path, "model=efficientnet_lite0", "layer=named", "layer.name=predictions",
        "layer.filters=flamingo,zebra,pizza", "size=160", "experiment=distill_2017", "steps=128",
        "tracker=none",
    )  # fmt: skip
    assert list(found.filters) == [130, 340, 963] and list(found.classes) == ["flamingo", "zebra", "pizza"]
    try:
        seen = original.probabilities("efficientnet_lite0", pictures)
    except ImportError:
        model = efficientnet_lite.EfficientNetLite("efficientnet_lite0", "imagenet").model()
        seen = model((pictures.astype(np.float32) - 127) / 128).numpy()
    assert min(seen[i, index] for i, index in enumerate(found.filters)) > 0.9


def test_a_class_by_its_name_from_python():
    original.skip_without("efficientnet_lite0")
    seen = deepvis.visualize("efficientnet_lite0", "predictions", ["flamingo", "tabby"], size=64, steps=1)
    assert list(seen.filters) == [130, 281] and list(seen.classes) == ["flamingo", "tabby"]
