"""The functions of Python: their examples run, and their folders are those of the commands."""

import doctest

import keras
import numpy as np
import pytest
from PIL import Image

import deepvis
from deepvis.analyses import folders
from deepvis.cli import main
from deepvis.core.errors import ConfigError

PIXELS = np.random.default_rng(3).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
LAYER = "block2_conv2"


@pytest.mark.parametrize(
    "name",
    [
        "atlas",
        "attribution",
        "directions",
        "embedding",
        "expanded_weights",
        "fooling",
        "maps",
        "tuning",
        "weights",
    ],
)
def test_the_example_of_each_function_runs(name):
    function = getattr(deepvis, name)
    (found,) = doctest.DocTestFinder(recurse=False).find(function, name, globs={name: function, "np": np})
    assert found.examples and doctest.DocTestRunner().run(found).failed == 0
    for part in (".. math::" if name != "attribution" else "Args", "Returns:", "Raises:"):
        assert part in function.__doc__


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("functions")
    (folder / "photos").mkdir()
    for k, each in enumerate(PIXELS):
        Image.fromarray(each).save(folder / "photos" / f"{k}.png")
    return folder


def test_photographs_are_the_same_from_a_folder_files_and_an_array(place):
    photos = place / "photos"
    given = [photos, str(photos), sorted(photos.iterdir()), PIXELS, {"preset": "folder", "path": str(photos)}]
    found = [deepvis.embedding("tiny", LAYER, each, size=16) for each in given]
    for each in found[1:]:
        np.testing.assert_array_equal(each.codes, found[0].codes)
        np.testing.assert_array_equal(each.places, found[0].places)
    (one,) = (deepvis.maps("tiny", LAYER, photos / "2.png", size=16),)
    codes = one.maps(0)[LAYER].mean(axis=(0, 1), dtype=float)
    np.testing.assert_array_equal(codes, found[0].codes[2])


def test_files_of_one_name_have_names_and_pictures_of_their_own(place, tmp_path):
    for k, name in enumerate(["a/x.png", "a_x.png", "b/x.png", "A_x.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(PIXELS[k]).save(tmp_path / name)
    seen = deepvis.maps("tiny", LAYER, tmp_path, size=16)
    saved = seen.save(tmp_path / "saved") / "photographs"
    assert len(seen.read.names) == 4 and len([*saved.iterdir()]) == 3  # the first is at the top
    files = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.png", tmp_path / "a_x.png"]
    assert deepvis.maps("tiny", LAYER, files, size=16).read.names == [*map(str, files[:2]), "a_x.png"]
    assert folders.file_names(["b/c", "B_c", "x" * 300, "y" + "x" * 300])[:2] == ["b_c", "B_c_"]
    assert len({*map(len, folders.file_names(["x" * 300, "y" + "x" * 300]))}) == 2  # and none is too long


@pytest.fixture(scope="module")
def broken():
    """A network that is NaN on dark images."""
    image = keras.Input((16, 16, 3))
    root = keras.layers.Lambda(lambda x: keras.ops.sqrt(x - 60), name="root")
    model = keras.Model(image, keras.layers.Conv2D(4, 3, name="last")(root(image)))
    yield model


@pytest.mark.parametrize("name", ["attribution", "embedding", "fooling", "maps", "trust", "tuning"])
def test_what_is_no_number_is_refused(name, broken, tmp_path):
    given = [] if name in ("embedding", "maps") else [0]
    if name == "trust":
        for k in range(8):
            Image.fromarray(PIXELS[k % 5] // (k + 1)).save(tmp_path / f"{k}.png")
        options = {"data": tmp_path, "seeds": 1, "steps": 1}
    else:
        options = {"images": PIXELS}
    with pytest.raises(ConfigError, match="got NaN or infinity on "):
        getattr(deepvis, name)(broken, "last", *given, size=16, preprocess="none", **options)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["maps", "layer.filters=0"], "layer.filters=0: deepvis maps does not read layer.filters"),
        (["embedding", "reg.decay=0.5"], "deepvis embedding does not read reg.decay"),
        (["fooling", "steps=40"], "deepvis fooling does not read steps"),
        (["weights", "objective=channel"], "deepvis weights does not read objective"),
        (["examples", "trust=true"], "deepvis examples does not read trust"),
        (["trust", "twins=1"], "deepvis trust does not read twins"),
        (["examples", "k=0"], "k=0: expected a whole number in [1, 1000]"),
    ],
)
def test_an_option_that_a_command_would_pass_over_is_refused(words, said, capsys):
    assert main.subcommand(words[0], words[1:]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [({"k": 0}, r"k=0: expected a whole number in \[1, 1000\]"), ({"k": "9"}, "k=9: got text"),
     ({"data": PIXELS}, "data: got ndarray, expected photos, or the path of a folder")],
)  # fmt: skip
def test_a_mistake_in_python_is_one_line(options, said, place):
    with pytest.raises(ConfigError, match=said):
        deepvis.examples("tiny", LAYER, [0], **{"data": place / "photos", "size": 16} | options)


def test_the_command_writes_what_the_function_saves(place, forker):
    small = [
        "model=tiny",
        "layer=named",
        f"layer.name={LAYER}",
        "layer.filters=[5]",
        "size=16",
        "tracker=none",
    ]
    said = forker.run(place, "fooling", *small, "data=folder", "data.path=photos", "fooling.steps=3")
    assert said.code == 0, said
    (folder,) = (place / "outputs").iterdir()
    seen = deepvis.fooling("tiny", LAYER, 5, place / "photos", method={"steps": 3}, size=16)
    saved = seen.save(place / "saved")
    written = {each.relative_to(saved) for each in saved.rglob("*") if each.is_file()}
    assert {str(each) for each in written} == {"saved.json", "f005.png", "curves.csv", "images/f005.npy"}
    for name in written - {next(each for each in written if each.name == "saved.json")}:
        assert (saved / name).read_bytes() == (folder / name).read_bytes(), name
    page = (folder / "report.html").read_text()
    assert page.count("<img ") == 1 and 'alt="f005"' in page and "fooling.steps=3" in page
    assert f"<td>rms</td><td>{float(seen.rms[:, -1].mean()):.6g}</td>" in page
    (folder / "report.html").unlink()
    said = forker.run(place, "report", f"outputs/{folder.name}")
    assert said.code == 0 and (folder / "report.html").read_text() == page, said
    assert seen.save(place / "saved") == saved  # what it wrote itself may be replaced
    (saved / "curves.csv").write_text("mine")
    with pytest.raises(ConfigError, match=r"save: .*curves.csv is there, and deepvis did not write it"):
        seen.save(saved)


@pytest.mark.parametrize("name", ["maps", "embedding", "fooling", "tuning"])
def test_another_precision_is_refused_and_not_passed_over(name, place, forker):
    said = forker.run(place, name, "model=tiny", f"layer={LAYER}", "size=16", "precision=bfloat16")
    assert said.code == 1 and "precision=bfloat16: this is computed in float32" in said.err, said
