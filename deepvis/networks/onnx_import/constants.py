"""Constants of an ONNX graph: those of the file, and those that follow from them or from shapes."""

from typing import Any

import numpy as np

from deepvis.networks.onnx_import.graphs import Graph, Node, needed, package, renamed
from deepvis.networks.onnx_import.layouts import LayoutError, Value

STRUCTURAL = {"Identity", "Cast", "Gather", "Slice", "Squeeze", "Unsqueeze", "Concat", "Reshape"}

CHANCE = {
    "RandomNormal",
    "RandomUniform",
    "RandomNormalLike",
    "RandomUniformLike",
    "Multinomial",
    "Bernoulli",
}


def without_constants(graph: Graph) -> Graph:
    """A graph whose Constant nodes, and copies of constants, are among its constants."""
    constants, nodes = dict(graph.constants), []
    for node in graph.nodes:
        if node.op == "Constant":
            constants[node.outputs[0]] = _constant(node)
        elif node.op == "Identity" and node.inputs[0] in constants:
            constants[node.outputs[0]] = constants[node.inputs[0]]
        else:
            nodes.append(node)
    return Graph(
        needed(nodes, graph.outputs), constants, graph.image, graph.shape, graph.outputs, graph.opset
    )


class Constants:
    """Arrays by name, as they become known."""

    def __init__(self, graph: Graph) -> None:
        self._opset = graph.opset
        self._arrays = dict(without_constants(graph).constants)
        self._marks: dict[str, np.ndarray] = {}  # which of an array's numbers follow from the image's size

    def get(self, name: str) -> np.ndarray | None:
        """The array of that name."""
        return self._arrays.get(name)

    def depends_on_size(self, name: str) -> bool:
        """Whether some of it follows from the height or width of the image."""
        return bool(self._marks.get(name, np.zeros(())).any())

    def put_shape(self, node: Node, value: Value) -> None:
        """The shape of a value, as a constant."""
        part = slice(node.attributes.get("start", 0), node.attributes.get("end"))
        rank = len(value.sizes)  # [B, h, w, ...], or tokens [B, N, C]
        sides = {1, 2} if rank > 3 else {1} if rank == 3 else set()
        marks = [int(bool(sides & set(group))) for group in value.view]
        self._arrays[node.outputs[0]] = np.array(value.shape[part], np.int64)
        self._marks[node.outputs[0]] = np.array(marks[part], np.int64)

    def put(self, node: Node, array: np.ndarray) -> None:
        """An array that a node gives as it is."""
        self._arrays[node.outputs[0]] = array

    def fold(self, node: Node) -> None:
        """Compute a node all of whose inputs are constants."""
        if node.op in CHANCE:
            raise LayoutError("random numbers, which differ from one pass to the next")
        inputs = [self._arrays.get(name) if name else None for name in node.inputs]
        missing = [name for name, array in zip(node.inputs, inputs, strict=True) if name and array is None]
        if missing:
            raise LayoutError(f"its input {missing[0]} is neither computed nor in the file")
        outputs = self._run(node, inputs)
        self._arrays |= dict(zip(node.outputs, outputs, strict=False))
        if not any(self.depends_on_size(name) for name in node.inputs):
            return
        marks = [np.ones(np.shape(each), np.int64) for each in outputs]
        if node.op in STRUCTURAL:
            data = len(inputs) if node.op == "Concat" else 1
            marked = [
                self._marks.get(name, np.zeros_like(array)) if k < data and array is not None else array
                for k, (name, array) in enumerate(zip(node.inputs, inputs, strict=True))
            ]
            marks = self._run(renamed(node, op="Identity") if node.op == "Cast" else node, marked)
        self._marks |= dict(zip(node.outputs, marks, strict=False))

    def _run(self, node: Node, inputs: list[Any]) -> list[np.ndarray]:
        axes = node.attributes.get("axes")
        if node.op == "Identity":
            return inputs
        if node.op == "Unsqueeze" and axes is not None:  # which the package's own does not do
            return [np.expand_dims(inputs[0], tuple(axes))]
        onnx = package()
        evaluator = onnx.reference.ReferenceEvaluator(node.proto, opsets={"": self._opset})
        feeds = {name: array for name, array in zip(node.inputs, inputs, strict=True) if name}
        return list(evaluator.run(None, feeds))


def _constant(node: Node) -> np.ndarray:
    onnx = package()
    ((kind, value),) = node.attributes.items()
    array = onnx.numpy_helper.to_array(value) if kind == "value" else np.array(value)
    return array.astype(np.float32) if array.dtype.kind == "f" else array
