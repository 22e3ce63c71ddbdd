"""Laws of the transforms: SciPy's samples, the exact adjoint, and chance that one knob has for itself."""

import numpy as np
import pytest
import tensorflow as tf
import yaml
from helpers.configs import choices
from scipy import ndimage

from deepvis.ascent import transforms
from deepvis.config import schema
from deepvis.core.names import CONF

OFF = schema.neutral()["transform"]
SWITCHED_ON = {"jitter": 4, "scale": 0.3, "rotate": 40.0, "noise": 5.0, "pad": 3, "crop": 2}
ON = OFF | SWITCHED_ON
SIZE, SIDE = (13, 19), (17, 23)  # two sizes for most of what follows: each is compiled anew
BATCH = 5


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 50, shape).astype(np.float32)


def draw(numbers: dict, *where) -> dict[str, np.ndarray]:
    """Of one image: where are its size, seed, filter and step."""
    return transforms.draw(schema.free("transform", numbers), *where)


def drawn(*numbers: dict, size=SIZE, step: int = 3) -> dict[str, np.ndarray]:
    """Of a batch, each image with numbers of its own."""
    each = [draw(own, size, 7, index, step) for index, own in enumerate(numbers)]
    return {name: np.stack([own[name] for own in each]) for name in each[0]}


def seen(draws: dict, image: np.ndarray, side: tuple[int, int], geometric=True, noisy=True) -> np.ndarray:
    transform = transforms.build({k: tf.constant(v) for k, v in draws.items()}, side, geometric, noisy)
    return transform(tf.constant(image)).numpy()


def pulled(draws: dict, grad: np.ndarray, image: np.ndarray) -> np.ndarray:
    """The gradient at the image of one at what is seen."""
    transform = transforms.build({k: tf.constant(v) for k, v in draws.items()}, grad.shape[1:3], True, True)
    with tf.GradientTape() as tape:
        image = tf.constant(image)
        tape.watch(image)
        out = transform(image)
    return tape.gradient(out, image, output_gradients=tf.constant(grad)).numpy()


def placed(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Draws that are given, without noise."""
    batch = len(matrix)
    return {"transform.matrix": np.float32(matrix), "transform.noise": np.zeros(batch, np.float32),
            "transform.noise_uniform": np.zeros(batch, np.float32),
            "transform.seed": np.zeros((batch, 2), np.int32)}  # fmt: skip


MATRICES = np.array([
    [[1, 0, 0], [0, 1, 0]], [[1, 0, -2.25], [0, 1, 3.5]], [[0.9, -0.4, 1], [0.4, 0.9, -3]],
    [[-1, 0.1, 14], [0.2, 1.7, -2]], [[0.3, 0, 2], [0, 0.3, 40]],
])  # fmt: skip


# --- What is seen ------------------------------------------------------------------------------------------


def test_samples_are_scipys():
    """Turned, mirrored, enlarged, shrunk, and far outside; pixels fade into the grey around them."""
    image = noise(1, BATCH, *SIZE, 3)
    ours = seen(placed(MATRICES), image, SIDE)
    for i, matrix in enumerate(MATRICES):
        for c in range(3):
            oracle = ndimage.affine_transform(
                image[i, :, :, c].astype(float), matrix[:, :2], matrix[:, 2], SIDE, order=1,
                mode="grid-constant",
            )  # fmt: skip
            np.testing.assert_allclose(ours[i, :, :, c], oracle, rtol=0, atol=1e-3)


@pytest.mark.parametrize("side", [SIZE, SIDE])
def test_the_gradient_is_the_adjoint(side):
    """<T x, y> = <x, T* y> for each image, and what one pixel of it does. T is linear."""
    image, grad = noise(2, BATCH, *SIZE, 3), noise(3, BATCH, *side, 3)
    draws = placed(MATRICES)
    over = ((1, 2, 3),) * 2
    forward = np.einsum("byxc,byxc->b", seen(draws, image, side).astype(float), grad)
    backward = np.einsum("byxc,byxc->b", image, pulled(draws, grad, image).astype(float))
    scale = np.sqrt((image**2).sum(over[0]) * (grad**2).sum(over[1]))
    np.testing.assert_allclose(forward / scale, backward / scale, rtol=0, atol=1e-6)
    one = np.zeros_like(image)
    one[:, 6, 5, 1] = 1
    wanted = (seen(draws, one, side) * grad).sum((1, 2, 3))
    np.testing.assert_allclose(pulled(draws, grad, image)[:, 6, 5, 1], wanted, rtol=0, atol=1e-3)


def test_whole_pixels_are_copied():
    image = noise(4, 3, *SIZE, 3)
    draws = drawn(*[OFF | {"jitter": 4}] * 3)
    ours = seen(draws, image, SIZE)
    for i in range(3):
        dy, dx = draws["transform.matrix"][i, :, 2].astype(int)
        around = np.pad(image[i], ((4, 4), (4, 4), (0, 0)))
        wanted = around[4 + dy : 4 + dy + SIZE[0], 4 + dx : 4 + dx + SIZE[1]]
        np.testing.assert_array_equal(ours[i], wanted)


def test_padding_lays_grey_around_and_a_crop_is_a_window():
    image = noise(5, 1, *SIZE, 3)
    padded = np.pad(image[0], ((2, 2), (2, 2), (0, 0)))
    pad = OFF | {"pad": 2}
    assert transforms.out_size(pad["pad"], pad["crop"], SIZE) == SIDE
    np.testing.assert_array_equal(seen(drawn(pad), image, SIDE)[0], padded)
    both = OFF | {"pad": 2, "crop": 4}
    draws = drawn(both)
    top, left = draws["transform.matrix"][0, :, 2].astype(int) + 2
    np.testing.assert_array_equal(
        seen(draws, image, transforms.out_size(both["pad"], both["crop"], SIZE))[0],
        padded[top : top + SIZE[0], left : left + SIZE[1]],
    )


def test_robust_moves_before_and_after_it_scales_and_turns():
    """lucid's order and lucid's windows, jitter 8 and jitter 4: two draws of 9 and of 5 places, sd 2.94."""
    numbers = OFF | yaml.safe_load((CONF / "transform" / "robust.yaml").read_text())
    assert transforms.out_size(numbers["pad"], numbers["crop"], (64, 64)) == (64, 64)
    still = numbers | {"scale": 0.0, "rotate": 0.0}
    moves = -np.stack([draw(still, (64, 64), 3, i, 5)["transform.matrix"][:, 2] for i in range(4000)])
    places = np.arange(-6, 7)
    expected = [sum(abs(place - second) <= 4 for second in range(-2, 3)) / 45 for place in places]
    shares = np.stack([(moves == place).mean(axis=0) for place in places])
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    np.testing.assert_allclose(shares, np.stack([expected] * 2, axis=1), atol=0.015)
    np.testing.assert_allclose(moves.std(axis=0), np.sqrt(80 / 12 + 24 / 12), rtol=0.03)
    assert abs(np.corrcoef(moves.T)[0, 1]) < 0.05

    # The first is in px of the image, the second in px of what is seen: 0.9 or 1.1 times as far in the image.
    def matrices(changed: dict) -> np.ndarray:
        draws = [draw(numbers | changed, (64, 64), 3, i, 5) for i in range(200)]
        return np.stack([each["transform.matrix"] for each in draws])

    shift, turned = matrices({"jitter": 0}), matrices({"jitter": 0, "crop": 0, "pad": 0})
    assert np.abs(shift[:, :, :2] - turned[:, :, :2]).max() < 1e-6
    centre = np.array([31.5, 31.5, 1])
    second = np.linalg.solve(turned[:, :, :2], (shift - turned) @ centre[None, :, None].repeat(200, 0))
    np.testing.assert_allclose(second, np.round(second), atol=1e-3)
    assert set(np.unique(np.round(second))) == {-2, -1, 0, 1, 2}


def windows(count: int, step: int, steps: int, **changed) -> np.ndarray:
    """What `count` windows show: their first and last pixel in the image, share of its sides, [n, 2, 2]."""
    numbers = schema.free("transform", OFF | {"crops": 8, "crops_px": 12} | changed)
    ends = np.array([[0, 0, 1], [*(np.array(transforms.crop_size(12, SIZE)) - 1), 1]])
    draws = [transforms.draw(numbers, SIZE, 3, i // 8, step, steps, i % 8) for i in range(count)]
    return np.stack([ends @ each["transform.matrix"].T for each in draws]) / (np.array(SIZE) - 1)


def test_windows_shrink_from_half_the_image_to_a_twentieth_about_its_middle():
    """The published schedule: N(b, 0.05) from 0.05 to 1, b from 0.5 to 0.05; centres N(0.5, 0.15)."""
    for step, side in ((0, 0.5), (50, 0.275), (100, 0.05)):
        found = windows(2400, step, 101)
        sides, centres = found[:, 1] - found[:, 0], found.mean(axis=1)
        np.testing.assert_allclose(sides[:, 0], sides[:, 1], atol=1e-6)  # as high as wide
        drawn = np.clip(np.random.default_rng(0).normal(side, 0.05, 100_000), 0.05, 1)
        assert (sides.mean(), sides.std()) == (pytest.approx(drawn.mean(), abs=4e-3),
                                               pytest.approx(drawn.std(), abs=4e-3))  # fmt: skip
        assert sides.min() >= 0.05 - 1e-6
        np.testing.assert_allclose(centres.mean(axis=0), 0.5, atol=0.012)
        np.testing.assert_allclose(centres.std(axis=0), 0.15, atol=0.01)
        assert abs(np.corrcoef(np.column_stack([centres, sides[:, 0]]).T) - np.eye(3)).max() < 0.08


def test_a_window_is_what_tensorflow_crops_and_resizes():
    image = noise(13, 6, *SIZE, 3)
    numbers = OFF | {"crops": 8, "crops_px": 12, "crops_offset": 0.05}
    draws, side = drawn(*[numbers] * 6), transforms.crop_size(12, SIZE)
    assert side == (8, 12)
    found = draws["transform.matrix"] @ np.array([[0, 0, 1], [7, 11, 1]]).T  # [6, 2, ends]
    boxes = np.concatenate(list(found.transpose(2, 0, 1)), axis=1) / (np.tile(SIZE, 2) - 1)
    assert boxes.min() > 0 and boxes.max() < 1
    wanted = tf.image.crop_and_resize(image, boxes.astype(np.float32), np.arange(6), side).numpy()
    np.testing.assert_allclose(seen(draws, image, side), wanted, rtol=0, atol=1e-3)


def test_uniform_noise_is_uniform_and_apart_from_the_normal():
    image, size = np.zeros((2, 96, 96, 3), np.float32), (96, 96)
    draws = {k: tf.constant(v) for k, v in drawn(*[OFF | {"noise_uniform": 6.0}] * 2, size=size).items()}
    u = transforms.build(draws, size, False, False, True)(tf.constant(image)).numpy()
    assert np.abs(u).max() <= 6 and abs(np.corrcoef(u.reshape(2, -1))[0, 1]) < 0.02
    np.testing.assert_allclose(np.quantile(u, [0.1, 0.5, 0.9]), [-4.8, 0, 4.8], atol=0.1)
    z = transforms.build(draws | {"transform.noise": tf.constant([1.0, 1.0])}, size, False, True)(
        image
    ).numpy()
    assert abs(np.corrcoef(u.ravel(), z.ravel())[0, 1]) < 0.02


def test_noise_is_normal_and_each_images_own():
    image = np.zeros((4, 96, 96, 3), np.float32)
    z = seen(drawn(*[OFF | {"noise": 5.0}] * 4, size=(96, 96)), image, (96, 96), geometric=False)
    np.testing.assert_allclose(z.std((1, 2, 3)), 5, rtol=0.03)
    np.testing.assert_allclose(z.mean((1, 2, 3)), 0, atol=0.15)
    assert abs(np.corrcoef(z.reshape(4, -1)) - np.eye(4)).max() < 0.03
    assert abs((abs(z) < 5).mean() - 0.6827) < 0.01
    twice = seen(drawn(*[OFF | {"noise": 10.0}] * 4, size=(96, 96)), image, (96, 96), geometric=False)
    np.testing.assert_allclose(twice, 2 * z, rtol=1e-6)
    later = seen(drawn(*[OFF | {"noise": 5.0}] * 4, size=(96, 96), step=4), image, (96, 96), geometric=False)
    assert abs(np.corrcoef(z.ravel(), later.ravel())[0, 1]) < 0.03


# --- A batch never leaks -----------------------------------------------------------------------------------


def test_zero_is_off_bitwise_beside_a_neighbour():
    """Signs of zeros, infinities and all; and so is its gradient."""
    image, grad = noise(6, 2, *SIZE, 3), noise(7, 2, *SIZE, 3)
    image[0, 0, :4, 0] = -0.0, np.inf, np.nan, 1e-42
    draws = drawn(OFF, ON | {"pad": 0, "crop": 0})
    ours = seen(draws, image, SIZE)
    assert ours[0].tobytes() == image[0].tobytes()
    assert (ours[1] != image[1]).any()
    assert pulled(draws, grad, image)[0].tobytes() == grad[0].tobytes()


@pytest.mark.parametrize("side", [SIZE, SIDE])
def test_packed_equals_alone_in_any_order(side):
    numbers = [ON | {name: OFF[name]} for name in SWITCHED_ON]
    image, grad = noise(8, 6, *SIZE, 3), noise(9, 6, *side, 3)
    draws = drawn(*numbers)

    def of(rows):
        some = {name: array[rows] for name, array in draws.items()}
        return seen(some, image[rows], side), pulled(some, grad[rows], image[rows])

    packed = of([0, 1, 2, 3, 4, 5])
    for rows in ([5], [5, 2, 0, 4, 1, 3]):
        for ours, whole in zip(of(rows), packed, strict=True):
            np.testing.assert_array_equal(ours, whole[rows])


def test_nan_stays_in_its_own_image_and_no_argument_is_mutated():
    image, grad = noise(10, 3, *SIZE, 3), noise(11, 3, *SIDE, 3)
    draws = drawn(*[ON] * 3)
    before = {name: array.copy() for name, array in draws.items()}
    clean = seen(draws, image, SIDE), pulled(draws, grad, image)
    broken = image.copy(), grad.copy()
    broken[0][1, :, :2] = np.nan
    broken[1][1, :, -2:] = np.nan
    held = tf.Variable(broken[0])
    found = seen(draws, held, SIDE), pulled(draws, broken[1], image)
    for ours, whole in zip(found, clean, strict=True):
        assert np.isnan(ours[1]).any()
        np.testing.assert_array_equal(ours[[0, 2]], whole[[0, 2]])
    np.testing.assert_array_equal(held.numpy(), broken[0])
    for name, array in draws.items():
        np.testing.assert_array_equal(array, before[name])


def test_other_draws_do_not_retrace():
    traces = 0

    @tf.function(autograph=False)
    def step(image, draws):
        nonlocal traces
        traces += 1
        return transforms.build(draws, SIDE, True, True)(image)

    image = tf.constant(noise(12, 2, *SIZE, 3))
    found = [
        step(image, {k: tf.constant(v) for k, v in drawn(ON, OFF, step=n).items()}).numpy() for n in range(3)
    ]
    assert traces == 1
    assert (found[0] != found[1]).any() and (found[1] != found[2]).any()


# --- Draws -------------------------------------------------------------------------------------------------


def matrix(numbers: dict, **changed) -> np.ndarray:
    """One image's, as three by three."""
    where = {"size": SIZE, "seed": 1, "index": 2, "step": 3} | changed
    return np.vstack([draw(numbers, *where.values())["transform.matrix"], [0, 0, 1]])


def test_draws_depend_on_seed_filter_and_step_alone():
    first = draw(ON, SIZE, 1, 2, 3)
    np.random.seed(0)
    draw(ON, SIZE, 9, 9, 9)
    again = draw(ON, SIZE, 1, 2, 3)
    for name, array in first.items():
        assert array.tobytes() == again[name].tobytes() and array.dtype == again[name].dtype
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4), (2, 1, 3), (1, 3, 2)):
        moved = draw(ON, SIZE, *other)
        assert (moved["transform.matrix"] != first["transform.matrix"]).all()
        assert (moved["transform.seed"] != first["transform.seed"]).any()


def test_no_knob_changes_anothers_draw():
    """All at once are the five one after the other: jitter, turn, scale, padding, window."""
    apart = [matrix(OFF | {name: ON[name]}) for name in ("jitter", "rotate", "scale", "pad", "crop")]
    together = np.linalg.multi_dot(apart)
    np.testing.assert_allclose(matrix(ON), together, rtol=0, atol=1e-5)
    assert not np.allclose(together, np.eye(3))
    seeds = [draw(numbers, SIZE, 1, 2, 3)["transform.seed"] for numbers in (ON, OFF)]
    np.testing.assert_array_equal(*seeds)


def test_draws_are_uniform_in_their_ranges():
    steps = range(1500)
    shifts = np.array([matrix(OFF | {"jitter": 2}, step=n)[:2, 2] for n in steps])
    window = np.array([matrix(OFF | {"crop": 3}, step=n)[:2, 2] for n in steps])
    for values, wanted in ((shifts, [-2, -1, 0, 1, 2]), (window, [0, 1, 2, 3])):
        for axis in (0, 1):
            found, counts = np.unique(values[:, axis], return_counts=True)
            assert found.tolist() == wanted
            np.testing.assert_allclose(counts / len(steps), 1 / len(wanted), atol=0.04)
        assert abs(np.corrcoef(values.T)[0, 1]) < 0.1

    factors = np.array([1 / matrix(OFF | {"scale": 0.25}, step=n)[0, 0] for n in steps])
    turns = np.array([matrix(OFF | {"rotate": 30.0}, step=n)[:2, :2] for n in steps])
    angles = np.rad2deg(np.arctan2(turns[:, 1, 0], turns[:, 0, 0]))
    for values, low, high in ((factors, 0.75, 1.25), (angles, -30, 30)):
        assert values.min() >= low - 1e-5 and values.max() <= high + 1e-5
        inside = np.quantile((values - low) / (high - low), [0.1, 0.5, 0.9])
        np.testing.assert_allclose(inside, [0.1, 0.5, 0.9], atol=0.05)
    every = np.column_stack([shifts, window, factors, angles])
    assert abs(np.corrcoef(every.T) - np.eye(6)).max() < 0.1


def test_an_image_is_turned_and_scaled_about_its_centre():
    centre = np.array([(SIZE[0] - 1) / 2, (SIZE[1] - 1) / 2, 1])
    turned, scaled = matrix(OFF | {"rotate": 50.0}), matrix(OFF | {"scale": 0.4})
    np.testing.assert_allclose(turned[:2, :2] @ turned[:2, :2].T, np.eye(2), atol=1e-6)
    assert np.linalg.det(turned) == pytest.approx(1) and turned[0, 1] != 0
    np.testing.assert_allclose(scaled[:2, :2], scaled[0, 0] * np.eye(2), atol=1e-6)
    assert scaled[0, 0] != 1
    for each in (turned, scaled):
        np.testing.assert_allclose(each @ centre, centre, atol=1e-5)


# --- conf/transform ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", choices("transform"))
def test_a_choice_changes_numbers_of_none_and_nothing_else(name):
    own = yaml.safe_load((CONF / "transform" / f"{name}.yaml").read_text()) or {}
    assert set(own) <= set(OFF)
    numbers = OFF | own
    assert {key for key in numbers if numbers[key] != OFF[key]} == set(own)
    assert transforms.out_size(numbers["pad"], numbers["crop"], (128, 64)) == {"crops": (96, 32)}.get(
        name, (128, 64)
    )
    assert all(type(numbers[key]) is type(OFF[key]) for key in OFF)
