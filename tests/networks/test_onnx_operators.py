"""Laws of ONNX operators: small graphs compute in Keras what onnxruntime computes, in every value."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from deepvis.core.errors import ConfigError
from deepvis.networks.onnx_import import conversion, graphs

pytest.importorskip("onnxruntime", reason="the reference of these tests")
from helpers import onnx_values

DRAW = np.random.default_rng(0)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), f"{outputs.split()[0]}_node", **attributes)


def model(nodes, constants=None, shape=(1, 4, 9, 8), opset=17, outputs=("y",)):
    """A graph from x to its outputs; constants are arrays by name."""
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        tensors,
    )
    for each in graph.output:
        each.type.tensor_type.elem_type = TensorProto.FLOAT
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=min(8, 10))


def keras_of(proto, size=None):
    graph = graphs.of(proto, "test")
    return conversion.converted(graph, "net", size or graph.shape[1:], "test")


def check(proto, size=None, batch=2, tolerance=1e-5):
    """Every value that both have, of two images at once where the graph takes them."""
    found = keras_of(proto, size)
    names, session = onnx_values.session(proto, found)
    dims = session.get_inputs()[0].shape
    image = DRAW.standard_normal((1, dims[1], *(size or dims[2:]))).astype(np.float32)
    images = [image, 0.5 - image[..., ::-1]][:batch]
    theirs = [session.run(names, {"x": each}) for each in images]
    # Images do not mix, whatever the layout.
    together = np.moveaxis(np.concatenate(images), 1, -1)
    ours = conversion.computed(found.model, {name: found.values[name] for name in names}, together)
    first = conversion.computed(found.model, {name: found.values[name] for name in names}, together[:1])
    for k, name in enumerate(names):
        reference, mine = theirs[0][k], first[name]
        assert mine.shape == reference.shape, name
        close(mine, reference, tolerance, name)
        if len(ours[name]) == batch == 2 and len(reference) == 1:
            for one, other in zip(ours[name], theirs, strict=True):
                close(one[None], other[k], tolerance, name)
    assert batch == 1 or found.values[names[-1]].view[0] == (0,)  # so the end was compared of both images
    return found


def close(mine, reference, tolerance, name):
    scale = max(np.abs(reference).max(), 1e-6)
    np.testing.assert_allclose(mine / scale, reference / scale, atol=tolerance, rtol=0, err_msg=name)


def normal(*shape):
    return DRAW.standard_normal(shape).astype(np.float32)


def layer(found, kind):
    return [each for each in found.model.layers if type(each).__name__ == kind]


CONV = {
    "plain": ((6, 4, 3, 3), {}),
    "padded": ((6, 4, 3, 3), {"pads": [1, 1, 1, 1]}),
    "asymmetric padding": ((6, 4, 3, 2), {"pads": [0, 1, 2, 3], "strides": [2, 3]}),
    "dilated": ((6, 4, 3, 3), {"dilations": [2, 3], "pads": [2, 0, 1, 0]}),
    "groups": ((6, 2, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
    "depthwise": ((4, 1, 3, 3), {"group": 4, "strides": [2, 2]}),
    "depthwise, two of each": ((8, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    "depthwise, unequal strides": ((8, 1, 3, 3), {"group": 4, "strides": [2, 1], "pads": [1, 1, 1, 1]}),
    "depthwise, dilated": ((4, 1, 3, 3), {"group": 4, "dilations": [2, 2]}),
    "same upper": ((6, 4, 3, 4), {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
    "same lower": ((6, 4, 4, 3), {"auto_pad": "SAME_LOWER", "strides": [2, 1]}),
    "valid": ((6, 4, 3, 3), {"auto_pad": "VALID"}),
}


@pytest.mark.parametrize("case", CONV)
@pytest.mark.parametrize("bias", [False, True])
def test_convolutions(case, bias):
    kernel, attributes = CONV[case]
    constants = {"w": normal(*kernel)} | ({"b": normal(kernel[0])} if bias else {})
    check(model([node("Conv", "x w b" if bias else "x w", "y", **attributes)], constants))


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 2]},
        {"strides": [2, 3], "pads": [1, 0, 2, 1]},
        {"strides": [4, 4]},
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
    ],
)
def test_transposed_convolutions(attributes):
    check(
        model([node("ConvTranspose", "x w b", "y", **attributes)], {"w": normal(4, 3, 3, 3), "b": normal(3)})
    )


POOLS = {
    "plain": {"kernel_shape": [2, 3], "strides": [2, 1]},
    "padded": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    "asymmetric": {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [0, 1, 1, 0]},
    "ceil": {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    "ceil and padded": {"kernel_shape": [3, 3], "strides": [2, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1},
    "ceil, last window outside": {
        "kernel_shape": [2, 2],
        "strides": [3, 3],
        "pads": [1, 1, 1, 1],
        "ceil_mode": 1,
    },
    "same upper": {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
}


@pytest.mark.parametrize("case", POOLS)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "AveragePool with padding"])
def test_pools(op, case):
    attributes = POOLS[case] | ({"count_include_pad": 1} if "with" in op else {})
    # All below zero: a maximum over padding of 0 would be seen.
    nodes = [node("Sub", "x c", "low"), node(op.split()[0], "low", "y", **attributes)]
    check(model(nodes, {"c": np.float32(9)}, opset=19))


@pytest.mark.parametrize(
    "op",
    [
        "GlobalAveragePool",
        "GlobalMaxPool",
        "Relu",
        "Sigmoid",
        "Tanh",
        "HardSwish",
        "Softplus",
        "Softsign",
        "Elu",
        "Selu",
        "LeakyRelu",
        "HardSigmoid",
        "Erf",
        "Exp",
        "Abs",
        "Neg",
        "Identity",
        "Mish",
        "Sin",
        "Reciprocal",
    ],
)
def test_operators_without_attributes(op):
    check(model([node("Neg", "x", "n"), node(op, "n", "y")], opset=18))


@pytest.mark.parametrize(
    "op, attributes",
    [
        ("LeakyRelu", {"alpha": 0.3}),
        ("Elu", {"alpha": 0.5}),
        ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
        ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
        ("Softmax", {"axis": 1}),
        ("Softmax", {"axis": -1}),
        ("LogSoftmax", {"axis": 1}),
        ("ReduceMean", {"axes": [2, 3]}),
        ("ReduceMean", {"axes": [1], "keepdims": 0}),
        ("ReduceMean", {"axes": [-1, -2], "keepdims": 0}),
        ("ReduceMax", {"axes": [2]}),
        ("Flatten", {}),
        ("Flatten", {"axis": 3}),
        ("Transpose", {"perm": [0, 2, 3, 1]}),
        ("DepthToSpace", {"blocksize": 2}),
        ("DepthToSpace", {"blocksize": 2, "mode": "CRD"}),
        ("ReduceSum", {"keepdims": 0}),
    ],
)
def test_operators_with_attributes(op, attributes):
    shape = (1, 4, 6, 8)
    if op == "ReduceSum":
        check(model([node(op, "x a", "y", **attributes)], {"a": np.array([2, 3])}, shape))
    else:
        check(
            model([node("Relu", "x", "r"), node(op, "r", "y", **attributes)], {}, shape),
            batch=1 if attributes == {"axis": 3} else 2,
        )


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_a_softmax_before_opset_13_is_over_all_that_follows(axis):
    check(model([node("Softmax", "x", "y", axis=axis)], opset=11))


@pytest.mark.parametrize("opset", [10, 11, 17])
@pytest.mark.parametrize("low, high", [(0.0, 6.0), (-0.5, 0.5), (0.0, None), (None, 0.3)])
def test_clips(opset, low, high):
    if opset == 10:
        bounds = {name: each for name, each in (("min", low), ("max", high)) if each is not None}
        check(model([node("Clip", "x", "y", **bounds)], opset=opset))
        return
    constants = {name: np.float32(each) for name, each in (("low", low), ("high", high)) if each is not None}
    names = ["x", "low" if low is not None else "", "high" if high is not None else ""]
    clip = helper.make_node("Clip", names, ["y"], "clip")
    check(model([clip], constants, opset=opset))


def test_relu6_is_a_relu_that_keras_knows():
    found = check(model([node("Clip", "x l h", "y")], {"l": np.float32(0), "h": np.float32(6)}))
    assert layer(found, "ReLU")[0].max_value == 6


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max", "Min", "Pow"])
@pytest.mark.parametrize("shape", [(), (1,), (8,), (4, 1, 1), (1, 4, 1, 1), (9, 8), (1, 1, 9, 1), (4, 9, 8)])
@pytest.mark.parametrize("first", [False, True])
def test_arithmetic_with_a_constant(op, shape, first):
    constant = np.abs(normal(*shape)) + np.float32(0.5)
    nodes = [node("Abs", "x", "a"), node("Add", "a one", "b"), node(op, "c b" if first else "b c", "y")]
    check(model(nodes, {"c": constant, "one": np.float32(1)}))


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max"])
def test_arithmetic_of_two_values_that_broadcast(op):
    nodes = [
        node("Abs", "x", "a"),
        node("Add", "a one", "b"),
        node("ReduceMean", "b", "whole", axes=[2, 3]),
        node("ReduceMean", "b", "row", axes=[3]),
        node("ReduceMean", "b", "rows", axes=[1, 3], keepdims=0),
        node("Unsqueeze", "rows u", "line"),
        node(op, "b whole", "p"),
        node(op, "row p", "q"),
        node(op, "q line", "y"),
    ]
    check(model(nodes, {"one": np.float32(1), "u": np.array([1, 3])}, opset=17))


# --- layout -------------------------------------------------------------------------------------------------


def test_flattened_maps_meet_the_rows_of_their_weights():
    nodes = [node("Flatten", "x", "f"), node("Gemm", "f w b", "y", transB=1, alpha=0.5, beta=2.0)]
    found = check(model(nodes, {"w": normal(5, 288), "b": normal(5)}))
    assert layer(found, "Flatten") and not layer(found, "Permute")


@pytest.mark.parametrize("perm", [[0, 2, 3, 1], [0, 3, 1, 2], [0, 2, 1, 3], [0, 1, 3, 2]])
def test_flattened_in_another_order(perm):
    nodes = [node("Transpose", "x", "t", perm=perm), node("Reshape", "t s", "f"), node("MatMul", "f w", "y")]
    check(model(nodes, {"s": np.array([1, -1]), "w": normal(288, 5)}))


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_joined_along_any_axis(axis):
    check(model([node("Relu", "x", "a"), node("Concat", "x a x", "y", axis=axis)]))


def test_joined_after_different_transpositions():
    nodes = [
        node("Transpose", "x", "a", perm=[0, 1, 3, 2]),
        node("Transpose", "a", "b", perm=[0, 2, 1, 3]),
        node("Transpose", "x", "c", perm=[0, 3, 1, 2]),
        node("Concat", "b c", "y", axis=2),
        node("Add", "b c", "z"),
    ]
    check(model(nodes, outputs=("y", "z")))


def test_shuffled_channels():
    nodes = [
        node("Reshape", "x s", "a"),
        node("Transpose", "a", "b", perm=[0, 2, 1, 3, 4]),
        node("Reshape", "b t", "c"),
        node("Conv", "c w", "y"),
    ]
    constants = {"s": np.array([1, 2, 2, 9, 8]), "t": np.array([1, -1, 9, 8]), "w": normal(3, 4, 1, 1)}
    found = check(model(nodes, constants))
    (larger,) = conversion.computed(found.model, {"y": found.values["y"]}, np.zeros((1, 12, 10, 4))).values()
    assert larger.shape == (1, 3, 12, 10)  # nothing of it is of one size


def test_tokens_with_a_class_token_and_attention():
    tokens, width, heads = 12, 8, 2
    constants = {
        "w": normal(width, 4, 3, 2),
        "s": np.array([1, width, tokens]),
        "cls": normal(1, 1, width),
        "pos": normal(1, tokens + 1, width),
        "g": normal(width),
        "b": normal(width),
        "qkv": normal(width, 3 * width),
        "qb": normal(3 * width),
        "h": np.array([1, tokens + 1, 3, heads, width // heads]),
        "back": np.array([1, tokens + 1, width]),
        "k": np.float32(0.5),
        "out": normal(width, width),
    }
    picks = [node("Gather", f"heads i{k}", f"p{k}", axis=0) for k in range(3)]
    constants |= {f"i{k}": np.array(k) for k in range(3)}
    nodes = [
        node("Conv", "x w", "c", strides=[3, 2]),
        node("Reshape", "c s", "r"),
        node("Transpose", "r", "t", perm=[0, 2, 1]),
        node("Concat", "cls t", "j", axis=1),
        node("Add", "j pos", "e"),
        node("LayerNormalization", "e g b", "n"),
        node("MatMul", "n qkv", "m"),
        node("Add", "m qb", "a"),
        node("Reshape", "a h", "v"),
        node("Transpose", "v", "heads", perm=[2, 0, 3, 1, 4]),
        *picks,
        node("Transpose", "p1", "kt", perm=[0, 1, 3, 2]),
        node("MatMul", "p0 kt", "scores"),
        node("Mul", "scores k", "sc"),
        node("Softmax", "sc", "soft", axis=-1),
        node("MatMul", "soft p2", "av"),
        node("Transpose", "av", "at", perm=[0, 2, 1, 3]),
        node("Reshape", "at back", "ar"),
        node("MatMul", "ar out", "o"),
        node("Add", "o e", "res"),
        node("Gather", "res i0", "y", axis=1),
    ]
    check(model(nodes, constants))


def test_attention_that_puts_the_batch_second():
    """As torch.nn.MultiheadAttention does: [tokens, batch, width], [batch x heads, tokens, width / heads]."""
    constants = {
        "s": np.array([1, 4, 72]),
        "h": np.array([72, 2, 2]),
        "w": normal(4, 4),
        "b4": np.array([1, 2, 72, 2]),
        "flat": np.array([72, 4]),
        "three": np.array([72, 1, 4]),
    }
    nodes = [
        node("Reshape", "x s", "r"),
        node("Transpose", "r", "l", perm=[2, 0, 1]),
        node("MatMul", "l w", "q"),
        node("Reshape", "q h", "qh"),
        node("Transpose", "qh", "qt", perm=[1, 0, 2]),
        node("Reshape", "qt b4", "q4"),
        node("Transpose", "q4", "k4", perm=[0, 1, 3, 2]),
        node("MatMul", "q4 k4", "sc"),
        node("Softmax", "sc", "so", axis=-1),
        node("MatMul", "so q4", "v"),
        node("Transpose", "v", "vt", perm=[2, 0, 1, 3]),
        node("Reshape", "vt flat", "vf"),
        node("Gemm", "vf w", "g"),
        node("Reshape", "g three", "g3"),
        node("Transpose", "g3", "y", perm=[1, 0, 2]),
    ]
    check(model(nodes, constants))


def test_channels_last_blocks_cost_no_transposition():
    nodes = [
        node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
        node("LayerNormalization", "t g b", "n", epsilon=1e-6),
        node("MatMul", "n w", "m"),
        node("Add", "c m", "a"),
        node("Transpose", "a", "y", perm=[0, 3, 1, 2]),
    ]
    found = check(model(nodes, {"g": normal(4), "b": normal(4), "w": normal(4, 6), "c": normal(6)}))
    assert not layer(found, "Permute")
    (dense,) = layer(found, "Dense")
    assert dense.use_bias  # the product and the bias are one layer


@pytest.mark.parametrize("axes", [[1], [2, 3], [1, 2, 3]])
def test_layer_normalization_over_axes(axes):
    first = axes[0]
    shape = (4, 9, 8)[first - 1 :]
    nodes = [node("LayerNormalization", "x g b", "y", axis=first)]
    check(model(nodes, {"g": normal(*shape), "b": normal(*shape)}))


@pytest.mark.parametrize("opset", [9, 17])
def test_normalizations(opset):
    constants = {name: normal(4) for name in "gbm"} | {"v": np.abs(normal(4)) + np.float32(0.1)}
    check(
        model(
            [
                node("BatchNormalization", "x g b m v", "a", epsilon=1e-3),
                node("InstanceNormalization", "a g b", "y"),
            ],
            constants,
            opset=opset,
        )
    )


@pytest.mark.parametrize("opset", [18, 21])
def test_group_normalization(opset):
    count = 2 if opset < 21 else 4
    check(
        model(
            [node("GroupNormalization", "x g b", "y", num_groups=2)],
            {"g": normal(count), "b": normal(count)},
            opset=opset,
        ),
        tolerance=1e-4,
    )


@pytest.mark.parametrize("shape", [(4, 1, 1), (1,), (4, 9, 8)])
def test_prelu(shape):
    check(model([node("PRelu", "x s", "y")], {"s": normal(*shape)}))


# --- parts, padding, sizes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("opset", [9, 17])
def test_parts(opset):
    if opset == 9:
        nodes = [
            node("Slice", "x", "a", axes=[1, 3], starts=[1, -5], ends=[9999, -1]),
            node("Split", "a", "p q", axis=1, split=[1, 2]),
            node("Squeeze", "p", "s", axes=[1]),
            node("Unsqueeze", "s", "u", axes=[1]),
            node("Add", "q u", "y"),
        ]
        check(model(nodes, opset=opset))
        return
    constants = {
        "b": np.array([0, 1]),
        "e": np.array([9, 8]),
        "a": np.array([2, -1]),
        "st": np.array([2, 3]),
        "sp": np.array([1, 3]),
        "i": np.array([2, 0, 0]),
        "one": np.array(1),
        "ones": np.array([1]),
    }
    nodes = [
        node("Slice", "x b e a st", "sl"),
        node("Split", "sl sp", "p q", axis=1),
        node("Gather", "q i", "g", axis=1),
        node("Gather", "g one", "h", axis=1),
        node("Unsqueeze", "h ones", "u"),
        node("Add", "u p", "y"),
    ]
    check(model(nodes, constants))


def test_parts_by_indices_of_several_axes():
    """The newer exporter of PyTorch writes as_strided of a mean as Reshape and Gather."""
    pooled = [
        node("ReduceMean", "x", "m", axes=[2, 3]),
        node("Reshape", "m flat", "f"),
        node("Gather", "f all", "y"),
    ]
    check(model(pooled, {"flat": np.array([-1]), "all": np.arange(4).reshape(1, 4, 1, 1)}))
    check(model([node("Gather", "x i", "y", axis=1)], {"i": np.array([[3, 0, -1], [1, 1, 2]])}))
    check(model([node("Gather", "x i", "y", axis=3)], {"i": np.array([[1], [2]])}))


@pytest.mark.parametrize("shape, indices", [([-1], [[1, 0], [2, 3]]), ([1, -1], [0, 0])])
def test_gather_refuses_to_mix_images(shape, indices):
    nodes = [
        node("ReduceMean", "x", "m", axes=[2, 3]),
        node("Reshape", "m s", "f"),
        node("Gather", "f i", "y", axis=0),
    ]
    with pytest.raises(ConfigError, match="images chosen from the batch"):
        keras_of(model(nodes, {"s": np.array(shape), "i": np.array(indices)}))


@pytest.mark.parametrize(
    "mode, pads, fill",
    [
        ("constant", [0, 0, 1, 2, 0, 0, 3, 0], 0.0),
        ("constant", [0, 0, 1, 2, 0, 0, 3, 0], -2.0),
        ("reflect", [0, 0, 1, 2, 0, 0, 3, 0], 0.0),
        ("constant", [0, 1, 0, 0, 0, 2, 0, 0], 0.0),
    ],
)
def test_padding(mode, pads, fill):
    check(model([node("Pad", "x p c", "y", mode=mode)], {"p": np.array(pads), "c": np.float32(fill)}))


@pytest.mark.parametrize(
    "mode, where, scales, rounding",
    [
        ("nearest", "asymmetric", [2, 3], "floor"),
        ("nearest", "half_pixel", [2, 2], "round_prefer_floor"),
        ("linear", "half_pixel", [2, 2], "floor"),
        ("linear", "pytorch_half_pixel", [3, 2], "floor"),
        ("linear", "half_pixel", [1.5, 0.5], "floor"),
    ],
)
def test_resizing(mode, where, scales, rounding):
    scales = np.array([1, 1, *scales], np.float32)
    resize = helper.make_node(
        "Resize",
        ["x", "", "s"],
        ["y"],
        "r",
        mode=mode,
        coordinate_transformation_mode=where,
        nearest_mode=rounding,
    )
    check(model([resize], {"s": scales}, (1, 4, 10, 8)))


def test_upsampling_of_opset_9():
    check(
        model(
            [node("Upsample", "x s", "y", mode="nearest")], {"s": np.array([1, 1, 2, 3], np.float32)}, opset=9
        )
    )


# --- shapes that the graph computes -------------------------------------------------------------------------


def flattened_by_shape(opset):
    unsqueeze = (
        [node("Unsqueeze", "n", "n1", axes=[0])] if opset < 13 else [node("Unsqueeze", "n zero1", "n1")]
    )
    return model(
        [
            node("Conv", "x w", "c"),
            node("Shape", "c", "shape"),
            node("Gather", "shape zero", "n"),
            *unsqueeze,
            node("Concat", "n1 rest", "target", axis=0),
            node("Reshape", "c target", "f"),
            node("Gemm", "f v bias", "y"),
        ],
        {
            "w": normal(3, 4, 2, 2),
            "zero": np.array(0),
            "zero1": np.array([0]),
            "rest": np.array([-1]),
            "v": normal(168, 5),
            "bias": normal(5),
        },
        opset=opset,
    )


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 21])
def test_shapes_that_the_graph_computes_are_constants(opset):
    check(flattened_by_shape(opset))


def test_a_free_batch_is_not_a_constant():
    check(
        model(
            [node("Relu", "x", "r"), node("Shape", "r", "s"), node("Reshape", "r s", "y")],
            shape=("n", 4, 9, 8),
        )
    )


def test_what_is_computed_from_the_image_size_refuses_another():
    nodes = [
        node("Shape", "x", "s"),
        node("Slice", "s two four a", "hw"),
        node("Div", "hw h", "half"),
        node("Slice", "x z half ax", "y"),
    ]
    constants = {
        "two": np.array([2]),
        "four": np.array([4]),
        "a": np.array([0]),
        "h": np.array([2, 2]),
        "z": np.array([0, 0]),
        "ax": np.array([2, 3]),
    }
    found = check(model(nodes, constants))
    with pytest.raises(ValueError, match=r"expected \(9, 8, 4"):
        found.model.call(np.zeros((1, 11, 8, 4), np.float32))


def test_a_map_of_one_pixel_says_nothing_of_larger_ones():
    """1 x 1 is dropped by a reshape; of 2 x 2, pixels must not become images of the batch."""
    nodes = [
        node("Reshape", "x s", "a"),
        node("Transpose", "a", "b", perm=[0, 2, 1]),
        node("Reshape", "b t", "c"),
        node("Conv", "c w", "y"),
    ]
    constants = {"s": np.array([1, 2, 2]), "t": np.array([1, 4, 1, 1]), "w": normal(3, 4, 1, 1)}
    found = check(model(nodes, constants, shape=(1, 4, 1, 1)))
    with pytest.raises(ValueError, match="expected 1 where an axis is dropped"):
        found.model.call(np.zeros((1, 2, 2, 4), np.float32))


def test_constants_of_each_position_take_one_size():
    found = check(model([node("Relu", "x", "r"), node("Add", "r c", "y")], {"c": normal(4, 9, 8)}))
    (layer_,) = layer(found, "ScaleOffset")
    with pytest.raises(ValueError, match="expected what fits constants"):
        layer_.compute_output_shape((None, 11, 8, 4))


# --- nonlinearities that exporters take apart ---------------------------------------------------------------

GATE = {
    "three": np.float32(3),
    "zero": np.float32(0),
    "six": np.float32(6),
    "half": np.float32(0.5),
    "one": np.float32(1),
    "root": np.float32(2**0.5),
}
PATTERNS = {
    "silu": ([node("Sigmoid", "x", "s"), node("Mul", "x s", "y")], "silu"),
    "hard swish": (
        [node("HardSigmoid", "x", "s", alpha=1 / 6, beta=0.5), node("Mul", "s x", "y")],
        "hard_silu",
    ),
    "hard swish of opset 11": (
        [
            node("Add", "x three", "a"),
            node("Clip", "a zero six", "c"),
            node("Mul", "x c", "m"),
            node("Div", "m six", "y"),
        ],
        "hard_silu",
    ),
    "gate first": (
        [
            node("Add", "x three", "a"),
            node("Clip", "a zero six", "c"),
            node("Div", "c six", "d"),
            node("Mul", "x d", "y"),
        ],
        "hard_silu",
    ),
    "gelu": (
        [
            node("Div", "x root", "d"),
            node("Erf", "d", "e"),
            node("Add", "e one", "a"),
            node("Mul", "x a", "m"),
            node("Mul", "m half", "y"),
        ],
        "gelu",
    ),
    "gelu, half first": (
        [
            node("Mul", "x half", "h"),
            node("Div", "x root", "d"),
            node("Erf", "d", "e"),
            node("Add", "one e", "a"),
            node("Mul", "h a", "y"),
        ],
        "gelu",
    ),
}


@pytest.mark.parametrize("case", PATTERNS)
def test_a_nonlinearity_in_parts_is_one_layer(case):
    nodes, wanted = PATTERNS[case]
    found = check(model(nodes, GATE))
    (only,) = [each for each in found.model.layers if type(each).__name__ != "InputLayer"]
    assert only.activation.__name__ == wanted


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Sigmoid", "x", "s"), node("Relu", "x", "r"), node("Mul", "r s", "y")],  # of something else
        [node("HardSigmoid", "x", "s"), node("Mul", "s x", "y")],  # alpha 0.2
        [
            node("Add", "x one", "a"),
            node("Clip", "a zero six", "c"),
            node("Mul", "x c", "m"),
            node("Div", "m six", "y"),
        ],  # + 1
        [
            node("Sigmoid", "x", "s"),
            node("Mul", "x s", "m"),
            node("Add", "m s", "y"),
        ],  # the gate is read twice
        [
            node("Div", "x three", "d"),
            node("Erf", "d", "e"),
            node("Add", "e one", "a"),
            node("Mul", "x a", "m"),
            node("Mul", "m half", "y"),
        ],
    ],
)
def test_what_only_looks_like_one_is_computed_as_it_is(nodes):
    found = check(model(nodes, GATE))
    assert len(found.model.layers) > 2


# --- refusals -----------------------------------------------------------------------------------------------

REFUSED = {
    "unknown": (
        model([node("Relu", "x", "r"), node("Det", "r", "y")]),
        "Det node y_node: this operator is not known",
    ),
    "of another domain": (
        model([helper.make_node("Odd", ["x"], ["y"], "strange", domain="com.acme")]),
        "com.acme.Odd node strange",
    ),
    "batch mixed": (
        model([node("ReduceMean", "x", "y", axes=[0])]),
        "ReduceMean node y_node: .*images would be mixed",
    ),
    "dilated pool": (
        model([node("MaxPool", "x", "y", kernel_shape=[2, 2], dilations=[2, 2])]),
        "MaxPool node y_node: dilations",
    ),
    "weights that the image computes": (
        model([node("Conv", "x x", "y")]),
        "Conv node y_node: its input 1 depends on the image",
    ),
    "mixed dimensions": (
        model([node("Reshape", "x s", "y")], {"s": np.array([1, 3, 96])}),
        "Reshape node y_node: .*mixes",
    ),
    "opset": (model([node("Relu", "x", "y")], opset=8), "got opset 8, expected 9 to 21"),
    "two inputs": (None, "got 2 inputs"),
    "no image": (model([node("Relu", "x", "y")], shape=(1, 7)), r"expected one image, float\[N, C, H, W\]"),
    "batch of 8": (
        model([node("Relu", "x", "y")], shape=(8, 3, 9, 9)),
        "expected batches of one image or of any number",
    ),
    "not from the image": (model([node("Relu", "c", "y")], {"c": normal(3)}), "got 0 inputs"),
    "channels last": (
        model([node("Relu", "x", "y")], shape=(1, 64, 64, 3)),
        "expected channels before height and width",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_line(case):
    proto, reason = REFUSED[case]
    if proto is None:
        proto = model([node("Add", "x z", "y")])
        proto.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 4, 9, 8)))
    with pytest.raises(ConfigError, match=reason) as error:
        keras_of(proto)
    assert "\n" not in str(error.value)
