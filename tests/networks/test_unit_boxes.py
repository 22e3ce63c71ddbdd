"""Laws of boxes: no pixel outside of one changes its unit, bitwise; the pixels at each of its edges can."""

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper

from deepvis import networks
from deepvis.networks.onnx_import.network import onnx_file

L = keras.layers
SIZE = (45, 38)


def odd(x):
    x = L.ZeroPadding2D(((3, 0), (1, 2)))(x)
    x = L.Conv2D(6, (5, 3), strides=(2, 3), padding="valid")(x)
    x = L.Activation("softplus")(x)
    return L.Conv2D(5, 3, dilation_rate=2, padding="same", activation="tanh")(x)


def branches(x):
    x = L.Conv2D(4, 3, strides=2, padding="same")(x)
    wide = L.DepthwiseConv2D(5, padding="same")(x)
    narrow = L.Conv2D(4, 1)(L.BatchNormalization()(x))
    x = L.Concatenate()([wide + narrow, x])
    x = L.AveragePooling2D(3, strides=2, padding="same")(x)
    return L.SeparableConv2D(5, 2, padding="same")(L.LayerNormalization()(x))


def upwards(x):
    x = L.Conv2D(4, 4, strides=4, padding="same")(x)
    x = L.Conv2DTranspose(4, 3, strides=2, padding="same")(x)
    x = L.Cropping2D(((1, 2), (0, 1)))(x)
    x = L.UpSampling2D(2)(x)
    return L.Conv2DTranspose(3, 4, strides=3, padding="valid")(x)


def excited(x):
    x = L.Conv2D(4, 3, padding="same")(x)
    gate = L.Dense(4, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(x))
    return L.Conv2D(3, 1)(x * gate)


def normalized(x):
    return L.GroupNormalization(2)(L.Conv2D(4, 3, strides=3)(x))


def flat(x):
    return L.Dense(4)(L.Flatten()(L.Conv2D(2, 5, strides=5)(x)))


def maximum(x):
    return L.MaxPooling2D(3, strides=2, padding="same")(L.Conv2D(4, 3, padding="same")(x))


def made(make):
    keras.utils.set_random_seed(1)
    given = keras.Input((*SIZE, 3))
    return keras.Model(given, L.Identity(name="out")(make(given)))


NETWORKS = {make.__name__: make for make in (odd, branches, upwards, excited, normalized, flat, maximum)}
TINY = {
    "_target_": "deepvis.networks.vgg.Vgg",
    "name": "tiny",
    "blocks": [[8], [12, 16]],
    "mean": [120.0] * 3,
    "weights": {"_target_": "deepvis.networks.weights.seeded", "seed": 0},
}


def onnx_network(folder):
    """Padding of another width at each side, strides, a pooling, holes; NCHW, as ONNX files are."""
    draw = np.random.default_rng(2)
    kernels = {name: draw.standard_normal(size).astype(np.float32)
               for name, size in (("a.weight", (4, 3, 5, 3)), ("b.weight", (5, 4, 3, 3)))}  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "a.weight"], ["a"], "/a/Conv", pads=[2, 1, 1, 0], strides=[2, 1]),
        helper.make_node("Sigmoid", ["a"], ["s"], "/act/Sigmoid"),
        helper.make_node("MaxPool", ["s"], ["p"], "/pool/MaxPool", kernel_shape=[2, 3], strides=[2, 2]),
        helper.make_node("Conv", ["p", "b.weight"], ["y"], "/b/Conv", dilations=[1, 2], pads=[1, 2, 1, 2]),
    ]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, *SIZE))
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(array, name) for name, array in kernels.items()]
    graph = helper.make_graph(nodes, "boxes", [image], [out], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "boxes.onnx")
    return onnx_file(None, str(folder / "boxes.onnx"), None, "tf", None)


@pytest.mark.parametrize("name", [*NETWORKS, "tiny", "onnx"])
def test_pixels_outside_change_nothing_and_those_at_each_edge_do(name, tmp_path):
    model = made(NETWORKS[name]) if name in NETWORKS else None  # it lives as long as somebody has it
    layer, chosen = ("block2_conv2", TINY) if model is None else ("out", networks.hold(model, "tf"))
    network = networks.network(chosen)
    if name == "onnx":
        layer, network = "b", onnx_network(tmp_path)
    boxes, (height, width) = network.boxes(layer, SIZE), network.map_size(layer, SIZE)
    compute = network.build([layer], SIZE, "float32").activations
    places = {(r, c) for r in (0, height // 2, height - 1) for c in (0, width // 3, width - 1)}
    draw = np.random.default_rng(0)
    images = draw.uniform(-100, 100, (24, *SIZE, 3)).astype(np.float32)

    @tf.function
    def maps(batch):
        return compute(batch, [layer])[layer].post

    before = maps(tf.constant(images)).numpy()
    others = draw.uniform(-100, 100, images.shape).astype(np.float32)
    sizes = set()
    for row, column in places:
        (top, bottom), (left, right) = boxes(row, column)
        sizes.add((bottom + 1 - top, right + 1 - left))
        mixed = others.copy()
        mixed[:, top : bottom + 1, left : right + 1] = images[:, top : bottom + 1, left : right + 1]
        np.testing.assert_array_equal(
            maps(tf.constant(mixed)).numpy()[:, row, column], before[:, row, column]
        )
        for edge in (np.s_[:, top, left : right + 1], np.s_[:, bottom, left : right + 1],
                     np.s_[:, top : bottom + 1, left], np.s_[:, top : bottom + 1, right]):  # fmt: skip
            changed = images.copy()
            changed[edge] = 10 * others[edge]
            assert (maps(tf.constant(changed)).numpy()[:, row, column] != before[:, row, column]).any(), edge
    field = network.layer(layer).field
    assert (
        max(map(max, sizes)) == (max(SIZE) if field is None else min(field, max(SIZE))) or name == "upwards"
    )
