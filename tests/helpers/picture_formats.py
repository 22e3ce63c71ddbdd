"""Picture files written byte by byte, for what Pillow cannot write: PNG of any depth, TIFF of any samples,
colour profiles."""

import struct
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

PNG_TYPES = {"grey": 0, "rgb": 2, "palette": 3, "grey alpha": 4, "rgba": 6}
D50 = (0.9642, 1.0, 0.8249)
# Primaries adapted to D50, columns R, G, B, of XYZ: by Lindbloom's tables (Bradford).
SRGB = (
    (0.4360747, 0.3850649, 0.1430804),
    (0.2225045, 0.7168786, 0.0606169),
    (0.0139322, 0.0971045, 0.7141733),
)
ADOBE_RGB = (
    (0.6097559, 0.2052401, 0.1492240), (0.3111242, 0.6256560, 0.0632197), (0.0194811, 0.0608902, 0.7448387)
)  # fmt: skip
DISPLAY_P3 = (
    (0.5151187, 0.2919778, 0.1571035),
    (0.2411892, 0.6922441, 0.0665668),
    (-0.0010505, 0.0418791, 0.7840713),
)


def png(samples: np.ndarray, kind: str, depth: int = 8, chunks: Mapping[bytes, bytes] | None = None) -> bytes:
    """Samples [H, W] or [H, W, channels] of so many bits; further chunks stand before the pixels."""
    height, width = samples.shape[:2]
    rows = samples.reshape(height, -1)
    if depth == 16:
        packed = rows.astype(">u2").tobytes()
        lines = [packed[i : i + rows.shape[1] * 2] for i in range(0, len(packed), rows.shape[1] * 2)]
    else:
        bits = ((rows[:, :, None] >> np.arange(depth - 1, -1, -1)) & 1).reshape(height, -1)
        lines = [np.packbits(each).tobytes() for each in bits.astype(np.uint8)]
    header = struct.pack(">IIBBBBB", width, height, depth, PNG_TYPES[kind], 0, 0, 0)
    parts = [(b"IHDR", header), *(chunks or {}).items()]
    parts += [(b"IDAT", zlib.compress(b"".join(b"\0" + line for line in lines))), (b"IEND", b"")]
    written = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + written


def tiff(
    samples: np.ndarray, photometric: int, order: str = "<", bits: int = 0, **tags: int | Sequence[int]
) -> bytes:
    """Samples [H, W] or [H, W, channels], of their dtype, uncompressed; tags as ``t530=(2, 2)``."""
    samples = samples.astype(samples.dtype.newbyteorder(order))
    height, width = samples.shape[:2]
    channels = samples.shape[2] if samples.ndim == 3 else 1
    data = samples.tobytes()
    if bits == 12:
        values = samples.reshape(height, -1).astype(int)
        spread = ((values[:, :, None] >> np.arange(11, -1, -1)) & 1).reshape(height, -1).astype(np.uint8)
        data = b"".join(np.packbits(each).tobytes() for each in spread)
    known: dict[int, Sequence[int]] = {
        256: (width,), 257: (height,), 258: (bits or 8 * samples.dtype.itemsize,) * channels, 259: (1,),
        262: (photometric,), 273: (8,), 277: (channels,), 278: (height,), 279: (len(data),),
        339: ({"u": 1, "i": 2, "f": 3}[samples.dtype.kind],) * channels,
    }  # fmt: skip
    known |= {int(key[1:]): np.atleast_1d(value).tolist() for key, value in tags.items()}
    start = 8 + len(data)
    further = start + 2 + 12 * len(known) + 4
    entries, extra = b"", b""
    for tag in sorted(known):
        values = known[tag]
        kind, code = (4, "I") if tag in (273, 279) else (3, "H")
        packed = struct.pack(f"{order}{len(values)}{code}", *values)
        if len(packed) > 4:
            packed, extra = struct.pack(f"{order}I", further + len(extra)), extra + packed
        entries += struct.pack(f"{order}HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    mark = b"II*\0" if order == "<" else b"MM\0*"
    table = struct.pack(f"{order}H", len(known)) + entries + b"\0\0\0\0"
    return mark + struct.pack(f"{order}I", start) + data + table + extra


def profile(space: str, gamma: float, primaries: Sequence[Sequence[float]] = SRGB) -> bytes:
    """A colour profile of version 2: a power law, and for ``RGB`` primaries."""

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    found = {}
    if space == "RGB":
        for name, column in zip("rgb", np.transpose(primaries), strict=True):
            found |= {f"{name}XYZ".encode(): _xyz(column), f"{name}TRC".encode(): curve}
    else:
        found[b"kTRC"] = curve
    return _bound(found, space, b"mntr", b"XYZ ")


def cmyk_profile(lab: np.ndarray) -> bytes:
    """A colour profile of a printer: Lab [2, 2, 2, 2, 3] of no and all cyan, magenta, yellow and black."""
    stored = np.rint(np.stack([lab[..., 0] * 2.55, lab[..., 1] + 128, lab[..., 2] + 128], -1)).astype(
        np.uint8
    )
    ramp = bytes(range(256))
    identity = b"".join(struct.pack(">i", v) for v in (65536, 0, 0, 0, 65536, 0, 0, 0, 65536))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + ramp * 4 + stored.tobytes() + ramp * 3
    return _bound({b"A2B0": table}, "CMYK", b"prtr", b"Lab ")


def _bound(tags: Mapping[bytes, bytes], space: str, device: bytes, connection: bytes) -> bytes:
    text = b"a profile of a test\0"
    found = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text\0\0\0\0none\0", b"wtpt": _xyz(D50), **tags,
    }  # fmt: skip
    place, table, data = 128 + 4 + 12 * len(found), b"", b""
    for name, each in found.items():
        each += bytes(-len(each) % 4)
        table += name + struct.pack(">II", place + len(data), len(each))
        data += each
    head = struct.pack(
        ">I4sI4s4s4s", place + len(data), b"test", 0x02400000, device, f"{space:4}".encode(), connection
    )
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    head += b"".join(struct.pack(">i", round(v * 65536)) for v in D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(found)) + table + data


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)


def from_lab(lab: np.ndarray) -> np.ndarray:
    """CIE Lab [..., 3] of the white D50 -> sRGB in [0, 255], by the formula."""
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], -1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * D50
    return encoded(np.clip(xyz @ np.linalg.inv(SRGB).T, 0, 1))


def shown(pixels: np.ndarray, gamma: float, primaries: Sequence[Sequence[float]] = SRGB) -> np.ndarray:
    """What such pixels [..., 3] in [0, 255] are in sRGB: by hand, not rounded."""
    light = (np.asarray(pixels, float) / 255) ** gamma
    linear = np.clip(light @ (np.linalg.inv(SRGB) @ np.array(primaries)).T, 0, 1)
    return encoded(linear)


def encoded(linear: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] -> sRGB in [0, 255]."""
    return 255 * np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    )
