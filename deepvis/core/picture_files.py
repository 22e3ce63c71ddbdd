"""Picture files: path -> pixels as a viewer shows them, in grey levels of 255, sRGB.

The first frame, upright, its colour profile converted to sRGB, white behind what is transparent. What Pillow
would read as something else than a viewer shows is refused in one line.
"""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from deepvis.core.errors import ConfigError, first_line

SUFFIXES = {
    ".apng", ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm",
    ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
}  # fmt: skip
EIGHT_BIT = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB"}
DEEP = ("PNG", "TIFF", "PPM", "JPEG2000")  # formats whose 16 bits are known to be 0 (black) to 65535
EXPECTED = "expected 8 or 16 unsigned bits a channel, or one channel of floats from 0 (black) to 1 (white)"
PROFILED = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}  # colour space of a profile -> Pillow's mode
SRGB_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # white, red, green, blue
EXACT = ImageCms.Flags.NOOPTIMIZE  # a table that is interpolated would be 9 levels off for Lab
BITS, PHOTOMETRIC, SUBSAMPLING, SAMPLE_FORMAT = 258, 262, 530, 339  # tags of a TIFF


def fitted(path: str | Path, channels: int, height: int, width: int) -> np.ndarray:
    """A picture cropped about its centre to a rectangle's proportions and scaled to it.

    Args:
      path: of the file; ``~`` is the user's folder.
      channels: 3, or 1 for its lightness, 0.299 R + 0.587 G + 0.114 B.
      height: px.
      width: px.

    Returns:
      ``[height, width, channels]`` float32, in [0, 255]. Scaled by Pillow's bicubic filter, which averages
      where it makes smaller, on the values as they are stored, as browsers do.

    Raises:
      ConfigError: no picture, or none that can be read rightly.
    """
    shown = read(path)
    if shown.mode != "F":
        shown = shown.convert("L" if channels == 1 else "RGB")
    values = np.array(ImageOps.fit(shown, (width, height)), np.float32).reshape(height, width, -1)
    if shown.mode == "F":  # of floats the filter overshoots at edges
        values = np.clip(values, 0, 255)
    return values if values.shape[-1] == channels else values.repeat(channels, axis=-1)


def read(path: str | Path) -> Image.Image:
    """A picture as a viewer shows it.

    Args:
      path: of the file; ``~`` is the user's folder.

    Returns:
      Of mode ``L`` or ``RGB``; or ``F``, grey levels with a fraction, of 16 bits or floats.

    Raises:
      ConfigError: no picture, or none that can be read rightly.
    """
    place = Path(path).expanduser()
    if not place.is_file():
        raise ConfigError(f"{path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Not opened by its path: Pillow would map a TIFF into memory and shear it where its tag turns it.
            data = place.read_bytes()
            with Image.open(io.BytesIO(data)) as file:
                file.load()  # the whole of it: verify() would pass half a JPEG
                return _shown(file, data)
    except ConfigError as err:
        raise ConfigError(f"{path}: {err}") from err
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as err:
        raise ConfigError(f"{path}: refused as a decompression bomb: {err}") from err
    except Exception as err:  # Pillow's readers raise anything of a damaged file
        reason = "no format that it knows" if isinstance(err, UnidentifiedImageError) else first_line(err)
        raise ConfigError(
            f"{path}: not a whole picture that Pillow can read ({reason}); expected PNG, JPEG, TIFF or such"
        ) from err


def in_folder(folder: Path) -> list[Path]:
    """The pictures of a folder, by name: what has a picture's suffix or content; hidden files left out."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return [path for path in files if path.suffix.lower() in SUFFIXES or _has_pictures_head(path)]


def _has_pictures_head(path: Path) -> bool:
    try:
        with Image.open(path):
            return True
    except Exception:  # as in `read`
        return False


def _shown(file: Image.Image, data: bytes) -> Image.Image:
    profile = file.info.get("icc_profile")
    _check_colours(file, data, bool(profile))
    grey = _deep(file)
    if grey is not None:
        if (
            profile
        ):  # littlecms reads no such pictures by Pillow, so a profile's curve is read off its 256 levels
            curve = _in_srgb(Image.fromarray(np.arange(256, dtype=np.uint8)[None]), profile).convert("L")
            grey = np.interp(grey, np.arange(256), np.asarray(curve, float)[0])
        return _upright(file, Image.fromarray(grey.astype(np.float32)))
    if file.mode not in EIGHT_BIT:
        raise ConfigError(f"got a {file.format} of mode {file.mode}; {EXPECTED}")
    if not file.has_transparency_data:
        return _upright(file, _coloured(file, profile))
    straight = file.convert("LA") if file.mode == "La" else file
    colours = straight.convert("RGBA")
    opaque = _coloured(colours.convert("RGB"), profile).convert("RGB")
    white = Image.new("RGB", file.size, "white")
    return _upright(file, Image.composite(opaque, white, colours.getchannel("A")))


def _upright(file: Image.Image, image: Image.Image) -> Image.Image:
    """Turned as the file's orientation tag says."""
    if file.getexif().get(0x0112, 1) == 1:
        return image
    image.getexif()[0x0112] = file.getexif().get(0x0112, 1)
    return ImageOps.exif_transpose(image)


def _deep(file: Image.Image) -> np.ndarray | None:
    """Grey levels of a picture of one channel of more than 8 bits; None: it has 8."""
    tags = getattr(file, "tag_v2", {})
    if 2 in np.atleast_1d(tags.get(SAMPLE_FORMAT, 1)):
        raise ConfigError(f"got signed integers; {EXPECTED}")
    if file.mode == "F" and file.format == "TIFF" and tags.get(PHOTOMETRIC) == 1:
        values = np.asarray(file, float)
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise ConfigError(f"got floats from {values.min():g} to {values.max():g}; {EXPECTED}")
        return 255 * values
    sixteen = file.mode.startswith("I;16") or (file.mode == "I" and file.format == "PPM")
    if not sixteen or file.format not in DEEP:
        return None
    whole = np.asarray(file, float) / (2 ** np.atleast_1d(tags.get(BITS, 16))[0] - 1)
    return 255 * (1 - whole if tags.get(PHOTOMETRIC) == 0 else whole)


def _check_colours(file: Image.Image, data: bytes, profiled: bool) -> None:
    """Refuse what Pillow passes over in silence: colours that are not sRGB's, and transparency of 16 bits."""
    info, tags = file.info, getattr(file, "tag_v2", {})
    if file.format == "PNG":
        head = data.partition(b"IDAT")[0]
        coded = head.partition(b"cICP")[2][:2]
        if coded and coded != b"\x01\x0d":
            raise ConfigError(
                f"got colours of code {coded[0]}/{coded[1]} (cICP); expected sRGB: save it as that"
            )
        whites = info.get("chromaticity", SRGB_PRIMARIES)
        plain = abs(info.get("gamma", 0.45455) - 0.45455) < 0.01 and np.allclose(
            whites, SRGB_PRIMARIES, atol=0.01
        )
        if not (plain or profiled or "srgb" in info):
            raise ConfigError(
                f"got a gamma of {info.get('gamma', 0.45455):g} and primaries {tuple(whites)} (gAMA, cHRM), "
                "which viewers treat differently; expected sRGB: save it as that"
            )
        depth = head[24]  # bits a channel, of the header
        if depth != 8 and file.mode != "P" and "transparency" in info:
            raise ConfigError(
                f"got one transparent colour (tRNS) of {depth} bits; expected an alpha channel: save it so"
            )
    if file.mode == "CMYK" and file.format == "JPEG" and "adobe" not in info:
        raise ConfigError(
            "got a JPEG of CMYK that does not say whether 0 is white; expected RGB: save it as that"
        )
    if file.mode == "YCbCr" and file.format == "TIFF" and tuple(tags.get(SUBSAMPLING, (2, 2))) != (1, 1):
        raise ConfigError("got a TIFF of subsampled YCbCr without compression; expected RGB: save it as that")


def _coloured(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Of 8 bits, opaque -> ``L`` or ``RGB`` of sRGB."""
    if image.mode == "LAB":
        return _transformed(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    plain = image if image.mode in ("L", "CMYK") else image.convert("L" if image.mode == "1" else "RGB")
    if profile:
        return _in_srgb(plain, profile)
    return plain.convert("RGB") if plain.mode == "CMYK" else plain


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """``L``, ``RGB`` or ``CMYK`` of a colour profile -> ``RGB`` of sRGB."""
    try:
        read = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (OSError, ImageCms.PyCMSError) as err:
        raise ConfigError("got a colour profile that cannot be read; expected sRGB: save it as that") from err
    space = str(getattr(read.profile, "xcolor_space", "")).strip()
    mode = PROFILED.get(space)
    fits = mode is not None and (mode == "CMYK") == (image.mode == "CMYK")
    if fits and mode == "L":
        fits = image.mode == "L" or image.convert("L").convert("RGB").tobytes() == image.tobytes()
    if not fits:
        raise ConfigError(
            f"got a colour profile for {space}, and a picture of {image.mode}; expected sRGB: save it as that"
        )
    return _transformed(image.convert(mode), read)


def _transformed(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    srgb, flags = ImageCms.createProfile("sRGB"), EXACT if image.mode == "LAB" else ImageCms.Flags.NONE
    try:
        shown = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB", flags=flags)
    except ImageCms.PyCMSError as err:
        raise ConfigError(
            "got a colour profile that cannot be applied; expected sRGB: save it as that"
        ) from err
    assert shown is not None  # not in place
    return shown
