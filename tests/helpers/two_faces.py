"""Weights of `tiny` with a unit of two faces: ``model.weights._target_=helpers.two_faces.planted``."""

import numpy as np

from deepvis.networks import weights

PLAIN, TWO_FACED = 0, 1  # of block2_conv2


def planted(shapes: weights.Shapes, seed: int = 0) -> weights.Weights:
    """Seeded weights, but for two channels of block2_conv1 and two units of block2_conv2.

    Channel 1 is excited by what channel 0 is inhibited by, so an image cannot excite both at one place. A
    unit takes the map of channel 0, another the sum of both.
    """
    seeded = weights.seeded(shapes, seed)
    layers = {name: (kernel.copy(), bias.copy()) for name, (kernel, bias) in seeded.layers.items()}
    kernel, bias = layers["block2_conv1"]
    kernel[..., 0] -= kernel[..., 0].mean()  # starts excite either alike
    kernel[..., 1], bias[:2] = -kernel[..., 0], 0
    if "block2_conv2" in layers:
        kernel, bias = layers["block2_conv2"]
        kernel[..., [PLAIN, TWO_FACED]], bias[:2] = 0, 0
        kernel[1, 1, 0, PLAIN] = kernel[1, 1, :2, TWO_FACED] = 1
    return weights.Weights(layers, "seeded", str(np.sum([k.sum() for k, _ in layers.values()])), True)
