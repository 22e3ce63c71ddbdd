"""Functions of the user's: they work like those of deepvis, or one line refuses them before a step."""

import functools
import subprocess
import sys

import numpy as np
import pytest

import deepvis
from deepvis import Knob, penalty, regularizer, transform
from deepvis.ascent.ops import per_image
from deepvis.config import compose, knobs, schema
from deepvis.core.errors import ConfigError

tf = pytest.importorskip("tensorflow")


@pytest.fixture(autouse=True)
def _registry(monkeypatch):
    deepvis.visualize("tiny", "block2_conv2", 0, size=8, steps=1)  # all of deepvis' own are declared
    with monkeypatch.context() as during:
        during.setattr(knobs, "_registry", {key: dict(each) for key, each in knobs._registry.items()})
        yield
    schema.store()  # without the knobs of these functions


def seen(filters=(0, 1, 2), **said):
    return deepvis.visualize("tiny", "block2_conv2", filters, **({"size": 16, "steps": 5} | said))


def knob(**given):
    return {"amount": Knob(0.0, low=0, **given)}


BREAKERS = {
    "of the batch": lambda image, amount, step: image - amount * tf.reduce_mean(image),
    "of the batch's gradient": lambda image, amount, step: image / (1 + amount * tf.reduce_max(image)),
    "of the place": lambda image, amount, step: (
        image + amount * tf.cast(tf.range(image.shape[0]) == 0, tf.float32)[:, None, None, None]
    ),
    "late": lambda image, amount, step: tf.where(step >= 3, image - amount * tf.reduce_mean(image), image),
    "of the batch's size": lambda image, amount, step: image / (1 + amount * image.shape[0]),
    "of chance": lambda image, amount, step: image + amount * tf.random.normal(image.shape),
    "of NumPy's chance": lambda image, amount, step: (
        image + amount * np.random.default_rng().random(image.shape).astype(np.float32)
    ),
}


@pytest.mark.parametrize("name", BREAKERS)
def test_a_regularizer_that_sees_the_batch_is_refused(name):
    @regularizer(**knob())
    def breaker(amount):
        return lambda image, grad, step: BREAKERS[name](image, per_image(amount), step)

    with pytest.raises(ConfigError, match="breaker: an image comes out otherwise beside other images"):
        seen(reg={"_target_": breaker, "amount": 0.3})


def test_one_that_does_not_is_taken_and_does_what_it_says():
    @regularizer(**knob())
    def shrink(amount):
        return lambda image, grad, step: image * (1 - per_image(amount))

    own, decayed = seen(reg={"_target_": shrink, "amount": 0.25}), seen(reg={"decay": 0.75})
    np.testing.assert_array_equal(own.centred, decayed.centred)


def test_without_a_decorator_it_acts_where_it_is_given():
    def shrink(amount=0.25):
        return lambda image, *others: image * (1 - per_image(amount))

    def needing(share):
        return lambda image, *others: image * (1 - per_image(share))

    decayed, other = seen(reg={"decay": 0.75}), seen(reg={"decay": 0.5})
    np.testing.assert_array_equal(seen(reg=shrink).centred, decayed.centred)
    np.testing.assert_array_equal(seen(reg={"_target_": shrink, "amount": 0.5}).centred, other.centred)
    np.testing.assert_array_equal(seen(reg={"_target_": needing, "share": 0.5}).centred, other.centred)
    with pytest.raises(ConfigError, match=r"^reg\.share is not given: needing needs it"):
        seen(reg=needing)
    np.testing.assert_array_equal(
        seen(reg={"decay": 0.75}).centred, decayed.centred
    )  # and leaves nothing behind
    np.testing.assert_array_equal(seen().centred, seen(reg={"_target_": shrink, "shrink": False}).centred)


def test_a_transform_without_a_decorator_acts_where_it_is_given():
    def darken(amount=0.5):
        return lambda image: image * (1 - per_image(amount))

    plain, dark = seen(), seen(transform=darken)
    assert not np.array_equal(plain.history["score"], dark.history["score"])


@pytest.mark.parametrize("decorator", [regularizer, transform])
def test_a_declaration_that_could_not_work_is_refused(decorator):
    def halve(amount, word):
        return lambda image, *others: image * per_image(amount)

    for declared, says in {
        (): "no knob that switches it on",
        (("amount", Knob(0.0, switch=False)),): "no knob that switches it on",
        (("amount", Knob(0.0)),): "its parameter word has no Knob",
        (("amount", Knob(0.0)), ("word", Knob("a"))): "word is 'a', expected a number",
        (("amount", Knob(0.0)), ("weights", Knob(0.0))): "weights is an option of the whole group",
    }.items():
        with pytest.raises(ConfigError, match=f"halve.*{says}"):
            decorator(**dict(declared))(halve)


def _goal(layer, filters):
    return lambda activations: tf.reduce_mean(activations[layer].post, axis=[1, 2, 3])


def _objective(returned):
    def own(layer, filters):
        return lambda activations: returned(activations[layer].post)

    return own


class Callable:
    def __call__(self, layer, filters):
        return _goal(layer, filters)


def _other(layer, channels):
    return _goal(layer, channels)


def _words(layer, filters, **options):
    return _goal(layer, filters)


def _none(layer, filters, k=None):
    return _goal(layer, filters)


def _raises(layer, filters):
    raise KeyError("first\nsecond")


def _size(size):
    return np.zeros((*size, 3))


def _start(image):
    def own(size, seed, index, mean):
        return image

    return own


REFUSED = {
    "partial": ({"objective": functools.partial(_goal)}, "objective: got partial, expected a function"),
    "callable": ({"objective": Callable()}, "objective: got Callable, expected a function"),
    "builtin": ({"reg": len}, "reg: got builtin_function_or_method, expected a function"),
    "first": ({"objective": _other}, "objective: _other(layer, channels): expected layer, filters as"),
    "words": ({"objective": _words}, "objective: _words: got **options, expected options"),
    "none": ({"objective": _none}, "objective: _none: k=None: expected a number, a word"),
    "raises": ({"objective": _raises}, "_raises: KeyError: 'first"),
    "scalar": ({"objective": _objective(tf.reduce_mean)}, "own: returned SymbolicTensor () float32"),
    "channels": ({"objective": _objective(lambda maps: tf.reduce_mean(maps, [1, 2]))}, "(3, 16) float32"),
    "column": ({"objective": _objective(lambda maps: maps[:, 0, 0, :1])}, "(3, 1) float32"),
    "nothing": ({"objective": _objective(lambda maps: None)}, "own: returned NoneType"),
    "size": ({"start": _size}, "start: _size(size): expected size, seed, index, mean"),
    "large": ({"start": _start(np.zeros((32, 32, 3)))}, "own: returned shape (32, 32, 3)"),
    "nan": ({"start": _start(np.full((16, 16, 3), np.nan))}, "own: returned NaN or infinity"),
    "no image": ({"start": _start(None)}, "own: returned NaN or infinity in shape (), expected"),
    "weights": ({"reg": {"weights": 3}}, "reg.weights=3: expected a mapping of decay, blur"),
    "no rule": ({"optimizer": lambda: None}, "optimizer: <lambda>: returned NoneType, expected slots"),
    "no param": ({"param": lambda size, mean: None}, "param: <lambda>: returned NoneType, expected encode"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_one_line_that_names_it(name):
    said, says = REFUSED[name]
    with pytest.raises(ConfigError) as error:
        seen(**said)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_a_start_without_a_decorator_is_shown_as_noise_is():
    def grey(size, seed, index, mean, level=3.0):
        return np.full((*size, len(mean)), level)

    found = seen(start={"_target_": grey, "level": 2.0}, steps=1, optimizer={"learning_rate": 1e-6})
    np.testing.assert_allclose(found.centred, 2.0, atol=1e-4)
    assert found.config["start"]["display"] == "auto"


def test_an_option_of_names_reaches_an_objective_and_its_layers_are_read():
    def others(layer, filters, more_layers=("block1_conv1",)):
        return lambda activations: tf.reduce_mean(activations[more_layers[0]].pre, axis=[1, 2, 3])

    first = seen(objective=others).history["score"]
    second = seen(objective={"_target_": others, "more_layers": ["block2_conv1"]}).history["score"]
    assert not np.array_equal(first, second)


def test_its_defaults_are_its_own_on_the_command_line_too(tmp_path, monkeypatch):
    """The file that the group has by default is made for another function."""
    (tmp_path / "own_rules.py").write_text(
        "def fast(learning_rate=5.0): pass\ndef slow(learning_rate=0.5): pass\n"
        "def flat(size, seed, index, mean, low=7.0): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert cfg_of("optimizer._target_=own_rules.fast").optimizer.learning_rate == 5
    assert (
        cfg_of("optimizer._target_=own_rules.fast", "optimizer.learning_rate=2").optimizer.learning_rate == 2
    )
    assert cfg_of("optimizer.learning_rate=2").optimizer.learning_rate == 2
    start = cfg_of("start._target_=own_rules.flat").start
    assert (start.low, start.display) == (7, "auto")
    with pytest.raises(ConfigError, match=r"defaults of learning_rate differ; add optimizer\.learning_rate="):
        cfg_of("optimizer._target_=own_rules.fast,own_rules.slow")


def cfg_of(*typed):
    try:
        schema.store(typed)
        return schema.resolve(compose.plain_mapping(compose.config(typed)))
    finally:
        schema.store()


def test_the_config_that_it_makes_can_be_shown(tmp_path):
    (tmp_path / "own_rules.py").write_text("def fast(learning_rate=5.0): pass\n")
    said = [sys.executable, "-m", "deepvis.run", "--cfg", "job", "optimizer._target_=own_rules.fast"]
    done = subprocess.run(said, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert (done.returncode, "learning_rate: 5.0" in done.stdout) == (0, True), done.stderr


def test_a_penalty_of_the_users_is_taken_or_refused_in_one_line():
    @penalty(brightness=Knob(0.0, low=0))
    def brightness(brightness):
        return lambda image: brightness * tf.square(tf.reduce_mean(image - 30, axis=(1, 2, 3)))

    @penalty(loudness=Knob(0.0, low=0))
    def loudness(loudness):
        return lambda image: tf.reduce_sum(loudness) * tf.reduce_mean(tf.square(image))

    def ends(function, amount):
        given = {"_target_": function, function.__name__: amount}
        return deepvis.visualize("tiny", "block2_conv2", [0, 1], size=16, steps=20, reg=given).centred

    plain, bright = ends(brightness, 0.0), ends(brightness, 50.0)
    assert (abs(bright.mean(axis=(1, 2, 3)) - 30) < abs(plain.mean(axis=(1, 2, 3)) - 30)).all()
    with pytest.raises(ConfigError, match=r"loudness: returned \w+ \(\) float32, expected one penalty for"):
        ends(loudness, 1.0)
