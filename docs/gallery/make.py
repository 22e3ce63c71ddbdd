"""Makes the pictures of docs/gallery.md: the commands there, then sheets of what they leave.

python docs/gallery/make.py              all of it, in the folder that you are in
python docs/gallery/make.py dream maco   some

Wants scikit-learn, for its two photographs, and VGG16's weights. Results go to gallery/,
JPEGs beside this file.
"""

import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sklearn.datasets
from PIL import Image, ImageOps

from deepvis.core import images

HERE = Path(__file__).resolve().parent
PHOTOS = Path(sklearn.datasets.__file__).parent / "images"
CHINA, FLOWER = PHOTOS / "china.jpg", PHOTOS / "flower.jpg"
SHALLOW = "layer=block1_conv2,block2_conv2 layer.filters=0-7 size=64"
DEEP = "layer=block3_conv3,block4_conv3,block5_conv3 layer.filters=0-7 size=128"
ROWS = ["block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3"]
DISTILL = "experiment=distill_2017 optimizer.learning_rate=0.05"  # as published
DREAM = "experiment=deepdream steps=40 optimizer.learning_rate=1.5"  # as published


Pictures = list[np.ndarray]


def deepvis(name: str, command: str) -> list[Pictures]:
    """Run a command, and say how long it took; the pictures of each of its jobs."""
    folder = Path("gallery") / name
    where = "hydra.sweep.dir" if command.startswith("-m ") else "hydra.run.dir"
    argv = [sys.executable, "-m", "deepvis.run", *shlex.split(command), "tracker=none", f"{where}={folder}"]
    began = time.monotonic()
    subprocess.run(argv, check=True)
    print(f"deepvis {command}   {time.monotonic() - began:.0f} s", flush=True)
    jobs = sorted(folder.glob("[0-9]*_*"), key=lambda job: int(job.name.split("_")[0])) or [folder]
    return [[np.asarray(Image.open(p)) for p in sorted(j.glob("result/filters/*.png"))] for j in jobs]


def photo(path: Path, size: int) -> np.ndarray:
    """A photograph, as deepvis crops and scales it."""
    return np.asarray(ImageOps.fit(Image.open(path).convert("RGB"), (size, size)))


def sheet(name: str, rows: Sequence[Pictures], down: Sequence[str], across: Sequence[str], px: int) -> None:
    """Rows of pictures, named, as a JPEG."""

    def scaled(picture):
        return np.asarray(Image.fromarray(picture).resize((px, px), Image.Resampling.LANCZOS))

    page = images.contact_sheet([[scaled(each) for each in row] for row in rows], down, across)
    Image.fromarray(page).save(HERE / f"{name}.jpg", quality=85)


def filters(name: str, recipe: str) -> None:
    """A sheet of layers down and filters across."""
    rows = deepvis(f"{name}_shallow", f"-m {recipe} {SHALLOW}") + deepvis(
        f"{name}_deep", f"-m {recipe} {DEEP}"
    )
    sheet(name, rows, ROWS, [f"filter {i}" for i in range(8)], px=112)


def pixels() -> None:
    filters("pixels", "reg=combined steps=128")


def fourier() -> None:
    filters("fourier", f"{DISTILL} transform=jitter transform.jitter=8 steps=256")


def maco() -> None:
    filters("maco", "experiment=maco")


def dream() -> None:
    [[made]] = deepvis("dream", f"{DREAM} start.path={FLOWER} layer=block5_conv2")
    sheet("dream", [[photo(FLOWER, 384), made]], [""], ["the photograph", "dreamed on"], px=384)


def scales() -> None:
    rules = ["normalized", "laplacian"]
    octaves = "layer=block5_conv1 layer.filters=0-5 param=octaves param.octaves=3 steps=30 size=192"
    made = deepvis("scales", f"-m optimizer={','.join(rules)} optimizer.learning_rate=1 {octaves}")
    sheet("scales", made, rules, [f"filter {i}" for i in range(6)], px=160)


def guided() -> None:
    guide = f"objective=guided objective.pictures.guide={FLOWER}"
    [[made]] = deepvis("guided", f"{DREAM} {guide} start.path={CHINA} layer=block4_conv3")
    row = [photo(CHINA, 384), photo(FLOWER, 384), made]
    sheet("guided", [row], [""], ["the photograph", "the guide", "guided dream"], px=288)


def style() -> None:
    pictures = f"objective.pictures.content={CHINA} objective.pictures.style={FLOWER}"
    weights = ["1000", "10000", "100000"]
    sweep = f"objective.content_weight={','.join(weights)} steps=120"
    made = deepvis("style", f"-m experiment=neural_style {pictures} {sweep}")
    row = [photo(CHINA, 256), photo(FLOWER, 256), *(each for [each] in made)]
    sheet("style", [row], [""], ["content", "style", *(f"weight {int(each):,}" for each in weights)], px=256)


def inversion() -> None:
    layers = ["block2_conv2", "block3_conv3", "block4_conv3", "block5_conv1"]
    of = f"objective.pictures.picture={CHINA} layer={','.join(layers)} size=192"
    made = deepvis("inversion", f"-m experiment=inversion {of}")
    row = [photo(CHINA, 192), *(each for [each] in made)]
    sheet("inversion", [row], [""], ["the photograph", *layers], px=192)


def diversity() -> None:
    of = "objective=diversity objective.channel=6 layer=block4_conv3 layer.filters=0-3"
    rows = deepvis("diversity", f"-m {DISTILL} {of} objective.weight=0,100,1000 steps=256")
    names = ["weight 0", "weight 100", "weight 1000"]
    sheet("diversity", rows, names, [f"image {i}" for i in range(4)], px=128)


def sums() -> None:
    terms = ["channel 1", "channel 5", "channel 1 + channel 5", "channel 1 - channel 5"]
    of = f"objective=sum layer=block4_conv3 layer.filters=0 'objective.terms={','.join(terms)}'"
    made = deepvis("sums", f"-m {DISTILL} {of} steps=256")
    sheet("sums", [[each for [each] in made]], [""], terms, px=160)


SHEETS = (pixels, fourier, maco, dream, scales, guided, style, inversion, diversity, sums)
MADE = {make.__name__: make for make in SHEETS}

if __name__ == "__main__":
    for wanted in sys.argv[1:] or MADE:
        MADE[wanted]()
