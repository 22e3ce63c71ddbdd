"""A PyTorch module in hand -> `KerasNetwork`, by way of torch.onnx; PyTorch is not imported here.

The module is exported at the size asked for, in evaluation mode, and left as it was. What each of its modules
gives for a probe is compared with the Keras layer of that name before anything else is done.
"""

import contextlib
import hashlib
import importlib
import io
import logging
import os
import sys
import warnings
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from deepvis.core.errors import ConfigError
from deepvis.networks.keras_network import COMPARED, KerasNetwork
from deepvis.networks.onnx_import import conversion, graphs
from deepvis.networks.open_graph import OpenGraph
from deepvis.networks.preprocessing import EXPECTED, Preprocess

OPSET = 20  # that torch.onnx writes
TOLERANCE = 1e-3  # of a layer's largest activation
USUAL = 224  # px, where no size is asked for

_held: weakref.WeakValueDictionary[str, keras.Model] = weakref.WeakValueDictionary()
_models: weakref.WeakKeyDictionary[Any, dict[str, keras.Model]] = weakref.WeakKeyDictionary()


def is_module(model: Any) -> bool:
    """Whether it is a torch.nn.Module; where PyTorch was not imported, nothing is."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def hold(module: Any, preprocess: Any, size: int | None = None) -> dict[str, Any]:
    """The config of a module in hand, as it is now: trained further it is another one.

    Args:
      module: torch.nn.Module of one image [N, C, H, W].
      preprocess: ``auto``, or what `preprocessing.read` takes.
      size: px of the image, square; None: 224.

    Raises:
      ConfigError: it cannot be exported, or does not compute as a Keras model what it computes itself.
    """
    module = getattr(module, "_orig_mod", module)  # of torch.compile
    name, size = type(module).__name__, size or USUAL
    _check(module, name)
    graph, digest = _exported(module, name, size)
    held = f"{digest} {size}"
    known = _models.setdefault(module, {})
    if held not in known:
        known.clear()  # of an earlier state
        with ThreadPoolExecutor(1) as thread:  # where Keras knows no dtype policy of the caller's
            known[held] = thread.submit(_built, module, graph, name, size).result()
    _held[held] = known[held]
    pixels = _pixels(module, name) if preprocess == "auto" else preprocess
    return {"_target_": "deepvis.networks.torch_modules.in_hand", "name": name, "held": held,
            "preprocess": pixels, "mean": None}  # fmt: skip


def in_hand(name: str, held: str, preprocess: Any, mean: Any) -> KerasNetwork:
    """A module that `hold` took."""
    return KerasNetwork(name, TorchModule(held), preprocess, mean)


@dataclass(frozen=True)
class TorchModule:
    """A module that `hold` took; see `keras_network.Source`."""

    held: str

    @property
    def origin(self) -> tuple[str, bool]:
        """The caller."""
        return "in hand", False

    def graph_only(self) -> "TorchModule":
        """Its weights come with it."""
        return self

    def fingerprint(self) -> None:
        """It reads no file."""

    def auto_preprocess(self, network: OpenGraph) -> Preprocess:
        """`hold` has seen to it."""
        raise ConfigError(f"preprocess=auto: {EXPECTED}")

    def model(self) -> keras.Model:
        """What `hold` made of it."""
        return _held[self.held]


def _check(module: Any, name: str) -> None:
    torch = sys.modules["torch"]
    kinds = {each.dtype for each in [*module.parameters(), *module.buffers()] if each.is_floating_point()}
    if kinds - {torch.float32}:
        raise ConfigError(
            f"{name}: got weights of {', '.join(sorted(map(str, kinds)))}; expected float32: model.float()"
        )


def _pixels(module: Any, name: str) -> Any:
    """What a module of torchvision or timm expects of its pixels."""
    package = type(module).__module__.partition(".")[0]
    config = getattr(module, "pretrained_cfg", None) if package == "timm" else None
    if config and config.get("mean") and config.get("std"):
        return {
            "mean": [255 * each for each in config["mean"]],
            "scale": [255 * each for each in config["std"]],
        }
    if package == "torchvision":
        return "torch"
    raise ConfigError(
        f'preprocess=auto: {name} does not tell what it expects of its pixels; give preprocess="torch" '
        f"(ImageNet's mean and deviation) or {EXPECTED}"
    )


@contextlib.contextmanager
def _evaluation(module: Any) -> Iterator[None]:
    """The module in evaluation mode, afterwards each part in the one it was in."""
    modes = [(each, each.training) for each in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for each, mode in modes:
            each.training = mode


def _exported(module: Any, name: str, size: int) -> tuple[graphs.Graph, str]:
    """The graph of a module, and the hash of all of it."""
    onnx, torch = graphs.package(), sys.modules["torch"]
    file, image = io.BytesIO(), _probe(module, size)
    try:
        with _evaluation(module), _quiet(), _adaptive_pools():
            torch.onnx.export(
                module, (image,), file, dynamo=False, opset_version=OPSET,
                training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=True, input_names=["image"],
            )  # fmt: skip
    except Exception as err:  # a module may do anything
        text = " ".join(str(err).split("\n")[0].split())[:200] or type(err).__name__
        raise ConfigError(
            f"{name}: torch.onnx.export failed at size={size}: {text}; expected a module of one image, "
            f"[N, {image.shape[1]}, {size}, {size}]"
        ) from err
    return graphs.of(onnx.load_from_string(file.getvalue()), name), hashlib.sha256(
        file.getvalue()
    ).hexdigest()[:12]


def _probe(module: Any, size: int) -> Any:
    """An image of noise, the same each time, where the module is."""
    torch = sys.modules["torch"]
    first = (each.in_channels for each in module.modules() if isinstance(each, torch.nn.Conv2d))
    where = next((each.device for each in module.parameters()), "cpu")
    noise = np.random.default_rng(0).standard_normal((1, next(first, 3), size, size))
    return torch.tensor(noise, dtype=torch.float32, device=where)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's own lines and warnings: what goes wrong is said in one line."""
    log = logging.getLogger("torch.onnx")
    level, stdout = log.level, os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    log.setLevel(logging.ERROR)
    os.dup2(nowhere, 1)  # its compiled part prints the whole graph where it fails
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
        os.close(nowhere)
        log.setLevel(level)


@contextlib.contextmanager
def _adaptive_pools() -> Iterator[None]:
    """An adaptive pooling is exported as it is: ONNX only has those of sizes that divide the map's."""
    onnx = importlib.import_module("torch.onnx")  # it is there: a module of it is in hand

    def symbolic(kind: str) -> Any:
        def export(g: Any, x: Any, size: Any) -> Any:
            sides = onnx.symbolic_helper._maybe_get_const(size, "is")
            if list(sides) == [1, 1]:
                out = g.op(f"Global{kind}Pool", x)
            else:
                out = g.op(f"deepvis::Adaptive{kind}Pool", x, size_i=list(sides))
            sizes = x.type().sizes()
            return out.setType(x.type().with_sizes([*sizes[:2], *sides])) if sizes else out

        return export

    names = {"aten::adaptive_avg_pool2d": "Average"}
    for name, kind in names.items():
        onnx.register_custom_op_symbolic(name, symbolic(kind), OPSET)
    try:
        yield
    finally:
        for name in names:
            onnx.unregister_custom_op_symbolic(name, OPSET)


def _built(module: Any, graph: graphs.Graph, name: str, size: int) -> keras.Model:
    """The Keras model of a module, which computes what the module does."""
    found = conversion.converted(graph, name, (size, size), name)
    wrong = _differing(module, found, size)
    if wrong is not None:
        raise ConfigError(
            f"{name}: layer {wrong} does not compute in Keras what it computes in PyTorch; please report it"
        )
    if _differing(module, found, size + 33) is not None:  # its padding, say, was computed from the size
        found = conversion.converted(graph, name, (size, size), name, one_size=True)
    COMPARED[found.model] = f"its parts give what PyTorch's give within {TOLERANCE:g}"
    return found.model


def _differing(module: Any, found: conversion.Converted, size: int) -> str | None:
    """The first module whose output differs from that of the Keras layer of its name; ``image``: all fail."""
    image = _probe(module, size)
    values = {**found.layers, "": found.output}  # "": the module itself
    theirs: dict[str, np.ndarray] = {}
    torch = sys.modules["torch"]

    def keep(name: str) -> Any:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            if torch.is_tensor(output):
                theirs.setdefault(name, output.detach().cpu().numpy().copy())

        return hook

    hooks = [
        each.register_forward_hook(keep(name))
        for name, each in module.named_modules()
        if name in found.layers
    ]
    failed = False
    try:
        with _evaluation(module), torch.no_grad():
            module(image)
    except Exception:  # at another size a head may not fit; what came before was seen
        failed = True
    finally:
        for each in hooks:
            each.remove()
    names = [name for name in values if name in theirs]
    if failed and not names:
        return "image"
    try:
        wanted = {name: values[name] for name in names}
        ours = conversion.computed(found.model, wanted, np.moveaxis(image.cpu().numpy(), 1, -1))
    except Exception:  # a layer takes no images of this size
        return "image"
    for name in names:
        mine, reference = ours[name], theirs[name]
        scale = max(float(np.abs(reference).max()), 1e-6)
        if mine.shape != reference.shape or not np.abs(mine - reference).max() <= TOLERANCE * scale:
            return name or "output"
    return None
