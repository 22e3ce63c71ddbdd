"""A model file that would read other files or fill the memory is refused by a line, unread."""

import zipfile

import h5py
import keras
import numpy as np
import pytest

from deepvis.core.errors import ConfigError
from deepvis.networks import model_files, untrusted_files


@pytest.fixture(scope="module")
def model():
    return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, name="conv")])


def kernel_of(file):
    found = []
    file.visititems(lambda name, each: found.append(name) if name.endswith("kernel") else None)
    return found[0]


@pytest.mark.parametrize("how", ["external storage", "external link", "virtual"])
def test_values_in_another_file_are_refused(model, how, tmp_path):
    path, secret = tmp_path / "model.h5", tmp_path / "secret"
    model.save(path)
    assert model_files.load(str(path), False, None).layers[-1].name == "conv"
    with h5py.File(path, "a") as file:
        name = kernel_of(file)
        shape = file[name].shape
        del file[name]
        if how == "external storage":
            np.full(shape, 7, np.float32).tofile(secret)
            file.create_dataset(name, shape, np.float32, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
        else:
            with h5py.File(secret, "w") as other:
                other["values"] = np.full(shape, 7, np.float32)
            if how == "external link":
                file[name] = h5py.ExternalLink(str(secret), "values")
            else:
                layout = h5py.VirtualLayout(shape, np.float32)
                layout[:] = h5py.VirtualSource(str(secret), "values", shape)
                file.create_virtual_dataset(name, layout)
    with pytest.raises(ConfigError, match=r"stored in another file \(.*secret") as refused:
        model_files.load(str(path), False, None)
    assert "\n" not in str(refused.value) and name in str(refused.value)


def test_a_zip_that_expands_beyond_the_limit_is_refused_before_it_is_read(model, tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    model.save(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file, file.open("bomb", "w") as member:
        for _ in range(300):
            member.write(bytes(2**20))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *given: pytest.fail("it was read"))
    with pytest.raises(ConfigError, match=r"that expands to 315 MB, expected at most 28\d"):
        model_files.load(str(path), False, None)


def test_what_compresses_well_is_no_bomb(model, tmp_path):
    path = tmp_path / "model.keras"
    model.save(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file:
        file.writestr("zeros", bytes(100 * 2**20))
    assert model_files.load(str(path), False, None).layers[-1].name == "conv"


def test_groups_that_hold_themselves_end(tmp_path):
    with h5py.File(tmp_path / "loop.h5", "w") as file:
        file["a/b"] = file["/"]
        file["a/c"] = h5py.SoftLink("/a")
        untrusted_files.check_hdf5(file, "")
