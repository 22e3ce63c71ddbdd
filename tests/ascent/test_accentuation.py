"""Laws of feature accentuation: its equations in float64, the balance at the start, the batch law."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.configs import job_of
from PIL import Image

from deepvis.ascent import gradient_ascent, optimize, program, specs, transforms, validation
from deepvis.ascent.accentuation import accentuation
from deepvis.ascent.parts import Parts
from deepvis.core.errors import ConfigError

tf = pytest.importorskip("tensorflow")
RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(2, 4, 5, 3)).astype(np.float32)  # of the score, which is linear
MAPS = RNG.normal(size=(3, 7)).astype(np.float32)  # colours -> features, at each pixel
FACTORS = np.float32([[1, 2, 6], [0.5, 1, 2]])  # of a batch of two, of three windows
ALPHAS = np.float32([1, 0.3])
RATE = 0.1


def linear(hyper) -> Parts:
    """A window shows the image times its factor; the features of a pixel are those of its colour."""
    accent = accentuation(hyper["alpha"])

    def measure(image, seen):
        score = tf.reduce_sum(image * WEIGHT, axis=[1, 2, 3])
        maps, start = (tf.einsum("bhwc,cd->bhwd", each, MAPS) for each in (image, seen["start"]))
        return score, score, 0 * score, 0 * score, tf.zeros([2, 1]), accent.distance(maps, start)

    def update(grad, memory, step):
        return RATE * grad, memory

    def same(image):
        return image

    return Parts(same, same, lambda image: image * hyper["factor"][:, None, None, None], measure, 0, update,
                 lambda x, g, t: x, beside={"start": hyper["start"]}, accentuation=accent)  # fmt: skip


def ascended(start, steps, factors):
    """Theta and balance of one image after some steps: the published equations, for a linear score."""
    results = []
    for b in range(2):
        theta, x0, balance = (start[b].astype(float),) * 2 + (0.0,)
        factor = factors[b].mean()
        for step in range(steps):
            of_score, of_distance = WEIGHT[b] * factor, np.zeros_like(theta)
            for row in range(4):
                for column in range(5):
                    apart = (theta - x0)[row, column] @ MAPS.astype(float)
                    if step:  # at the start there is no direction
                        of_distance[row, column] = factor * MAPS @ apart / np.linalg.norm(apart) / 20
            if step == 1:
                balance = np.abs(of_score).sum() / np.abs(of_distance).sum()
            theta = theta + RATE * (of_score - ALPHAS[b] * balance * of_distance)
        results.append((theta, balance))
    return results


@pytest.mark.parametrize("windows", [1, 3])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_steps_are_those_of_the_equations(steps, windows):
    """Of one image and of the mean over windows; the balance is taken in the second step and kept."""
    made = gradient_ascent.compiled(linear)
    start = RNG.normal(size=(2, 4, 5, 3)).astype(np.float32)
    common = {"steps": tf.constant([9, 9]), "alpha": tf.constant(ALPHAS), "start": tf.constant(start)}
    hypers = [common | {"factor": tf.constant(FACTORS[:, k])} for k in range(windows)]
    given = hypers if windows > 1 else hypers[0]
    state, _ = gradient_ascent.advance(made, made.begin(tf.constant(start), hypers[0]), [given] * steps)
    for b, (theta, balance) in enumerate(ascended(start, steps, FACTORS[:, :windows])):
        np.testing.assert_allclose(state.theta[b], theta, atol=2e-5)
        np.testing.assert_allclose(state.balance[0][b], balance, rtol=1e-5)


@pytest.mark.parametrize("channels", [5, 16, 40])
def test_the_distance_is_the_mean_length_over_positions(channels):
    """Of an image's features and others; of features with themselves it is 0, and so is its gradient."""
    maps, others = RNG.normal(0, 3, (2, 3, 6, 5, channels)).astype(np.float32)
    others[0, 2:] = maps[0, 2:]  # some positions are alike
    one, image = accentuation(tf.ones(3)), tf.constant(maps)
    with tf.GradientTape() as tape:
        tape.watch(image)
        found = one.distance(image, tf.constant(others))
    apart = (maps - others).astype(float)
    lengths = np.linalg.norm(apart, axis=3)
    np.testing.assert_allclose(found, lengths.mean(axis=(1, 2)), rtol=1e-5)
    wanted = apart / np.where(lengths > 0, lengths, 1)[..., None] / 30
    np.testing.assert_allclose(tape.gradient(found, image), wanted, atol=1e-7)
    np.testing.assert_array_equal(one.distance(image, image), [0, 0, 0])
    for b in range(3):
        np.testing.assert_array_equal(one.distance(image[b : b + 1], others[b : b + 1])[0], found[b])


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("accentuation") / "photo.png"
    Image.fromarray(RNG.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    return path


SIZE = ("size=24", "steps=6", "snapshot_every=3", "robustness=false", "param=fourier", "optimizer=adam",
        "optimizer.learning_rate=0.05", "start=picture", "reg.accentuation_layer=block2_conv1")  # fmt: skip
WINDOWS = ("transform.crops=2", "transform.crops_px=16", "transform.crops_inside=true")


def images_of(picture, *each, more=()):
    cfgs = [job_of(None, *SIZE, f"start.path={picture}", *more, *typed).cfg for typed in each]
    for cfg in cfgs:
        validation.check_job(cfg)
    return [specs.ImageSpec(cfg, index) for index, cfg in enumerate(cfgs)]


@pytest.mark.parametrize("more", [(), (*WINDOWS, "reg.total_variation=0.1", "alpha=true")])
def test_an_image_is_bitwise_the_same_alone_and_beside_others_and_resumed(picture, more):
    each = [("reg.accentuation=1",), ("reg.accentuation=7", "steps=4", "seed=3"), ("reg.accentuation=0.1",)]
    images = images_of(picture, *each, more=more)
    kept = []
    beside = optimize.optimize(images, on_snapshot=lambda _, seen: kept.append(seen.states()))
    alone = optimize.optimize(images[1:2])
    np.testing.assert_array_equal(alone.final[0], beside.final[1])
    np.testing.assert_array_equal(alone.history["score"][:, 0], beside.history["score"][:5, 1])
    resumed = optimize.optimize(images, resumed=kept[0])
    np.testing.assert_array_equal(resumed.final, beside.final)
    assert len({image.tobytes() for image in beside.final}) == 3
    assert all(state.arrays["balance"] > 0 for state in kept[0])


def test_weights_keep_features_and_the_first_step_is_that_without(picture):
    """The higher the weight, the nearer the features and the lower the score; the first step ascends f."""
    each = [(f"reg.accentuation={weight}",) for weight in (0.1, 1, 100)]
    images = [replace(image, index=0) for image in images_of(picture, *each, more=("steps=30",))]
    found = optimize.optimize(images)
    (plain,) = images_of(picture, (), more=("steps=30",))
    without = optimize.optimize([plain]).history["score"][:, 0]
    scores = found.history["score"]
    np.testing.assert_allclose(scores[:2], np.repeat(without[:2, None], 3, axis=1), rtol=1e-5)
    assert without[-1] > scores[-1, 0] > scores[-1, 1] > scores[-1, 2] and scores[-1, 1] > scores[0, 1]
    made = optimize.compiled(images)
    start = program.start(images[0], made.network.mean)
    maps = made.network.activations(tf.constant(np.stack([*found.final, start])), ["block2_conv1"])
    post = maps["block2_conv1"].post
    apart = [float(accentuation(tf.ones(1)).distance(post[i : i + 1], post[3:])[0]) for i in range(3)]
    assert apart[0] > apart[1] > apart[2]


def test_windows_that_lie_inside_show_nothing_outside(picture):
    (image,) = images_of(picture, (), more=(*WINDOWS, "transform.crops_first=0.9"))
    sides = []
    for number in range(400):
        drawn = transforms.draw(image.cfg.transform, (24, 24), 0, 0, 0, 1, number)["transform.matrix"]
        ends = [drawn @ [*corner, 1] for corner in ((0, 0), (15, 15))]
        assert np.min(ends) > -1e-4 and np.max(ends) < 23 + 1e-4
        sides.append((ends[1] - ends[0])[0] / 23)
    # Evenly distributed between 0.05 and 0.9: mean and deviation within four standard errors.
    assert abs(np.mean(sides) - 0.475) < 0.05 and abs(np.std(sides) - 0.85 / 12**0.5) < 0.03


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("reg.accentuation_layer=null",), "reg.accentuation=1: expected reg.accentuation_layer"),
        (("reg.accentuation_layer=block9",), "reg.accentuation_layer=block9"),
        (("param=octaves",), "param.octaves=1"),
        (("optimizer=lbfgs",), "accentuation"),
    ],
    ids=["none", "unknown", "octaves", "lbfgs"],
)
def test_what_has_no_meaning_is_refused(typed, words, picture):
    typed = tuple(each for each in SIZE if not typed[0].startswith("optimizer") or "rate" not in each) + typed
    cfg = job_of(None, *typed, f"start.path={picture}", "reg.accentuation=1").cfg
    with pytest.raises(ConfigError, match=words) as error:
        validation.check_job(cfg)
    assert "\n" not in str(error.value)
