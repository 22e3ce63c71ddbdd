"""Spectra: the magnitude of every frequency of natural images, by name, from a file or from pictures.

    magnitude(spectrum, size, mean) -> [C, h, w // 2 + 1] float32, of decorrelated colours

What was published with MACO is the mean over ImageNet, 1.5 MB whose licence is not stated, so it is not
shipped. `LAW` was fitted to it by benchmarks/spectrum.py, which says how far it is off.
"""

import functools
import hashlib
import importlib.util
import math
from pathlib import Path

import numpy as np

from deepvis.ascent import pictures as picture_files
from deepvis.core.errors import ConfigError
from deepvis.networks.base import Size

WORDS = ("law", "published", "1/f")
DIGEST = "a4810ea049ef9a0fe4e3f26660188e53222281879b333e8fd61377f7491aafc8"  # SHA-256 of what was published
PLACES = (  # package, and the file within it
    ("xplique", "features_visualizations/spectrum_decorrelated.npy"),
    ("dreamlens", "data/clean_decorrelated.npy"),
    ("faccent", "clean_decorrelated.npy"),
)
SIDE = 512  # px of the images that the published magnitude is of

# Of lightness, blue against red, and green against both: the logarithm of the magnitude at frequency 0, then
# the factors of `terms`.
LAW = np.array([
    [12.449, 3.040, -1.529, -0.036, 0.493, 1.404, -0.121],
    [12.504, 2.838, -1.616, -0.045, 0.609, 1.339, -2.602],
    [12.336, 3.128, -1.414, -0.025, 0.531, 1.353, -2.276],
])  # fmt: skip
ALONG = 0.1  # how near to an axis a frequency is that counts as along it: |sin 2 angle|
FLOOR = 1e-3  # added to the response of two averaged pixels, which is 0 at the highest frequency

# Square root of the covariance of natural images' colours (lucid, optvis/param/color.py): from three
# decorrelated colours, lightness, blue against red, and green against both, to RGB.
_COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])


def colours(channels: int) -> tuple[np.ndarray, np.ndarray]:
    """From decorrelated colours to the image's, and back: [C, C] each."""
    into = _COLOURS / np.linalg.norm(_COLOURS, axis=0).max() if channels == 3 else np.eye(channels)
    return into.astype(np.float32), np.linalg.inv(into).astype(np.float32)


def frequencies(size: Size) -> np.ndarray:
    """Of the half spectrum, cycles per px: [h, w // 2 + 1]."""
    return np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1]))


def scale(size: Size, power: float) -> np.ndarray:
    r"""What a spectrum of even spread is multiplied by to be that of natural images: [h, w // 2 + 1].

    .. math:: s = \frac{\sqrt{hw}}{4} \max(f, 1/n)^{-p}, \quad n = \max(h, w)

    A spectrum of deviation 1 then makes an image of deviation near 1, at any size. The factor is lucid's.
    """
    return math.sqrt(math.prod(size)) / 4 * np.maximum(frequencies(size), 1 / max(size)) ** -power


def magnitude(spectrum: str, size: Size, mean: np.ndarray) -> np.ndarray:
    """The magnitude of every frequency, in decorrelated colours: [C, h, w // 2 + 1] float32.

    Args:
      spectrum: ``law``; ``published``, from an installed package; ``1/f``; the path of a .npy file; or a
        folder, for the mean magnitude of its pictures, each cropped about its centre and scaled to the size.
      size: height and width, px.
      mean: of the training set, one number per channel; subtracted from pictures.

    Raises:
      ConfigError: there is no such thing, or it is of another number of channels.
    """
    channels, key = len(mean), f"param.spectrum={spectrum}"
    if spectrum == "law":
        return law(size, channels)
    if spectrum == "1/f":
        f = frequencies(size)
        inverse = np.where(f > 0, 1 / np.maximum(f, 1 / max(size)), 0)
        return np.repeat(inverse[None], channels, axis=0).astype(np.float32)
    if spectrum != "published" and Path(spectrum).expanduser().is_dir():
        return _of_pictures(spectrum, size, np.asarray(mean))
    return resized(_read(str(published() if spectrum == "published" else spectrum), key, channels), size)


def law(size: Size, channels: int) -> np.ndarray:
    r"""A law with seven numbers per channel, fitted to the published magnitude.

    .. math:: \log r = a_0 + a_1 \log f + a_2 \log^2 f + a_3 e^{-|\sin 2 \phi| / 0.1}
              + a_4 \left(\log \cos \pi x + \log \cos \pi y\right) + a_5 (x^2 + y^2)

    with :math:`x, y` in cycles per px, :math:`f, \phi` the polar form of :math:`x w / 512, y h / 512`, so
    that the image's size does not matter to it, :math:`10^{-3}` added to each cosine, and a number of its own
    at :math:`f = 0`. Slope and direction are those of pictures; the cosines are the response of two averaged
    pixels, for the pictures were scaled. Where channels are not three, each has that of lightness.
    """
    rows = LAW if channels == 3 else np.repeat(LAW[:1], channels, axis=0)
    logarithm = np.tensordot(rows[:, 1:], terms(size), axes=1)
    logarithm[:, 0, 0] = rows[:, 0]
    return np.exp(logarithm).astype(np.float32)


def terms(size: Size) -> np.ndarray:
    """What the factors of `LAW` stand before, at every frequency but 0: [6, h, w // 2 + 1]."""
    y, x = np.meshgrid(np.fft.fftfreq(size[0]), np.fft.rfftfreq(size[1]), indexing="ij")
    down, right = y * size[0] / SIDE, x * size[1] / SIDE  # cycles a picture, in 512ths
    log = np.log(np.maximum(np.hypot(down, right), 0.5 / SIDE))  # any number at 0, which has its own
    along = np.exp(-np.abs(np.sin(2 * np.arctan2(down, right))) / ALONG)
    averaged = sum(np.log(np.cos(np.pi * each) + FLOOR) for each in (x, y))
    return np.stack([np.ones_like(log), log, log**2, along, averaged, x**2 + y**2])


def published() -> Path:
    """The published file, in an installed package; only its digest is believed.

    Raises:
      ConfigError: no installed package has it.
    """
    for package, name in PLACES:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            path = Path(folder) / name
            if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == DIGEST:
                return path
    names = ", ".join(package for package, _ in PLACES[:-1])
    raise ConfigError(
        f"param.spectrum=published: got no installed {names} or {PLACES[-1][0]} with the file of SHA-256 "
        f"{DIGEST[:8]}...; pip install --no-deps xplique==2.0.2, or take param.spectrum=law"
    )


def check(spectrum: str, channels: int) -> None:
    """Refuse what is no spectrum for such images.

    Raises:
      ConfigError: with one line.
    """
    key = f"param.spectrum={spectrum}"
    if spectrum in ("law", "1/f"):
        return
    place = published() if spectrum == "published" else Path(spectrum).expanduser()
    if place.is_dir():
        picture_files.check_folder("param.spectrum", spectrum, channels)
    elif place.is_file():
        _read(str(place), key, channels)
    else:
        raise ConfigError(f"{key}: no such file or folder; expected one, or one of {', '.join(WORDS)}")


def resized(magnitudes: np.ndarray, size: Size) -> np.ndarray:
    """Magnitudes of another size, as MACO's authors do it: bilinear, centres at halves, no antialias."""
    for axis, side in ((1, size[0]), (2, size[1] // 2 + 1)):
        length = magnitudes.shape[axis]
        if length != side:
            at = np.clip((np.arange(side) + 0.5) * length / side - 0.5, 0, length - 1)
            low = np.floor(at).astype(int)
            part = np.expand_dims(at - low, tuple({0, 1, 2} - {axis}))
            first, second = (np.take(magnitudes, i, axis) for i in (low, np.minimum(low + 1, length - 1)))
            magnitudes = first + (second - first) * part
    return magnitudes.astype(np.float32)


def _read(path: str, key: str, channels: int) -> np.ndarray:
    place = Path(path).expanduser()
    try:
        stat = place.stat()
        found = _loaded(place, stat.st_mtime_ns, stat.st_size)
    except (OSError, ValueError, EOFError) as err:
        raise ConfigError(f"{key}: not a .npy file that can be read ({err})") from err
    if found.ndim != 3 or found.shape[0] != channels or min(found.shape) < 1 or found.dtype.kind not in "fiu":
        raise ConfigError(
            f"{key}: got {found.dtype} {found.shape}, expected numbers ({channels}, h, w // 2 + 1): "
            "magnitudes of decorrelated colours, one half spectrum a channel"
        )
    if not np.isfinite(found).all() or found.min() < 0 or not found.any():
        raise ConfigError(f"{key}: expected magnitudes, finite numbers of 0 or more, not all 0")
    return found


@functools.lru_cache(maxsize=4)
def _loaded(path: Path, changed: int, size: int) -> np.ndarray:
    del changed, size
    return np.asarray(np.load(path, allow_pickle=False))


def _of_pictures(folder: str, size: Size, mean: np.ndarray) -> np.ndarray:
    """The mean magnitude of the pictures of a folder, in decorrelated colours: [C, h, w // 2 + 1]."""
    out = colours(len(mean))[1]
    images = [picture_files.read(path, size, len(mean)) for path in picture_files.files(folder)]
    if not images:
        raise ConfigError(f"param.spectrum={folder}: no picture in it")
    magnitudes = [np.abs(np.fft.rfft2((image - mean) @ out.T, axes=(0, 1))) for image in images]
    return np.mean(magnitudes, axis=0).transpose(2, 0, 1).astype(np.float32)
