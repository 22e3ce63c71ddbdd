"""Model files: what Keras reads of them is what deepvis shows; what cannot be read is refused in one line."""

import json
import shutil
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
from helpers import own_layers, shared_layers

import deepvis
from deepvis.core.errors import ConfigError
from deepvis.networks import keras2_config, model_files

of = keras.layers
PLAIN = {"steps": 1, "size": 16, "precision": "float32", "reg": "none"}


def sequential(*layers, name="model"):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((16, 16, 3)), *layers], name=name)


def plain():
    return sequential(of.Conv2D(4, 3, activation="relu", name="c"), of.Flatten(), of.Dense(3, name="d"))


def scores(path, layer, **options):
    """What deepvis gives for a file, and the image that it gives it for."""
    chosen = {"preset": "file", "path": str(path), "preprocess": "none"} | options
    seen = deepvis.visualize(chosen, layer, objective={"pre_activation": False}, **PLAIN)
    return seen.history["score"][-1], seen.centred + 127.5


def shows(path, model, layer, **options):
    """Each channel's score is the mean of what the user's own model computes for its image."""
    ours, images = scores(path, layer, **options)
    theirs = np.asarray(keras.Model(model.inputs, model.get_layer(layer).output)(images))
    wanted = theirs.reshape(len(images), -1, theirs.shape[-1]).mean(axis=1)
    np.testing.assert_allclose(ours, np.diagonal(wanted), rtol=1e-4)


def refused(path, allow_code=False, custom_objects=None):
    with pytest.raises(ConfigError) as error:
        model_files.fingerprint(str(path))
        model_files.load(str(path), allow_code, custom_objects)
    said = str(error.value)
    assert "\n" not in said and len(said) < 600 and said.startswith("model.")
    return said


# --- the user's classes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_classes_of_the_users_module_are_read(tmp_path, suffix):
    model = sequential(
        own_layers.Block(4, name="block"),
        own_layers.Scaled(5, name="own"),
        of.Conv2D(3, 1, activation=own_layers.doubled, name="c"),
    )
    model.save(path := tmp_path / f"own.{suffix}")
    for layer in ("block", "own", "c"):
        shows(path, model, layer, custom_objects="helpers.own_layers")


def test_a_class_that_is_not_known_is_named(tmp_path):
    for suffix in ("keras", "h5"):
        sequential(own_layers.Scaled(name="own")).save(path := tmp_path / f"own.{suffix}")
        assert "Scaled is not known here; give model.custom_objects=" in refused(path)
        said = refused(path, custom_objects="helpers.digits")
        assert "Scaled is not in model.custom_objects=helpers.digits, which has pictures, make_digits" in said
    sequential(of.Conv2D(2, 1, activation=own_layers.doubled)).save(path)
    assert "doubled is not known here" in refused(path)


def test_a_class_that_cannot_be_made_again_is_named(tmp_path):
    sequential(own_layers.Strict(2.0)).save(path := tmp_path / "strict.keras")
    assert "Strict cannot be made again" in refused(path, custom_objects="helpers.own_layers")


def test_a_module_is_imported_from_the_current_folder_only_if_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "users_module.py").write_text(
        "from pathlib import Path\nPath('ran').touch()\ndef f(x): return x\n"
    )
    (tmp_path / "empty_module.py").write_text("from pathlib import Path\n")
    (tmp_path / "failing_module.py").write_text("1 / 0\n")
    plain().save("plain.keras")
    model_files.load("plain.keras", False, None)
    assert not (tmp_path / "ran").exists()
    assert list(model_files.custom("users_module")) == ["f"] and (tmp_path / "ran").exists()
    for name, says in (
        ("no_such_module", "cannot import no_such_module"),
        ("empty_module", "without a class or function"),
        ("failing_module", "ZeroDivisionError"),
    ):
        assert says in refused("plain.keras", custom_objects=name)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("own", [False, True], ids=["keras's", "user's"])
def test_names_that_the_users_module_shares_with_keras_are_refused_where_the_file_says_no_more(
    tmp_path, suffix, own
):
    shared, path = "helpers.shared_layers", tmp_path / f"model.{suffix}"
    ones = {"bias_initializer": "ones", "name": "c"}
    activation = shared_layers.relu if own else "relu"
    sequential(of.Conv2D(4, 3, activation=activation, **ones)).save(path)
    assert "names relu, which is Keras' own and another one of model.custom_objects=" in refused(
        path, custom_objects=shared
    )
    model = sequential((shared_layers.Dense if own else of.Dense)(3, name="d"))
    model.save(path)
    if suffix == "h5":
        assert "names Dense, which" in refused(path, custom_objects=shared)
    else:  # which says the module of a class
        shows(path, model, "d", custom_objects=shared)
    model = sequential(of.Conv2D(4, 3, activation="swish", **ones))
    model.save(path)
    shows(path, model, "c", custom_objects=shared)


# --- tf.keras 2 ---------------------------------------------------------------------------------------------


def as_keras_2(path, edit):
    """Give a file of Keras 3 the configuration that tf.keras 2 would have written."""
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        edit({layer["config"]["name"]: layer for layer in config["config"]["layers"]}, config["config"])
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(config), "2.15.0"


def test_layers_of_tf_keras_2_are_read(tmp_path):
    model = sequential(
        of.DepthwiseConv2D(3, name="depthwise"),
        of.BatchNormalization(name="norm"),
        of.SeparableConv2D(4, 3, name="separable"),
        of.Conv2DTranspose(2, 3, name="up"),
    )
    draws = np.random.default_rng(0)
    model.get_layer("norm").set_weights([draws.uniform(0.5, 2, 3) for _ in range(4)])
    model.save(path := tmp_path / "old.h5")

    def edit(layers, _):
        for name in ("depthwise", "separable", "up"):
            layers[name]["config"]["groups"] = 1
        layers["norm"]["config"]["axis"] = [3]
        for key in ("initializer", "regularizer", "constraint"):
            layers["separable"]["config"][f"kernel_{key}"] = None

    as_keras_2(path, edit)
    for layer in ("depthwise", "norm", "separable", "up"):
        shows(path, model, layer)
    read = model_files.load(str(path), False, None)
    assert [type(each) for each in read.layers] == [type(each) for each in model.layers]  # Keras' own


def test_nested_models_of_tf_keras_2_are_connected_as_they_were(tmp_path):
    """tf.keras 2 counts the call that a nested model was made with, and lists single tensors."""
    keras.utils.set_random_seed(0)
    inner_image = keras.Input((16, 16, 3), name="inner_image")
    inner = keras.Model(inner_image, of.Conv2D(4, 3, name="ci")(inner_image), name="inner")
    image = keras.Input((16, 16, 3), name="image")
    x = inner(of.Rescaling(0.1, name="scale")(image))
    model = keras.Model(image, of.Conv2D(2, 1, name="late")(x), name="outer")
    model.save(path := tmp_path / "nested.h5")

    def edit(layers, config):
        layers["scale"]["inbound_nodes"] = [[["image", 0, 0, {}]]]
        layers["inner"]["inbound_nodes"] = [[["scale", 0, 0, {"training": False}]]]
        layers["late"]["inbound_nodes"] = [[["inner", 1, 0, {}]]]
        config["input_layers"], config["output_layers"] = [["image", 0, 0]], [["late", 0, 0]]
        old = layers["inner"]["config"]
        old["layers"][1]["inbound_nodes"] = [[["inner_image", 0, 0, {}]]]
        old["input_layers"], old["output_layers"] = [["inner_image", 0, 0]], [["ci", 0, 0]]

    as_keras_2(path, edit)
    shows(path, model, "late")


def test_a_configuration_of_keras_3_stays_as_it_is():
    config = json.loads(plain().to_json())
    assert keras2_config.current(config) == config


def test_what_keras_3_cannot_read_of_tf_keras_2_is_said_in_full(tmp_path):
    model = plain()
    model.save(path := tmp_path / "old.h5")
    shutil.copy(path, tmp_path / "code.h5")
    as_keras_2(path, lambda layers, _: layers["c"].update(class_name="TFOpLambda"))
    assert "holds TFOpLambda" in refused(path) and "load_weights" in refused(path)
    marshalled = {"value": ["4wEAAA", None, None]}
    as_keras_2(tmp_path / "code.h5", lambda layers, _: layers["c"]["config"].update(activation=marshalled))
    assert "an activation is a Python lambda" in refused(tmp_path / "code.h5")
    as_written = {"class_name": "Functional", "module": "tf_keras.src.engine"}
    rewritten(model, tmp_path / "two.keras", {"metadata.json": {"keras_version": "2.15.0"}},
              lambda config: config | as_written)  # fmt: skip
    assert "saved by tf.keras 2.15.0" in refused(tmp_path / "two.keras")


# --- other files --------------------------------------------------------------------------------------------


def rewritten(model, path, files=None, edit=lambda config: config, without=""):
    """Save a model with other files in its zip."""
    whole = path.with_name("whole.keras")
    model.save(whole)
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                content = json.dumps(edit(json.loads(content)))
            if name in (files or {}):
                content = json.dumps(files[name])
            if not (without and name.startswith(without)):
                new.writestr(name, content)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("x.onnx", "take model=onnx"), ("x.pt", "take model=onnx"), ("x.pth", "take model=onnx"),
        ("x.tflite", "TensorFlow Lite"), ("x.pb", "TensorFlow graph"), ("x.json", "without weights"),
        ("x.npz", "without their architecture"), ("x.safetensors", "without their architecture"),
        ("x.h5", "no .h5 inside"), ("x.keras", "no .keras inside"), ("x", "no model inside"),
    ],
)  # fmt: skip
def test_other_kinds_of_files_are_refused_with_what_to_do(tmp_path, name, says):
    (tmp_path / name).write_bytes(b"hello world")
    assert says in refused(tmp_path / name)


def test_weights_alone_are_refused_with_what_to_do(tmp_path):
    plain().save_weights(path := tmp_path / "only.weights.h5")
    assert "without their architecture" in refused(path) and "model.save('whole.keras')" in refused(path)


def test_damaged_files_are_refused(tmp_path):
    plain().save(path := tmp_path / "whole.keras")
    content = path.read_bytes()
    (tmp_path / "cut.keras").write_bytes(content[: len(content) // 2])
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 255
    (tmp_path / "flipped.keras").write_bytes(bytes(flipped))
    for name in ("cut", "flipped"):
        assert "a damaged file" in refused(tmp_path / f"{name}.keras")
    for lacking, says in (("config.json", "configuration"), ("model.weights", "weights")):
        rewritten(plain(), tmp_path / "lacking.keras", without=lacking)
        assert f"a file without {says}" in refused(tmp_path / "lacking.keras")
    plain().save(tmp_path / "whole.h5")
    (tmp_path / "whole.h5").rename(tmp_path / "named.keras")
    assert "rename it to named.h5" in refused(tmp_path / "named.keras")


def test_a_file_of_a_newer_keras_says_so(tmp_path):
    def newer(config):
        config["config"]["layers"][1]["config"]["sparkle"] = True
        return config

    rewritten(plain(), path := tmp_path / "newer.keras", {"metadata.json": {"keras_version": "4.2.0"}}, newer)
    assert "saved by Keras 4.2.0, which is newer than" in refused(path)


def test_folders_are_refused_and_the_outputs_of_a_saved_model_can_be_looked_at(tmp_path):
    assert "got a folder" in refused(tmp_path)
    model = sequential(of.Conv2D(4, 3), of.GlobalAveragePooling2D(), of.Dense(3))
    model.export(folder := str(tmp_path / "saved"), verbose=False)
    assert "keras.layers.TFSMLayer(folder" in refused(folder)
    wrapped = sequential(of.TFSMLayer(folder, call_endpoint="serve", name="outputs"))  # what it says to do
    seen = deepvis.visualize(
        wrapped, "outputs", objective={"pre_activation": False}, preprocess="none", **PLAIN
    )
    wanted = np.asarray(model(seen.centred + 127.5))
    np.testing.assert_allclose(seen.history["score"][-1], np.diagonal(wanted), rtol=1e-4)


@pytest.mark.parametrize("how", ["int8", "lora"])
def test_quantized_and_adapted_layers_are_read(tmp_path, how):
    model = sequential(of.Conv2D(8, 3, name="c"), of.GlobalAveragePooling2D(), of.Dense(4, name="d"))
    if how == "int8":
        model.quantize("int8")
    else:
        for name in ("c", "d"):
            model.get_layer(name).enable_lora(2)
            added = [w for w in model.get_layer(name).trainable_weights if "lora" in w.name]
            [w.assign(np.random.default_rng(0).normal(size=w.shape)) for w in added]
    model.save(path := tmp_path / "model.keras")
    shows(path, model, "c")
    ours, images = scores(path, "d")
    np.testing.assert_allclose(ours, np.diagonal(np.asarray(model(images))), rtol=1e-3)


def test_a_file_that_was_written_anew_is_read_anew(tmp_path):
    path = tmp_path / "model.keras"
    for scale in (1.0, 3.0):
        model = sequential(of.Conv2D(4, 3, name="c"))
        model.set_weights([scale * w for w in model.get_weights()])
        model.save(path)
        shows(path, model, "c")
