"""The functions of Python: their examples run, and their folders are those of the commands."""

import doctest

import numpy as np
import pytest
from PIL import Image

import deepvis
from deepvis.core.errors import ConfigError

PIXELS = np.random.default_rng(3).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
LAYER = "block2_conv2"


@pytest.mark.parametrize(
    "name", ["attribution", "directions", "embedding", "fooling", "maps", "tuning", "weights"]
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
