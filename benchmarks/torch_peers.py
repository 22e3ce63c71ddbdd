"""PyTorch's libraries for peers.py: lucent, Horama and dreamlens, with VGG16's weights in PyTorch.

Each of the three has images of a layer and a size,

    (layer, size) -> (filters, steps, seed) -> [n, H, W, 3] grey levels
"""

from collections.abc import Callable, Sequence
from unittest import mock

import bare
import numpy as np
import parity_rows  # noqa: F401  it makes names known that the libraries want of torchvision
import torch
import torch.nn.functional as F

MEAN = np.array([103.939, 116.779, 123.68], np.float32)  # BGR, which VGG16's input is centred by
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # what is subtracted and divided by, RGB
Make = Callable[[Sequence[int], int, int], np.ndarray]  # filters, steps, seed -> [n, H, W, 3] grey levels


class Torch(torch.nn.Module):
    """The same network for libraries whose images are normalized as torchvision's are."""

    def __init__(self, layer: str) -> None:
        super().__init__()
        parts: list[torch.nn.Module] = []
        for name, (kernel, bias) in bare.arrays(layer).items():
            if name.endswith("conv1") and name != "block1_conv1":
                parts.append(torch.nn.MaxPool2d(2))
            if parts:
                parts.append(torch.nn.ReLU())
            conv = torch.nn.Conv2d(*kernel.shape[2:], 3, padding=1)
            conv.weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1).copy())
            conv.bias.data = torch.tensor(bias)
            parts.append(conv)
        self.features = torch.nn.Sequential(*parts)
        self.last = len(parts) - 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, spread = (torch.tensor(each)[None, :, None, None] for each in IMAGENET)
        pixels = (x * spread + mean) * 255
        return self.features(pixels.flip(1) - torch.tensor(MEAN)[None, :, None, None])


def torch_lucent(layer: str, size: int) -> Make:
    """With its defaults: a Fourier image, decorrelated colours, its standard transforms."""
    from lucent.optvis import param, render  # behind parity_rows

    network = Torch(layer).eval()

    def make(filters: Sequence[int], steps: int, seed: int) -> np.ndarray:
        found = []
        for index in filters:
            torch.manual_seed(seed)
            np.random.seed(seed)  # its transforms draw by both
            found.append(render.render_vis(
                network, f"features_{network.last}:{index}", lambda: param.image(size),
                thresholds=(steps,), progress=False, show_image=False, fixed_image_size=size,
            )[-1][0] * 255)  # fmt: skip
        return np.stack(found)

    return make


def roi_align(image: torch.Tensor, boxes: torch.Tensor, output_size: tuple[int, int]) -> torch.Tensor:
    """torchvision's operator, with one sample a bin: what it takes where no box is larger than the output.

    Its compiled form does not load beside every build of PyTorch; the one in Python takes gigabytes, and
    repeats the border where the compiled one has zeros: more than a pixel off the image.

    Args:
      image: ``[1, C, H, W]``.
      boxes: ``[K, 5]``: zero, then left, top, right and bottom in pixels.
      output_size: rows and columns.

    Returns:
      ``[K, C, rows, columns]``.

    Source: He et al. 2017, "Mask R-CNN"; torchvision.ops.roi_align with aligned=False.
    """
    (y, rows), (x, columns) = (
        _samples(boxes[:, low], boxes[:, low + 2], count, most)
        for low, count, most in zip((2, 1), output_size, image.shape[2:], strict=True)
    )
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)  # [K, rows, columns, 2]
    found = F.grid_sample(
        image.expand(len(boxes), -1, -1, -1), grid, padding_mode="border", align_corners=False
    )
    return found * (rows[:, None, :, None] & columns[:, None, None, :])


def _samples(
    low: torch.Tensor, high: torch.Tensor, count: int, most: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Middles of bins along an axis, [K, count], in grid_sample's units; whether they are on the image."""
    length = (high - low).clamp(min=1)
    if length.max() > count:
        raise ValueError(
            f"boxes: got one of {length.max():.1f} px, expected at most {count}, those of the output"
        )
    at = low[:, None] + length[:, None] * (torch.arange(count) + 0.5) / count
    return (at.clamp(0, most - 1) + 0.5) * 2 / most - 1, (at >= -1) & (at <= most)


def horama(layer: str, size: int) -> Make:
    """`fourier` with its defaults: a standardized Fourier image, six crops a step, noise.

    It has two sizes: that of the picture, 1,280 px, and that at which the network sees its crops of 320 to
    384 px, 224 px. Here that is three eighths of the picture's: of pictures of 64 px, 11 px (the proportion
    of its defaults), 16, 20, 24, 32 and 64 px, 24 gave the strongest. Its other method, MACO, was weaker.
    """
    from horama import common, fourier  # behind parity_rows

    network = Torch(layer).eval()
    mean, spread = (np.array(each) for each in IMAGENET)

    def make(filters: Sequence[int], steps: int, seed: int) -> np.ndarray:
        found = []
        for index in filters:
            torch.manual_seed(seed)
            with mock.patch.object(common, "roi_align", roi_align):
                image, _ = fourier(
                    lambda crops, index=index: network(crops)[:, index].mean(),
                    total_steps=steps, image_size=size, model_input_size=3 * size // 8, device="cpu",
                )  # fmt: skip
            found.append((image.detach().numpy().transpose(1, 2, 0) * spread + mean) * 255)
        return np.stack(found)

    return make


def dreamlens(layer: str, size: int) -> Make:
    """`maximize` with its defaults: a Fourier image, decorrelated colours, AdamW, scales and rotations."""
    from dreamlens import FeatureTarget, FeatureVisualizer, RenderConfig  # not needed by the others

    network = Torch(layer).eval()
    visualizer = FeatureVisualizer(network, quiet=True)

    def make(filters: Sequence[int], steps: int, seed: int) -> np.ndarray:
        config, found = RenderConfig(width=size, height=size, steps=steps), []
        for index in filters:
            torch.manual_seed(seed)
            np.random.seed(seed)  # its start; its transforms draw by PyTorch
            target = FeatureTarget.for_channel(f"features.{network.last}", index)
            found.append(visualizer.visualize(target, config=config).as_hwc().numpy() * 255)
        return np.stack(found)

    return make
