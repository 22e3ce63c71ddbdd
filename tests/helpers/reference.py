"""The whole algorithm once more, for reading: NumPy and SciPy, one image at a time, float64, no trick.

The tests hold deepvis against this page; it imports nothing of deepvis. An image is [H, W, 3] centred RGB
pixels: 0 is the mean of the network's training set. One step of gradient ascent is

    gradient of the score -> step rule -> regularizers -> projection onto [0, 255]

and `next_image` is just that. A config's own words are used: ``reg`` is a group of conf/reg, ``rule`` a group
of conf/optimizer, as plain mappings.

Sources: Yosinski et al. 2015, https://arxiv.org/abs/1506.06579, section 3; the Keras blog, "How convolutional
neural networks see the world"; for the mix and its start, the post that started deepvis.
"""

import numpy as np
from PIL import Image
from scipy import ndimage, signal

# --- Regularizers: operators that make an image a little more natural --------------------------------------


def decay(image, factor):
    """Towards grey."""
    return factor * image


def blur_by_size(image, size):
    """Gaussian blur by a kernel of `size` px, whose sigma follows from the size as in OpenCV."""
    radius = (size - 1) // 2
    sigma = 0.3 * ((size - 1) * 0.5 - 1) + 0.8
    return _by_channel(lambda c: ndimage.gaussian_filter(c, sigma, mode="reflect", radius=radius), image)


def blur_by_sigma(image, sigma):
    """Gaussian blur as far as SciPy lets it reach."""
    return _by_channel(lambda c: ndimage.gaussian_filter(c, sigma, mode="reflect"), image)


def box(image, size):
    """The mean of a neighbourhood of `size` x `size` px."""
    return _by_channel(lambda c: ndimage.uniform_filter(c, size, mode="reflect"), image)


def blur(image, step, reg):
    """Whichever of the three the config asks for, at steps 0, every, 2 every ..."""
    if step % reg["blur_every"] != 0:
        return image
    if reg["blur_sigma"] > 0:
        return blur_by_sigma(image, reg["blur_sigma"])
    return box(image, reg["blur"]) if reg["blur_kind"] == "box" else blur_by_size(image, reg["blur"])


def clip_small_value(image, q):
    """Values of small magnitude become 0, colour by colour."""
    magnitude = np.abs(image)
    return np.where(magnitude < np.percentile(magnitude, q), 0.0, image)


def clip_small_norm(image, q):
    """Pixels of small norm become 0, in all three colours at once."""
    norm = np.linalg.norm(image, axis=2)
    return np.where((norm < np.percentile(norm, q))[:, :, None], 0.0, image)


def clip_small_contribution(image, grad, q):
    """Pixels without which the score would hardly differ become 0: to first order it would by grad . x."""
    contribution = np.abs((grad * image).sum(axis=2))
    return np.where((contribution < np.percentile(contribution, q))[:, :, None], 0.0, image)


def clip_pixels(image, mean):
    """What a screen can show."""
    return np.clip(image + mean, 0.0, 255.0) - mean


def operators(grad, step, reg):
    """The regularizers that a config switches on, by name, in the order of a chain."""
    found = {}
    if reg["decay"] != 1:
        found["decay"] = lambda image: decay(image, reg["decay"])
    if reg["blur"] > 0 or reg["blur_sigma"] > 0:
        found["blur"] = lambda image: blur(image, step, reg)
    if reg["value_percentile"] > 0:
        found["value"] = lambda image: clip_small_value(image, reg["value_percentile"])
    if reg["norm_percentile"] > 0:
        found["norm"] = lambda image: clip_small_norm(image, reg["norm_percentile"])
    if reg["contribution_percentile"] > 0:
        found["contribution"] = lambda image: clip_small_contribution(
            image, grad, reg["contribution_percentile"]
        )
    return found


def regularize(image, grad, step, reg, mean):
    """All of a config: one after the other, or the weighted mean of separately treated copies."""
    switched_on = operators(grad, step, reg)
    if reg["combine"] == "chain":
        for operator in switched_on.values():
            image = operator(image)
    else:
        weights = {name: reg["weights"][name] for name in switched_on}
        total = sum(weights.values())
        if total > 0:
            image = sum(weights[name] * operator(image) for name, operator in switched_on.items()) / total
    return clip_pixels(image, mean) if reg["clip_pixels"] else image


def _by_channel(blur_one, image):
    return np.stack([blur_one(image[:, :, c]) for c in range(image.shape[2])], axis=2)


# --- Step rules: gradient -> what is added to the image ----------------------------------------------------


def normalized(grad, learning_rate):
    """Every image moves as far; 1e-5 keeps a zero gradient from dividing by zero."""
    return grad / (np.sqrt(np.mean(grad**2)) + 1e-5) * learning_rate


def laplacian(grad, learning_rate, levels):
    """TensorFlow's notebook on deep dream, lap_normalize: each level over its root mean square."""
    lines = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    parts, rest = [], grad
    for _ in range(int(levels)):
        smaller = strided(rest, lines)
        parts.append(rest - strided_transpose(smaller, 4 * lines, rest.shape))
        rest = smaller
    parts = [part / max(np.sqrt(np.mean(part**2)), 1e-10) for part in (*parts, rest)]
    merged = parts.pop()
    while parts:
        part = parts.pop()
        merged = strided_transpose(merged, 4 * lines, part.shape) + part
    return learning_rate * merged


def strided(image, kernel):
    """conv2d with a stride of 2 and padding SAME: SciPy's of all positions, then every second.

    Of an odd number of pixels the first that is kept is the first, of an even number the second.
    """
    found = _by_channel(lambda plane: signal.correlate2d(plane, kernel, "same"), image)
    return found[1 - image.shape[0] % 2 :: 2, 1 - image.shape[1] % 2 :: 2]


def strided_transpose(image, kernel, shape):
    """conv2d_transpose: zeros between the pixels, then the convolution."""
    spread = np.zeros(shape)
    spread[1 - shape[0] % 2 :: 2, 1 - shape[1] % 2 :: 2] = image
    return _by_channel(lambda plane: signal.convolve2d(plane, kernel, "same"), spread)


def sgd(grad, learning_rate):
    """Plain gradient ascent."""
    return learning_rate * grad


def progress(grad, max_learning_rate, target_gain):
    """The rate r, at most `max_learning_rate`, that promises a rise of `target_gain`, which is r g . g."""
    squared = np.sum(grad**2)
    return (min(max_learning_rate, target_gain / squared) if squared > 0 else max_learning_rate) * grad


def adam(grad, learning_rate, beta_1, beta_2, epsilon):
    """The first step of Adam, whose means are the gradient itself: every value moves as far."""
    return adam_steps([grad], learning_rate, beta_1, beta_2, epsilon)[0]


def adam_steps(grads, learning_rate, beta_1, beta_2, epsilon):
    """Kingma and Ba 2015, algorithm 1, line by line, for gradients that come one after the other."""
    m = v = 0.0
    deltas = []
    for t, g in enumerate(grads, start=1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        deltas.append(learning_rate * (m / (1 - beta_1**t)) / (np.sqrt(v / (1 - beta_2**t)) + epsilon))
    return deltas


def nadam(grad, learning_rate, beta_1, beta_2, epsilon):
    """The first step of Nadam."""
    return nadam_steps([grad], learning_rate, beta_1, beta_2, epsilon)[0]


def nadam_steps(grads, learning_rate, beta_1, beta_2, epsilon):
    """Dozat 2016 with Keras' schedule of the momentum, line by line."""
    m, v, product = 0.0, 0.0, 1.0
    deltas = []
    for t, g in enumerate(grads, start=1):
        here, ahead = (beta_1 * (1 - 0.5 * 0.96**at) for at in (t, t + 1))
        product *= here
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        mean = ahead * m / (1 - product * ahead) + (1 - here) * g / (1 - product)
        deltas.append(learning_rate * mean / (np.sqrt(v / (1 - beta_2**t)) + epsilon))
    return deltas


STEP_RULES = {
    "normalized": normalized, "laplacian": laplacian, "sgd": sgd, "progress": progress, "adam": adam,
    "nadam": nadam,
}  # fmt: skip


# --- One step ----------------------------------------------------------------------------------------------


def next_image(image, grad, step, reg, rule, mean):
    """The image after a step.

    Args:
      image: [H, W, 3] before it.
      grad: of the score, by the image.
      step: how many were done before.
      reg: a config's regularizers.
      rule: a config's step rule: ``name`` and its numbers.
      mean: RGB mean of the training set.
    """
    image, grad, mean = (np.asarray(each, np.float64) for each in (image, grad, mean))
    numbers = {k: v for k, v in rule.items() if k != "name"}
    moved = step_mask(image.shape, reg) * STEP_RULES[rule["name"]](grad, **numbers)
    return regularize(image + moved, grad, step, reg, mean)


def step_mask(shape, reg):
    """How fast each pixel and colour moves: a Gaussian about the centre, and a factor a colour."""
    mask = np.ones(shape) * [reg["red_rate"], reg["green_rate"], reg["blue_rate"]]
    height, width, _ = shape
    for i, j in np.ndindex(height, width):
        if sigma := reg["center_bias"]:
            square = ((i - (height - 1) / 2) / height) ** 2 + ((j - (width - 1) / 2) / width) ** 2
            mask[i, j] *= np.exp(-square / (2 * sigma**2))
    return mask


# --- Starts: the first image, of a size (height, width) ----------------------------------------------------


def noise(size, seed, index, low, high):
    """Uniform between low and high grey levels above the mean."""
    return np.random.default_rng([seed, index]).uniform(low, high, size=(*size, 3))


def gaussian(size, seed, index, sigma):
    """Normal around the mean."""
    return np.random.default_rng([seed, index]).normal(0.0, sigma, size=(*size, 3))


def picture(size, path, mean):
    """The largest part about a picture's centre with the image's proportions, scaled, the mean subtracted."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    height, width, _ = pixels.shape
    scale = min(height / size[0], width / size[1])
    part = round(size[0] * scale), round(size[1] * scale)
    top, left = (height - part[0]) // 2, (width - part[1]) // 2
    cut = Image.fromarray(pixels[top : top + part[0], left : left + part[1]])
    return np.asarray(cut.resize(size[::-1], Image.Resampling.BICUBIC), np.float64) - mean


# --- The network: 3 x 3 convolutions with ReLU, halved between blocks --------------------------------------


def convolve(x, kernel, bias):
    """3 x 3, a border of zeros: [H, W, I], [3, 3, I, O] -> [H, W, O]."""
    height, width, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    out = np.zeros((height, width, kernel.shape[3])) + bias
    for dy in range(3):
        for dx in range(3):
            out += padded[dy : dy + height, dx : dx + width] @ kernel[dy, dx]
    return out


def max_pool(x):
    """The largest of each 2 x 2; an odd last row or column falls away."""
    height, width, channels = x.shape[0] // 2, x.shape[1] // 2, x.shape[2]
    return x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, channels).max(axis=(1, 3))


def forward(image, weights, layer):
    """A layer's maps before and after its ReLU.

    Args:
      image: [H, W, 3].
      weights: layer -> (kernel, bias), in order, named ``block1_conv1`` ...; trained on BGR.
      layer: where to stop.
    """
    x = np.asarray(image, np.float64)[:, :, ::-1]  # RGB -> BGR
    before = None
    for name, (kernel, bias) in weights.items():
        block = name.split("_")[0]
        if before is not None and block != before:
            x = max_pool(x)
        before = block
        pre = convolve(x, kernel.astype(np.float64), bias.astype(np.float64))
        x = np.maximum(pre, 0.0)
        if name == layer:
            return pre, x
    raise KeyError(layer)


def score(maps, index):
    """Of a filter: the mean of its map."""
    return maps[:, :, index].mean()


def rank(pre, index):
    """How many channels of the layer answer more than this one; 0 is the top."""
    means = pre.mean(axis=(0, 1))
    return sum(other > means[index] for other in means)


def margin(pre, index):
    """To the best of the other channels, in standard deviations over all of them."""
    means = pre.mean(axis=(0, 1), dtype=float)
    return (means[index] - max(np.delete(means, index))) / means.std()


# --- Scores: of maps, [h, w, C] ----------------------------------------------------------------------------


def neuron(maps, index, row, column):
    """Of one position of a channel's map; -1 is the centre, the lower right of four."""
    height, width, _ = maps.shape
    return maps[height // 2 if row == -1 else row, width // 2 if column == -1 else column, index]


def direction(maps, vector, power):
    """Of a direction: its dot product with each position, less where the angle is wide."""
    total = 0.0
    for a in maps.reshape(-1, maps.shape[2]):
        lengths = np.linalg.norm(a) * np.linalg.norm(vector)
        cosine = a @ vector / lengths if lengths > 0 else 0.0
        total += a @ vector * max(0.1, cosine) ** power
    return total / (maps.shape[0] * maps.shape[1])


def dream(maps):
    """Of a whole layer."""
    return (maps**2).mean()


def gram(maps):
    """How much each two channels answer together."""
    positions = maps.reshape(-1, maps.shape[2])
    return np.array([[(c * d).mean() for d in positions.T] for c in positions.T])


def diversity(group, own, index, weight, pre_group):
    """Of one image of a group: its channel, less its mean likeness to the others.

    Args:
      group: maps of each image behind the ReLU.
      own: which of them it is.
      index: of the channel.
      weight: of the likeness.
      pre_group: maps whose mean counts.
    """
    likeness = []
    for other, maps in enumerate(group):
        if other != own:
            a, b = gram(group[own]).ravel(), gram(maps).ravel()
            likeness.append(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    return score(pre_group[own], index) - weight * (np.mean(likeness) if likeness else 0.0)


def inversion(maps, picture):
    """How far from a picture's maps, in parts of those."""
    return -(np.linalg.norm(maps - picture) ** 2) / np.linalg.norm(picture) ** 2


def style(content_maps, contents, content_weight, style_maps, styles, style_weight):
    """How far from one picture's maps, and from another's Gram matrices; each argument is a list by layer."""
    far = sum(((maps - picture) ** 2).mean() for maps, picture in zip(content_maps, contents, strict=True))
    unlike = sum(
        ((gram(maps) - gram(picture)) ** 2).mean() for maps, picture in zip(style_maps, styles, strict=True)
    )
    return -content_weight * far - style_weight * unlike


def guided(maps, guide):
    """Each position takes the position of the guide with which its dot product is largest."""
    positions, others = maps.reshape(-1, maps.shape[2]), guide.reshape(-1, guide.shape[2])
    return np.mean([max(a @ g for g in others) for a in positions])


def caricature(maps, picture, power):
    """The product of two whole layers, less where the angle between them is wide."""
    a, b = maps.ravel(), picture.ravel()
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    cosine = a @ b / lengths if lengths > 0 else 0.0
    return a @ b / (maps.shape[0] * maps.shape[1]) * max(0.1, cosine) ** power
