"""Make pictures of docs/how-to/understanding_cnns.md: python docs/gallery/understanding_cnns.py [picture ...]

Runs the page's commands on VGG16, EfficientNet-Lite0 and the photographs of scikit-learn and scikit-image
(the extras weights and photos), in a folder of its own, in some minutes on two cores. Without names: all.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from deepvis import data
from deepvis.core import images

HERE = Path(__file__).parent
SETS = {
    "photos": ("chelsea.png", "china.jpg", "flower.jpg"),
    "tuned": ("chelsea.png", "coffee.png", "rocket.jpg"),
}
LITE0 = ["model=efficientnet_lite0", "layer=named", "layer.name=predictions", "size=224"]
# By method, what its command says beside the others: fewer samples and places than by default.
METHODS: Mapping[str, list[str]] = {
    "saliency": [], "gradient_input": [], "smooth_grad": ["attribution.samples=12"],
    "integrated_gradients": [], "occlusion": ["attribution.patch=24", "attribution.stride=12"],
    "deconvnet": [], "guided_backprop": [], "grad_cam": [], "layer_cam": [],
}  # fmt: skip


def run(place: Path, *typed: str) -> list[Path]:
    """The folders that a command makes, in their order."""
    before = set(place.glob("outputs/*"))
    subprocess.run([sys.executable, "-m", "deepvis.run", *typed, "tracker=none"], cwd=place, check=True)
    return sorted(set(place.glob("outputs/*")) - before, key=lambda folder: folder.stat().st_mtime)


def one(place: Path, picture: str, *typed: str) -> Image.Image:
    """A picture that a command of one job makes."""
    (folder,) = run(place, *typed)
    return Image.open(folder / f"{picture}.png")


def methods(place: Path) -> Image.Image:
    """The map over each photograph, cut out of each method's sheet: a row a photograph, a column a method."""
    more = ["layer.filters=2", "size=128", *chosen("photos")]
    plain = [name for name, options in METHODS.items() if not options]
    folders = dict(
        zip(plain, run(place, "attribution", "-m", f"attribution={','.join(plain)}", *more), strict=True)
    )
    for name, options in METHODS.items():
        if options:
            (folders[name],) = run(place, "attribution", f"attribution={name}", *options, *more)
    names, cells = SETS["photos"], []
    for k in range(len(names)):
        sheets = [np.asarray(Image.open(folders[name] / "f002.png")) for name in METHODS]
        side = sheets[0].shape[0] // len(names)
        rows = [sheet[k * side + 20 : (k + 1) * side - 6] for sheet in sheets]
        width = rows[0].shape[0]
        cells.append([rows[0][:, :width], *(row[:, width + 6 : 2 * width + 6] for row in rows)])
    columns = ["photograph", *(name.replace("_", " ") for name in METHODS)]
    return Image.fromarray(images.contact_sheet(cells, [Path(name).stem for name in names], columns))


def chosen(photographs: str) -> list[str]:
    """The overrides that choose one of `SETS`."""
    return ["data=folder", f"data.path={photographs}"]


# By picture: its width, and how it is made in a folder that has the photographs.
PICTURES = {
    "weights": (800, lambda place: one(place, "weights", "weights")),
    "expanded": (666, lambda place: one(
        place, "groups", "weights", "weights=expanded", "weights.below=block2_conv2", "weights.groups=6",
        "layer=block3_conv2", "layer.filters=0-7")),
    "maps": (800, lambda place: one(
        place, "block2_conv1", "maps", "layer=block3_conv1", "size=224", *chosen("photos"))),
    "embedding": (800, lambda place: one(place, "embedding", "embedding", "size=224")),
    "atlas": (700, lambda place: one(
        place, "atlas", "atlas", "layer=block4_conv3", "size=224", "atlas.grid=7", "atlas.positions=32",
        "atlas.picture=64", "steps=48")),
    "directions": (1060, lambda place: one(
        place, "directions", "directions", "layer=block4_conv3", "size=224", "steps=64",
        "directions.picture=112")),
    "methods": (1400, methods),
    "occlusion": (900, lambda place: one(
        place, "espresso (967)", "attribution", "attribution=occlusion", "attribution.patch=32",
        "attribution.stride=16", *LITE0, "layer.filters=espresso", *chosen("tuned"))),
    "fooling": (1026, lambda place: one(
        place, "flamingo (130)", "fooling", *LITE0, "layer.filters=flamingo", *chosen("photos"))),
    "tuning": (1400, lambda place: one(
        place, "espresso (967)", "tuning", *LITE0, "layer.filters=espresso", *chosen("tuned"))),
}  # fmt: skip


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place, known = Path(folder), data.photographs({"_target_": "deepvis.data.photographs.builtin"})
        for path, name in zip(known.paths, known.names, strict=True):
            for photographs, names in SETS.items():
                (place / photographs).mkdir(exist_ok=True)
                if name in names:
                    (place / photographs / name).write_bytes(path.read_bytes())
        for name in sys.argv[1:] or PICTURES:
            width, make = PICTURES[name]
            picture = make(place).convert("RGB")
            picture.thumbnail((width, 2 * width))
            picture.save(HERE / f"understanding_{name}.jpg", quality=82)


if __name__ == "__main__":
    main()
