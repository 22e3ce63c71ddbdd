"""Names of ONNX nodes -> names of layers: those of the PyTorch modules where an exporter wrote them down."""

import re
from collections import Counter
from collections.abc import Sequence

from deepvis.networks.onnx_import.calls import unique
from deepvis.networks.onnx_import.graphs import Node

SILENT = {"Identity", "Dropout", "Cast", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand"}


def names(nodes: Sequence[Node]) -> dict[Node, str]:
    """A unique name for the layer of each node.

    ``/layer1/layer1.0/conv1/Conv`` is of the module ``layer1.0.conv1``, whose last operation gets its name;
    those before it, and those between modules, are called ``layer1.0.Add``.
    """
    readers = Counter(node.inputs[1] for node in nodes if len(node.inputs) > 1)
    modules = {node: module(node, any(readers[each] > 1 for each in node.inputs[1:2])) for node in nodes}
    loud = [node for node in nodes if node.op not in SILENT]
    parents = {path.rsplit(".", k)[0] for path in modules.values() for k in range(1, path.count(".") + 1)}
    last = {modules[node]: node for node in loud}
    taken: set[str] = set()
    found: dict[Node, str] = {}
    whole = {last[path] for path in modules.values() if path in last and path and path not in parents}
    for node in sorted(nodes, key=lambda each: each not in whole):
        path, leaf = modules[node], _valid(re.split(r"[/.]", node.name)[-1] or node.op)
        name = f"{path}.{leaf}" if path else _valid(node.name or node.outputs[0])
        found[node] = unique(path if node in whole else name, taken)
    return found


def module(node: Node, shared: bool = False) -> str:
    """The path of the module that a node is from, by its weights or its name; "" where it is not said.

    Args:
      node: of the graph.
      shared: another node reads its weights, too, which are called after the first module that has them.
    """
    path = node.module or _path(node.name)
    weight = next((each for each in node.inputs[1:2] if each.endswith(".weight")), "")
    owner = _valid(weight.removesuffix(".weight")) if weight else ""
    is_inside = not path or owner == path or owner.startswith(f"{path}.")
    return owner if owner and (is_inside or not shared) else path


def _path(name: str) -> str:
    """``/layer1/layer1.0/conv1/Conv`` -> ``layer1.0.conv1``."""
    if not name.startswith("/"):
        return ""
    path, before = "", ""
    for part in name.split("/")[1:-1]:
        if before and part.startswith(f"{before}."):
            path = path.removesuffix(before) + part
        else:
            path = f"{path}.{part}" if path else part
        before = part
    return _valid(path) if path else path


def _valid(name: str) -> str:
    """A name that Keras and Hydra take."""
    return re.sub(r"[^\w.-]+", ".", name).strip(".") or "node"
