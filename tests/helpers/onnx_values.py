"""All values of an ONNX graph that its Keras model has, too, as onnxruntime computes them."""

import onnx
import onnxruntime

from deepvis.networks.onnx_import import conversion


def session(
    proto: onnx.ModelProto, found: conversion.Converted
) -> tuple[list[str], onnxruntime.InferenceSession]:
    """Their names, and what computes them, unoptimized; they become outputs of the graph."""
    made = {name for node in proto.graph.node for name in node.output}
    names = [name for name in found.values if name in made]
    given = {each.name for each in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in given)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return names, onnxruntime.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
