"""Robust transforms: what lucid's standard set and `transform=robust` draw, and what becomes of pixels."""

from collections.abc import Iterator

import dreamlens.render
import lucent.optvis.transform
import numpy as np
import original_lucid
import tensorflow as tf
import torch
import yaml
from parity_rows import Draws, Row, largest

from deepvis.ascent import transforms
from deepvis.config import schema
from deepvis.core.names import CONF

COUNT = 20_000
SIZE = (40, 40)
ROBUST = schema.neutral()["transform"] | yaml.safe_load((CONF / "transform" / "robust.yaml").read_text())
SCALES = [1 + (i - 5) / 50.0 for i in range(11)]  # lucid's and lucent's, as their modules have them
ANGLES = [*range(-10, 11), *5 * [0]]
NINE = "8 places where lucid has 9: the last one is left out"
FIVE = "4 places where lucid has 5: the last one is left out"


def draws() -> Iterator[Draws]:
    """Both sides' random numbers; moves in px to the right, scales as factors, angles in degrees."""
    lucid = original_lucid.module("optvis.transform")
    grid = np.mgrid[: SIZE[0], : SIZE[1]].transpose(1, 2, 0)[None].astype(np.float32)

    def cropped(d: int) -> np.ndarray:
        corners = original_lucid.sampled(lucid.jitter(d), grid, lambda image: image[0, 0, 0, 1], COUNT)
        return d / 2 - corners

    first, second = cropped(8), cropped(4)
    ours = _ours()
    yield Draws("first move", "lucid", first, ours["first"])
    yield Draws("second move", "lucid", second, ours["second"])
    yield Draws("both moves", "lucid", first + second, ours["both"])
    large = np.zeros((1, 1000, 10, 1), np.float32)
    scaled = lucid.random_scale(SCALES)
    heights = original_lucid.sampled(scaled, large, lambda image: image.shape[1], 2000)
    yield Draws("scale", "lucid", heights / 1000, ours["scale"],
                "one of 11 factors there, any between the same ends here")  # fmt: skip
    turned = original_lucid.sampled(lucid.random_rotate(ANGLES), grid, float, COUNT)
    yield Draws("angle", "lucid", np.rad2deg(turned), ours["angle"],
                "one of 21 whole angles there, 0 six times as often; any between the ends here")  # fmt: skip
    one = lucent.optvis.transform
    np.random.seed(0)
    for d, place, why in ((8, "first", NINE), (4, "second", FIVE)):
        image = torch.tensor(grid.transpose(0, 3, 1, 2))
        moves = [20 - float(one.jitter(d)(image)[0, 1, 20, 20]) for _ in range(2000)]
        yield Draws(f"{place} move, less its middle", "torch-lucent", np.round(moves) - (d - 1) / 2,
                    ours[place], why)  # fmt: skip


def _ours() -> dict[str, np.ndarray]:
    def matrices(**changed: float) -> np.ndarray:
        numbers = schema.free("transform", ROBUST | changed)
        drawn = [transforms.draw(numbers, SIZE, 0, index, 0) for index in range(COUNT)]
        return np.stack([each["transform.matrix"] for each in drawn]).astype(float)

    still = {"scale": 0.0, "rotate": 0.0}
    linear = matrices()[:, :, :2]
    return {
        "first": -matrices(**still, crop=0, pad=0)[:, 1, 2],
        "second": -matrices(**still, jitter=0)[:, 1, 2],
        "both": -matrices(**still)[:, 1, 2],
        "scale": 1 / np.sqrt(np.linalg.det(linear)),
        "angle": np.rad2deg(np.arctan2(linear[:, 1, 0], linear[:, 0, 0])),
    }


def rows() -> Iterator[Row]:
    """The same move, turn and scale of the same image."""
    method = "Robust transforms"
    lucid = original_lucid.module("optvis.transform")
    image = np.random.default_rng(5).uniform(-0.5, 0.5, (1, 41, 41, 3)).astype(np.float32)
    # A fourth and a fifth channel tell where each pixel comes from; grey, 0, is 0.5 there.
    places = np.mgrid[:41, :41].transpose(1, 2, 0)[None].astype(np.float32)
    both = np.concatenate([image + 0.5, places], axis=-1)
    steps = [lucid.pad(12, mode="constant", constant_value=0.5), lucid.jitter(8), lucid.jitter(4)]
    [theirs] = original_lucid.sampled(lucid.compose(steps), both, lambda out: out[0], 1)
    corner = theirs[26, 26, 3:] - 26
    seen = _seen(image, np.column_stack([np.eye(2), corner]), len(theirs))
    yield Row(
        method,
        "pixels after both moves, 12 px of grey around",
        "lucid",
        "41 px",
        largest(seen + 0.5, theirs[..., :3]),
    )
    tensor = torch.tensor(image.transpose(0, 3, 1, 2))
    for angle in (-7.0, 10.0):
        turned = dreamlens.render.random_rotate([angle])(tensor)
        cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        linear = np.array([[cos, sin], [-sin, cos]])
        matrix = np.column_stack([linear, 20 - linear @ np.array([20, 20])])
        yield Row(
            method,
            f"pixels, turned by {angle:g} degrees",
            "dreamlens",
            "41 px",
            largest(_seen(image, matrix), _hwc(turned)),
        )
    scaled = lucent.optvis.transform.random_scale([1.1])(tensor)
    side = scaled.shape[2]
    matrix = np.eye(2, 3) * 40 / (side - 1)
    yield Row(
        method,
        f"pixels, scaled to {side} px",
        "torch-lucent",
        "41 px",
        largest(_seen(image, matrix, side), _hwc(scaled)),
    )


def _seen(image: np.ndarray, matrix: np.ndarray, side: int = 41) -> np.ndarray:
    drawn = {
        "transform.matrix": tf.constant(matrix[None], tf.float32), "transform.noise": tf.zeros(1),
        "transform.noise_uniform": tf.zeros(1), "transform.seed": tf.zeros((1, 2), tf.int32),
    }  # fmt: skip
    return transforms.build(drawn, (side, side), True, False)(tf.constant(image))[0].numpy()


def _hwc(images: torch.Tensor) -> np.ndarray:
    return images[0].numpy().transpose(1, 2, 0)
