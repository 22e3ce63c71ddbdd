"""Laws of `deepvis.Visualization`: numbered, saved without loss, compared by the report's statistics."""

import io
from dataclasses import replace

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy import stats

import deepvis
from deepvis.core import animations, images
from deepvis.core.errors import ConfigError
from deepvis.metrics import signed_rank


def seen(filters="0-11", **changed):
    given = {"size": 16, "steps": 3, "precision": "float32", "optimizer": {"learning_rate": 3}}
    return deepvis.visualize("tiny", "block2_conv2", filters, **(given | changed))


@pytest.fixture(scope="module")
def found():
    return seen()


@pytest.fixture(scope="module")
def other():
    return seen("2-15", reg={"decay": 0.8})


def test_a_notebook_shows_the_pictures_with_their_numbers_and_one_line_says_what_they_are(found):
    expected = images.gallery(list(found.images), [str(index) for index in found.filters])
    with Image.open(io.BytesIO(found._repr_png_())) as shown:
        np.testing.assert_array_equal(np.asarray(shown), expected)
    classes = replace(found, classes=[f"class {i}" for i in range(12)])
    assert classes.captions[3] == "class 3 (3)"
    middle = np.median(found.history["score"][-1])
    assert repr(found).startswith("<Visualization: 12 filters of block2_conv2 of tiny, 16 x 16 px, 3 steps; ")
    assert f"median score {middle:.4g}; 12 still improving>" in repr(found)


def test_an_animation_has_the_galleries_on_the_way_and_is_written_where_it_is_asked_for(tmp_path):
    made = seen("0-4", steps=45)
    assert list(made.progress) == [*range(3, 46, 3)]  # at most 20, the last one the finished images
    np.testing.assert_array_equal(made.progress[45], made.images)
    content = made.animate(tmp_path / "way.webp", milliseconds=50)
    assert (tmp_path / "way.webp").read_bytes() == content
    with Image.open(io.BytesIO(content)) as file:
        assert file.n_frames == 15 and file.info["loop"] == 0
        for number, pictures in enumerate(made.progress.values()):
            file.seek(number)
            expected = images.gallery(list(pictures), made.captions).astype(float)
            shown = np.asarray(file.convert("RGB"), float)
            assert np.corrcoef(shown.mean(axis=-1).ravel(), expected.mean(axis=-1).ravel())[0, 1] > 0.97
            assert file.info["duration"] == (2000 if number == 14 else 50)
    for wrong in ({"path": tmp_path / "way.gif"}, {"milliseconds": 0}):
        with pytest.raises(ConfigError, match="animate: got"):
            made.animate(**wrong)
    large = np.zeros((4100, 50, 3), np.uint8)
    with Image.open(io.BytesIO(animations.encoded([large, large + 9]))) as file:
        assert file.size == (25, 2048)


def test_what_is_saved_is_all_of_it_and_nothing_of_the_users_is_overwritten(found, other, tmp_path):
    place = found.save(tmp_path / "new" / "saved")
    with np.load(place / "images.npz") as arrays, np.load(place / "history.npz") as history:
        assert arrays["centred"].tobytes() == found.centred.tobytes()
        assert arrays["best"].tobytes() == found.best.tobytes()
        assert {k: v.tobytes() for k, v in history.items()} == {
            k: v.tobytes() for k, v in found.history.items()
        }
    for index, picture in zip(found.filters, found.images, strict=True):
        with Image.open(place / f"filters/f{index:03d}.png") as file:
            np.testing.assert_array_equal(np.asarray(file), picture)
    config = yaml.safe_load((place / "config.yaml").read_text())
    assert config["layer"]["name"] == "block2_conv2" and config["optimizer"]["learning_rate"] == 3
    other.save(place)  # what it wrote itself is replaced, as a whole
    assert not (place / "filters/f000.png").exists() and (place / "filters/f015.png").exists()
    for name, text in {"notes.txt": "mine", "filters/f015.png": "drawn over", "table.csv": "sorted"}.items():
        kept = (place / name).read_bytes() if (place / name).exists() else None
        (place / name).write_text(text)
        with pytest.raises(ConfigError, match=f"{name} is there, and deepvis did not write it") as refused:
            found.save(place)
        assert (place / name).read_text() == text and "\n" not in str(refused.value)
        (place / name).unlink() if kept is None else (place / name).write_bytes(kept)
    with pytest.raises(ConfigError, match="expected a folder or nothing"):
        found.save(place / "table.csv")
    assert sorted(path.name for path in place.parent.iterdir()) == ["saved"], "nothing half written is left"


def test_two_are_compared_filter_by_filter(found, other):
    paired = found.compare(other)
    assert list(paired.filters) == list(range(2, 12)) and paired.left_out == 6
    first, second = found.history["score"][-1, 2:], other.history["score"][-1, :10]
    np.testing.assert_array_equal(paired.first, first)
    np.testing.assert_array_equal(paired.second, second)
    np.testing.assert_array_equal(paired.table()["difference"], second.astype(float) - first)
    assert paired.effect == signed_rank.effect(second.astype(float) - first)
    assert paired.effect.p == pytest.approx(stats.wilcoxon(second, first).pvalue)
    assert paired.differs == {"reg.decay": (1.0, 0.8)}
    assert "differs: reg.decay 1.0 / 0.8\n" in repr(paired) and "left out: 6 filters" in repr(paired)
    few = found.compare(seen("0-2", seed=1))
    assert "fewer than 10 filters: neither interval nor p" in repr(few) and "p =" not in repr(few)
    assert few._repr_html_().count("<tr") == 4


def test_scores_that_mean_something_else_are_not_compared(found, other):
    for wrong, says in (
        (deepvis.visualize("tiny", "block2_conv1", 0, size=16, steps=1), "layer=block2_conv1, expected"),
        (
            seen(0, objective={"preset": "neuron", "row": 1, "column": 1}),
            "got objective=channel and objective=neuron",
        ),
        (replace(other, weights="others"), "compare(..., paired=True)"),
        (seen([14, 15]), "got the filters 0, 1, 2, 3, 4, 5 ... and 14, 15, expected some in both"),
    ):
        with pytest.raises(ConfigError) as refused:
            found.compare(wrong)
        assert says in str(refused.value) and "\n" not in str(refused.value)
    assert found.compare(replace(other, weights="others"), paired=True).effect == found.compare(other).effect


def test_curves_are_the_scores_by_step(found):
    (panel,) = found.curves().axes
    *lines, median = panel.lines
    for line, column in zip(lines, found.history["score"].T, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), column)
    np.testing.assert_array_equal(median.get_ydata(), np.median(found.history["score"], axis=1))
    order = np.argsort(found.history["score"][-1])[::-1]
    named = [text.get_text() for text in panel.get_legend().get_texts()]
    assert named == [str(i) for i in (*order[:5], *order[-5:])]
    assert found.curves()._repr_png_().startswith(b"\x89PNG")
