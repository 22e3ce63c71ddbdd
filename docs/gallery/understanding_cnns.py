"""Make the pictures of docs/how-to/understanding_cnns.md: python docs/gallery/understanding_cnns.py

Runs the page's commands on VGG16 and the photographs of scikit-learn and scikit-image (the extras weights and
photos), in a folder of its own, in some minutes on two cores.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from deepvis import data
from deepvis.core import images

HERE = Path(__file__).parent
PHOTOGRAPHS = ("chelsea.png", "china.jpg", "flower.jpg")
TUNED = ("chelsea.png", "coffee.png", "rocket.jpg")
# Fewer samples, steps and places than by default: a page needs no more.
METHODS: dict[str, list[str]] = {
    "saliency": [], "gradient_input": [], "smooth_grad": ["attribution.samples=12"],
    "integrated_gradients": ["attribution.steps=16", "attribution.tolerance=1"],
    "occlusion": ["attribution.patch=24", "attribution.stride=12"],
    "deconvnet": [], "guided_backprop": [], "grad_cam": [], "layer_cam": [],
}  # fmt: skip


def run(place: Path, *typed: str) -> list[Path]:
    """The folders that a command makes, in their order."""
    before = set(place.glob("outputs/*"))
    subprocess.run([sys.executable, "-m", "deepvis.run", *typed, "tracker=none"], cwd=place, check=True)
    return sorted(set(place.glob("outputs/*")) - before, key=lambda folder: folder.stat().st_mtime)


def save(picture: Image.Image, name: str, width: int = 1000) -> None:
    picture = picture.convert("RGB")
    picture.thumbnail((width, 2 * width))
    picture.save(HERE / f"understanding_{name}.jpg", quality=82)


def methods(folders: list[Path]) -> Image.Image:
    """The map over each photograph, cut out of each method's sheet: a row a photograph, a column a method."""
    cells = []
    for k in range(len(PHOTOGRAPHS)):
        sheets = [np.asarray(Image.open(folder / "f002.png")) for folder in folders]
        side = sheets[0].shape[0] // len(PHOTOGRAPHS)
        rows = [sheet[k * side + 20 : (k + 1) * side - 6] for sheet in sheets]
        width = rows[0].shape[0]
        cells.append([rows[0][:, :width], *(row[:, width + 6 : 2 * width + 6] for row in rows)])
    names = ["photograph", *(name.replace("_", " ") for name in METHODS)]
    return Image.fromarray(images.contact_sheet(cells, [Path(name).stem for name in PHOTOGRAPHS], names))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "photos").mkdir()
        (place / "tuned").mkdir()
        known = data.photographs({"_target_": "deepvis.data.photographs.builtin"})
        for path, name in zip(known.paths, known.names, strict=True):
            if name in PHOTOGRAPHS:
                (place / "photos" / name).write_bytes(path.read_bytes())
            if name in TUNED:
                (place / "tuned" / name).write_bytes(path.read_bytes())
        (made,) = run(place, "weights")
        save(Image.open(made / "weights.png"), "weights", 800)
        (made,) = run(place, "maps", "layer=block3_conv1", "size=224", "data=folder", "data.path=photos")
        save(Image.open(made / "block2_conv1.png"), "maps", 800)
        lite0 = ["model=efficientnet_lite0", "layer=named", "layer.name=predictions", "size=224"]
        (made,) = run(place, "tuning", *lite0, "layer.filters=espresso", "data=folder", "data.path=tuned")
        save(Image.open(made / "espresso (967).png"), "tuning", 1400)
        (made,) = run(place, "fooling", *lite0, "layer.filters=flamingo", "data=folder", "data.path=photos")
        save(Image.open(made / "flamingo (130).png"), "fooling", 1026)
        (made,) = run(place, "embedding", "size=224")
        save(Image.open(made / "embedding.png"), "embedding", 800)
        chosen = ["layer.filters=2", "size=128", "data=folder", "data.path=photos"]
        made_all = [
            run(place, "attribution", f"attribution={method}", *more, *chosen)[0]
            for method, more in METHODS.items()
        ]
        save(methods(made_all), "methods", 1400)
        save(Image.open(made_all[list(METHODS).index("occlusion")] / "f002.png"), "occlusion", 800)


if __name__ == "__main__":
    main()
