"""Fits the law of `deepvis.ascent.spectra` to the published magnitude, and says how far it is off.

python benchmarks/spectrum.py [PATH]      by default the file in an installed xplique, dreamlens or faccent

Least squares of the logarithm, each frequency weighted by one over it, so that every octave counts as much as
the one above it. What is printed is `LAW` as it stands in the module, then the errors. The picture
docs/gallery/spectra.jpg shows images of the same random phases by each magnitude.
"""

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from deepvis.ascent import parametrizations, spectra
from deepvis.core import images

PICTURE = Path(__file__).parents[1] / "docs" / "gallery" / "spectra.jpg"

BANDS = ((1, 4), (4, 16), (16, 64), (64, 128), (128, 192), (192, 256), (256, 363))  # cycles a picture


def main(path: str) -> None:
    """Print the fitted numbers, and the errors in each band of frequencies."""
    magnitudes = np.load(path).astype(float)
    size = magnitudes.shape[1], 2 * (magnitudes.shape[2] - 1)
    terms, f = spectra.terms(size), spectra.frequencies(size) * size[0]
    inside = f > 0
    root = np.sqrt(1 / f[inside])
    rows = []
    for each in magnitudes:
        fitted = np.linalg.lstsq(terms[:, inside].T * root[:, None], np.log(each[inside]) * root)[0]
        rows.append([np.log(each[0, 0]), *fitted])
        print("    [" + ", ".join(f"{value:.3f}" for value in rows[-1]) + "],")
    law = spectra.law(size, 3).astype(float)
    off = np.abs(np.log(law / magnitudes))
    print(f"all: median {np.median(off):.3f}, rms {np.sqrt((off**2).mean()):.3f} of the logarithm")
    for low, high in BANDS:
        band = (f >= low) & (f < high)
        share = (magnitudes[:, band] ** 2).sum() / (magnitudes[:, inside] ** 2).sum()
        for name, values in (("law", law), ("1/f", spectra.magnitude("1/f", size, np.zeros(3)))):
            logarithm = np.log(values[:, inside] / magnitudes[:, inside])
            weight = magnitudes[:, inside] ** 2
            centred = (
                np.log(values[:, band] / magnitudes[:, band]) - (logarithm * weight).sum() / weight.sum()
            )
            print(f"{low:4d} to {high:3d} cycles, {share:8.5f} of the energy: {name} off by "
                  f"{np.exp(np.sqrt((centred**2).mean())):.2f} times (rms)")  # fmt: skip
    picture(path)


def picture(path: str) -> None:
    """Draw images of the same phases by each magnitude, and print how alike they are."""
    mean, made = np.full(3, 127.0), {}
    phases = np.random.default_rng(0).uniform(-np.pi, np.pi, (3, 3, 256, 129)).astype(np.float32)
    for name, spectrum in (("published", path), ("law", "law"), ("1/f", "1/f")):
        param = parametrizations.maco((256, 256), mean.tolist(), spectrum, standardize=False)
        made[name] = np.asarray(param.decode(tf.constant(phases)))
        pairs = zip(made[name], made["published"], strict=True)
        alike = [np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in pairs]
        rms = np.sqrt(np.mean((made[name] - made["published"]) ** 2))
        print(f"{name}: correlation {min(alike):.3f} at least, {rms:.1f} grey levels off (rms)")
    rows = [[images.natural(each, mean.tolist()) for each in of] for of in made.values()]
    page = images.contact_sheet(rows, list(made), [f"phases {i}" for i in (1, 2, 3)])
    Image.fromarray(page).save(PICTURE, quality=80)


if __name__ == "__main__":
    main(*(sys.argv[1:] or [str(spectra.published())]))
