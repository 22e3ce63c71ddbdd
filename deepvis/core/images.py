"""Images: centred pixels [H, W, C] -> what a person looks at, uint8 [H, W, 3], RGB; with alpha [H, W, 4].

Two displays. *Contrast* sets each channel's mean to middle grey and the standard deviation of the whole
image to 32 grey levels: filters of very different height can be compared by eye, and no drift between
channels tints the picture (Gildenblat 2016 subtracts one mean over all channels, which does). *Natural* adds
the training mean back and clips: a photograph keeps its own colours.
"""

import io
import math
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from deepvis.core import files

CAPTIONED = 96  # px: a picture with a caption is at least as wide
STRIP = 4  # how many times as high as wide a contact sheet may be, or as wide as high
SHARE = 80  # per cent of the pixels, those that matter least, that are not opaque
PARTS = r"[^\s_=]+[_=]*|[_=]+"  # of a name, between which a line may end
MARGIN = 5  # px between the pictures of a gallery, black, as in Gildenblat 2016


def contrast(image: np.ndarray) -> np.ndarray:
    """Each channel centred on 128, the whole image scaled to a standard deviation of 32, clipped.

    Of other than three channels the mean is shown, in grey. Without any contrast it is plain grey.
    """
    h, w, channels = image.shape
    # In float64, for a diverged image may be near the end of float32. By lines and in place, for with three
    # values on the last axis NumPy takes twice as long.
    mean = image.mean(axis=0, dtype=float).mean(axis=0)
    values = image.reshape(h, w * channels) - np.tile(mean, w)
    spread = float(values.std())
    values *= 32
    values /= spread if spread > 0 else 1.0
    values += 128
    return _uint8(_coloured(values.reshape(h, w, channels)))


def natural(image: np.ndarray, mean: Sequence[float]) -> np.ndarray:
    """The training mean added back, clipped to [0, 255]."""
    return _uint8(_coloured(image + np.asarray(mean, np.float32)))


def displayed(image: np.ndarray, display: str, mean: Sequence[float]) -> np.ndarray:
    """An image by the display that its start asks for: ``natural``, or ``contrast``."""
    return natural(image, mean) if display == "natural" else contrast(image)


def with_alpha(picture: np.ndarray, importance: np.ndarray | None) -> np.ndarray:
    """A picture that is opaque where it mattered, by the gradient's magnitude at each pixel, ``[H, W]``.

    That is clipped above at its 80th percentile and divided by its maximum, as MACO's authors show it (Fel et
    al. 2023); by the maximum alone where most pixels have none. A picture without any is wholly transparent.
    """
    if importance is None:
        return picture
    top = float(np.percentile(importance, SHARE)) or float(importance.max())
    share = np.minimum(importance, top) / top if top > 0 else np.zeros_like(importance)
    return np.dstack([picture, _uint8(255 * share)])


def on_white(picture: np.ndarray) -> np.ndarray:
    """A picture without alpha, ``[H, W, 3]``: on white, as the page that it is shown on."""
    if picture.shape[-1] == 3:
        return picture
    alpha = picture[..., 3:] / 255
    return _uint8(picture[..., :3] * alpha + 255 * (1 - alpha))


def opened(file: Path | BinaryIO) -> Image.Image:
    """A picture file without alpha, on white."""
    with Image.open(file) as picture:
        if picture.mode == "RGBA":
            return Image.fromarray(on_white(np.asarray(picture)))
        return picture.convert("RGB")


def gallery(pictures: Sequence[np.ndarray], captions: Sequence[str] = ()) -> np.ndarray:
    """Pictures of one size stitched row by row into the smallest square that holds them.

    Args:
      pictures: uint8 ``[H, W, 3]``, or with alpha.
      captions: one for each, below it; small pictures are then enlarged, that they can be read.
    """
    if captions:
        pictures = _captioned(pictures, captions)
    columns = math.ceil(math.sqrt(len(pictures)))
    return grid([pictures[i : i + columns] for i in range(0, len(pictures), columns)])


def grid(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Rows of pictures of one size, 5 black px between them."""
    rows = [[on_white(picture) for picture in row] for row in rows]
    h, w = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    sheet = np.zeros((len(rows) * (h + MARGIN) - MARGIN, columns * (w + MARGIN) - MARGIN, 3), np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            y, x = i * (h + MARGIN), j * (w + MARGIN)
            sheet[y : y + h, x : x + w] = picture
    return sheet


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    row_names: Sequence[str],
    column_names: Sequence[str],
    fits_words: bool = False,
) -> np.ndarray:
    """A grid with its rows and columns named, dark on white; column names are broken at spaces to fit.

    With ``fits_words`` pictures narrower than a word of their column's name are enlarged. A strip of many
    rows goes on beside itself, and one of many columns below itself, so that the whole is
    nearly a square.
    """
    side = rows[0][0].shape[1]
    if fits_words and side < CAPTIONED and any(_longest(name) > side for name in column_names):
        times = math.ceil(CAPTIONED / side)
        rows = [[_enlarged(picture, times) for picture in row] for row in rows]
    height, width = (side + MARGIN for side in rows[0][0].shape[:2])
    high, wide = len(rows) * height, len(column_names) * width
    ratio, count = max(high, wide) / min(high, wide), len(rows) if high > wide else len(column_names)
    if ratio < STRIP:
        return _sheet(rows, row_names, column_names)
    by = math.ceil(count / round(math.sqrt(ratio)))
    parts = [slice(i, i + by) for i in range(0, count, by)]
    if high > wide:
        return _joined([_sheet(rows[part], row_names[part], column_names) for part in parts], beside=True)
    sheets = [_sheet([row[part] for row in rows], row_names, column_names[part]) for part in parts]
    return _joined(sheets, beside=False)


def _joined(sheets: Sequence[np.ndarray], beside: bool) -> np.ndarray:
    """Sheets beside or below one another, filled up with white."""
    axis = 0 if beside else 1
    longest = max(sheet.shape[axis] for sheet in sheets)
    filled = []
    for sheet in sheets:
        pads = [(0, 0), (0, 0), (0, 0)]
        pads[axis] = (0, longest - sheet.shape[axis])
        pads[1 - axis] = (0, 3 * MARGIN)
        filled.append(np.pad(sheet, pads, constant_values=255))
    return np.concatenate(filled, axis=1 - axis)


def _sheet(
    rows: Sequence[Sequence[np.ndarray]], row_names: Sequence[str], column_names: Sequence[str]
) -> np.ndarray:
    sheet = grid(rows)
    font = ImageFont.load_default(size=13)
    cell = rows[0][0].shape[1] + MARGIN
    lines = [_broken(name, font, cell - MARGIN) for name in column_names]
    top, left = 8 + 17 * max(len(each) for each in lines), 14 + int(max(font.getlength(n) for n in row_names))
    page = Image.new("RGB", (left + sheet.shape[1], top + sheet.shape[0]), "white")
    page.paste(Image.fromarray(sheet), (left, top))
    draw = ImageDraw.Draw(page)
    for j, each in enumerate(lines):
        for k, line in enumerate(each):
            draw.text((left + j * cell, 2 + 17 * k), line, "black", font)
    height = rows[0][0].shape[0] + MARGIN
    for i, name in enumerate(row_names):
        draw.text((6, top + i * height + height // 2 - 8), name, "black", font)
    return np.asarray(page)


def save(path: Path, picture: np.ndarray) -> None:
    """Write a PNG whole or not at all: a viewer that reloads never sees half of one."""
    # A picture of a result that a crash tears is found by its checksum; to wait for the disk costs 4 ms each.
    with files.replacing(path, durable=False) as temporary:
        temporary.write_bytes(png(picture))


def png(picture: np.ndarray) -> bytes:
    """The content of a PNG."""
    content = io.BytesIO()
    # Run lengths and Huffman alone: a noisy picture gets no smaller by searching it for repetitions.
    Image.fromarray(picture).save(content, "png", compress_type=zlib.Z_RLE)
    return content.getvalue()


def _captioned(pictures: Sequence[np.ndarray], captions: Sequence[str]) -> list[np.ndarray]:
    times = math.ceil(CAPTIONED / pictures[0].shape[1])
    font = ImageFont.load_default(size=13)
    large = [_enlarged(picture, times) for picture in pictures]
    height, width = large[0].shape[:2]
    lines = [_broken(text, font, width) for text in captions]
    below = 4 + 17 * max(len(each) for each in lines)
    framed = []
    for picture, each in zip(large, lines, strict=True):
        page = Image.new("RGB", (width, height + below), "white")
        page.paste(Image.fromarray(on_white(picture)))
        draw = ImageDraw.Draw(page)
        for k, line in enumerate(each):
            draw.text((2, height + 1 + 17 * k), line, "black", font)
        framed.append(np.asarray(page))
    return framed


def _enlarged(picture: np.ndarray, times: int) -> np.ndarray:
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def _longest(text: str) -> float:
    """Width of the longest part of a text that `_broken` leaves whole, px."""
    font = ImageFont.load_default(size=13)
    return max((font.getlength(part) for part in re.findall(PARTS, text)), default=0.0)


def _broken(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """A text on lines of so many px: at spaces, in a long word behind _ or =, else anywhere; none is cut."""
    lines: list[str] = []
    for word in text.split():
        while len(word) > 1 and font.getlength(word) > width:
            places = [n for n in range(1, len(word)) if font.getlength(word[:n]) <= width]
            fits = max((n for n in places if word[n - 1] in "_="), default=max(places, default=1))
            lines.append(word[:fits])
            word = word[fits:]
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _coloured(values: np.ndarray) -> np.ndarray:
    if values.shape[-1] == 3:
        return values
    return np.repeat(values.mean(axis=-1, keepdims=True), 3, axis=-1)


def _uint8(values: np.ndarray) -> np.ndarray:
    rounded = np.rint(values)
    return np.clip(rounded, 0, 255, out=rounded).astype(np.uint8)
