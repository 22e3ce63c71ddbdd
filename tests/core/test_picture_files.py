"""Laws of deepvis.core.picture_files: a picture equals arithmetic on the samples written into its file, or is
refused in one line that names the file."""

import io
import zlib

import numpy as np
import pytest
from helpers.picture_formats import (
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    cmyk_profile,
    encoded,
    from_lab,
    png,
    profile,
    shown,
    tiff,
)
from PIL import Image, ImageCms

from deepvis.ascent import pictures
from deepvis.core import picture_files
from deepvis.core.errors import ConfigError

SIDE = 16
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
RGB = RNG.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
RGBA = RNG.integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)
PREMULTIPLIED = (RGBA[..., :3] * (RGBA[..., 3:] / 255)).round().astype(np.uint8)
INKS = np.full((SIDE, SIDE, 4), (10, 60, 200, 30), np.uint8)
DEEP = np.linspace(0, 65535, SIDE * SIDE).round().astype(np.uint16).reshape(SIDE, SIDE)
DEEP_RGBA = RNG.integers(0, 65536, (SIDE, SIDE, 4), dtype=np.uint16)


def pillow(pixels, form, mode=None, **options):
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, form, **options)
    return file.getvalue()


def read(tmp_path, data, channels=3, name="p.png", size=SIDE):
    (tmp_path / name).write_bytes(data)
    return picture_files.fitted(tmp_path / name, channels, size, size)


def over_white(rgba, most=255):
    alpha = rgba[..., -1:].astype(float) / most
    return alpha * rgba[..., :-1] * (255 / most) + (1 - alpha) * 255


def lightness(rgb):
    return np.asarray(rgb, float) @ [0.299, 0.587, 0.114]


PALETTE = RNG.integers(0, 256, (16, 3), dtype=np.uint8)
OPACITY = RNG.integers(0, 256, 16, dtype=np.uint8)
PLTE = {b"PLTE": PALETTE.tobytes()}
INDEX = GREY % 16
KEYED = np.where((GREY[3, 3] == GREY)[..., None], 255, np.repeat(GREY[..., None], 3, -1))

SECOND = [Image.fromarray(255 - RGB)]  # of an animation or of several pages

# file, what it shows ([H, W] or [H, W, 3], grey levels), by how much a reader may round
SHOWN = {
    "1 bit": (png(GREY % 2, "grey", 1), GREY % 2 * 255.0, 0),
    "2 bits": (png(GREY % 4, "grey", 2), GREY % 4 * 85.0, 0),
    "4 bits": (png(GREY % 16, "grey", 4), GREY % 16 * 17.0, 0),
    "grey": (png(GREY, "grey"), GREY, 0),
    "RGB": (png(RGB, "rgb"), RGB, 0),
    "RGBA": (png(RGBA, "rgba"), over_white(RGBA), 0.51),
    "opaque RGBA": (png(np.dstack([RGB, np.full_like(GREY, 255)]), "rgba"), RGB, 0),
    "transparent RGBA": (png(np.dstack([RGB, np.zeros_like(GREY)]), "rgba"), np.full(RGB.shape, 255), 0),
    "grey and alpha": (png(RGBA[..., [0, 3]], "grey alpha"), over_white(RGBA[..., [0, 3]]), 0.51),
    "palette": (png(INDEX, "palette", 4, PLTE), PALETTE[INDEX], 0),
    "palette with opacity": (
        png(INDEX, "palette", 8, PLTE | {b"tRNS": OPACITY.tobytes()}),
        over_white(np.column_stack([PALETTE, OPACITY])[INDEX]), 0.51,
    ),
    "palette with one transparent colour": (
        png(INDEX, "palette", 4, PLTE | {b"tRNS": b"\xff\xff\0"}),
        np.where((INDEX == 2)[..., None], 255, PALETTE[INDEX]), 0,
    ),
    "grey with a transparent level": (png(GREY, "grey", 8, {b"tRNS": bytes([0, GREY[3, 3]])}), KEYED, 0),
    "RGB with a transparent colour": (
        png(RGB, "rgb", 8, {b"tRNS": bytes([0, RGB[2, 2, 0], 0, RGB[2, 2, 1], 0, RGB[2, 2, 2]])}),
        np.where((RGB[2, 2] == RGB).all(-1, keepdims=True), 255, RGB), 0,
    ),
    "16 bits": (png(DEEP, "grey", 16), DEEP / 257, 1e-4),
    "16 bits of RGB": (png(DEEP_RGBA[..., :3], "rgb", 16), DEEP_RGBA[..., :3] / 257, 1),
    "16 bits of RGBA": (png(DEEP_RGBA, "rgba", 16), over_white(DEEP_RGBA, 65535), 1.6),
    "16 bits of grey and alpha": (
        png(DEEP_RGBA[..., [0, 3]], "grey alpha", 16), over_white(DEEP_RGBA[..., [0, 3]], 65535), 1.6,
    ),
    "TIFF grey": (tiff(GREY, 1), GREY, 0),
    "TIFF white is 0": (tiff(GREY, 0), 255.0 - GREY, 0),
    "TIFF 16 bits": (tiff(DEEP, 1), DEEP / 257, 1e-4),
    "TIFF 16 bits, big-endian": (tiff(DEEP, 1, ">"), DEEP / 257, 1e-4),
    "TIFF 16 bits, white is 0": (tiff(DEEP, 0), 255 - DEEP / 257, 1e-4),
    "TIFF 12 bits": (tiff(DEEP >> 4, 1, bits=12), (DEEP >> 4) * (255 / 4095), 1e-4),
    "TIFF 16 bits of RGB": (tiff(DEEP_RGBA[..., :3], 2), DEEP_RGBA[..., :3] / 257, 1),
    "TIFF 16 bits of RGB, big-endian": (tiff(DEEP_RGBA[..., :3], 2, ">"), DEEP_RGBA[..., :3] / 257, 1),
    "TIFF floats": (tiff((DEEP / 65535).astype("f4"), 1), DEEP / 257, 1e-3),
    "TIFF floats, big-endian": (tiff((DEEP / 65535).astype("f4"), 1, ">"), DEEP / 257, 1e-3),
    "TIFF RGBA": (tiff(RGBA, 2, t338=2), over_white(RGBA), 0.51),
    "TIFF RGB and something else": (tiff(RGBA, 2, t338=0), RGBA[..., :3], 0),
    "TIFF premultiplied": (
        tiff(np.dstack([PREMULTIPLIED, RGBA[..., 3]]), 2, t338=1),
        over_white(RGBA), 2,
    ),
    "TIFF YCbCr": (pillow(RGB, "TIFF", "YCbCr"), RGB, 3),
    "TIFF CMYK": (
        tiff(RGBA, 5), (255.0 - RGBA[..., :3]) * (255.0 - RGBA[..., 3:]) / 255, 1.01,
    ),
    "JPEG CMYK": (
        pillow(Image.frombytes("CMYK", (SIDE, SIDE), INKS.tobytes()), "JPEG", quality=100),
        np.full((SIDE, SIDE, 3), np.subtract(255.0, (10, 60, 200)) * (225 / 255)), 3,
    ),
    "PGM of 16 bits": (b"P5 16 16 65535\n" + DEEP.astype(">u2").tobytes(), DEEP / 257, 1e-4),
    "PGM of 10 bits": (
        b"P5 16 16 1023\n" + (DEEP >> 6).astype(">u2").tobytes(), (DEEP >> 6) * (255 / 1023), 0.01,
    ),
    "WebP": (pillow(RGBA, "WEBP", lossless=True, exact=True), over_white(RGBA), 0.51),
    "GIF": (pillow(GREY, "GIF"), GREY, 0),
    "animated GIF": (pillow(GREY, "GIF", save_all=True, append_images=SECOND), GREY, 0),
    "animated PNG": (pillow(RGB, "PNG", save_all=True, append_images=SECOND), RGB, 0),
    "TIFF of pages": (pillow(RGB, "TIFF", save_all=True, append_images=SECOND), RGB, 0),
    "PNG tagged sRGB": (png(RGB, "rgb", 8, {b"gAMA": (45455).to_bytes(4, "big"), b"sRGB": b"\0"}), RGB, 0),
    "PNG coded sRGB": (png(RGB, "rgb", 8, {b"cICP": b"\x01\x0d\0\x01"}), RGB, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_a_picture_is_its_samples(tmp_path, name):
    data, expected, rounding = SHOWN[name]
    expected = np.asarray(expected, float)
    colours = np.broadcast_to(expected if expected.ndim == 3 else expected[..., None], RGB.shape)
    np.testing.assert_allclose(read(tmp_path, data), colours, atol=rounding, rtol=0)
    grey = read(tmp_path, data, channels=1)
    np.testing.assert_allclose(grey[..., 0], lightness(colours), atol=rounding + 0.51, rtol=0)


def icc(data):
    return {b"iCCP": b"p\0\0" + zlib.compress(data)}


@pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
@pytest.mark.parametrize("primaries", [SRGB, ADOBE_RGB, DISPLAY_P3])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "PNG with alpha", "PNG palette", "PNG of 16 bits"])
def test_a_colour_profile_is_converted_to_srgb(tmp_path, gamma, primaries, form):
    own, smooth = profile("RGB", gamma, primaries), np.tile(RGB[:4, :4], (4, 4, 1))
    if form == "PNG palette":
        data, pixels = png(INDEX, "palette", 8, PLTE | icc(own)), PALETTE[INDEX]
    elif form == "PNG with alpha":
        data, pixels = png(np.dstack([RGB, np.full_like(GREY, 255)]), "rgba", 8, icc(own)), RGB
    elif form == "PNG of 16 bits":
        data, pixels = png(RGB.astype(np.uint16) * 257, "rgb", 16, icc(own)), RGB
    elif form == "JPEG":
        data = pillow(smooth, "JPEG", quality=100, subsampling=0, icc_profile=own)
        pixels = np.asarray(Image.open(io.BytesIO(data)))
    else:
        data, pixels = pillow(RGB, form, icc_profile=own), RGB
    # An 8-bit linear level is many levels of sRGB in the dark, where littlecms rounds on its way.
    expected, seen = shown(pixels, gamma, primaries), read(tmp_path, data)
    assert np.abs(expected - pixels).max() > 5
    np.testing.assert_allclose(seen, expected, atol=2.5, rtol=0)
    assert np.abs(seen - expected).mean() < 0.5


@pytest.mark.parametrize("gamma", [1.0, 1.8])
@pytest.mark.parametrize("space", ["GRAY", "RGB"])
@pytest.mark.parametrize("form", ["8 bits", "16 bits", "floats", "alpha"])
def test_a_profile_of_a_grey_picture_is_its_curve(tmp_path, gamma, space, form):
    own = profile(space, gamma)
    levels = np.broadcast_to(np.linspace(0, 255, SIDE).round().astype(np.uint8), (SIDE, SIDE))
    if form == "floats":
        data = pillow((levels / 255).astype("f4"), "TIFF", icc_profile=own)
    elif form == "alpha":
        data = png(np.dstack([levels, np.full_like(levels, 255)]), "grey alpha", 8, icc(own))
    elif form == "16 bits":
        data = png(levels.astype(np.uint16) * 257, "grey", 16, icc(own))
    else:
        data = png(levels, "grey", 8, icc(own))
    np.testing.assert_allclose(
        read(tmp_path, data)[..., 1], encoded((levels / 255) ** gamma), atol=1.5, rtol=0
    )


def test_the_profile_of_srgb_changes_no_pixel(tmp_path):
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(read(tmp_path, pillow(RGB, "PNG", icc_profile=own)), RGB)


def test_lab_is_converted_by_the_formula_of_cie(tmp_path):
    lightness, a, b = np.meshgrid([20, 50, 80], [-20, 0, 20], [-20, 0, 20], indexing="ij")
    lab = np.stack([lightness, a, b], -1).reshape(3, 9, 3)
    stored = (
        np.stack([np.rint(lab[..., 0] * 2.55), lab[..., 1], lab[..., 2]], -1).astype(int).astype(np.uint8)
    )
    (tmp_path / "p.tif").write_bytes(tiff(stored, 8))
    expected = from_lab(np.rint(lab * (2.55, 1, 1)) / (2.55, 1, 1))
    np.testing.assert_allclose(np.asarray(picture_files.read(tmp_path / "p.tif")), expected, atol=1.5, rtol=0)


def test_a_profile_of_cmyk_is_its_table(tmp_path):
    ink = np.array(np.meshgrid(*[[0, 1]] * 4, indexing="ij"))
    amount = ink.sum(0)
    tint = np.where((amount == 0) | (amount == 4), 0, 1)  # paper is white, and all ink is black
    lab = np.stack(
        [100 - 25 * amount, tint * (5 * ink[0] - 8 * ink[1]), tint * (6 * ink[2] - 4 * ink[3])], -1
    )
    pixels = (255 * ink).reshape(4, 16).T.astype(np.uint8)
    image = Image.frombytes("CMYK", (4, 4), pixels.tobytes())
    expected = from_lab(np.rint(lab * (2.55, 1, 1)) / (2.55, 1, 1)).reshape(4, 4, 3)
    seen = read(tmp_path, pillow(image, "TIFF", icc_profile=cmyk_profile(lab)), size=4)
    np.testing.assert_allclose(seen, expected, atol=1.5, rtol=0)


TURNED = {  # orientation tag -> the picture as it is seen, of the picture as it is stored
    1: lambda x: x, 2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1], 4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1), 6: lambda x: np.rot90(x, -1), 7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x),
}  # fmt: skip


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize(
    "form", ["PNG", "TIFF", "WEBP", "JPEG", "16 bits", "TIFF of 16 bits", "grey TIFF", "alpha"]
)
def test_a_picture_stands_as_its_tag_says(tmp_path, form, orientation):
    tag, wide = Image.Exif(), RGB[:10]
    tag[0x0112] = orientation
    if form == "TIFF of 16 bits":
        data, expected = tiff(DEEP[:10], 1, t274=orientation), DEEP[:10] / 257
    elif form == "grey TIFF":
        data, expected = tiff(GREY[:10], 1, t274=orientation), GREY[:10]
    elif form == "16 bits":
        data, expected = pillow(DEEP[:10], "PNG", exif=tag), DEEP[:10] / 257
    elif form == "alpha":
        data, expected = pillow(RGBA[:10], "PNG", exif=tag), over_white(RGBA[:10])
    elif form == "JPEG":
        data = pillow(wide, "JPEG", quality=100, exif=tag)
        expected = np.asarray(Image.open(io.BytesIO(data)))
    else:
        data, expected = pillow(wide, form, exif=tag, **({"lossless": True} if form == "WEBP" else {})), wide
    (tmp_path / "p").write_bytes(data)
    seen = np.asarray(picture_files.read(tmp_path / "p"))
    np.testing.assert_allclose(seen, TURNED[orientation](expected), atol=0.51, rtol=0)


def bicubic(line, size, extent):
    """Keys' cubic (a = -1/2) over the middle of the first axis, as wide as it takes not to alias; float64."""
    scale = max(extent / size, 1)
    out = []
    for i in range(size):
        centre = (len(line) - extent) / 2 + (i + 0.5) * extent / size
        x = np.abs((np.arange(len(line)) + 0.5 - centre) / scale)
        w = np.where(
            x < 1, 1.5 * x**3 - 2.5 * x**2 + 1, np.where(x < 2, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2, 0)
        )
        out.append((w[:, None] * line.reshape(len(line), -1)).sum(0) / w.sum())
    return np.array(out).reshape(size, *line.shape[1:])


@pytest.mark.parametrize(("height", "width"), [(5, 5), (16, 16), (23, 23), (8, 24), (20, 10)])
@pytest.mark.parametrize("deep", [False, True])
def test_scaling_is_bicubic_about_the_centre_without_aliasing(tmp_path, height, width, deep):
    stored = DEEP if deep else RGB // 2 + 64  # of 8 bits Pillow clips between the axes
    (tmp_path / "p.png").write_bytes(png(stored, "grey" if deep else "rgb", 16 if deep else 8))
    picture = np.atleast_3d(stored / (257 if deep else 1))
    rows, columns = SIDE * min(height / width, 1), SIDE * min(width / height, 1)
    expected = bicubic(bicubic(picture, height, rows).swapaxes(0, 1), width, columns).swapaxes(0, 1)
    seen = picture_files.fitted(tmp_path / "p.png", 3, height, width)
    expected = np.broadcast_to(np.clip(expected, 0, 255), (height, width, 3))
    np.testing.assert_allclose(seen, expected, atol=0.01 if deep else 1.1, rtol=0)


def floats(value):
    values = np.full((SIDE, SIDE), 0.5, "f4")
    values[2, 3] = value
    return tiff(values, 1)


KEY = "got one transparent colour"
TORN = "not a whole picture"
WHOLE = pillow(RGB, "PNG")
REFUSED = {
    "zero bytes": (b"", TORN),
    "text": (b"no picture\n" * 9, TORN),
    "half a PNG": (WHOLE[: len(WHOLE) // 2], TORN),
    "half a JPEG": (pillow(RGB, "JPEG")[:-200], TORN),
    "half a TIFF": (pillow(RGB, "TIFF")[:400], TORN),
    "half a GIF": (pillow(GREY, "GIF")[:-100], TORN),
    "half a WebP": (pillow(RGB, "WEBP", lossless=True)[:-100], TORN),
    "PNG with a changed byte": (WHOLE[:100] + bytes([WHOLE[100] ^ 255]) + WHOLE[101:], TORN),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), TORN),
    "npy": (b"\x93NUMPY\x01\0" + bytes(99), TORN),
    "floats above 1": (floats(255), "got floats from 0.5 to 255"),
    "negative floats": (floats(-0.25), "got floats from -0.25 to 0.5"),
    "NaN": (floats(np.nan), "got floats from nan to nan"),
    "floats, white is 0": (tiff(np.full((SIDE, SIDE), 0.5, "f4"), 0), "got a TIFF of mode F"),
    "32 bits": (tiff(DEEP.astype("u4"), 1), "got a TIFF of mode I"),
    "signed 32 bits": (tiff(DEEP.astype("i4"), 1), "got signed integers"),
    "signed 16 bits": (tiff((DEEP // 2).astype("i2"), 1), "got signed integers"),
    "signed 8 bits": (tiff((GREY // 2).astype("i1"), 1), "got signed integers"),
    "64-bit floats": (tiff(np.full((SIDE, SIDE), 0.5), 1), TORN),
    "16-bit floats": (tiff(np.full((SIDE, SIDE), 0.5, "f2"), 1), TORN),
    "RGB of floats": (tiff(np.full((SIDE, SIDE, 3), 0.5, "f4"), 2), TORN),
    "subsampled YCbCr": (tiff(RGB, 6, t530=(2, 2)), "got a TIFF of subsampled YCbCr"),
    "JPEG CMYK that is not Adobe's": (
        pillow(Image.new("CMYK", (8, 8)), "JPEG").replace(b"Adobe", b"Nobod"), "got a JPEG of CMYK",
    ),
    "a transparent level of 16 bits": (png(DEEP, "grey", 16, {b"tRNS": b"\x12\x34"}), KEY),
    "a transparent colour of 16 bits": (
        png(DEEP_RGBA[..., :3], "rgb", 16, {b"tRNS": bytes(6)}), KEY,
    ),
    "a transparent level of 2 bits": (png(GREY % 4, "grey", 2, {b"tRNS": b"\0\3"}), KEY),
    "linear gAMA": (png(RGB, "rgb", 8, {b"gAMA": (100000).to_bytes(4, "big")}), "got a gamma of 1 "),
    "cHRM of Adobe RGB": (
        png(RGB, "rgb", 8, {b"cHRM": b"".join(v.to_bytes(4, "big") for v in (
            31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000))}), "got a gamma of",
    ),
    "HDR": (png(RGB, "rgb", 8, {b"cICP": b"\x09\x10\0\x01"}), "got colours of code 9/16"),
    "a damaged profile": (png(RGB, "rgb", 8, icc(b"no profile")), "got a colour profile that cannot be read"),
    "a grey profile of a colour picture": (
        png(RGB, "rgb", 8, icc(profile("GRAY", 2.2))), "got a colour profile for GRAY",
    ),
    "an RGB profile of CMYK": (
        pillow(Image.new("CMYK", (8, 8)), "TIFF", icc_profile=profile("RGB", 2.2)),
        "got a colour profile for RGB",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_shown_rightly_is_refused_in_one_line_that_names_the_file(tmp_path, name):
    data, says = REFUSED[name]
    (tmp_path / "p.png").write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        pictures.check("start.path", tmp_path / "p.png", 3)
    message = str(caught.value)
    assert message.startswith(f"start.path={tmp_path / 'p.png'}: "), message
    assert says in message and "expected" in message and "\n" not in message, message


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", SIDE * SIDE - 1)
    with pytest.raises(ConfigError, match=r"p\.png: refused as a decompression bomb"):
        read(tmp_path, WHOLE)


def test_a_file_that_was_mended_is_read_again(tmp_path):
    (tmp_path / "p.png").write_bytes(b"")
    with pytest.raises(ConfigError):
        pictures.check("start.path", tmp_path / "p.png", 3)
    (tmp_path / "p.png").write_bytes(WHOLE)
    pictures.check("start.path", tmp_path / "p.png", 3)
    (tmp_path / "p.png").write_bytes(b"text")
    with pytest.raises(ConfigError):
        pictures.check("start.path", tmp_path / "p.png", 3)


def test_a_folders_pictures_are_known_by_name_or_content_and_the_rest_is_left_out(tmp_path):
    for name in ("b.png", "a.jpg", "no_suffix", "UPPER.PNG"):
        (tmp_path / name).write_bytes(WHOLE)
    for name in (".DS_Store", "._a.jpg", ".hidden.png", "notes.txt", "Thumbs.db"):
        (tmp_path / name).write_bytes(b"something else")
    (tmp_path / "folder.png").mkdir()
    names = [path.name for path in picture_files.in_folder(tmp_path)]
    assert names == ["UPPER.PNG", "a.jpg", "b.png", "no_suffix"]
    pictures.check_folder("param.pictures", tmp_path, 3)


@pytest.mark.parametrize("data", [b"", b"text", WHOLE[:90]])
def test_a_broken_picture_in_a_folder_is_named(tmp_path, data):
    (tmp_path / "a.png").write_bytes(WHOLE)
    (tmp_path / "b.png").write_bytes(data)
    with pytest.raises(ConfigError, match=r"^param\.pictures=.*b\.png: not a whole picture.*take it out"):
        pictures.check_folder("param.pictures", tmp_path, 3)
