"""Laws of ONNX files as networks: refusals in one line, names, layers, activations."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import tensorflow as tf
from helpers.configs import plain_of
from onnx import TensorProto, helper, numpy_helper

from deepvis import networks
from deepvis.core.errors import ConfigError
from deepvis.networks.onnx_import import conversion, graphs, names
from deepvis.networks.onnx_import.network import onnx_file

DRAW = np.random.default_rng(0)
KERNELS = {"first.weight": (4, 3, 3, 3), "second.weight": (6, 4, 3, 3), "head.weight": (5, 6)}


def net(shape=(1, 3, 12, 12), kernels=None):
    """Two convolutions, a ReLU, an average, a class score; the nodes are named as PyTorch names them."""
    arrays = kernels or {
        name: DRAW.standard_normal(size).astype(np.float32) for name, size in KERNELS.items()
    }
    nodes = [
        helper.make_node("Conv", ["x", "first.weight"], ["c1"], "/first/Conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "/act/Relu"),
        helper.make_node("Conv", ["r1", "second.weight"], ["c2"], "/block/block.0/second/Conv"),
        helper.make_node("GlobalAveragePool", ["c2"], ["p"], "/pool/GlobalAveragePool"),
        helper.make_node("Flatten", ["p"], ["f"], "/Flatten"),
        helper.make_node("Gemm", ["f", "head.weight"], ["y"], "/head/Gemm", transB=1),
    ]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", 5))
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "net", [image], [out], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def path(tmp_path):
    onnx.save(net(), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def network(path, image_size=None, preprocess="none"):
    return onnx_file(None, str(path), image_size, preprocess, None)


def refused(path, reason, **options):
    with pytest.raises(ConfigError, match=reason) as error:
        network(path, **options).layers()
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
    return str(error.value)


# --- files --------------------------------------------------------------------------------------------------


def test_no_such_file(tmp_path):
    refused(tmp_path / "none.onnx", "model.path=.*none.onnx: no such file")


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(100), b"hello, this is no network at all", bytes(200)]
)
def test_not_an_onnx_file(tmp_path, content):
    (tmp_path / "odd.onnx").write_bytes(content)
    refused(tmp_path / "odd.onnx", "model.path=.*odd.onnx: not an ONNX file")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_file_that_is_cut_off(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "model.path=.*net.onnx: ")


def test_weights_that_are_too_few_for_their_shape(path):
    proto = net()
    proto.graph.initializer[0].raw_data = proto.graph.initializer[0].raw_data[:-8]
    onnx.save(proto, path)
    refused(path, "first.weight.*damaged")


def external(path, **options):
    onnx.save(
        net(),
        path,
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location="net.data",
        size_threshold=0,
        **options,
    )
    return path.with_name("net.data")


def test_external_data_beside_the_file_is_read(tmp_path, path):
    expected = network(path).digest("head")
    arrays = {each.name: numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}
    onnx.save(
        net(kernels=arrays),
        tmp_path / "two.onnx",
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location="two.data",
        size_threshold=0,
    )
    assert (tmp_path / "two.data").stat().st_size > 1000
    assert network(tmp_path / "two.onnx").digest("head") == expected


def test_external_data_that_is_missing_or_short(path):
    data = external(path)
    content = data.read_bytes()
    data.write_bytes(content[:100])
    refused(path, "net.onnx: ")
    data.unlink()
    refused(path, "'net.data', which is not beside the file")


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "sub/../../secret", ""])
def test_external_data_elsewhere_is_refused(tmp_path, location):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(10_000))
    external(folder / "net.onnx")
    proto = onnx.load(folder / "net.onnx", load_external_data=False)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    (folder / "net.onnx").write_bytes(proto.SerializeToString())
    refused(folder / "net.onnx", "which is not in the folder of the file; refused")


def test_a_link_that_leaves_the_folder_is_refused(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    data = external(folder / "net.onnx")
    data.rename(tmp_path / "elsewhere")
    data.symlink_to(tmp_path / "elsewhere")
    refused(folder / "net.onnx", "which is not in the folder of the file; refused")


def test_a_free_size_must_be_said(path):
    onnx.save(net(("n", 3, "h", "w")), path)
    refused(path, "leaves the size of its image free; expected model.image_size=224")
    assert "head" in network(path, image_size=12).layers()
    assert network(path, image_size=[12, 16]).layers()["second"].channels == 6


def test_a_fixed_size_is_not_changed(path):
    refused(path, r"model.image_size=\[20, 20\]: .*is for 12 x 12", image_size=20)
    assert network(path, image_size=12).layers()


def test_an_output_that_is_not_onnxruntimes_is_refused(path, monkeypatch):
    """As if an operator were computed wrongly here."""
    pytest.importorskip("onnxruntime")
    wrong = dict(conversion.OPERATORS) | {"Relu": conversion.OPERATORS["Softsign"]}
    monkeypatch.setattr(conversion, "OPERATORS", wrong)
    refused(path, "y is not in Keras what it is in onnxruntime")


def test_the_run_says_what_the_file_was_compared_with(path):
    pytest.importorskip("onnxruntime")
    tags = network(path).build(["first"], (12, 12), "float32").tags
    assert re.search(r"; its output equals onnxruntime's within \S+$", tags["network.probe"])


@pytest.mark.parametrize("fails", ["missing", "unable"])
def test_where_nothing_was_compared_a_warning_and_the_run_say_so(path, monkeypatch, caplog, fails):
    class Unable:
        def __getattr__(self, name):
            raise RuntimeError("no kernel for Relu(99)")

    monkeypatch.setitem(sys.modules, "onnxruntime", None if fails == "missing" else Unable())
    tags = network(path).build(["first"], (12, 12), "float32").tags
    reason = {
        "missing": "onnxruntime is not installed; pip install 'deepvis[onnx]'",
        "unable": "onnxruntime cannot run the file (no kernel for Relu(99))",
    }[fails]
    assert tags["network.probe"].endswith(f"; not compared with the ONNX file: {reason}")
    assert [each.getMessage() for each in caplog.records if reason in each.getMessage()] == [
        f"model.path={path}: what Keras computes was not compared with the file: {reason}"
    ]


def test_without_the_package_the_extra_is_named(path, monkeypatch):
    def missing():
        raise ImportError("No module named 'onnx'")

    monkeypatch.setitem(sys.modules, "onnx", None)
    refused(path, r"pip install 'deepvis\[onnx\]'")


@pytest.mark.parametrize(
    "file, size", [("ch_ppocr_mobile_v2.0_cls_infer", (48, 192)), ("ch_PP-OCRv4_rec_infer", (48, 160))]
)
def test_trained_networks_of_another_framework(file, size):
    """PaddlePaddle's: strides (2, 1), hard swish in parts, shapes that the graph computes, free sizes."""
    ort = pytest.importorskip("onnxruntime")
    package = importlib.util.find_spec("rapidocr_onnxruntime")
    if package is None or package.origin is None:
        pytest.skip("needs its files: pip install --no-deps rapidocr-onnxruntime==1.4.4")
    path = Path(package.origin).parent / "models" / f"{file}.onnx"
    graph = graphs.read(path)
    found = conversion.converted(graph, "net", size, "test")
    image = DRAW.standard_normal((1, 3, *size)).astype(np.float32)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    (reference,) = session.run(None, {graph.image: image})
    (ours,) = conversion.computed(found.model, {"y": found.output}, np.moveaxis(image, 1, -1)).values()
    np.testing.assert_allclose(ours, reference, rtol=1e-3, atol=1e-5)


# --- as a network -------------------------------------------------------------------------------------------


def test_layers_have_the_names_of_modules(path):
    layers = network(path).layers()
    assert [name for name in layers if not name.endswith(".pad")][:3] == ["first", "act", "second"]
    assert (layers["first"].kind, layers["first"].channels, layers["first"].field) == ("conv", 4, 3)
    assert (layers["second"].field, layers["head"].kind, layers["head"].channels) == (5, "dense", 5)


@pytest.mark.parametrize("op, function", [("Mul", "scale offset"), ("Max", "function of constant")])
@pytest.mark.parametrize("size, exactly", [((4, 1, 1), None), ((4, 12, 12), (12, 12))])
def test_constants_leave_the_field_of_a_unit(tmp_path, op, function, size, exactly):
    """As the layer scale of ConvNeXt, one for each channel; those for each place take one size."""
    proto = net()
    scale = numpy_helper.from_array(np.full(size, 2, np.float32), "scale")
    proto.graph.initializer.append(scale)
    proto.graph.node.insert(2, helper.make_node(op, ["r1", "scale"], ["s"], "/scale"))
    proto.graph.node[3].input[0] = "s"
    onnx.save(proto, tmp_path / "scaled.onnx")
    layers = network(tmp_path / "scaled.onnx").layers()
    assert layers["scale"].kind == function
    assert (layers["scale"].field, layers["second"].field) == (3, 5)
    assert [layers[name].exactly for name in ("first", "scale", "second")] == [None, exactly, exactly]


def test_activations_before_and_behind_the_nonlinearity(path):
    ort = pytest.importorskip("onnxruntime")
    proto = onnx.load(path)
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in ("c1", "r1", "c2"))
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    known = network(path, preprocess="tf")
    pixels = DRAW.uniform(0, 255, (2, 12, 12, 3)).astype(np.float32)
    built = known.build(["first", "second", "head"], (12, 12), "float32")
    found = built.activations(tf.constant(pixels - np.float32(known.centre)), ["first", "second", "head"])
    given = np.moveaxis((pixels - 127.5) / 127.5, -1, 1)
    for k in range(2):
        scores, before, behind, second = session.run(
            ["y", "c1", "r1", "c2"], {"x": given[k : k + 1].astype(np.float32)}
        )
        pairs = [
            (found["first"].pre, before),
            (found["first"].post, behind),
            (found["second"].pre, second),
            (found["head"].pre, scores[..., None, None]),
        ]
        for ours, theirs in pairs:
            np.testing.assert_allclose(
                np.moveaxis(ours[k], -1, 0), theirs[0], rtol=1e-4, atol=1e-5 * np.abs(theirs).max()
            )


def test_a_config_describes_it(path):
    plain = plain_of(
        "model=onnx", f"model.path={path}", "layer=named", "layer.name=second", "layer.filters=0-1", "size=12"
    )
    resolved = networks.resolved(plain["model"])
    assert resolved["name"] == "net" and networks.network(resolved).layer("second").channels == 6


@pytest.mark.parametrize(
    "written, expected",
    [
        ("/conv1/Conv", "conv1"),
        ("/layer1/layer1.0/conv1/Conv", "layer1.0.conv1"),
        ("/features/features.0/features.0.1/Conv", "features.0.1"),
        ("/a/b/a.b/Conv", "a.b.a.b"),
        ("p2o.Conv.0", ""),
        ("", ""),
        ("/Add", ""),
    ],
)
def test_names_of_modules(written, expected):
    assert names.module(graphs.Node("Conv", written, ("x",), ("y",), {})) == expected


def test_layers_that_share_weights_have_the_names_of_their_own_modules():
    """torch.onnx calls the weights after the first module that has them; its newer exporter, after any."""
    nodes = [
        graphs.Node("Conv", "/first/Conv", ("x", "second.weight"), ("a",), {}),
        graphs.Node("Conv", "node_conv2d_1", ("a", "second.weight"), ("b",), {}, module="second"),
        graphs.Node("Conv", "/block/Conv", ("b", "block.third.weight"), ("c",), {}),  # by code of the block
        graphs.Node("Conv", "/block/Conv_1", ("c", "block.third.weight"), ("d",), {}),
    ]
    found = names.names(nodes)
    assert [found[each] for each in nodes] == ["first", "second", "block.third.Conv", "block.third"]


def test_names_are_unique_and_valid():
    def node(op, name, output):
        return graphs.Node(op, name, ("x",), (output,), {})

    nodes = [
        node("Conv", "/block/conv/Conv", "a"),
        node("Relu", "/block/relu/Relu", "b"),
        node("Add", "/block/Add", "c"),
        node("Relu", "/block/relu_1/Relu", "d"),
        node("Sigmoid", "/gate/Sigmoid", "e"),
        node("Mul", "/gate/Mul", "f"),
        node("Conv", "", "onnx::Conv 7"),
        node("Conv", "", "onnx/Conv 7"),
    ]
    found = names.names(nodes)
    assert [found[each] for each in nodes] == [
        "block.conv",
        "block.relu",
        "block.Add",
        "block.relu_1",
        "gate.Sigmoid",
        "gate",
        "onnx.Conv.7",
        "onnx.Conv.7_1",
    ]
