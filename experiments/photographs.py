"""The photographs of the studies: Debian packages and scikit-learn -> a folder of scenes and pasted cut-outs.

python experiments/photographs.py FOLDER [--packages EXTRACTED]

`photographs.csv` lists them, chosen by eye, with the SHA-256 of each source. Scenes are copied as they are.
Cut-outs are photographs of one thing with a transparent ground; each is pasted on one of two fixed grounds,
in turn. The ground is a confound: a unit that responds to it, or to an outline on it, responds to cut-outs.
Nothing of it is a dependency of deepvis; the packages are those of Debian 12.
"""

import argparse
import csv
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

LIST = Path(__file__).with_name("photographs.csv")
PACKAGES = ("mate-backgrounds", "opencv-doc", "tuxpaint-stamps-default")
CUTOUTS = "tuxpaint-stamps-default"
INSTALLED = "scikit-learn"  # its photographs are where it is installed
GROUNDS = {"grey": (124, 117, 104), "light": (224, 224, 224)}  # the mean of ImageNet, and nearly white
SIDE, LONGEST = 256, 208  # px of a pasted picture, and of the longer side of a cut-out in it


def pasted(cutout: np.ndarray, ground: Sequence[int], side: int) -> np.ndarray:
    """A cut-out in the middle of a square ground.

    Args:
      cutout: uint8 ``[h, w, 4]``, the last channel its opacity; neither side is longer than the ground's.
      ground: grey levels of red, green and blue.
      side: px of the ground.

    Returns:
      uint8 ``[side, side, 3]``.
    """
    height, width, _ = cutout.shape
    top, left = (side - height) // 2, (side - width) // 2
    picture = np.broadcast_to(np.asarray(ground, np.uint8), (side, side, 3)).copy()
    opacity = cutout[..., 3:].astype(float) / 255
    mixed = opacity * cutout[..., :3] + (1 - opacity) * np.asarray(ground, float)
    picture[top : top + height, left : left + width] = np.rint(mixed).astype(np.uint8)
    return picture


def scaled(cutout: Image.Image, longest: int) -> np.ndarray:
    """A cut-out without its empty margin, its longer side so many px: uint8 ``[h, w, 4]``."""
    whole = cutout.convert("RGBA")
    part = whole.crop(whole.getchannel("A").getbbox())
    factor = longest / max(part.size)
    size = tuple(max(1, round(factor * each)) for each in part.size)
    return np.asarray(part.resize(size, Image.Resampling.LANCZOS))


def extracted(to: Path) -> None:
    """Download the packages and unpack them.

    Raises:
      SystemExit: a package cannot be had.
    """
    for package in PACKAGES:
        done = subprocess.run(["apt-get", "download", package], cwd=to, capture_output=True, text=True)
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["nothing was said"]
            sys.exit(f"got no package {package} ({said[-1]}); expected one of Debian 12: apt-get update")
    for file in to.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", file, to], check=True)


def source(package: str, path: str, packages: Path) -> Path:
    """Where a photograph's file is."""
    if package != INSTALLED:
        return packages / path
    found = importlib.util.find_spec("sklearn")
    return Path(found.origin if found and found.origin else "").parent / path


def made(packages: Path, to: Path) -> tuple[int, list[str]]:
    """Write all photographs that are there.

    Returns:
      How many were written, and the names of those that are missing or have another content.
    """
    with LIST.open(newline="") as file:
        rows = list(csv.DictReader(file))
    missing = []
    for row in rows:
        path = source(row["package"], row["path"], packages)
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest()[:16] != row["sha256"]:
            missing.append(f"{row['package']}: {path.name}")
            continue
        folder = to / row["folder"]
        folder.mkdir(parents=True, exist_ok=True)
        if row["package"] == CUTOUTS:
            picture = pasted(scaled(Image.open(path), LONGEST), GROUNDS[folder.name], SIDE)
            Image.fromarray(picture).save(folder / path.name)
        else:
            shutil.copyfile(path, folder / path.name)
    return len(rows) - len(missing), missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder to write to")
    parser.add_argument("--packages", type=Path, help="where the packages are unpacked; left out: downloaded")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        packages = given.packages or Path(temporary)
        if given.packages is None:
            extracted(packages)
        count, missing = made(packages, given.folder)
    print(f"{count} photographs in {given.folder}; missing: {', '.join(missing) or 'none'}")


if __name__ == "__main__":
    main()
