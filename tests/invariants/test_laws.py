"""Laws that every member of a family keeps: regularizers, optimizers, objectives, starts; and the ascent.

Members are the declared components and the files of conf/, so a new one is held to the laws without being
named here. Everything is compared with `reference`, which is float64 and sees one image at a time.
"""

import functools
import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import reference
from helpers.configs import choices, members, parts_of, switched_on, typed_of
from PIL import Image

from deepvis import networks
from deepvis.ascent import gradient_ascent, inputs, objectives, ops, optimizers, regularizers, specs
from deepvis.config import schema
from deepvis.config.knobs import Component, components
from deepvis.config.schema import Config

MEAN = (123.68, 116.779, 103.939)

# --- Regularizers ------------------------------------------------------------------------------------------

# Each knob that switches a component on, at a value that follows from its declaration.
OPERATORS = {
    name: each for name, each in components("reg").items()
    if not each.traits.get("penalty") and not each.traits.get("step")
}  # fmt: skip
ON = {
    key: (each.name, f"reg.{key}={str(switched_on(knob)).lower()}")
    for each in OPERATORS.values() for key, knob in each.knobs.items() if knob.switch
}  # fmt: skip
EVERY = [
    "reg.decay=0.8", "reg.blur=3", "reg.value_percentile=33.3", "reg.norm_percentile=30",
    "reg.contribution_percentile=60", "reg.clip_pixels=true",
]  # fmt: skip
CASES = {f"preset {name}": (f"reg={name}",) for name in choices("reg")}
CASES |= {f"only {key}": (override,) for key, (_, override) in ON.items()}
CASES |= {override: (override,) for override in EVERY}
CASES |= {
    "kernel of 1": ("reg.blur=1",),
    "kernel of 5": ("reg.blur=5",),
    "kernel larger than the image": ("reg.blur=41",),
    "sigma 0.5": ("reg.blur_sigma=0.5",),
    "sigma larger than the image": ("reg.blur_sigma=20",),
    "box of 5": ("reg.blur=5", "reg.blur_kind=box"),
    "box larger than the image": ("reg.blur=41", "reg.blur_kind=box"),
    "blur every 3": ("reg.blur=3", "reg.blur_every=3"),
    "percentile 99.9": ("reg.norm_percentile=99.9",),
    "chain of all": tuple(EVERY),
    "mix of all": (*EVERY, "reg.combine=mix"),
    "weighted mix of all": (*EVERY, "reg.combine=mix", "reg.weights.decay=3", "reg.weights.blur=2.5",
                            "reg.weights.value=0.5", "reg.weights.norm=0", "reg.blur_every=2"),
    "mix of nothing": ("reg.combine=mix",),
    "mix of weight 0": ("reg.combine=mix", "reg.decay=0.8", "reg.weights.decay=0"),
}  # fmt: skip
SIZES = ((9, 9), (16, 16), (33, 33), (9, 24), (24, 9))  # height and width
STEPS = (0, 1, 3, 4)


def config_of(case: str) -> Config:
    return typed_of("model=tiny", "layer=block2_conv1", *CASES[case])


def combined(cfg: Config, combine: str) -> Config:
    return replace(cfg, reg=replace(cfg.reg, combine=combine))


def same_combine(case: str) -> list[str]:
    """The cases that may share a batch with this one."""
    return [name for name in CASES if config_of(name).reg.combine == config_of(case).reg.combine]


def used_by(cfgs: list[Config]) -> list[Component]:
    """The regularizers that any of them switches on, in their order."""
    names = {name for cfg in cfgs for name in specs.regularizers(cfg)}
    return [each for name, each in OPERATORS.items() if name in names]


def build(cfgs: list[Config], size: tuple[int, int], used=None) -> regularizers.Regularizer:
    """A regularizer for a batch, each image with numbers of its own."""
    used = used_by(cfgs) if used is None else used
    images = [specs.ImageSpec(cfg, 0) for cfg in cfgs]
    hyper = specs.numbers(images) | inputs.of(None, [], images, size, used)
    return regularizers.build(used, {k: tf.constant(v) for k, v in hyper.items()}, cfgs[0].reg.combine, MEAN)


def applied(cfgs, image, grad, step, used=None) -> np.ndarray:
    regularize = build(cfgs, image.shape[1:3], used)
    return regularize(tf.constant(image), tf.constant(grad), tf.constant(step)).numpy()


def noise(seed: int, *shape: int, scale: float = 60.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


def ties(seed: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """An image and a gradient of four colours each: whole crowds of pixels tie, equal in every bit."""
    which = np.random.default_rng(seed).integers(0, 4, size)
    return noise(seed, 4, 3)[which], noise(seed + 1, 4, 3)[which]


def close(ours: np.ndarray, oracle: np.ndarray, relative: float = 1e-4) -> None:
    """Within a part of the oracle's own scale, everywhere."""
    assert ours.shape == oracle.shape
    scale = np.abs(oracle).max() if oracle.size else 0.0
    np.testing.assert_allclose(ours, oracle, rtol=0, atol=relative * scale)


def bitwise(ours: np.ndarray, other: np.ndarray) -> None:
    """Equal in every bit but the sign of a zero, which no pixel and no score can show."""
    assert ours.dtype == other.dtype
    np.testing.assert_array_equal(ours, other)


def test_every_regularizer_is_switched_on_by_a_case_and_by_that_alone():
    for key, (name, _) in ON.items():
        assert specs.regularizers(config_of(f"only {key}")) == [name]
    assert {name for name, _ in ON.values()} == set(OPERATORS)
    assert specs.regularizers(config_of("chain of all")) == list(OPERATORS)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("case", CASES)
def test_regularizer_equals_the_oracle(case, size):
    cfg = config_of(case)
    reg = schema.plain(cfg.reg)
    image, grad = noise(1, 3, *size, 3), noise(2, 3, *size, 3, scale=0.1)
    image[1] += 100  # pixels beyond [0, 255]
    image[2, : size[0] // 2] = 0  # ties at zero, as after a clip
    switched = set(specs.regularizers(cfg)) - {"decay", "clip_pixels"}
    blur_before_clip = reg["combine"] == "chain" and {"blur"} < switched
    if (
        not blur_before_clip
    ):  # a blur breaks ties by rounding, and which pixel is then below is anyone's guess
        tied = ties(3, size)
        constant = np.full((*size, 3), 7.25, np.float32)
        image, grad = (
            np.stack([*a, *b]) for a, b in ((image, (tied[0], constant)), (grad, (tied[1], constant)))
        )
    for step in STEPS:
        ours = applied([cfg] * len(image), image, grad, step)
        for i in range(len(image)):
            oracle = reference.regularize(
                image[i].astype(float), grad[i].astype(float), step, reg, np.array(MEAN)
            )
            close(ours[i], oracle)


@pytest.mark.parametrize("combine", ["chain", "mix"])
@pytest.mark.parametrize("name", ON)
def test_a_neutral_number_is_the_identity(name, combine):
    """Even where a neighbour uses the operator: image 0 has every knob off, image 1 this one on."""
    off, on = (combined(config_of(case), combine) for case in ("preset none", f"only {name}"))
    image, grad = noise(4, 2, 17, 17, 3, scale=200), noise(5, 2, 17, 17, 3)
    for step in STEPS:
        found = applied([off, on], image, grad, step)
        assert found[0].tobytes() == image[0].tobytes()
        assert (found[1] != image[1]).any()


def test_all_operators_at_their_neutral_numbers_are_the_identity():
    image, grad = noise(6, 2, 12, 12, 3, scale=200), noise(7, 2, 12, 12, 3)
    for combine in ("chain", "mix"):
        off, used = combined(config_of("preset none"), combine), list(OPERATORS.values())
        assert applied([off, off], image, grad, 0, used).tobytes() == image.tobytes()


@pytest.mark.parametrize("case", CASES)
def test_a_regularizer_packed_equals_alone(case):
    """Beside images with other numbers, whose operators its own config leaves out of the graph."""
    names = same_combine(case)
    cfgs = [config_of(name) for name in names]
    i = names.index(case)
    for size in ((16, 16), (33, 33), (9, 40)):
        image = noise(8, len(cfgs), *size, 3)
        grad = noise(9, len(cfgs), *size, 3, scale=0.1)
        for step in (0, 1):
            packed = applied(cfgs, image, grad, step)
            alone = applied(cfgs[i : i + 1], image[i : i + 1], grad[i : i + 1], step)
            bitwise(packed[i], alone[0])


@pytest.mark.parametrize("case", ["preset none", "mix of all"])
def test_permuting_the_batch_permutes_the_regularized_images(case):
    cfgs = [config_of(name) for name in same_combine(case)]
    image, grad = noise(10, len(cfgs), 17, 17, 3), noise(11, len(cfgs), 17, 17, 3)
    order = np.random.default_rng(0).permutation(len(cfgs))
    whole = applied(cfgs, image, grad, 0)
    bitwise(applied([cfgs[i] for i in order], image[order], grad[order], 0), whole[order])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("case", CASES)
def test_a_regularizer_keeps_nan_to_its_own_image(case, value):
    cfg = config_of(case)
    image, grad = noise(12, 3, 13, 13, 3), noise(13, 3, 13, 13, 3)
    clean = applied([cfg] * 3, image, grad, 0)
    image[1, 2:9, ::2], grad[1, 5] = value, np.nan
    bitwise(applied([cfg] * 3, image, grad, 0)[[0, 2]], clean[[0, 2]])


@pytest.mark.parametrize("case", CASES)
def test_a_regularizer_mutates_no_argument(case):
    image, grad = tf.Variable(noise(14, 2, 12, 12, 3)), tf.Variable(noise(15, 2, 12, 12, 3))
    before = image.numpy().copy(), grad.numpy().copy()
    build([config_of(case)] * 2, (12, 12))(image, grad, tf.constant(0))
    bitwise(image.numpy(), before[0])
    bitwise(grad.numpy(), before[1])


def test_the_chain_goes_in_the_order_of_yosinski():
    """Each pair of neighbours in the chain does not commute on these images, so the order can be seen."""
    order = ["decay", "blur", "value", "norm", "contribution", "clip_pixels"]
    assert [name for name in OPERATORS if name in order] == order
    image, grad = noise(16, 1, 16, 16, 3, scale=150), noise(17, 1, 16, 16, 3)
    every = {"decay": 0.5, "blur": 5, "value_percentile": 40, "norm_percentile": 50,
             "contribution_percentile": 60, "clip_pixels": True}  # fmt: skip
    off = config_of("preset none")
    cfg = replace(off, reg=replace(off.reg, **every))
    reg = schema.plain(cfg.reg)
    oracle = reference.regularize(image[0].astype(float), grad[0].astype(float), 0, reg, np.array(MEAN))
    close(applied([cfg], image, grad, 0)[0], oracle)


# --- Percentiles -------------------------------------------------------------------------------------------


def values_of(kind: str, n: int) -> np.ndarray:
    rng = np.random.default_rng(n)
    if kind == "ties":
        return rng.integers(0, 6, n).astype(np.float32)
    return np.abs(rng.normal(0, 30, n)).astype(np.float32)


def below(values: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Every percentile of one set of values at once: [n], [Q] -> [Q, n]."""
    return (
        1
        - ops.from_percentile(
            tf.constant(np.tile(values, (len(q), 1))), tf.constant(q.astype(np.float32))
        ).numpy()
    )


@pytest.mark.parametrize("kind", ["distinct", "ties"])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 100, 507, 1000, 1024, 3072])
def test_from_percentile_is_numpys(n, kind):
    """Every whole q, and fractions; none of these n has a rank that is whole only in exact arithmetic."""
    values = values_of(kind, n)
    q = np.concatenate([np.arange(100), np.random.default_rng(0).uniform(0, 100, 40)]).astype(np.float32)
    # In float64, where NumPy's interpolation between two values cannot round onto one of them.
    wanted = np.stack([values < np.percentile(values.astype(np.float64), float(each)) for each in q])
    np.testing.assert_array_equal(below(values, q), wanted)


@pytest.mark.parametrize("kind", ["distinct", "ties"])
@pytest.mark.parametrize("n", [2, 11, 26, 51, 101, 201, 301, 2601, 10201])
def test_from_percentile_takes_a_whole_rank_as_whole(n, kind):
    """q (n - 1) / 100 is whole for many q here, 28 x 50 / 100 say: rounding upwards would clip one pixel
    too many. Images of 51 px and 101 px have 2601 and 10201 pixels."""
    values = values_of(kind, n)
    q = np.arange(100)
    ranks = [math.ceil(Fraction(int(each) * (n - 1), 100)) for each in q]
    np.testing.assert_array_equal(below(values, q), values < np.sort(values)[ranks][:, None])


def test_from_percentile_selects_nothing_at_zero():
    for n in (1, 5, 999):
        assert not below(values_of("ties", n), np.zeros(3)).any()


# --- Blur matrix -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 16, 33])
@pytest.mark.parametrize("size", [1, 3, 5, 7, 31, 101])
def test_blur_matrix_is_scipys_blur_of_a_line(n, size):
    line = np.random.default_rng(n).normal(0, 50, (n, 1, 1))
    line = np.repeat(line, 3, axis=1)  # constant across: only rows blur
    for kind, oracle in (("gaussian", reference.blur_by_size), ("box", reference.box)):
        close(ops.blur_matrix(n, kind, size, 0) @ line[:, 0, 0], oracle(line, size)[:, 1, 0], 1e-6)
    close(
        ops.blur_matrix(n, "gaussian", 0, size / 7) @ line[:, 0, 0],
        reference.blur_by_sigma(line, size / 7)[:, 1, 0],
        1e-6,
    )


RULES = [name for name in members("optimizer") if name != "lbfgs"]  # a line search has no single step

# --- Optimizers --------------------------------------------------------------------------------------------


def rule_of(name: str) -> dict[str, float]:
    """A step rule's numbers in conf/optimizer."""
    settings = typed_of("model=tiny", "layer=block2_conv1", f"optimizer={name}").optimizer
    return {key: float(getattr(settings, key)) for key in schema.component("optimizer", settings).knobs}


def update(name: str, numbers: dict[str, np.ndarray], grad: np.ndarray) -> np.ndarray:
    make = components("optimizer")[name].function
    rule = make(**{k: tf.constant(v, tf.float32) for k, v in numbers.items()})
    return _once(rule, tf.constant(grad)).numpy()


def _once(rule, grad):
    """Its first step."""
    return rule.update(grad, (tf.zeros_like(grad),) * rule.slots, tf.constant(0))[0]


def rule_batch(name: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Six images with numbers and gradients of their own, one of them zero, one tiny, one huge."""
    grad = noise(20, 6, 15, 15, 3, scale=1.0)
    grad *= np.array([1e-4, 0.02, 1.0, 0.0, 1e-7, 1e4], np.float32)[:, None, None, None]
    factors = np.array([1.0, 0.5, 2.0, 1.0, 3.0, 0.1])
    numbers = {k: (v * factors).astype(np.float32) for k, v in rule_of(name).items()}
    if "levels" in numbers:  # whole ones
        numbers["levels"] = np.float32([4, 2, 8, 4, 1, 5])
    return numbers, grad


@pytest.mark.parametrize("name", RULES)
def test_step_rule_equals_the_oracle(name):
    numbers, grad = rule_batch(name)
    for i, ours in enumerate(update(name, numbers, grad)):
        own = {k: float(v[i]) for k, v in numbers.items()}
        close(ours, reference.STEP_RULES[name](grad[i].astype(float), **own))


@pytest.mark.parametrize("name", RULES)
def test_a_step_rule_packed_equals_alone_in_any_order(name):
    numbers, grad = rule_batch(name)
    packed = update(name, numbers, grad)
    order = np.array([3, 5, 0, 4, 1, 2])
    bitwise(update(name, {k: v[order] for k, v in numbers.items()}, grad[order]), packed[order])
    for i in range(len(grad)):
        own = {k: v[i : i + 1] for k, v in numbers.items()}
        bitwise(update(name, own, grad[i : i + 1]), packed[i : i + 1])


@pytest.mark.parametrize("name", RULES)
def test_a_step_rule_keeps_nan_to_its_own_image(name):
    numbers, grad = rule_batch(name)
    clean = update(name, numbers, grad)
    broken = grad.copy()
    broken[2, 3, 3, 1] = np.nan
    found = update(name, numbers, broken)
    assert np.isnan(found[2]).any()
    bitwise(np.delete(found, 2, 0), np.delete(clean, 2, 0))
    assert np.isfinite(clean).all()


@pytest.mark.parametrize("name", RULES)
def test_a_step_rule_of_rate_zero_stands_still(name):
    numbers, grad = rule_batch(name)
    still = {k: np.zeros_like(v) for k, v in numbers.items()}
    assert not update(name, still, grad).any()


@pytest.mark.parametrize("n", [1, 2, 7, 16])
def test_halving_matrix_is_tensorflows_convolution_with_a_stride_of_two(n):
    line, kernel = noise(n, 1, n, 1, 1), np.float32([1, 4, 6, 4, 1]).reshape(5, 1, 1, 1) / 16
    wanted = tf.nn.conv2d(line, kernel, [1, 2, 1, 1], "SAME").numpy()[0, :, 0, 0]
    matrix = ops.halving_matrix(n)
    close(matrix @ line[0, :, 0, 0], wanted, 1e-6)
    back = tf.nn.conv2d_transpose(wanted.reshape(1, -1, 1, 1), kernel, line.shape, [1, 2, 1, 1], "SAME")
    close(matrix.T @ wanted, back.numpy()[0, :, 0, 0], 1e-6)


@pytest.mark.parametrize("levels", [1, 4, 8])
def test_a_gradient_of_one_level_of_the_pyramid_is_that_over_its_root_mean_square(levels):
    """Rows that the blur takes out exactly: what is left for the smaller levels is 0, not rounding."""
    grad = np.zeros([1, 16, 12, 3], np.float32)
    grad[0, 4:9] = np.float32([1, -4, 6, -4, 1])[:, None, None] * np.arange(1, 37).reshape(12, 3)
    wanted = 2 * grad / np.sqrt(np.mean(grad**2))
    numbers = {"learning_rate": np.float32([2]), "levels": np.float32([levels])}
    close(update("laplacian", numbers, grad), wanted)


@pytest.mark.parametrize("base", [0.9, 0.99, 0.999])
def test_a_power_is_the_same_at_every_place_of_every_batch(base):
    """Eigen's own is not: 0.999**4 has another last bit beyond the last full vector of a batch."""
    graph = tf.function(ops.power, reduce_retracing=False)
    for exponent in (1, 4, 6, 15, 31, 300):
        wanted = np.float32(float(np.float32(base)) ** exponent)
        for batch in (1, 3, 8, 11, 16, 23):
            values = graph(tf.fill([batch, 1, 1, 1], np.float32(base)), tf.constant(exponent)).numpy()
            np.testing.assert_array_equal(values, np.full([batch, 1, 1, 1], wanted), strict=True)


def test_nadam_is_keras():
    rule = optimizers.nadam(*(tf.constant([x]) for x in (0.5, 0.9, 0.999, 1e-7)))
    keras_rule = keras.optimizers.Nadam(0.5)
    variable, theta, memory = keras.Variable(np.zeros([7])), tf.zeros([1, 7]), (tf.zeros([1, 7]),) * 2
    for t in range(40):
        grad = noise(t, 1, 7)
        keras_rule.apply([-tf.constant(grad[0])], [variable])
        delta, memory = rule.update(tf.constant(grad), memory, tf.constant(t))
        theta += delta
        close(theta[0].numpy(), np.asarray(variable), 1e-4)


@pytest.mark.parametrize("name", ["adam", "nadam"])
def test_adam_remembers_as_the_paper_says_packed_as_alone_whatever_theta_is(name):
    """Six steps, images with numbers of their own, theta of two axes and of four."""
    for shape in ((5, 7), (5, 4, 4, 3)):
        grads = [noise(50 + t, *shape, scale=10.0 ** (t - 2)) for t in range(6)]
        numbers = {
            "learning_rate": np.float32([1, 0.05, 3, 1, 2]),
            "beta_1": np.float32([0.9, 0, 0.5, 0.9, 0.99]),
            "beta_2": np.float32([0.999, 0.9, 0.5, 0, 0.99]),
            "epsilon": np.float32([1e-8] * 4 + [1]),
        }

        def walk(rows, grads=grads, numbers=numbers):
            rule = components("optimizer")[name].function(
                **{k: tf.constant(v[rows]) for k, v in numbers.items()}
            )
            memory, deltas = (tf.zeros_like(grads[0][rows]),) * rule.slots, []
            for t, grad in enumerate(grads):
                delta, memory = rule.update(tf.constant(grad[rows]), memory, tf.constant(t))
                deltas.append(delta.numpy())
            return np.stack(deltas, axis=1)

        packed = walk(np.arange(5))
        for i in range(5):
            own = {k: float(v[i]) for k, v in numbers.items()}
            steps = {"adam": reference.adam_steps, "nadam": reference.nadam_steps}[name]
            oracle = steps([grad[i].astype(float) for grad in grads], **own)
            close(packed[i], np.stack(oracle), 1e-3)
            bitwise(walk(np.array([i]))[0], packed[i])


@pytest.mark.parametrize("name", RULES)
def test_a_step_rule_mutates_no_argument(name):
    numbers, grad = rule_batch(name)
    variables = {k: tf.Variable(v) for k, v in numbers.items()}
    held = tf.Variable(grad)
    _once(components("optimizer")[name].function(**variables), held)
    bitwise(held.numpy(), grad)
    for k, v in numbers.items():
        bitwise(variables[k].numpy(), v)


# --- Objectives --------------------------------------------------------------------------------------------

OBJECTIVES = [(name, pre) for name in ("channel",) for pre in (True, False)]


def goal(name: str, layer: str, filters, pre: bool) -> objectives.Objective:
    make = components("objective")[name].function
    return make(layer, tf.cast(filters, tf.int32), pre_activation=pre)


def maps(batch: int, channels: int = 16) -> dict[str, objectives.Activation]:
    pre = noise(30, batch, 5, 7, channels, scale=3.0)
    return {"it": objectives.Activation(tf.constant(pre), tf.nn.relu(pre)),
            "other": objectives.Activation(tf.constant(pre + 100), tf.constant(pre + 100))}  # fmt: skip


@pytest.mark.parametrize(("name", "pre"), OBJECTIVES)
def test_score_equals_the_oracle(name, pre):
    filters = [0, 10, 3, 3]
    seen = maps(4)
    ours = goal(name, "it", filters, pre)(seen).numpy()
    chosen = (seen["it"].pre if pre else seen["it"].post).numpy().astype(float)
    close(ours, np.array([reference.score(chosen[i], k) for i, k in enumerate(filters)]))


def test_reading_equals_the_oracle_and_ties_share_a_rank():
    filters = [0, 10, 3, 3, 4]
    seen = maps(5)
    pre = seen["it"].pre.numpy()
    pre[4, :, :, 4:8] = pre[4, :, :, 4:5]  # four channels tie: none is above another
    seen = {"it": objectives.Activation(tf.constant(pre), tf.nn.relu(pre))}
    read = objectives.reading("it", tf.constant(filters))(seen)
    post = np.maximum(pre, 0).astype(float)
    close(read.activation.numpy(), np.array([reference.score(post[i], k) for i, k in enumerate(filters)]))
    bitwise(read.rank.numpy(), np.float32([reference.rank(pre[i], k) for i, k in enumerate(filters)]))
    wanted = np.array([reference.margin(pre[i], k) for i, k in enumerate(filters)])
    np.testing.assert_allclose(read.margin.numpy(), wanted, rtol=1e-3, atol=1e-4)
    assert ((read.margin.numpy() > 0) <= (read.rank.numpy() == 0)).all()
    tops = objectives.reading("it", tf.constant(pre.mean((1, 2)).argmax(1).astype(np.int32)))(seen)
    assert not tops.rank.numpy().any()


@pytest.mark.parametrize("channels", [8, 11, 12, 16, 64])
@pytest.mark.parametrize(("name", "pre"), OBJECTIVES)
def test_an_objective_packed_equals_alone_in_any_order(name, pre, channels):
    """However many channels: a sum whose order depends on an image's place in memory would tell."""
    filters, order = np.array([4, 0, 7, 4, 6]), np.array([4, 2, 0, 1, 3])
    seen = maps(5, channels)

    def some(rows):
        picked = {k: objectives.Activation(*(tf.gather(m, rows) for m in v)) for k, v in seen.items()}
        return goal(name, "it", filters[rows], pre)(picked).numpy()

    packed = some(np.arange(5))
    bitwise(some(order), packed[order])
    for i in range(5):
        bitwise(some(np.array([i])), packed[i : i + 1])


@pytest.mark.parametrize(("name", "pre"), OBJECTIVES)
def test_an_objective_keeps_nan_to_its_own_image(name, pre):
    seen = maps(3)
    clean = goal(name, "it", [1, 2, 3], pre)(seen).numpy()
    broken = seen["it"].pre.numpy()
    broken[1] = np.nan
    found = goal(name, "it", [1, 2, 3], pre)(
        {"it": objectives.Activation(broken, broken * (broken > 0))}
    ).numpy()
    assert np.isnan(found[1])
    bitwise(found[[0, 2]], clean[[0, 2]])


# --- Starts ------------------------------------------------------------------------------------------------


# One that is made of photographs has tests of its own.
STARTS = [name for name in members("start") if name != "facets"]


def start(
    name: str, size: tuple[int, int], seed: int, index: int, mean: np.ndarray, path: Path
) -> np.ndarray:
    settings = typed_of("model=tiny", "layer=block2_conv1", f"start={name}", *_path(name, path)).start
    component = schema.component("start", settings)
    numbers = {key: getattr(settings, key) for key in component.knobs if key != "display"}
    return component.function(size, seed, index, mean, **numbers)


def _path(name: str, path: Path) -> list[str]:
    return [f"start.path='{path}'"] if name == "picture" else []


@pytest.fixture
def photo(tmp_path) -> Path:
    pixels = np.random.default_rng(3).integers(0, 256, (40, 62, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def pink(size: tuple[int, int], seed: int, index: int, sigma: float) -> np.ndarray:
    """White noise whose Fourier coefficients are divided by frequency, and all by one number."""
    down, right = (np.abs(np.fft.fftfreq(side)) for side in size)
    divisor = np.sqrt(down[:, None] ** 2 + right[None, :] ** 2)
    divisor[0, 0] = np.inf
    divisor *= np.sqrt((divisor**-2.0).mean())
    white = np.random.default_rng([seed, index]).normal(0.0, 1.0, (*size, 3))
    maps = [np.fft.ifft2(np.fft.fft2(white[:, :, c]) / divisor) for c in range(3)]
    assert max(np.abs(each.imag).max() for each in maps) < 1e-9
    return sigma * np.stack([each.real for each in maps], axis=2)


def test_pink_noise_falls_as_one_over_frequency_and_has_its_deviation():
    many = np.stack([start("pink", (64, 64), 0, index, np.zeros(3), Path()) for index in range(40)])
    assert many.std() == pytest.approx(10, rel=0.03)
    np.testing.assert_allclose(many.mean((1, 2)), 0, atol=1e-5)
    power = (np.abs(np.fft.fft2(many, axes=(1, 2))) ** 2).mean((0, 3))
    low, high = power[0, [4, 5, 6]].mean(), power[0, [16, 20, 24]].mean()
    assert np.sqrt(low / high) == pytest.approx(4, rel=0.15)


def spectrum(size: tuple[int, int], seed: int, index: int, sigma: float) -> np.ndarray:
    """lucid's image of a normal spectrum: every frequency a wave of its own, added up one by one."""
    h, w = size
    half = np.random.default_rng([seed, index]).normal(0.0, sigma, (2, 3, h, w // 2 + 1))
    whole = np.zeros((h, w, 3), complex)
    for v in range(h):
        for u in range(w // 2 + 1):
            f = max(np.hypot(min(v, h - v) / h, u / w), 1 / max(size))
            value = (half[0, :, v, u] + 1j * half[1, :, v, u]) * np.sqrt(h * w) / f / 4
            alone = u == 0 or 2 * u == w  # a column that is its own mirror image: half of it and half of that
            whole[v, u] += value / 2 if alone else value
            whole[-v % h, -u % w] += value.conj() / 2 if alone else value.conj()
    waves = np.fft.ifft2(whole, axes=(0, 1))
    assert abs(waves.imag).max() < 1e-9
    root = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    argument = waves.real @ (root / np.sqrt((root**2).sum(axis=0).max())).T
    return 255 / (1 + np.exp(-argument)) - np.array(MEAN)


def test_a_random_spectrum_has_the_spread_and_the_colours_of_lucids_start():
    """Closed form: covariance M M^T; of one channel before it sigma^2 / 8 times the mean of 1 / f^2."""
    many = np.stack([start("fourier", (64, 64), 0, index, np.full(3, 127.5), Path()) for index in range(40)])
    root = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
    root /= np.linalg.norm(root, axis=0).max()
    f = np.hypot(np.fft.fftfreq(64)[:, None], np.fft.fftfreq(64))
    power = np.maximum(f, 1 / 64) ** -2.0
    power[:, [0, 32]] /= 2  # the mean of two draws
    unit = 0.01 * np.sqrt(power.mean() / 8) * 255 / 4  # the sigmoid's slope at 0
    covariance = many.reshape(-1, 3).T @ many.reshape(-1, 3) / many[..., 0].size
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), unit * np.linalg.norm(root, axis=1), rtol=0.03)
    found = np.corrcoef(many.reshape(-1, 3).T)[[0, 0, 1], [1, 2, 2]]
    np.testing.assert_allclose(found, [0.914, 0.794, 0.909], atol=0.02)
    within = np.linalg.inv(root) @ covariance @ np.linalg.inv(root).T  # lightness, and two of colour
    np.testing.assert_allclose(np.sqrt(np.diag(within)), unit, rtol=0.03)


@pytest.mark.parametrize("channels", [1, 5])
@pytest.mark.parametrize("name", STARTS)
def test_a_start_has_as_many_channels_as_the_mean(name, channels, photo):
    """And each has a draw of its own; a picture of one is its lightness, one of five is none."""
    mean = np.linspace(100, 120, channels).astype(np.float32)
    if name == "picture" and channels == 5:
        with pytest.raises(ValueError, match="this network's input 5"):
            start(name, (40, 40), 3, 7, mean, photo)
        return
    image = start(name, (40, 40), 3, 7, mean, photo)
    assert image.shape == (40, 40, channels)
    if name == "picture":
        with Image.open(photo) as file:
            close(image[:, :, 0], np.asarray(file.convert("L"), float)[:, 11:51] - 100, 1e-6)
    else:
        assert len(np.unique(image[20, 20])) == channels


@pytest.mark.parametrize("size", [(40, 40), (17, 17), (96, 96), (40, 20), (20, 31), (8, 62)])
@pytest.mark.parametrize("name", STARTS)
def test_start_equals_the_oracle(name, size, photo):
    oracles = {
        "noise": lambda: reference.noise(size, 3, 7, 0.0, 20.0),
        "raw_noise": lambda: reference.noise(size, 3, 7, 128.0, 148.0),
        "gaussian": lambda: reference.gaussian(size, 3, 7, 10.0),
        "pink": lambda: pink(size, 3, 7, 10.0),
        "fourier": lambda: spectrum(size, 3, 7, 0.01),
        "picture": lambda: reference.picture(size, photo, np.array(MEAN)),
    }
    ours = start(name, size, 3, 7, np.array(MEAN, np.float32), photo)
    assert ours.dtype == np.float32
    # Pillow scales a crop with a look at the pixels around it, which the oracle has cut off.
    inner = slice(6, -6) if name == "picture" and size in ((17, 17), (96, 96)) else slice(None)
    close(ours[inner, inner], oracles[name]()[inner, inner], 1e-6)


@pytest.mark.parametrize("name", STARTS)
def test_a_start_depends_on_its_seed_and_filter_alone_and_mutates_nothing(name, photo):
    mean = np.array(MEAN, np.float32)
    first = start(name, (12, 12), 1, 2, mean, photo)
    start(name, (12, 12), 9, 9, mean, photo)
    np.random.seed(0)  # the global generator is nobody's
    bitwise(start(name, (12, 12), 1, 2, mean, photo), first)
    bitwise(mean, np.array(MEAN, np.float32))
    for seed, index in ((1, 3), (2, 2), (2, 1)):
        other = start(name, (12, 12), seed, index, mean, photo)
        assert (other == first).all() if name == "picture" else (other != first).mean() > 0.9


def test_a_picture_is_turned_as_its_camera_says(tmp_path):
    pixels = np.random.default_rng(3).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(np.rot90(pixels, -1)).save(tmp_path / "upright.png")
    mean = np.array(MEAN, np.float32)
    turned, upright = (
        start("picture", (20, 20), 0, 0, mean, tmp_path / f"{n}.png") for n in ("turned", "upright")
    )
    bitwise(turned, upright)


# --- The ascent --------------------------------------------------------------------------------------------

BLOCKS = [[8], [12, 16]]
LAYER = "block2_conv2"
TINY = {
    "_target_": "deepvis.networks.vgg.Vgg",
    "name": "tiny",
    "blocks": BLOCKS,
    "mean": list(MEAN),
    "weights": {"_target_": "deepvis.networks.weights.seeded"},
}
FILTERS = np.array([0, 5, 9, 15, 2], np.int32)


@functools.cache
def tiny() -> networks.Activations:
    with tf.init_scope():  # whichever test, and whichever trace, asks first
        return networks.network(TINY).build([LAYER], 16, "float32")


def parts(
    hyper, pre: bool = True, optimizer: str = "normalized", used=(), combine="chain"
) -> gradient_ascent.Parts:
    own = goal("channel", LAYER, hyper["filter"], pre)
    read = objectives.reading(LAYER, hyper["filter"])

    def measure(image):
        seen = tiny().activations(image, [LAYER])
        return own(seen), *read(seen)

    rule = components("optimizer")[optimizer].function
    numbers = {k.removeprefix("optimizer."): v for k, v in hyper.items() if k.startswith("optimizer.")}
    made = rule(**numbers)

    def same(image):
        return image

    regularize = regularizers.build([OPERATORS[name] for name in used], hyper, combine, MEAN)
    return gradient_ascent.Parts(same, same, same, measure, made.slots, made.update, regularize)


def hyper_of(n: int, **changes) -> dict[str, np.ndarray]:
    base = {"filter": FILTERS[:n], "steps": np.full(n, 12, np.int32)}
    base |= {
        "optimizer.learning_rate": np.full(n, 0.9, np.float32),
        "reg.decay": np.full(n, 0.97, np.float32),
    }
    return {k: tf.constant(v) for k, v in (base | changes).items()}


def climb(made, image, hyper, *chunks: int) -> tuple[gradient_ascent.State, dict[str, np.ndarray]]:
    """The state at the end of 12 steps, or of these chunks, and everything recorded."""
    state, records = made.begin(tf.constant(image), hyper), []
    for n in chunks or (12,):
        if n:
            state, record = gradient_ascent.advance(made, state, [hyper] * n)
            records.append(record)
    state, last, _ = made.finish(state, made.show(state.theta, hyper), hyper)
    records.append(gradient_ascent.Record(*(values[None] for values in last)))
    stacked = {
        name: np.concatenate([getattr(r, name) for r in records]) for name in gradient_ascent.Record._fields
    }
    return tf.nest.map_structure(lambda each: each.numpy(), state), stacked


def same_row(one, i, other, j) -> None:
    """Image i of one ascent is image j of another: in its state and in all that was recorded."""
    for name in ("theta", "best_score", "best_theta", "alive"):
        bitwise(getattr(one[0], name)[i], getattr(other[0], name)[j])
    for name, values in one[1].items():
        n = min(len(values), len(other[1][name]))
        n -= len(values) != len(other[1][name])  # the shorter one's last row was measured without a gradient
        bitwise(values[:n, i], other[1][name][:n, j])


@functools.cache
def decaying() -> object:
    return gradient_ascent.compiled(functools.partial(parts, used=("decay",)))


def starts(n: int) -> np.ndarray:
    return np.random.default_rng(40).uniform(0, 20, (n, 24, 24, 3)).astype(np.float32)


def test_no_gradient_leaks_between_images():
    image = tf.constant(starts(3))
    for pre in (True, False):
        own = goal("channel", LAYER, [0, 5, 9], pre)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(image)
            score = own(tiny().activations(image, [LAYER]))
            each = [score[i] for i in range(3)]
        for i in range(3):
            grad = tape.gradient(each[i], image).numpy()
            assert grad[i].any()
            assert not np.delete(grad, i, 0).any()


def test_changed_numbers_and_other_chunks_do_not_retrace():
    made = gradient_ascent.compiled(functools.partial(parts, used=("decay",)))
    state = made.begin(tf.constant(starts(3)), hyper_of(3))
    changes = [
        {},
        {"reg.decay": np.float32([0.5, 1, 0.9])},
        {"optimizer.learning_rate": np.float32([1, 2, 3])},
        {"filter": np.int32([7, 7, 1])},
        {"steps": np.int32([1, 99, 3])},
    ]
    for n, change in enumerate(changes, start=1):
        state, record = gradient_ascent.advance(made, state, [hyper_of(3, **change)] * n)
        assert len(record.score) == n
        made.finish(state, made.show(state.theta, hyper_of(3)), hyper_of(3, **change))
    assert int(state.step) == sum(range(1, len(changes) + 1))
    traced = (made.begin, made.advance, made.show, made.finish)
    assert [each.experimental_get_tracing_count() for each in traced] == [1] * 4


def test_any_chunks_make_the_same_ascent():
    whole = climb(decaying(), starts(2), hyper_of(2))
    parted = climb(decaying(), starts(2), hyper_of(2), 1, 5, 4, 2)
    for i in range(2):
        same_row(whole, i, parted, i)


def test_an_ascent_packed_equals_alone_in_any_order():
    changes = {
        "steps": np.int32([12, 3, 12, 7, 1]),
        "reg.decay": np.float32([1, 0.8, 0.95, 0.9, 0.99]),
        "optimizer.learning_rate": np.float32([0.9, 2, 0.3, 0.9, 5]),
    }
    numbers = hyper_of(5, **changes)
    packed = climb(decaying(), starts(5), numbers)
    order = np.array([3, 0, 4, 2, 1])
    permuted = climb(decaying(), starts(5)[order], {k: tf.gather(v, order) for k, v in numbers.items()})
    for i in range(5):
        same_row(permuted, list(order).index(i), packed, i)
        row = slice(i, i + 1)
        steps = int(changes["steps"][i])
        # Alone it ends right after its own last step: what it did beside longer neighbours is nothing more.
        alone = climb(decaying(), starts(5)[row], {k: v[row] for k, v in numbers.items()}, steps)
        same_row(alone, 0, packed, i)


def test_an_image_that_is_done_stands_still_and_is_measured_on():
    numbers = hyper_of(3, steps=np.int32([4, 12, 0]))
    state, record = climb(decaying(), starts(3), numbers)
    early, _ = climb(decaying(), starts(3), numbers, 4)
    bitwise(state.theta[0], early.theta[0])
    bitwise(state.theta[2], starts(3)[2])
    assert (state.theta[1] != early.theta[1]).any()
    for values in record.values():
        assert (values[4:-1, 0] == values[4, 0]).all() and (values[:-1, 2] == values[0, 2]).all()
    assert len(np.unique(record["score"][:, 1])) == 13


@pytest.mark.parametrize("rate", [1e30, 3e37, 3e38])
def test_an_image_that_explodes_freezes_alone_at_its_last_finite_state(rate):
    made = gradient_ascent.compiled(functools.partial(parts, optimizer="sgd"))
    rates = np.float32([50, rate, 100])
    image = starts(3)
    exploding = climb(made, image, hyper_of(3, **{"optimizer.learning_rate": rates}))
    calm = climb(made, image, hyper_of(3, **{"optimizer.learning_rate": np.float32([50, 50, 100])}))
    for i in (0, 2):
        same_row(exploding, i, calm, i)
    state, record = exploding
    assert np.isfinite(state.theta).all()
    assert state.alive[[0, 2]].all() and state.alive[1] == record["alive"][-1, 1]
    if rate > 1e37:
        assert not state.alive[1]
        dead = int((~record["alive"][:, 1]).argmax())
        assert not record["alive"][dead:, 1].any()  # there is no way back
        before, _ = climb(made, image, hyper_of(3, **{"optimizer.learning_rate": rates}), dead)
        bitwise(state.theta[1], before.theta[1])


def test_an_image_whose_score_is_no_number_freezes_alone():
    """Pixels fall below zero, where the score is not defined: it is NaN while the image is still finite."""

    def falling(hyper):
        def measure(image):
            score = -tf.reduce_mean(tf.where(image < 0, np.nan, image), axis=[1, 2, 3])
            return score, score, score, score, score

        rate = tf.reshape(hyper["optimizer.learning_rate"], [-1, 1, 1, 1])
        return parts_of(measure, lambda grad, memory, step: (rate * grad, memory))

    made = gradient_ascent.compiled(falling)
    image = np.random.default_rng(0).uniform(4, 9, (3, 2, 2, 3)).astype(np.float32)
    mixed = climb(made, image, hyper_of(3, **{"optimizer.learning_rate": np.float32([1, 30, 2])}))
    alone = climb(made, image[[0, 2]], hyper_of(2, **{"optimizer.learning_rate": np.float32([1, 2])}))
    for i, j in ((0, 0), (2, 1)):
        same_row(mixed, i, alone, j)
    state, record = mixed
    dead = int((~record["alive"][:, 1]).argmax())
    assert (
        0 < dead < 12 and np.isnan(record["score"][dead, 1]) and np.isfinite(record["score"][:dead, 1]).all()
    )
    assert (
        np.isfinite(state.theta[1]).all()
        and (record["image_rms"][dead:, 1] == record["image_rms"][dead, 1]).all()
    )
    assert state.best_score[1] == record["score"][:dead, 1].max()


def test_a_start_that_is_no_number_stays_and_harms_nobody():
    image = starts(3)
    clean = climb(decaying(), image, hyper_of(3))
    broken = image.copy()
    broken[1, 4, 4, 0] = np.nan
    found = climb(decaying(), broken, hyper_of(3))
    for i in (0, 2):
        same_row(found, i, clean, i)
    bitwise(found[0].theta[1], broken[1])
    assert not found[1]["alive"][:, 1].any()


def test_the_best_image_is_that_of_the_highest_score_in_the_history():
    """Decay pulls some scores down again, so that the best is neither always the last nor the first."""
    numbers = hyper_of(5, **{"reg.decay": np.float32([1, 0.7, 0.9, 0.3, 0.8]),
                             "optimizer.learning_rate": np.float32([0.9, 0.9, 5, 0.01, 2])})  # fmt: skip
    state, record = climb(decaying(), starts(5), numbers)
    when = record["score"].argmax(axis=0)
    assert len(set(when)) > 1 and (when < 12).any() and (when > 0).any()
    bitwise(state.best_score, record["score"].max(axis=0))
    for i, t in enumerate(when):
        at, _ = climb(decaying(), starts(5), numbers, int(t))
        bitwise(state.best_theta[i], at.theta[i])


def test_only_its_own_last_measurement_counts_for_the_best_image():
    """Else an image packed with longer ones might keep another than alone, by the last bit of a score."""
    made = decaying()
    numbers = hyper_of(3, steps=np.int32([0, 4, 9]))
    image = tf.constant(starts(3))
    start = made.begin(image, numbers)._replace(step=tf.constant(4))
    early, _, _ = made.finish(start, image, numbers)
    np.testing.assert_array_equal(np.isfinite(early.best_score), [True, True, False])
    on, _ = made.advance(start, numbers)
    np.testing.assert_array_equal(np.isfinite(on.best_score), [False, False, True])


@pytest.mark.parametrize("pre", [True, False])
@pytest.mark.parametrize("optimizer", RULES)
def test_the_score_rises(optimizer, pre):
    made = gradient_ascent.compiled(functools.partial(parts, optimizer=optimizer, pre=pre))
    numbers = {f"optimizer.{k}": np.full(5, v, np.float32) for k, v in rule_of(optimizer).items()}
    hyper = hyper_of(5)
    del hyper["optimizer.learning_rate"]
    _, record = climb(made, starts(5), hyper | {k: tf.constant(v) for k, v in numbers.items()})
    score, moves = record["score"], record["gradient_rms"][0] > 0
    assert moves.sum() >= 4  # behind the ReLU a filter may be silent
    assert (score[-1] > score[0])[moves].all()
    assert (np.diff(score[:, moves], axis=0) > 0).mean() > 0.8


def test_a_record_shows_what_a_step_saw_before_it_moved():
    state, record = climb(decaying(), starts(2), hyper_of(2))
    for t in (0, 6, 12):
        at, _ = climb(decaying(), starts(2), hyper_of(2), t)
        for i in range(2):
            pre, post = reference.forward(at.theta[i], networks.network(TINY).read(LAYER).layers, LAYER)
            close(record["score"][t, i], np.array(reference.score(pre, FILTERS[i])))
            close(record["activation"][t, i], np.array(reference.score(post, FILTERS[i])))
            close(record["image_rms"][t, i], np.sqrt(np.mean(at.theta[i].astype(float) ** 2)))
            assert record["rank"][t, i] == reference.rank(pre, FILTERS[i])
    assert state.step == 12
