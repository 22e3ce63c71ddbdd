"""Mistakes in what climbs, what is seen of it, what goes up and how: each one line that names the key, what
came and what was expected, before anything is computed."""

import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from helpers.configs import typed_of
from PIL import Image

from deepvis.ascent import validation
from deepvis.core.errors import ConfigError

TINY = ("model=tiny", "layer=named", "layer.name=block2_conv2", "layer.filters=0-1", "size=16",
        "precision=float32")  # fmt: skip
LAYERS = ("objective.content_layers=[block1_conv1]", "objective.style_layers=[block2_conv1]")


@functools.cache
def files() -> Path:
    """A folder with a picture, directions, and files that are neither."""
    folder = Path(tempfile.mkdtemp())
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "p.png")
    (folder / "half.png").write_bytes((folder / "p.png").read_bytes()[:2000])
    for name, array in {"rows": np.eye(16)[:2], "wide": np.eye(17), "flat": np.ones(16),
                        "words": np.full((2, 16), "a")}.items():  # fmt: skip
        np.save(folder / f"{name}.npy", array)
    (folder / "text.npy").write_text("no array")
    (folder / "empty").mkdir()
    (folder / "empty" / "notes.txt").write_text("no picture")
    (folder / "mixed").mkdir()
    (folder / "mixed" / "p.png").write_bytes((folder / "p.png").read_bytes())
    (folder / "mixed" / "notes.txt").write_text("no picture")
    return folder


@functools.cache
def five() -> Path:
    """A network whose image has five channels."""
    import keras

    path = Path(tempfile.mkdtemp()) / "five.keras"
    keras.Sequential([keras.Input((None, None, 5)), keras.layers.Conv2D(4, 3, name="c")]).save(path)
    return path


def of_five(*typed):
    return ("model=file", "model.path=FIVE", "layer=named", "layer.name=c", "layer.filters=0", "size=16",
            *typed)  # fmt: skip


MISTAKES = {
    "row": (["objective=neuron", "objective.row=8"],
            ["objective.row=8", "outside of the map", "8 x 8 positions at size=16, 0 to 7"]),
    "column": (["objective=neuron", "objective.column=99"], ["objective.column=99", "0 to 7"]),
    "row below": (["objective=neuron", "objective.row=-1"], ["objective.row=-1", "whole number of 0"]),
    "unit": (["layer.filters=16"], ["layer.filters=16", "block2_conv2 has 16 filters, 0 to 15"]),
    "class": (["model=file", "model.path=FIVE", "layer.name=c", "layer.filters=4"],
              ["layer.filters=4", "c has 4 filters, 0 to 3"]),
    "channel": (["objective=diversity", "objective.channel=16"],
                ["objective.channel=16", "block2_conv2 has 16 filters, 0 to 15"]),
    "spectrum and reg": (["param=fourier", "reg=combined"],
                         ["reg: blur, decay, norm would act on pixels", "fourier", "set reg=none"]),
    "phases and clip": (["param=maco", "reg.clip_pixels=true"], ["clip_pixels", "maco", "param=pixel"]),
    "lbfgs and a group": (["optimizer=lbfgs", "objective=diversity"],
                          ["optimizer=lbfgs", "objective=diversity", "optimizer=adam"]),
    "lbfgs and jitter": (["optimizer=lbfgs", "transform=jitter"],
                         ["optimizer=lbfgs", "geometry", "transform=none"]),
    "lbfgs and noise": (["optimizer=lbfgs", "transform.noise=1"], ["optimizer=lbfgs", "noise"]),
    "lbfgs and reg": (["optimizer=lbfgs", "reg.decay=0.9"], ["optimizer=lbfgs", "decay", "reg=none"]),
    "lbfgs and octaves": (["optimizer=lbfgs", "param=octaves", "param.octaves=2"],
                          ["optimizer=lbfgs", "param.octaves=1"]),
    "lbfgs remembers": (["optimizer=lbfgs", "optimizer.memory=0"], ["optimizer.memory=0", "1 or more"]),
    "octaves too small": (["param=octaves", "param.octaves=9"],
                          ["would see 1 x 1 px", "too small for block2_conv2", "expected 2 px or more"]),
    "crop": (["transform=crops", "transform.crop=16"], ["transform.crop=16", "less than", "16 px"]),
    "crop and layer": (["transform=crops", "transform.crop=15"],
                       ["would see 1 x 1 px", "expected 2 px or more"]),
    "directions shape": (["objective=direction", "objective.vectors=FILES/wide.npy"],
                         ["objective.vectors=", "wide.npy", "(17, 17)", "(n, 16)", "block2_conv2"]),
    "directions flat": (["objective=direction", "objective.vectors=FILES/flat.npy"], ["(16,)", "(n, 16)"]),
    "directions words": (["objective=direction", "objective.vectors=FILES/words.npy"], ["numbers (n, 16)"]),
    "no directions": (["objective=direction", "objective.vectors=FILES/none.npy"],
                      ["objective.vectors=", "none.npy", "not a .npy file"]),
    "text": (["objective=direction", "objective.vectors=FILES/text.npy"], ["text.npy", "not a .npy file"]),
    "rows": (["objective=direction", "objective.vectors=FILES/rows.npy", "layer.filters=2"],
             ["layer.filters=2", "rows.npy has 2 rows, 0 to 1"]),
    "terms": (["objective=sum", 'objective.terms="channel * 2"'],
              ["objective.terms", "channel * 2", "expected [weight] kind [index] [of layer]"]),
    "no terms": (["objective=sum", 'objective.terms=" "'], ["objective.terms", "at least one term"]),
    "kind": (["objective=sum", "objective.terms=filter"], ["objective.terms", "'filter'", "channel, neuron"]),
    "term's layer": (["objective=sum", 'objective.terms="channel 1 of block9_conv1"'],
                     ["objective.terms=block9_conv1", "no such layer", "did you mean block"]),
    "term's index": (["objective=sum", 'objective.terms="channel 8 of block1_conv1"'],
                     ["objective.terms=8", "block1_conv1 has 8 filters, 0 to 7"]),
    "picture": (["objective=inversion", "objective.pictures.picture=FILES/none.png"],
                ["objective.pictures.picture=", "no such file"]),
    "half": (["objective=guided", "objective.pictures.guide=FILES/half.png"],
             ["objective.pictures.guide=", "not a whole picture"]),
    "no picture": (["objective=style", "objective.pictures.content=null", *LAYERS,
                    "objective.pictures.style=FILES/text.npy"], ["objective.pictures.style=", "Pillow"]),
    "style's layer": (["objective=style", "objective.pictures.content=null",
                       "objective.pictures.style=FILES/p.png", LAYERS[0],
                       "objective.style_layers=[block3_conv1]"],
                      ["objective.style_layers=block3_conv1", "no such layer"]),
    "weight": (["objective=diversity", "objective.weight=-1"], ["objective.weight=-1", "0 or more"]),
    "all images": (["objective=layer", "layer.filters=all"],
                   ["layer.filters=all", "numbers of images", "0-3"]),
    "jitter": (["transform.jitter=-1"], ["transform.jitter=-1", "whole number of px of 0 or more"]),
    "scale": (["transform.scale=1"], ["transform.scale=1", "[0, 1)"]),
    "rotate": (["transform.rotate=181"], ["transform.rotate=181", "[0, 180]"]),
    "noise": (["transform.noise=nan"], ["transform.noise=nan", "[0, 255]"]),
    "beta": (["optimizer=adam", "optimizer.beta_1=1"], ["optimizer.beta_1=1", "[0, 1)"]),
    "learning_rate": (["optimizer.learning_rate=0"], ["optimizer.learning_rate=0", "above 0"]),
    "octaves": (["param=octaves", "param.octaves=0"], ["param.octaves=0", "1 or more"]),
    "octave scale": (["param=octaves", "param.octave_scale=1"], ["param.octave_scale=1", "in (1, 255]"]),
    "no folder": (["param=maco", "param.spectrum=FILES/none"], ["param.spectrum=", "no such file or folder"]),
    "broken in a folder": (["param=maco", "param.spectrum=FILES"], ["param.spectrum=", "half.png: "]),
    "no spectrum": (["param=maco", "param.spectrum=FILES/p.png"], ["param.spectrum=", "not a .npy file"]),
    "standardized picture": (["param=maco", "start=picture", "start.path=FILES/p.png"],
                             ["start=picture", "add param.standardize=false"]),
    "windows of it": (["objective=guided", "objective.pictures.guide=FILES/p.png", "transform.crops=2"],
                      ["transform.crops=2: expected 0", "objective.pictures.guide"]),
    "a pyramid of a spectrum": (["optimizer=laplacian", "param=fourier"],
                                ["optimizer=laplacian", "param=fourier", "optimizer=adam", "param=pixel"]),
    "alpha of a line search": (["optimizer=lbfgs", "alpha=true"], ["alpha=true", "optimizer=adam"]),
    "small windows": (["transform.crops=2", "transform.crops_px=1"], ["would see 1 x 1 px", "crops_px"]),
    "empty folder": (["param=maco", "param.spectrum=FILES/empty"],
                     ["param.spectrum=", "expected a folder of pictures", "none in it"]),
    "five channels": (of_five("param=maco", "param.spectrum=FILES"),
                      ["param.spectrum=", "1 or 3 channels", "image 5"]),
    "start of five": (of_five("start=picture", "start.path=FILES/p.png"),
                      ["start.path=", "1 or 3 channels", "image 5"]),
    "guide of five": (of_five("objective=guided", "objective.pictures.guide=FILES/p.png"),
                      ["objective.pictures.guide=", "1 or 3 channels", "image 5"]),
}  # fmt: skip


def config(typed):
    found = [each.replace("FILES", str(files())) for each in (*TINY, *typed)]
    return typed_of(*(each.replace("FIVE", str(five())) if "FIVE" in each else each for each in found))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_that_says_what_came_and_what_was_expected(name):
    typed, says = MISTAKES[name]
    with pytest.raises(ConfigError) as error:
        validation.check(config(typed))
    assert "\n" not in str(error.value)
    for each in says:
        assert each in str(error.value)


@pytest.mark.parametrize(
    "typed",
    [
        ["objective=neuron", "objective.row=7", "objective.column=0"],
        ["param=fourier"],
        ["optimizer=lbfgs", "reg.clip_pixels=true"],
        ["param=octaves", "param.octaves=4", "param.octave_scale=1.9"],
        ["transform=crops", "transform.crop=14"],
        ["objective=direction", "objective.vectors=FILES/rows.npy"],
        ["objective=sum", 'objective.terms="channel 7 of block1_conv1 - neuron"'],
        ["param=maco", "param.spectrum=FILES/mixed"],
        of_five("param=fourier"),
        of_five("param=maco"),
    ],
    ids=" ".join,
)
def test_what_lies_just_within_is_allowed(typed):
    validation.check(config(typed))
