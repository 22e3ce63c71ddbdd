"""Images from spectra: Fourier with decorrelated colours, lucid's start, MACO."""

from collections.abc import Iterator

import dreamlens.image_parameters
import horama.common
import horama.fourier_fv
import horama.maco_fv
import lucent.optvis.param
import numpy as np
import original_lucid
import tensorflow as tf
import torch
from parity_rows import Row, largest
from xplique.features_visualizations import preconditioning

from deepvis.ascent import optimizers, parametrizations, spectra, starts

FOURIER = "Fourier, decorrelated colour"
SAMPLES = 400


def rows() -> Iterator[Row]:
    """All comparisons."""
    for size in ((128, 128), (96, 144), (97, 131)):
        yield from fourier(size)
    yield adam()
    yield from start()
    for size in ((512, 512), (224, 224), (96, 128)):
        yield from maco(size)


def fourier(size: tuple[int, int]) -> Iterator[Row]:
    """The image of a spectrum, in [0, 1], and the gradient at the spectrum of a sum over the image."""
    h, w = size
    px, rng = f"{h} x {w} px", np.random.default_rng(1)
    theta = rng.normal(0, 1, (2, 3, h, w // 2 + 1)).astype(np.float32)
    weights = rng.normal(0, 1, (h, w, 3)).astype(np.float32)
    param = parametrizations.fourier(size, [0.0] * 3, 1.0)
    with tf.GradientTape() as tape:
        variable = tf.Variable(theta[None])
        image = param.decode(variable)[0] / 255
        total = tf.reduce_sum(image * weights)
    gradient = tape.gradient(total, variable)[0]

    parameters, picture = lucent.optvis.param.image(w, h)
    # Where the width is odd, theirs has one column more, which its transform does not read.
    more = parameters[0].shape[3] - theta.shape[3]
    padded = np.pad(theta, ((0, 0), (0, 0), (0, 0), (0, more)))
    parameters[0].data = torch.tensor(np.ascontiguousarray(np.moveaxis(padded, 0, -1)[None]))
    theirs = picture()
    (theirs[0] * torch.tensor(weights.transpose(2, 0, 1))).sum().backward()
    found = np.moveaxis(parameters[0].grad[0].numpy(), -1, 0)[..., : theta.shape[3]]
    yield Row(FOURIER, "image", "torch-lucent", px, largest(image, _hwc(theirs[0])))
    yield Row(FOURIER, "gradient at the spectrum", "torch-lucent", px, largest(gradient, found))

    if w % 2 == 0:
        shape = (1, h, w, 3)
        scale = preconditioning.get_fft_scale(w, h)
        theirs = preconditioning.fft_to_rgb(shape, tf.constant(theta[:, None]), scale)
        theirs = tf.sigmoid(preconditioning.recorrelate_colors(theirs))[0]
        yield Row(FOURIER, "image before its range is stretched", "xplique", px, largest(image, theirs))
        one = dreamlens.image_parameters
        theirs = one.fft_to_rgb((1, 3, h, w), torch.tensor(theta[:, None]), one.get_fft_scale(h, w))
        theirs = torch.sigmoid(one.recorrelate_colors(theirs))[0]
        yield Row(
            FOURIER, "image before its range is stretched", "dreamlens", px, largest(image, _hwc(theirs))
        )
        scale = horama.fourier_fv.get_fft_scale(w, h)[0].real.numpy() / 4
        yield Row(
            FOURIER, "scale of the spectrum, over 4", "horama", px, largest(spectra.scale(size, 1), scale)
        )
    if size == (128, 128):
        spectrum = torch.complex(*torch.tensor(theta))
        theirs = horama.fourier_fv.fourier_preconditionner(
            spectrum, horama.fourier_fv.get_fft_scale(w, h), (0, 1), "cpu"
        )
        yield Row(
            FOURIER, "image", "horama", px, largest(image, _hwc(theirs)),
            "Horama standardizes the spectrum and the image; lucid, whose method it is, does not", 0.5,
        )  # fmt: skip
        yield Row(FOURIER, "image of its own start", "lucid", px, _lucid(size))


def _lucid(size: tuple[int, int]) -> float:
    """lucid draws its spectrum from NumPy's global generator: the same draws through ours."""
    h, w = size
    param, v1 = original_lucid.module("optvis.param"), tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        np.random.seed(3)
        picture = param.image(w, h)
        session.run(v1.global_variables_initializer())
        theirs = session.run(picture)[0]
    np.random.seed(3)
    theta = np.random.normal(size=(2, 1, 3, h, w // 2 + 1), scale=0.01)
    ours = parametrizations.fourier(size, [0.0] * 3, 1.0).decode(tf.constant(theta[None, :, 0], tf.float32))
    return largest(ours[0] / 255, theirs)


def adam() -> Row:
    """lucid's step rule and rate, from the same start up the same slope, 20 steps."""
    rng = np.random.default_rng(2)
    theta, slope = (rng.normal(0, 1, (1, 2, 3, 16, 9)).astype(np.float32) for _ in range(2))
    numbers = (tf.constant([value]) for value in (0.05, 0.9, 0.999, 1e-8))
    rule = optimizers.adam(*numbers)
    ours, memory = tf.constant(theta), (tf.zeros_like(theta),) * 2
    theirs = torch.tensor(theta, requires_grad=True)
    optimizer = torch.optim.Adam([theirs], lr=0.05)
    for step in range(20):
        delta, memory = rule.update(slope * tf.cos(3 * ours), memory, tf.constant(step))
        ours += delta
        optimizer.zero_grad()
        (-(torch.tensor(slope) * torch.sin(3 * theirs) / 3).sum()).backward()
        optimizer.step()
    return Row(FOURIER, "20 steps of Adam, rate 0.05", "torch", "a spectrum", largest(ours, theirs.detach()))


def start() -> Iterator[Row]:
    """Grey levels of R, G and B before anything is optimized: deviations, and correlations."""
    torch.manual_seed(0)
    theirs = [_hwc(lucent.optvis.param.image(64)[1]()[0]) * 255 - 127.5 for _ in range(SAMPLES)]
    mean = np.full(3, 127.5, np.float32)
    ours = [starts.fourier((64, 64), 0, index, mean, 0.01) for index in range(SAMPLES)]
    sides = [np.stack(each).reshape(-1, 3) for each in (ours, theirs)]
    inputs = f"{SAMPLES} starts of each, 64 px"
    why = "chance: the lowest frequencies, of which an image has few, are most of the spread"
    method, library = "Start of `distill_2017`", "torch-lucent"
    spread = largest(*(each.std(axis=0) for each in sides))
    yield Row(method, "deviations of R, G and B", library, inputs, spread, why, 0.02)
    correlations = largest(*(np.corrcoef(each.T)[np.triu_indices(3, 1)] for each in sides))
    yield Row(method, "their correlations", library, inputs, correlations, why, 0.02)


def maco(size: tuple[int, int]) -> Iterator[Row]:
    """MACO's image of given phases, with the published magnitude; in [0, 1]."""
    px = f"{size[0]} x {size[1]} px"
    magnitude, _ = preconditioning.init_maco_buffer(size)
    phases = np.random.default_rng(0).normal(0.2, 1.3, magnitude.shape).astype(np.float32)
    ours = parametrizations.maco(size, [0.0] * 3, "published").decode(tf.constant(phases[None]))[0] / 255
    theirs = preconditioning.maco_image_parametrization(magnitude, tf.constant(phases), (0.0, 1.0))
    yield Row("MACO", "image of phases", "xplique", px, largest(ours, theirs))
    scaled = spectra.magnitude("published", size, np.zeros(3))
    yield Row("MACO", "magnitude, scaled", "xplique", px, largest(scaled, magnitude))
    given = torch.tensor(magnitude.numpy()), torch.tensor(phases)
    theirs = dreamlens.image_parameters.maco_image_parametrization(*given, (0, 1))
    yield Row("MACO", "image of phases", "dreamlens", px, largest(ours, _hwc(theirs)))
    theirs = horama.maco_fv.maco_preconditioner(*given, (0, 1), "cpu")
    yield Row(
        "MACO", "image of phases", "horama", px, largest(ours, _hwc(theirs)),
        "Horama adds 1e-4 to the deviations it divides by, xplique and deepvis 1e-5",
    )  # fmt: skip


def _hwc(image: torch.Tensor) -> np.ndarray:
    return image.detach().numpy().transpose(1, 2, 0)
