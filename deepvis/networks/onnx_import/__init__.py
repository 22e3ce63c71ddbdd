"""ONNX: a graph, read from a file or exported from a PyTorch module, becomes a Keras model."""
