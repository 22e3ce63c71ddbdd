"""Networks in ONNX files -> `KerasNetwork`; see `torch_modules` for PyTorch modules in hand."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from deepvis.core.errors import ConfigError
from deepvis.networks.keras_network import COMPARED, KerasNetwork, file_fingerprint
from deepvis.networks.onnx_import import conversion, graphs
from deepvis.networks.open_graph import OpenGraph
from deepvis.networks.preprocessing import EXPECTED, Preprocess

LOG = logging.getLogger(__name__)
TOLERANCE = 1e-3  # of the output's largest number


def onnx_file(name: str | None, path: str, image_size: Any, preprocess: Any, mean: Any) -> KerasNetwork:
    """A network in an ONNX file.

    Args:
      name: what a person calls it; None: the file's.
      path: .onnx; external data must be beside it.
      image_size: px, of an image whose size the file leaves free: a number, or height and width.
      preprocess: what `preprocessing.read` takes.
      mean: see `KerasNetwork`.
    """
    sides = None if image_size is None else tuple(int(each) for each in _pair(image_size))
    return KerasNetwork(name or Path(str(path)).stem, OnnxFile(str(path), sides), preprocess, mean)


def _pair(size: Any) -> tuple[Any, Any]:
    return (size, size) if isinstance(size, int) else tuple(size)


@dataclass(frozen=True)
class OnnxFile:
    """A network in an ONNX file; see `keras_network.Source`."""

    path: str
    image_size: tuple[int, ...] | None

    @property
    def origin(self) -> tuple[str, bool]:
        """A file."""
        return "path", False

    def graph_only(self) -> "OnnxFile":
        """Its weights come with it."""
        return self

    def fingerprint(self) -> tuple[str, int]:
        """Of the file."""
        return file_fingerprint("model.path", self.path)

    def auto_preprocess(self, network: OpenGraph) -> Preprocess:
        """Nobody can tell."""
        raise ConfigError(f"model.preprocess=auto: an ONNX file does not tell; {EXPECTED}")

    def model(self) -> keras.Model:
        """Read the file."""
        return converted(self).model


def converted(source: OnnxFile) -> conversion.Converted:
    """What a file's graph becomes."""
    path = Path(source.path).expanduser()
    where = f"model.path={path}"
    graph = graphs.read(path)
    size = _size(graph, source.image_size, where)
    found = conversion.converted(graph, path.stem, size, where)
    COMPARED[found.model] = _compared(found, graph, path, size, where)
    return found


def _compared(
    found: conversion.Converted, graph: graphs.Graph, path: Path, size: tuple[int, int], where: str
) -> str:
    """Compare the output for noise with onnxruntime's: what was found, or why it was not compared."""
    noise = np.random.default_rng(0).standard_normal((1, graph.shape[0], *size)).astype(np.float32)
    output = next(name for name in graph.outputs if found.values.get(name) is found.output)
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        expected: Any = session.run([output], {graph.image: noise})[0]
    except Exception as err:  # it has errors of its own, and does not know all that is read here
        reason = f"onnxruntime cannot run the file ({' '.join(str(err).split())[:150]})"
        if isinstance(err, ImportError):
            reason = "onnxruntime is not installed; pip install 'deepvis[onnx]'"
        LOG.warning("%s: what Keras computes was not compared with the file: %s", where, reason)
        return f"not compared with the ONNX file: {reason}"
    (ours,) = conversion.computed(found.model, {"output": found.output}, np.moveaxis(noise, 1, -1)).values()
    scale = max(float(np.abs(expected).max()), 1e-6)
    off = float(np.abs(ours - expected).max()) / scale if ours.shape == expected.shape else np.inf
    if not off <= TOLERANCE:
        raise ConfigError(f"{where}: {output} is not in Keras what it is in onnxruntime; please report it")
    return f"its output equals onnxruntime's within {off:.1g}"


def _size(graph: graphs.Graph, given: tuple[int, ...] | None, where: str) -> tuple[int, int]:
    """Of the image: the file's, where it has one."""
    _, height, width = graph.shape
    if height is not None and width is not None:
        if given not in (None, (height, width)):
            raise ConfigError(
                f"model.image_size={list(given or ())}: {where} is for {height} x {width}, drop it"
            )
        return height, width
    if given is None:
        raise ConfigError(
            f"{where}: leaves the size of its image free; expected model.image_size=224, or what it was "
            "trained for"
        )
    if any(side not in (None, own) for side, own in zip((height, width), given, strict=True)):
        raise ConfigError(f"model.image_size={list(given)}: {where} has {height or 'any'} x {width or 'any'}")
    return given[0], given[1]
