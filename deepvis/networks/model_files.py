"""Model files: a path -> `KerasNetwork`, or in one line why the model in it cannot be had."""

import inspect
import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras

from deepvis.core import user_code
from deepvis.core.errors import ConfigError
from deepvis.networks import keras2_config, keras_models, shared_names, untrusted_files
from deepvis.networks.keras_network import KerasNetwork, file_fingerprint
from deepvis.networks.open_graph import OpenGraph
from deepvis.networks.preprocessing import Preprocess

EXPECTED = "expected a whole model that Keras saved, .keras or .h5"
OTHERS = {  # by the end of their name: what they are, and what to do
    ".onnx": "an ONNX file; take model=onnx model.path=... for it",
    ".pt": "a PyTorch file; export the module with torch.onnx.export and take model=onnx",
    ".pth": "a PyTorch file; export the module with torch.onnx.export and take model=onnx",
    ".safetensors": "weights without their architecture; build the model and save it whole",
    ".tflite": "a TensorFlow Lite file, not a Keras model; give the Keras model it was made of",
    ".pb": "a TensorFlow graph, which has no Keras layers; give the Keras model it was made of",
    ".json": "an architecture without weights; give them to the model and save it whole: "
    "keras.models.model_from_json(text), load_weights(file), save('whole.keras')",
    ".npz": "arrays without their architecture; build the model, set_weights and save it whole",
}
SAVED_MODEL = (
    "a SavedModel folder holds a compiled graph, and no layers to look at; save the model with "
    "model.save('whole.keras'), or look at its outputs alone, from Python: "
    "keras.Sequential([keras.Input(...), keras.layers.TFSMLayer(folder, call_endpoint='serve')])"
)
WEIGHTS_ONLY = (
    "holds weights without their architecture; build the model in Python, model.load_weights(file), and save "
    "it whole: model.save('whole.keras')"
)
OPERATIONS = {"TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod", "InstanceProperty"}
HDF5, ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"


def saved_file(
    name: str | None,
    path: str,
    allow_code: bool,
    preprocess: Any,
    mean: Any,
    custom_objects: str | None = None,
    optimize: str | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> KerasNetwork:
    """A model that Keras saved.

    Args:
      name: what a person calls it; None: the file's.
      path: .keras or .h5.
      allow_code: load it even if it holds code that would run here.
      preprocess: ``auto`` (see `contained`) or what `preprocessing.read` takes.
      mean: see `KerasNetwork`.
      custom_objects: the user's module with the classes and functions that the model is made of.
      optimize: see `KerasNetwork`.
      inputs: likewise.
    """
    source = SavedFile(str(path), allow_code, custom_objects)
    return KerasNetwork(name or Path(str(path)).stem, source, preprocess, mean, optimize, inputs or {})


@dataclass(frozen=True)
class SavedFile:
    """A model that Keras saved; see `keras_network.Source`."""

    path: str
    allow_code: bool
    custom_objects: str | None

    @property
    def origin(self) -> tuple[str, bool]:
        """A file."""
        return "path", False

    def graph_only(self) -> "SavedFile":
        """Its weights come with it."""
        return self

    def fingerprint(self) -> tuple[str, int]:
        """Of the file."""
        return fingerprint(self.path)

    def auto_preprocess(self, network: OpenGraph) -> Preprocess:
        """By what it contains."""
        return keras_models.contained(network)

    def model(self) -> keras.Model:
        """Read the file."""
        return load(self.path, self.allow_code, self.custom_objects)


def fingerprint(path: str) -> tuple[str, int]:
    """A file as it is now: its path and when it was written.

    Raises:
      ConfigError: there is none.
    """
    file = Path(path).expanduser()
    if file.is_dir():
        saved = (file / "saved_model.pb").exists()
        raise ConfigError(f"model.path={path}: got a folder, {EXPECTED}" + f"; {SAVED_MODEL}" * saved)
    return file_fingerprint("model.path", path)


def load(path: str, allow_code: bool, custom_objects: str | None) -> keras.Model:
    """The model of a file.

    Args:
      path: .keras, or .h5, of tf.keras 2 too.
      allow_code: load it even if it holds code that would run here.
      custom_objects: the user's module whose classes and functions the model is made of.

    Raises:
      ConfigError: it holds no model, or one that cannot be had; names what is in the way.
    """
    file = Path(path).expanduser()
    known = custom(custom_objects)
    version = _checked(file)
    shared = shared_names.ambiguous(_config(file), known, file.suffix == ".keras") if known else []
    if shared:
        raise ConfigError(
            f"model.path={path}: names {', '.join(shared)}, which is Keras' own and another one of "
            f"model.custom_objects={custom_objects}, and does not say which; expected another name in that "
            "module, and in the file if it is meant: save the model again"
        )
    try:
        model = _loaded(file, compile=False, safe_mode=not allow_code, custom_objects=known)
    except Exception as err:  # there is no limit to how a file can fail to be a model
        reason = _reason(" ".join(str(err).split()) or type(err).__name__, version, custom_objects, known)
        raise ConfigError(f"model.path={path}: {reason}") from err
    if not isinstance(model, keras.Model):
        raise ConfigError(f"model.path={path}: got {type(model).__name__}, {EXPECTED}")
    return model


def custom(module: str | None) -> dict[str, Any]:
    """The classes and functions that a module of the user's defines, by name.

    Raises:
      ConfigError: it cannot be imported, or defines none.
    """
    if module is None:
        return {}
    key = f"model.custom_objects={module}"
    of, package = user_code.imported(key, module), module.partition(".")[0]
    found = {
        name: value
        for name, value in vars(of).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__.partition(".")[0] == package  # not what it imports from elsewhere
    }
    if not found:
        raise ConfigError(
            f"{key}: got a module without a class or function, expected that of the model's layers"
        )
    return found


def _checked(file: Path) -> str:
    """The version of Keras that saved a file.

    Raises:
      ConfigError: it is another kind of file, or damaged.
    """
    with file.open("rb") as stream:
        start = stream.read(len(HDF5))
    refused = f"model.path={file}: got"
    if start == HDF5:
        return _checked_hdf5(file, refused)
    if start.startswith(ZIP) and file.suffix == ".keras":
        return _checked_zip(file, refused)
    if file.suffix in OTHERS:
        raise ConfigError(f"{refused} {OTHERS[file.suffix]}")
    raise ConfigError(f"{refused} a file that is no {file.suffix or 'model'} inside, {EXPECTED}")


def _checked_hdf5(file: Path, refused: str) -> str:
    try:
        with h5py.File(file) as content:
            version, whole = content.attrs.get("keras_version", "2"), "model_config" in content.attrs
            untrusted_files.check_hdf5(content, refused)
    except OSError as err:
        raise ConfigError(f"{refused} a damaged file ({err}); copy or save it again") from err
    if not whole:
        raise ConfigError(f"{refused} a file that {WEIGHTS_ONLY}")
    if file.suffix not in (".h5", ".hdf5"):
        raise ConfigError(f"{refused} an HDF5 file named {file.name}; rename it to {file.stem}.h5")
    return _text(version)


def _text(value: Any) -> str:
    """Of an attribute, which old files have as bytes."""
    return value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")


def _checked_zip(file: Path, refused: str) -> str:
    try:
        with zipfile.ZipFile(file) as content:
            untrusted_files.check_zip(content, file, refused)
            damaged, names = content.testzip(), content.namelist()
            meta = json.loads(content.read("metadata.json")) if "metadata.json" in names else {}
    except ConfigError:  # a ValueError, too
        raise
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as err:
        raise ConfigError(f"{refused} a damaged file ({err}); copy or save it again") from err
    if damaged:
        raise ConfigError(f"{refused} a damaged file ({damaged} in it); copy or save it again")
    lacks = [what for what, word in (("configuration", "config.json"), ("weights", "model.weights"))
             if not any(name.startswith(word) for name in names)]  # fmt: skip
    if lacks:
        raise ConfigError(f"{refused} a file without {' and '.join(lacks)}, {EXPECTED}")
    return str(meta.get("keras_version", ""))


def _config(file: Path) -> Any:
    if file.suffix == ".keras":
        with zipfile.ZipFile(file) as content:
            return json.loads(content.read("config.json"))
    with h5py.File(file) as content:
        return json.loads(_text(content.attrs["model_config"]))


def _loaded(file: Path, **options: Any) -> Any:
    """Keras' own loading; of a file that tf.keras 2 wrote, with a configuration that Keras 3 takes."""
    if file.suffix == ".keras":
        return keras.saving.load_model(file, **options)
    config = _config(file)
    if (current := keras2_config.current(config)) == config:
        return keras.saving.load_model(file, **options)
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(file, folder)
        with h5py.File(copy, "a") as content:
            content.attrs["model_config"] = json.dumps(current)
        return keras.saving.load_model(copy, **options)


def _reason(text: str, version: str, module: str | None, known: Mapping[str, Any]) -> str:
    """Why Keras could not load a model, from what it says."""
    if "safe_mode" in text or "unsafe" in text:
        return (
            "refused, it holds code that would run here (a Lambda layer, a TFSMLayer); if you trust it, set "
            "model.allow_code=true"
        )
    if "{'value': ['" in text:
        return "an activation is a Python lambda that tf.keras 2 saved; make it a function, and save it again"
    missing = re.search(r"Could not locate (?:class|function) '([^']+)'", text)
    missing = missing or re.search(r"Unknown [a-z ]+: '?([\w.>]+)", text)
    if _numbers(version) > _numbers(keras.__version__):
        return f"saved by Keras {version}, which is newer than {keras.__version__} here; upgrade Keras"
    if missing and missing[1] in OPERATIONS:
        return (
            f"holds {missing[1]}, an operation outside of a layer that tf.keras 2 saved and Keras 3 "
            "cannot read; build the model with Keras 3, load_weights(file) and save it as .keras"
        )
    if missing and missing[1] in ("Functional", "Sequential"):
        return f"saved by tf.keras {version}, whose .keras files Keras 3 cannot read; save it there as .h5"
    if missing and module:
        return f"its class {missing[1]} is not in model.custom_objects={module}, which has {', '.join(known)}"
    if missing:
        return (
            f"its class {missing[1]} is not known here; give model.custom_objects=my_package.layers, the "
            "module that defines it"
        )
    of = re.findall(r"deserializing class '([^']+)'", text)
    inner = text.rpartition("Exception encountered: ")[2].partition("Full object config")[0].strip()
    if of and "unexpected keyword argument" in inner:
        return f"its class {of[-1]} cannot be made again: {inner[:200]}; let its __init__ take **kwargs"
    return f"not a model that Keras can load ({f'{of[-1]}: ' if of else ''}{inner[:200]}); {EXPECTED}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:2]))
