"""Makes the pictures of docs/gallery.md: the commands there, then sheets of what they leave.

python docs/gallery/make.py              all of it, in the folder that you are in
python docs/gallery/make.py dream maco   some

Wants scikit-learn, for its two photographs, and VGG16's weights. Results go to gallery/, JPEGs beside this file.
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

from deepvis import images

HERE = Path(__file__).resolve().parent
PHOTOS = Path(sklearn.datasets.__file__).parent / "images"
SHALLOW = "layer=block1_conv2,block2_conv2 layer.filters=0-7 size=64"
DEEP = "layer=block3_conv3,block4_conv3,block5_conv3 layer.filters=0-7 size=128"
ROWS = ["block1_conv2", "block2_conv2", "block3_conv3", "block4_conv3", "block5_conv3"]


def deepvis(name: str, command: str) -> list[list[np.ndarray]]:
    """Run a command; the pictures of each of its jobs."""
    folder = Path("gallery") / name
    start = time.monotonic()
    where = "hydra.sweep.dir" if command.startswith("-m ") else "hydra.run.dir"
    argv = [sys.executable, "-m", "deepvis.run", *shlex.split(command), "tracker=memory", f"{where}={folder}"]
    subprocess.run(argv, check=True)
    print(f"deepvis {command}   {time.monotonic() - start:.0f} s", flush=True)
    found = [folder / "result"] if (folder / "result").is_dir() else [
        each / "result" for each in sorted(folder.glob("[0-9]*_*"), key=lambda f: int(f.name.split("_")[0]))
    ]  # fmt: skip
    return [[np.asarray(Image.open(p)) for p in sorted((each / "filters").glob("*.png"))] for each in found]


def photo(name: str, size: int) -> np.ndarray:
    """One of scikit-learn's photographs, as deepvis crops and scales it."""
    return np.asarray(ImageOps.fit(Image.open(PHOTOS / name).convert("RGB"), (size, size)))


def sheet(name: str, rows: Sequence[Sequence[np.ndarray]], down: Sequence[str], across: Sequence[str],
          px: int = 112) -> None:  # fmt: skip
    """Rows of pictures, named, as a JPEG."""
    fitted = [[np.asarray(Image.fromarray(p).resize((px, px), Image.Resampling.LANCZOS)) for p in row] for row in rows]
    Image.fromarray(images.contact_sheet(fitted, down, across)).save(HERE / f"{name}.jpg", quality=85)


def filters(name: str, recipe: str) -> None:
    """A sheet of layers down and filters across."""
    rows = deepvis(f"{name}_shallow", f"-m {recipe} {SHALLOW}") + deepvis(f"{name}_deep", f"-m {recipe} {DEEP}")
    sheet(name, rows, ROWS, [f"filter {i}" for i in range(8)])


def pixels() -> None:
    filters("pixels", "reg=combined steps=128")


def fourier() -> None:
    filters("fourier", "experiment=distill_2017 transform=jitter transform.jitter=8 steps=256")


def maco() -> None:
    filters("maco", "experiment=maco")


def dream() -> None:
    [[flower]] = deepvis("dream", f"experiment=deepdream start.path={PHOTOS}/flower.jpg layer=block5_conv2")
    sheet("dream", [[photo("flower.jpg", 384), flower]], [""], ["the photograph", "dreamed on"], px=384)


def guided() -> None:
    [[china]] = deepvis("guided", f"experiment=deepdream objective=guided objective.pictures.guide={PHOTOS}/flower.jpg "
                        f"start.path={PHOTOS}/china.jpg layer=block4_conv3")  # fmt: skip
    sheet("guided", [[photo("china.jpg", 384), photo("flower.jpg", 384), china]], [""],
          ["the photograph", "the guide", "guided dream"], px=288)  # fmt: skip


def style() -> None:
    two = f"objective.pictures.content={PHOTOS}/china.jpg objective.pictures.style={PHOTOS}/flower.jpg"
    made = deepvis("style", f"-m experiment=neural_style {two} objective.content_weight=1000,10000,100000 steps=120")
    sheet("style", [[photo("china.jpg", 256), photo("flower.jpg", 256), *(each for [each] in made)]], [""],
          ["content", "style", "weight 1,000", "weight 10,000", "weight 100,000"], px=256)  # fmt: skip


def inversion() -> None:
    layers = ["block2_conv2", "block3_conv3", "block4_conv3", "block5_conv1"]
    made = deepvis("inversion", f"-m experiment=inversion objective.pictures.picture={PHOTOS}/china.jpg "
                   f"start.display=natural layer={','.join(layers)} size=192")  # fmt: skip
    sheet("inversion", [[photo("china.jpg", 192), *(each for [each] in made)]], [""], ["the photograph", *layers], px=192)


def diversity() -> None:
    rows = deepvis("diversity", "-m experiment=distill_2017 objective=diversity objective.channel=6 layer=block4_conv3 "
                   "layer.filters=0-3 objective.weight=0,100,1000 steps=256")  # fmt: skip
    sheet("diversity", rows, ["weight 0", "weight 100", "weight 1000"], [f"image {i}" for i in range(4)], px=128)


def sums() -> None:
    terms = ["channel 1", "channel 5", "channel 1 + channel 5", "channel 1 - channel 5"]
    made = deepvis("sums", "-m experiment=distill_2017 objective=sum layer=block4_conv3 layer.filters=0 "
                   f"""'objective.terms={",".join(terms)}' steps=256""")  # fmt: skip
    sheet("sums", [[each for [each] in made]], [""], terms, px=160)


MADE = {f.__name__: f for f in (pixels, fourier, maco, dream, guided, style, inversion, diversity, sums)}

if __name__ == "__main__":
    for wanted in sys.argv[1:] or MADE:
        MADE[wanted]()
