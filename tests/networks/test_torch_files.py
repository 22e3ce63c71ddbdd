"""PyTorch's files are read right, as PyTorch does where it is installed; what could run code is refused."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from deepvis.networks import torch_files

TYPES = {"FloatStorage": np.float32, "DoubleStorage": np.float64, "HalfStorage": np.float16,
         "LongStorage": np.int64}  # fmt: skip


def body(value):
    """A value's pickle, to stand within another."""
    return pickle.dumps(value, 2)[2:-1]


def tensor(storage, key, numbers, shape, strides, offset=0):
    """What PyTorch pickles for a tensor."""
    persistent = b"(" + body("storage") + b"ctorch\n" + storage.encode() + b"\n" + body(key) + body("cpu")
    persistent += body(numbers) + b"NtQ"
    rest = body(offset) + body(shape) + body(strides) + b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + persistent + rest + b"tR"


def state(**tensors):
    """A state dict's pickle."""
    pairs = b"".join(body(name) + each for name, each in tensors.items())
    return b"\x80\x02ccollections\nOrderedDict\n)R(" + pairs + b"u."


def legacy(pickled, **storages):
    heads = (pickle.dumps(each, 2) for each in (torch_files.MAGIC, 1001, {"little_endian": True}))
    data = b"".join(len(each).to_bytes(8, "little") + each.tobytes() for each in storages.values())
    return b"".join(heads) + pickled + pickle.dumps(list(storages), 2) + data


def zipped(pickled, **storages):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net/data.pkl", pickled)
        for key, each in storages.items():
            archive.writestr(f"net/data/{key}", each.tobytes())
    return file.getvalue()


@pytest.fixture
def read(tmp_path):
    def read(data):
        path = tmp_path / "net.pth"
        path.write_bytes(data)
        return torch_files.read(path)

    return read


@pytest.mark.parametrize("made", [legacy, zipped])
@pytest.mark.parametrize("storage", TYPES)
def test_views_of_a_storage_come_out_as_arrays(read, made, storage):
    numbers = np.arange(12).astype(TYPES[storage])
    pickled = state(
        whole=tensor(storage, "k0", 12, (3, 4), (4, 1)),
        turned=tensor(storage, "k0", 12, (4, 3), (1, 4)),
        behind=tensor(storage, "k0", 12, (2,), (3,), offset=5),
        scalar=tensor(storage, "k0", 12, (), (), offset=7),
        empty=tensor(storage, "k0", 12, (0, 5), (5, 1)),
    )
    found = read(made(pickled, k0=numbers))
    expected = numbers.reshape(3, 4)
    np.testing.assert_array_equal(found["whole"], expected)
    np.testing.assert_array_equal(found["turned"], expected.T)
    np.testing.assert_array_equal(found["behind"], [5, 8])
    assert found["scalar"] == 7 and found["empty"].shape == (0, 5)
    assert {each.dtype for each in found.values()} == {np.dtype(TYPES[storage])}


@pytest.mark.parametrize("zip_format", [True, False])
def test_what_pytorch_saves_is_read_as_pytorch_reads_it(tmp_path, zip_format):
    torch = pytest.importorskip("torch", reason="needs torch")
    torch.manual_seed(0)
    shared = torch.randn(6, 4)
    saved = {"shared": shared, "its.part": shared[1:4, ::2], "turned": shared.T, "number": torch.tensor(3),
             "half": torch.randn(5).half(), "double": torch.randn(2, 3).double()}  # fmt: skip
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5)).state_dict()
    for values in (saved, module):
        torch.save(values, tmp_path / "t.pth", _use_new_zipfile_serialization=zip_format)
        found = torch_files.read(tmp_path / "t.pth")
        assert list(found) == list(values)
        for name, each in values.items():
            np.testing.assert_array_equal(found[name], each.numpy(), strict=True)


class Runs:
    """Its pickle calls a function when it is read."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def touched(path):
    path.touch()


@pytest.mark.parametrize("made", [legacy, zipped])
def test_no_function_that_a_file_names_is_run(read, tmp_path, made):
    mark = tmp_path / "was_run"
    for bad in (Runs(touched, mark), {"weight": Runs(eval, "1 + 1")}, Runs(__import__, "os")):
        with pytest.raises(ValueError, match=r"refused: it names \S+, which a state dict does not need"):
            read(made(pickle.dumps(bad, 2)))
    for names in (b"cos\nsystem\n", b"ctorch\nload\n", b"ctorch._utils\n_rebuild_parameter\n",
                  b"cother\nFloatStorage\n",
                  b"ctorch\nFloatStorage.__init__\n", b"ccollections\nOrderedDict.__init__\n"):  # fmt: skip
        with pytest.raises(ValueError, match="refused: it names"):
            read(made(b"\x80\x02" + names + b"."))
    assert not mark.exists()


def test_a_file_cannot_change_how_the_next_one_is_read(read):
    """BUILD sets attributes of what was named; of nothing that outlives the file."""
    changes = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(N}" + body("__defaults__") + body((1,)) + b"stb."
    with pytest.raises(ValueError):
        read(zipped(changes))
    good = state(w=tensor("FloatStorage", "k", 2, (2,), (1,)))
    np.testing.assert_array_equal(read(zipped(good, k=np.float32([1, 2])))["w"], [1, 2])


@pytest.mark.parametrize("made", [legacy, zipped])
@pytest.mark.parametrize(
    "view",
    [
        ((5,), (1,), 0),
        ((2,), (4,), 0),
        ((2,), (1,), 3),
        ((2,), (-1,), 1),
        ((-1,), (1,), 0),
        ((2,), (1, 1), 0),
    ],
    ids=str,
)
def test_no_tensor_reaches_beyond_its_storage(read, made, view):
    shape, strides, offset = view
    pickled = state(w=tensor("FloatStorage", "k", 4, shape, strides, offset))
    with pytest.raises(ValueError, match=r"shape"):
        read(made(pickled, k=np.zeros(4, np.float32)))


def test_damaged_files_are_refused(read):
    whole = legacy(state(w=tensor("FloatStorage", "k", 4, (4,), (1,))), k=np.zeros(4, np.float32))
    packed = zipped(state(w=tensor("FloatStorage", "k", 4, (4,), (1,))), k=np.zeros(4, np.float32))
    for length in (0, 1, 20, 60, 150, len(whole) - 1):
        with pytest.raises(ValueError):
            read(whole[:length])
    for length in (20, 100, len(packed) - 30):
        with pytest.raises(ValueError):
            read(packed[:length])
    longer = state(
        w=tensor("FloatStorage", "k", 9, (4,), (1,))
    )  # its storage lacks numbers that no tensor has
    for made in (legacy, zipped):
        with pytest.raises(ValueError, match="a storage of 4 numbers, expected 9"):
            read(made(longer, k=np.zeros(4, np.float32)))
    for other in (b"not a file of PyTorch", b"PK\x03\x04", zipped(pickle.dumps([1, 2], 2)),
                  zipped(pickle.dumps({"epoch": 3}, 2)), legacy(pickle.dumps({"model": {}}, 2))):  # fmt: skip
        with pytest.raises(ValueError):
            read(other)
