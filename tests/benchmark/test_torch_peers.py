"""benchmarks/torch_peers.py: VGG16 in PyTorch, crops in closed form, grey levels with red as red."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: the environment of make parity")
pytestmark = pytest.mark.skipif(
    None in map(importlib.util.find_spec, ("lucent", "horama", "dreamlens")),
    reason="needs lucent, Horama and dreamlens: the environment of make parity",
)
LAYER = "block1_conv2"  # some of its filters answer to red or to blue


@pytest.fixture(scope="module")
def peers():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
        import torch_peers

        yield torch_peers


def means(peers, images, filters):
    """Of each filter's map before its ReLU, by TensorFlow: [n, len(filters)]."""
    centred = images.astype(np.float32) - peers.MEAN[::-1]
    score = peers.bare.score_and_gradient(LAYER, "float32")
    return np.stack([score(centred, [index] * len(images))[0] for index in filters], axis=1)


@pytest.fixture(scope="module")
def filters(peers):
    """The filters that prefer red to blue most, and blue to red."""
    red, blue = means(peers, np.eye(3)[[0, 2], None, None] * np.full((2, 24, 24, 3), 255.0), range(64))
    return [int(np.argmax(red - blue)), int(np.argmin(red - blue))]


def test_the_network_is_the_same(peers, filters):
    images = np.random.default_rng(0).uniform(0, 255, (2, 24, 24, 3)).astype(np.float32)
    mean, spread = (np.array(each, np.float32) for each in peers.IMAGENET)
    given = torch.tensor(((images / 255 - mean) / spread).transpose(0, 3, 1, 2))
    found = peers.Torch(LAYER)(given)[:, filters].mean(dim=(2, 3)).detach().numpy()
    np.testing.assert_allclose(found, means(peers, images, filters), rtol=1e-4)


def test_a_crop_of_a_slope_has_its_values_at_the_middles_of_bins_and_zeros_off_the_image(peers):
    y, x = np.mgrid[:20, :30].astype(np.float32)
    image = torch.tensor(np.stack([y, x, 2 * y - x + 5])[None])
    boxes = torch.tensor([[0.0, 3, 4, 13, 9.5], [0, -6, -4, 6, 4]])
    inside, outside = peers.roi_align(image, boxes, (8, 12)).numpy()
    row, column = 4 + 5.5 * (np.arange(8) + 0.5) / 8, 3 + 10 * (np.arange(12) + 0.5) / 12
    row, column = np.meshgrid(row, column, indexing="ij")
    np.testing.assert_allclose(inside, [row, column, 2 * row - column + 5], atol=1e-4)
    row, column = np.meshgrid(-4 + np.arange(8) + 0.5, -6 + np.arange(12) + 0.5, indexing="ij")
    there = (row >= -1) & (column >= -1)  # to a pixel off the border is repeated
    np.testing.assert_allclose(outside[1], np.where(there, np.maximum(column, 0), 0), atol=1e-4)
    with pytest.raises(ValueError, match=r"boxes: got one of 12.0 px, expected at most 11"):
        peers.roi_align(image, boxes, (8, 11))


@pytest.mark.parametrize("library", ["torch_lucent", "horama", "dreamlens"])
def test_images_excite_their_filters_in_grey_levels_and_not_with_colours_swapped(peers, filters, library):
    make = getattr(peers, library)(LAYER, 32)
    images = make(filters, 24, 0)
    assert images.shape == (2, 32, 32, 3) and -40 < images.min() < 110 and 140 < images.max() < 295
    np.testing.assert_allclose(make(filters[1:], 24, 0)[0], images[1], atol=1e-2)  # of its seed alone
    before, after, swapped = (
        np.diagonal(means(peers, each, filters)) for each in (make(filters, 1, 0), images, images[..., ::-1])
    )
    assert (after > before).all() and after[0] > swapped[0]
    red, _, blue = images.mean(axis=(1, 2)).T
    assert (red - blue)[0] > (red - blue)[1] + 1
