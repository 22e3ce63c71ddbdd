"""An ONNX file -> `Graph`: nodes, constants and the image's shape. Reads, checks, refuses; runs nothing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from deepvis.core.errors import ConfigError

OPSETS = range(9, 22)  # of the operators that are read
FLOATS = {"FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16"}  # all are computed in float32, as deepvis computes
INSTALL = "the package onnx reads these files: pip install 'deepvis[onnx]'"


@dataclass(frozen=True, eq=False)
class Node:
    """An operation."""

    op: str
    name: str  # as the file has it, which may be empty
    inputs: tuple[str, ...]  # "": left out
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    module: str = ""  # of PyTorch, from what its newer exporter writes beside a node
    proto: Any = None  # None: several nodes that were taken together

    @property
    def title(self) -> str:
        """For messages."""
        return f"{self.op} node {self.name or self.outputs[0]}"


@dataclass(frozen=True, eq=False)
class Graph:
    """A network of one image."""

    nodes: Sequence[Node]  # those that an output needs, in order
    constants: Mapping[str, np.ndarray]
    image: str
    shape: tuple[int, int | None, int | None]  # of the image: channels, height, width; None: free
    outputs: tuple[str, ...]
    opset: int


def read(path: Path) -> Graph:
    """The graph of a file.

    Args:
      path: of an ONNX model; external data must be beside it.

    Raises:
      ConfigError: it is none, or none that takes one image.
    """
    onnx = package()
    where = f"model.path={path}"
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as err:  # protobuf's errors have no common class
        raise ConfigError(
            f"{where}: not an ONNX file, or one that is cut off; expected what torch.onnx.export writes"
        ) from err
    if not model.graph.node:
        raise ConfigError(
            f"{where}: not an ONNX file, or one without operations; got {path.stat().st_size} bytes"
        )
    _load_beside(model, path, where)
    return of(model, where)


def of(model: Any, where: str) -> Graph:
    """The graph of a model that is read.

    Args:
      model: onnx.ModelProto with all its data.
      where: it is from, for messages.

    Raises:
      ConfigError: see `read`.
    """
    onnx = package()
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    opset = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)
    if opset not in OPSETS:
        raise ConfigError(
            f"{where}: got opset {opset}, expected {OPSETS[0]} to {OPSETS[-1]}; export it again with "
            f"opset_version={OPSETS[-1]}, or use onnx.version_converter"
        )
    graph = model.graph
    constants = {each.name: _array(each, where) for each in graph.initializer}
    if graph.sparse_initializer:
        raise ConfigError(f"{where}: sparse initializers; expected dense ones")
    nodes = [_node(each) for each in graph.node]
    outputs = tuple(each.name for each in graph.output)
    kept = needed(nodes, outputs)
    used = {name for node in kept for name in node.inputs}
    image, shape = _image(
        [each for each in graph.input if each.name not in constants and each.name in used], where
    )
    return Graph(kept, constants, image, shape, outputs, opset)


def package() -> Any:
    """The package onnx, which is an extra."""
    try:
        import onnx
        import onnx.inliner
        import onnx.numpy_helper
        import onnx.reference
    except ImportError as err:
        raise ConfigError(f"model=onnx: {INSTALL}") from err
    return onnx


def needed(nodes: Sequence[Node], outputs: Collection[str]) -> list[Node]:
    """The nodes that some values need, in order."""
    names, kept = set(outputs), []
    for node in reversed(nodes):
        if names & set(node.outputs):
            names |= set(node.inputs)
            kept.append(node)
    return kept[::-1]


def renamed(node: Node, **changes: Any) -> Node:
    """A node with other fields."""
    return replace(node, **changes)


def _node(proto: Any) -> Node:
    onnx = package()
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in proto.attribute}
    texts = {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()}
    domain = "" if proto.domain in ("", "ai.onnx") else f"{proto.domain}."
    return Node(domain + proto.op_type, proto.name, tuple(proto.input), tuple(proto.output), texts,
                _module(proto), proto)  # fmt: skip


def _module(proto: Any) -> str:
    """The path of the PyTorch module that a node is from: ``layer1.0.conv1``."""
    for entry in getattr(proto, "metadata_props", ()):
        if entry.key == "pkg.torch.onnx.name_scopes":
            scopes = [part.strip().strip("'\"") for part in entry.value.strip("[]").split(",")]
            return scopes[-2] if len(scopes) > 1 else ""
    return ""


def _array(tensor: Any, where: str) -> np.ndarray:
    onnx = package()
    try:
        array = onnx.numpy_helper.to_array(tensor)
    except Exception as err:
        raise ConfigError(
            f"{where}: initializer {tensor.name} cannot be read ({err}); the file is damaged"
        ) from err
    if array.dtype.kind == "f" or array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    return array


def _image(inputs: Sequence[Any], where: str) -> tuple[str, tuple[int, int | None, int | None]]:
    """Name and shape of the one input."""
    onnx = package()
    found = []
    for each in inputs:
        kind = each.type.tensor_type
        dims = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in kind.shape.dim]
        found.append((each.name, onnx.TensorProto.DataType.Name(kind.elem_type), dims))
    text = ", ".join(
        f"{name} {dtype.lower()}[{', '.join(str(d or '?') for d in dims)}]" for name, dtype, dims in found
    )
    if len(found) != 1:
        raise ConfigError(f"{where}: got {len(found)} inputs ({text or 'none'}), expected one image")
    (name, dtype, dims), *_ = found
    if dtype not in FLOATS or len(dims) != 4:
        raise ConfigError(f"{where}: got {text}, expected one image, float[N, C, H, W]")
    if dims[0] not in (None, 1):
        raise ConfigError(
            f"{where}: got {text}, expected batches of one image or of any number; export it so"
        )
    if dims[1] is None:
        raise ConfigError(f"{where}: got {text}, expected a number of channels")
    if dims[1] > 4 and dims[3] is not None and dims[3] <= 4:
        raise ConfigError(f"{where}: got {text}, expected channels before height and width")
    return name, (dims[1], dims[2], dims[3])


def _load_beside(model: Any, path: Path, where: str) -> None:
    """Reads external data, which must lie in the folder of the file."""
    onnx = package()
    folder = path.resolve().parent
    for tensor in _tensors(model.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        location = next((each.value for each in tensor.external_data if each.key == "location"), "")
        file = folder / location
        if not location or Path(location).is_absolute() or not file.resolve().is_relative_to(folder):
            raise ConfigError(
                f"{where}: weights {tensor.name} are in {location!r}, which is not in the folder of the "
                "file; refused"
            )
        if not file.is_file():
            raise ConfigError(
                f"{where}: weights {tensor.name} are in {location!r}, which is not beside the file"
            )
    try:
        onnx.external_data_helper.load_external_data_for_model(model, str(folder))
    except Exception as err:
        raise ConfigError(
            f"{where}: its external data cannot be read ({' '.join(str(err).split())})"
        ) from err


def _tensors(graph: Any) -> list[Any]:
    values = [a.t for node in graph.node for a in node.attribute if a.HasField("t")]
    return [*graph.initializer, *values]
