"""Nodes that compute one thing together -> one node: SiLU, hard swish, GELU, a product with a bias.

Exporters take these apart; together they are one layer whose nonlinearity deepvis knows.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from deepvis.networks.onnx_import.graphs import Graph, Node, needed, renamed


class _Index:
    """Who makes a value and how often it is read."""

    def __init__(
        self, nodes: Sequence[Node], constants: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> None:
        self.makers = {output: node for node in nodes for output in node.outputs}
        self.constants = constants
        self.reads: dict[str, int] = {}
        for name in [*(name for node in nodes for name in node.inputs), *outputs]:
            self.reads[name] = self.reads.get(name, 0) + 1

    def maker(self, name: str, *ops: str) -> Node | None:
        node = self.makers.get(name)
        return node if node is not None and node.op in ops else None

    def number(self, name: str) -> float | None:
        array = self.constants.get(name)
        return float(array.ravel()[0]) if array is not None and array.size == 1 else None

    def with_number(self, node: Node | None) -> tuple[str, float] | None:
        """Of a node of a value and a number."""
        for one, other in _orders(node) if node else ():
            number = self.number(other)
            if number is not None and one not in self.constants:
                return one, number
        return None


def _orders(node: Node) -> Iterator[tuple[str, str]]:
    if len(node.inputs) == 2:
        yield node.inputs[0], node.inputs[1]
        if node.op in ("Add", "Mul"):
            yield node.inputs[1], node.inputs[0]


def joined(graph: Graph) -> list[Node]:
    """The nodes of a graph, those that belong together as one."""
    nodes = list(graph.nodes)
    for pattern in (_swish, _hard_swish, _gelu, _linear):
        index = _Index(nodes, graph.constants, graph.outputs)
        nodes = [pattern(node, index) or node for node in nodes]
        nodes = needed(nodes, graph.outputs)
    return nodes


def _swish(node: Node, index: _Index) -> Node | None:
    """x sigmoid(x), x hard_sigmoid(x)."""
    for x, gate in _orders(node) if node.op == "Mul" else ():
        maker = index.maker(gate, "Sigmoid", "HardSigmoid")
        if maker and maker.inputs[0] == x and index.reads[gate] == 1:
            if maker.op == "Sigmoid":
                return renamed(node, op="Silu", inputs=(x,))
            alpha, beta = maker.attributes.get("alpha", 0.2), maker.attributes.get("beta", 0.5)
            if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
                return renamed(node, op="HardSwish", inputs=(x,))
    return None


def _hard_swish(node: Node, index: _Index) -> Node | None:
    """x clip(x + 3, 0, 6) / 6, in either order."""
    if node.op == "Div" and index.number(node.inputs[1]) == 6:
        product = index.maker(node.inputs[0], "Mul")
        if product and index.reads[node.inputs[0]] == 1:
            for x, gate in _orders(product):
                if _clipped(gate, index) == x:
                    return renamed(node, op="HardSwish", inputs=(x,))
    for x, gate in _orders(node) if node.op == "Mul" else ():
        divided = index.maker(gate, "Div")
        whole = divided and index.number(divided.inputs[1]) == 6 and index.reads[gate] == 1
        if divided and whole and _clipped(divided.inputs[0], index) == x:
            return renamed(node, op="HardSwish", inputs=(x,))
    return None


def _clipped(name: str, index: _Index) -> str | None:
    """x, where this is clip(x + 3, 0, 6)."""
    clip = index.maker(name, "Clip")
    if clip is None or index.reads[name] != 1:
        return None
    bounds = [clip.attributes.get("min"), clip.attributes.get("max")]
    if len(clip.inputs) == 3:
        bounds = [index.number(each) for each in clip.inputs[1:]]
    moved = index.with_number(index.maker(clip.inputs[0], "Add"))
    return moved[0] if bounds == [0, 6] and moved and moved[1] == 3 else None


def _gelu(node: Node, index: _Index) -> Node | None:
    """0.5 x (1 + erf(x / sqrt 2)), in any order."""
    if node.op != "Mul":
        return None
    parts = [*node.inputs]
    for part in node.inputs:
        inner = index.maker(part, "Mul")
        if inner and index.reads[part] == 1:
            parts.remove(part)
            parts += inner.inputs
            break
    numbers = [index.number(part) for part in parts if index.number(part) is not None]
    rest = [part for part in parts if index.number(part) is None]
    if len(parts) != 3 or numbers != [0.5] or len(rest) != 2:
        return None
    for x, gate in (rest, rest[::-1]):
        more = index.with_number(index.maker(gate, "Add"))
        erf = index.maker(more[0], "Erf") if more and more[1] == 1 else None
        scaled = index.maker(erf.inputs[0], "Div", "Mul") if erf else None
        by = index.with_number(scaled)
        if scaled and by and by[0] == x and _is_root(scaled.op, by[1]):
            return renamed(node, op="Gelu", inputs=(x,), attributes={})
    return None


def _is_root(op: str, number: float) -> bool:
    return math.isclose(number, math.sqrt(2) if op == "Div" else math.sqrt(0.5), rel_tol=1e-5)


def _linear(node: Node, index: _Index) -> Node | None:
    """x W + b."""
    for product, bias in _orders(node) if node.op == "Add" else ():
        maker, array = index.maker(product, "MatMul"), index.constants.get(bias)
        matrix = index.constants.get(maker.inputs[1]) if maker and index.reads[product] == 1 else None
        if maker and matrix is not None and array is not None and array.shape == matrix.shape[-1:]:
            return renamed(maker, name=node.name, module=node.module or maker.module,
                           inputs=(*maker.inputs, bias), outputs=node.outputs)  # fmt: skip
    return None
