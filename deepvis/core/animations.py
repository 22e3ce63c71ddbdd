"""Animations: frames, uint8 [H, W, 3] of one size -> an animated WebP."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

LONGEST = 2048  # px of the longer side; larger frames are scaled down, for a WebP ends at 16,383
FRAME = 200  # ms
LAST = 2000  # ms, before it begins again
QUALITY = 80


def encoded(frames: Sequence[np.ndarray], milliseconds: int = FRAME) -> bytes:
    """An animated WebP that plays for ever; its last frame stays longer.

    Args:
      frames: in order, at least one.
      milliseconds: of each but the last.
    """
    height, width = frames[0].shape[:2]
    scale = min(1.0, LONGEST / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    pictures = [Image.fromarray(frame) for frame in frames]
    if scale < 1:
        pictures = [picture.resize(size, Image.Resampling.BOX) for picture in pictures]
    file = io.BytesIO()
    pictures[0].save(
        file, "webp", save_all=True, append_images=pictures[1:], loop=0, quality=QUALITY, method=2,
        duration=[milliseconds] * (len(pictures) - 1) + [max(LAST, milliseconds)],
    )  # fmt: skip
    return file.getvalue()
