"""Networks of torchvision and timm with seeded weights, and how far their Keras models are from them.

Imports PyTorch: only for tests that have it, and for benchmarks/onnx_table.py.
"""

import contextlib
import copy
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import onnx
import tensorflow as tf
import torch

from deepvis.networks.onnx_import import conversion, graphs
from helpers import onnx_values

# torchvision's compiled operators do not load beside the CPU build of PyTorch; no classifier needs them, but
# torchvision wants their names to be known.
if not hasattr(torch.ops.torchvision, "nms"):
    _LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
    for _name in ("nms", "qnms"):
        with contextlib.suppress(RuntimeError):
            _LIBRARY.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

NETWORKS = {  # library and name: px, small, but a size that every layer takes
    "torchvision squeezenet1_0": 64, "torchvision squeezenet1_1": 64, "torchvision resnet18": 64,
    "torchvision resnet50": 64, "torchvision resnext50_32x4d": 64, "torchvision wide_resnet50_2": 64,
    "torchvision densenet121": 64, "torchvision googlenet": 64, "torchvision inception_v3": 96,
    "torchvision mobilenet_v2": 64, "torchvision mobilenet_v3_small": 64,
    "torchvision mobilenet_v3_large": 64,
    "torchvision efficientnet_b0": 64, "torchvision efficientnet_v2_s": 64, "torchvision regnet_x_400mf": 64,
    "torchvision regnet_y_400mf": 64, "torchvision convnext_tiny": 64, "torchvision mnasnet0_5": 64,
    "torchvision shufflenet_v2_x0_5": 64, "torchvision vit_b_16": 64,
    "timm resnet18": 64, "timm resnet50d": 64, "timm resnext50_32x4d": 64, "timm densenet121": 64,
    "timm inception_v3": 96, "timm mobilenetv2_100": 64, "timm mobilenetv3_small_100": 64,
    "timm efficientnet_b0": 64, "timm tf_efficientnet_b0": 64, "timm regnetx_002": 64, "timm regnety_002": 64,
    "timm convnext_atto": 64, "timm mnasnet_small": 64, "timm vit_tiny_patch16_224": 64,
    "torchvision alexnet": 224, "torchvision vgg11": 224, "torchvision vgg16_bn": 224,
}  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """Of a Keras model to its original, relative to the largest number of each array."""

    values: int  # that both have
    layers: float  # the largest of all values, to onnxruntime
    output: float  # of two images at once, to PyTorch
    single: float  # of the gradient of one class by the image, to PyTorch
    double: float  # the same where both compute in float64
    noise: float  # PyTorch in float32 to itself in float64: rounding decides which way a ReLU near zero goes


def module(title: str, size: int) -> torch.nn.Module:
    """A network in evaluation mode, whose batch normalizations all do something."""
    library, name = title.split()
    torch.manual_seed(0)
    if library == "torchvision":
        import torchvision

        options = {"image_size": size} if name.startswith("vit") else {}
        if name in ("googlenet", "inception_v3"):
            options |= {"init_weights": False, "transform_input": True}
        made = getattr(torchvision.models, name)(weights=None, **options)
    else:
        import timm

        options = {"img_size": size} if name.startswith("vit") else {}
        made = timm.create_model(name, pretrained=False, **options)
    return seeded(made)


def seeded(made: torch.nn.Module) -> torch.nn.Module:
    """A module in evaluation mode: batch normalization is not 0 and 1, no linear layer is all zeros."""
    draw = torch.Generator().manual_seed(1)
    for each in made.modules():
        if isinstance(each, torch.nn.Linear) and not each.weight.any():  # the head of torchvision's ViT
            torch.nn.init.normal_(each.weight, std=0.02, generator=draw)
        if isinstance(each, torch.nn.modules.batchnorm._BatchNorm):
            with torch.no_grad():
                each.running_mean.copy_(0.1 * torch.randn(each.running_mean.shape, generator=draw))
                each.running_var.copy_(0.5 + torch.rand(each.running_var.shape, generator=draw))
                each.weight.copy_(0.5 + torch.rand(each.weight.shape, generator=draw))
                each.bias.copy_(0.1 * torch.randn(each.bias.shape, generator=draw))
    return made.eval()


def export(made: torch.nn.Module, image: torch.Tensor, path: Path, **options: object) -> Path:
    """An ONNX file, by the exporter that keeps batch normalization unless told otherwise."""
    options = {"dynamo": False, "training": torch.onnx.TrainingMode.PRESERVE} | options
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(made, (image,), str(path), **options)
    return path


def converted(path: Path, size: tuple[int, int] | None = None) -> conversion.Converted:
    """The Keras model of a file."""
    graph = graphs.read(path)
    return conversion.converted(graph, "net", size or graph.shape[1:], f"model.path={path}")


def worst_value(path: Path, found: conversion.Converted, image: np.ndarray) -> tuple[int, float]:
    """How many values onnxruntime and Keras both have, and the largest relative difference of them."""
    proto = onnx.load(str(path))
    names, session = onnx_values.session(proto, found)
    theirs = session.run(names, {session.get_inputs()[0].name: image})
    ours = conversion.computed(
        found.model, {name: found.values[name] for name in names}, np.moveaxis(image, 1, -1)
    )
    return len(names), max(relative(ours[name], each, name) for name, each in zip(names, theirs, strict=True))


def relative(mine: np.ndarray, reference: np.ndarray, name: str = "") -> float:
    """The largest difference over the largest number; the shapes are the same and all is finite."""
    assert mine.shape == reference.shape, (name, mine.shape, reference.shape)
    assert np.isfinite(mine).all(), name
    return float(np.abs(mine - reference).max() / max(np.abs(reference).max(), 1e-30))


def compared(made: torch.nn.Module, image: np.ndarray, path: Path, **options: object) -> Difference:
    """A module, its ONNX file and its Keras model, for an image [1, C, H, W] of float32."""
    export(made, torch.tensor(image), path, **options)
    found = converted(path)
    count, layers = worst_value(path, found, image)
    pair = np.concatenate([image, -0.5 * image[..., ::-1]])
    output, _ = _gradient(made, pair, 0)
    unit = int(output[0].argmax())  # a ReLU at the end leaves no gradient to others
    _, single = _gradient(made, pair, unit)
    _, double = _gradient(copy.deepcopy(made).double(), pair.astype(np.float64), unit)

    logits, ours = _keras_gradient(found.model, pair, output.shape, unit)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        _, precise = _keras_gradient(converted(path).model, pair.astype(np.float64), output.shape, unit)
    finally:
        keras.config.set_dtype_policy(policy)
    assert np.abs(double).max() > 0
    return Difference(
        count,
        layers,
        relative(logits, output),
        relative(ours, single),
        relative(precise, double),
        relative(single, double),
    )


def _keras_gradient(
    model: keras.Model, images: np.ndarray, shape: tuple[int, ...], unit: int
) -> tuple[np.ndarray, np.ndarray]:
    """All scores of some images, and the gradient of one score by them."""

    @tf.function
    def gradient(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = tf.reshape(model(x), shape)
            score = tf.reduce_sum(logits[:, unit])
        return logits, tape.gradient(score, x)

    logits, found = gradient(tf.constant(np.moveaxis(images, 1, -1)))
    return logits.numpy(), np.moveaxis(found.numpy(), -1, 1)


def _gradient(made: torch.nn.Module, images: np.ndarray, unit: int) -> tuple[np.ndarray, np.ndarray]:
    """All scores of some images, and the gradient of one score by them."""
    given = torch.tensor(images, requires_grad=True)
    output = made(given)
    output[:, unit].sum().backward()
    return output.detach().numpy(), given.grad.numpy()
