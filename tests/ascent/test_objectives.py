"""Laws that every objective keeps, and how a sum of them is written.

Members are found by listing conf/objective; everything is compared with `reference`, which is float64 and
sees one image, or one group of images, at a time.
"""

import functools
import random
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from helpers import reference
from helpers.configs import members
from hydra.utils import get_method
from omegaconf import OmegaConf

from deepvis.ascent import matching_objectives, objectives
from deepvis.config import expressions, knobs
from deepvis.core.names import CONF
from deepvis.networks.base import Activation

LAYERS = ("here", "there")
TERMS = "channel - 0.5 channel 7 of there + 2 neuron 3 + 0.25 layer of there"
Maps = dict[str, np.ndarray]  # of one layer: before its ReLU, [B, h, w, C]


def noise(seed: int, *shape: int, scale: float = 3.0) -> np.ndarray:
    return np.random.default_rng([7, seed]).normal(0, scale, shape).astype(np.float32)


def maps_of(seed: int, batch: int, channels: int, width: int = 10) -> Maps:
    return {name: noise(seed + i, batch, 6, width, channels) for i, name in enumerate(LAYERS)}


def seen(pre: dict) -> dict[str, Activation]:
    return {name: Activation(tf.convert_to_tensor(each), tf.nn.relu(each)) for name, each in pre.items()}


class Case(NamedTuple):
    """A member, with numbers of its own for each of five images."""

    numbers: Callable[[int], dict[str, np.ndarray]]  # channels -> name -> [5]
    oracle: Callable[..., float]  # (maps by layer, on the side asked for; image b; its numbers) -> score
    static: dict = {}  # noqa: RUF012
    pictures: tuple[str, ...] = ()
    grouped: bool = False


FILTERS = np.array([4, 0, 7, 4, 6], np.int32)


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def i32(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def _sum(at, b, n):
    score = reference.score(at("here", b), FILTERS[b]) - 0.5 * reference.score(at("there", b), 7)
    return score + 2 * reference.neuron(at("here", b), 3, -1, -1) + 0.25 * reference.dream(at("there", b))


def _diversity(at, b, n):
    members = [i for i in range(5) if n["group"][i] == n["group"][b]]
    group = [np.maximum(at("here", i, pre=True), 0) for i in members]
    means = [at("here", i) for i in members]
    return reference.diversity(group, members.index(b), n["channel"][b], n["weight"][b], means)


def _style(at, b, n):
    names = list(LAYERS)
    content, style = ([at(name, b, of=which) for name in names] for which in ("content", "style"))
    return reference.style(
        [at("there", b)], content[1:], n["content_weight"][b],
        [at(name, b) for name in names], style, n["style_weight"][b],
    )  # fmt: skip


# A file of conf/objective without a row here fails a test below.
CASES = {
    "channel": Case(lambda c: {}, lambda at, b, n: reference.score(at("here", b), FILTERS[b])),
    "neuron": Case(
        lambda c: {"row": i32(0, 2, -1, -1, 1), "column": i32(4, 0, 3, -1, -1)},
        lambda at, b, n: reference.neuron(at("here", b), FILTERS[b], n["row"][b], n["column"][b]),
    ),
    "direction": Case(
        lambda c: {"vectors": noise(90, 5, c), "cosine_power": f32(0, 1, 2, 0.5, 4)},
        lambda at, b, n: reference.direction(
            at("here", b), n["vectors"][b].astype(float), n["cosine_power"][b]
        ),
    ),
    "layer": Case(lambda c: {}, lambda at, b, n: reference.dream(at("here", b))),
    "sum": Case(lambda c: {}, _sum, {"terms": TERMS}),
    "diversity": Case(
        lambda c: {"channel": i32(1, 5, 1, 2, 1), "weight": f32(2, 3, 2, 1.5, 2),
                   "group": i32(8, 3, 8, 5, 8)},
        _diversity, grouped=True,
    ),
    "inversion": Case(
        lambda c: {}, lambda at, b, n: reference.inversion(at("here", b), at("here", b, of="picture")),
        pictures=("picture",),
    ),
    "style": Case(
        lambda c: {"content_weight": f32(1, 0, 2, 0.5, 1), "style_weight": f32(0.01, 0.1, 0, 1, 0.02)},
        _style, {"content_layers": ["there"], "style_layers": list(LAYERS)}, ("content", "style"),
    ),
    "guided": Case(
        lambda c: {}, lambda at, b, n: reference.guided(at("here", b), at("here", b, of="guide")),
        pictures=("guide",),
    ),
    "caricature": Case(
        lambda c: {"cosine_power": f32(0, 1, 2, 0.5, 4)},
        lambda at, b, n: reference.caricature(
            at("here", b), at("here", b, of="picture"), n["cosine_power"][b]
        ),
        pictures=("picture",),
    ),
}  # fmt: skip
SIDES = [(name, pre) for name in CASES for pre in (True, False)]


def config(name: str) -> dict:
    return OmegaConf.to_container(OmegaConf.load(CONF / "objective" / f"{name}.yaml"))


def made(name: str, pre: bool, filters, numbers: dict, pictures: dict, **static) -> objectives.Objective:
    """A member, as a config and the numbers of a batch make it."""
    case = CASES[name]
    given = case.static | static | {k: tf.convert_to_tensor(v) for k, v in numbers.items()}
    if case.pictures:
        given["targets"] = {k: seen(v) for k, v in pictures.items()}
    filters = tf.convert_to_tensor(filters)
    return get_method(config(name)["_target_"])("here", filters, pre_activation=pre, **given)


def pictures_of(name: str, channels: int) -> dict[str, Maps]:
    """Of other sizes, where that is allowed."""
    width = {"guide": 5}
    return {
        which: maps_of(50 + 10 * i, 5, channels, width.get(which, 10))
        for i, which in enumerate(CASES[name].pictures)
    }


def oracle(name: str, pre: bool, channels: int, maps: Maps, b: int, **changes) -> float:
    """Of image b, in float64."""
    pictures = pictures_of(name, channels)

    def at(layer, i, of=None, pre=pre):
        one = (pictures[of] if of else maps)[layer][i].astype(float)
        return one if pre else np.maximum(one, 0)

    return CASES[name].oracle(at, b, CASES[name].numbers(channels) | changes)


@functools.cache
def climbing(name: str, pre: bool, batch: int):
    """Scores and gradients in one graph, as in a step: one for each number of images."""
    del batch

    @tf.function(autograph=False, reduce_retracing=False)
    def call(maps, filters, numbers, pictures):
        with tf.GradientTape() as tape:
            tape.watch(maps)
            score = made(name, pre, filters, numbers, pictures)(seen(maps))
        return score, tape.gradient(score, maps, unconnected_gradients="zero")

    return call


def rows(tree, which: np.ndarray):
    """Some images of everything."""
    return tf.nest.map_structure(lambda each: tf.constant(np.ascontiguousarray(each[which])), tree)


def optimized(name: str, pre: bool, maps: Maps, which, eager=False, **changes) -> dict[str, np.ndarray]:
    """Score and gradients of those images of five."""
    which, channels = np.array(which), maps["here"].shape[3]
    numbers, pictures = CASES[name].numbers(channels) | changes, pictures_of(name, channels)
    call = climbing(name, pre, len(which))
    score, grads = (call.python_function if eager else call)(
        *(rows(each, which) for each in (maps, FILTERS, numbers, pictures))
    )
    return {"score": score.numpy()} | {k: v.numpy() for k, v in grads.items()}


def bitwise(ours: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """Equal in every bit but the sign of a zero."""
    assert ours.keys() == other.keys()
    for key, values in ours.items():
        np.testing.assert_array_equal(values, other[key], err_msg=key)


def picked(found: dict[str, np.ndarray], which) -> dict[str, np.ndarray]:
    return {key: values[which] for key, values in found.items()}


# --- Laws of all members -----------------------------------------------------------------------------------


def test_every_file_is_held_to_the_laws_here():
    assert set(CASES) == set(members("objective"))


@pytest.mark.parametrize("name", CASES)
def test_a_file_names_a_function_its_numbers_and_its_units(name):
    given = config(name)
    target = given.pop("_target_")
    component = knobs.component("objective", target)
    assert component.traits["joint"] == (name == "diversity")
    assert target.startswith("deepvis.") and component.traits["entries"] in ("unit", "row", "image")
    assert component.name == name and component is knobs.components("objective")[name]
    function = component.function
    code = function.__code__
    taken = set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]) - {"layer", "filters"}
    given |= {"targets": given.pop("pictures")} if "pictures" in given else {}
    assert set(given) | ({"group"} if name == "diversity" else set()) == taken
    defaults = function.__defaults__ or (function.__kwdefaults__["pre_activation"],)
    assert defaults == (given["pre_activation"],)  # a function says what its file says


@pytest.mark.parametrize(("name", "pre"), SIDES)
def test_score_equals_the_oracle(name, pre):
    maps = maps_of(1, 5, 11)
    ours = optimized(name, pre, maps, range(5))["score"]
    wanted = [oracle(name, pre, 11, maps, b) for b in range(5)]
    np.testing.assert_allclose(ours, wanted, rtol=3e-5, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize(("name", "pre"), SIDES)
def test_gradient_agrees_with_the_oracles_differences(name, pre):
    """Of the batch's scores added up: only within a group does an image enter another's."""
    maps = maps_of(2, 5, 11)
    found = optimized(name, pre, maps, range(5))
    rng = np.random.default_rng(0)
    for layer in LAYERS:
        scale = np.abs(found[layer]).max()
        steepest = np.argsort(-np.abs(found[layer]).ravel())[:4]
        for flat in (*steepest, *rng.choice(found[layer].size, 3)):
            place, both = np.unravel_index(flat, found[layer].shape), []
            for sign in (1, -1):
                moved = {k: v.astype(float) for k, v in maps.items()}
                moved[layer][place] += sign * 1e-5
                own = range(5) if CASES[name].grouped else [place[0]]
                both.append(np.sum([oracle(name, pre, 11, moved, b) for b in own]))
            np.testing.assert_allclose(found[layer][place], (both[0] - both[1]) / 2e-5, atol=2e-4 * scale)


@pytest.mark.parametrize("channels", [8, 11, 16, 64])
@pytest.mark.parametrize("name", CASES)
def test_packed_equals_alone_in_any_order(name, channels):
    """Scores and gradients, however many channels. A group is packed whole, in its own order."""
    maps = maps_of(3, 5, channels)
    # In a graph, or, to save the time of tracing, without one.
    some = functools.partial(optimized, name, config(name)["pre_activation"], maps, eager=channels in (8, 16))
    packed = some(range(5))
    order = [3, 0, 2, 4, 1] if CASES[name].grouped else [3, 0, 4, 2, 1]
    bitwise(some(order), picked(packed, order))
    for alone in [[0, 2, 4], [1], [3]] if CASES[name].grouped else [[i] for i in range(5)]:
        bitwise(some(alone), picked(packed, alone))


@pytest.mark.parametrize("name", CASES)
def test_no_gradient_leaks_between_images(name):
    maps = {k: tf.constant(v) for k, v in maps_of(4, 5, 11).items()}
    group = CASES[name].numbers(11).get("group", np.arange(5))
    numbers, pictures = CASES[name].numbers(11), pictures_of(name, 11)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(maps)
        score = made(name, config(name)["pre_activation"], FILTERS, numbers, pictures)(seen(maps))
        each = [score[i] for i in range(5)]
    for i in range(5):
        grads = tape.gradient(each[i], maps, unconnected_gradients="zero").values()
        moves = np.max([np.abs(grad).max(axis=(1, 2, 3)) for grad in grads], axis=0) > 0
        np.testing.assert_array_equal(moves, group == group[i])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("name", "pre"), SIDES)
def test_nan_stays_in_its_own_image(name, pre, value):
    """Or in its group: images 0, 2 and 4 are one."""
    maps = maps_of(5, 5, 11)
    clean = optimized(name, pre, maps, range(5))
    for each in maps.values():
        each[2] = value
    found = optimized(name, pre, maps, range(5))
    assert np.isnan(found["score"][2]) or not np.isfinite(value)
    others = [1, 3] if CASES[name].grouped else [0, 1, 3, 4]
    bitwise(picked(found, others), picked(clean, others))
    assert np.isfinite(clean["score"]).all()


@pytest.mark.parametrize("name", CASES)
def test_no_argument_is_mutated(name):
    numbers, pictures = CASES[name].numbers(11), pictures_of(name, 11)
    given = {"maps": maps_of(6, 5, 11), "numbers": numbers, "pictures": pictures, "filters": FILTERS}
    held = tf.nest.map_structure(tf.Variable, given)
    score = made(name, True, held["filters"], held["numbers"], held["pictures"])(seen(held["maps"]))
    assert np.isfinite(score).all()
    tf.nest.map_structure(lambda a, b: np.testing.assert_array_equal(a.numpy(), b), held, given)


@pytest.mark.parametrize("name", CASES)
def test_changed_numbers_do_not_retrace_and_are_read(name):
    maps, numbers = maps_of(7, 5, 11), CASES[name].numbers(11)
    first = optimized(name, True, maps, range(5))["score"]
    before = climbing(name, True, 5).experimental_get_tracing_count()
    for key, values in numbers.items():
        changed = np.roll(values, 1, axis=0) if key != "group" else i32(0, 0, 1, 1, 1)
        assert (optimized(name, True, maps, range(5), **{key: changed})["score"] != first).any(), key
    assert climbing(name, True, 5).experimental_get_tracing_count() == before


# --- What single members promise ---------------------------------------------------------------------------


def channel_of(maps: Maps, filters) -> dict[str, np.ndarray]:
    """Scores and gradients of plain channels."""
    filters = tf.convert_to_tensor(filters)
    held = {k: tf.constant(v) for k, v in maps.items()}
    with tf.GradientTape() as tape:
        tape.watch(held)
        score = objectives.channel("here", filters)(seen(held))
    return {"score": score.numpy(), "here": tape.gradient(score, held["here"]).numpy()}


def one(name: str, maps: Maps, filters, numbers: dict, pictures: dict | None = None, **static):
    """Scores and gradients of the layer's maps, each member's own way."""
    held = {k: tf.constant(v) for k, v in maps.items()}
    with tf.GradientTape() as tape:
        tape.watch(held)
        score = made(name, True, filters, numbers, pictures or {}, **static)(seen(held))
    return {"score": score.numpy(), "here": tape.gradient(score, held["here"]).numpy()}


@pytest.mark.parametrize("channels", [11, 16])
def test_neutral_numbers_are_the_channel_bitwise(channels):
    """A group of one and a weight of 0; a sum of one term; a direction along an axis, by dot product."""
    maps, own = maps_of(8, 5, channels), FILTERS
    plain = channel_of(maps, own)
    numbers = {"channel": own, "weight": f32(0, 9, 0, 9, 0), "group": i32(1, 2, 1, 3, 1)}
    bitwise(one("diversity", maps, FILTERS, numbers), plain)
    bitwise(one("sum", maps, own, {}, terms="channel"), plain)
    numbers = {"vectors": np.eye(channels, dtype=np.float32)[own], "cosine_power": f32(0, 0, 0, 0, 0)}
    bitwise(one("direction", maps, own, numbers), plain)
    numbers["cosine_power"] = f32(0, 2, 0, 1, 0)  # beside neighbours that use it
    bitwise(picked(one("direction", maps, own, numbers), [0, 2, 4]), picked(plain, [0, 2, 4]))


def test_a_dense_unit_is_a_channel_of_a_map_of_1_by_1():
    logits = noise(9, 3, 1, 1, 10)
    score = objectives.channel("here", tf.constant([2, 9, 0]))(seen({"here": logits}))
    np.testing.assert_array_equal(score, logits[[0, 1, 2], 0, 0, [2, 9, 0]])


def test_a_neuron_beyond_the_map_fails_alone():
    maps = maps_of(10, 3, 8)
    found = one("neuron", maps, FILTERS[:3], {"row": i32(0, 6, 2), "column": i32(1, 1, 10)})
    np.testing.assert_array_equal(np.isnan(found["score"]), [False, True, True])
    assert np.isfinite(found["here"]).all()


def test_a_silent_position_has_a_direction_and_a_gradient():
    maps = maps_of(11, 2, 8)
    maps["here"][1] = 0
    found = one("direction", maps, FILTERS[:2], {"vectors": noise(12, 2, 8), "cosine_power": f32(1, 2)})
    assert found["score"][1] == 0 and np.isfinite(found["here"]).all()


def test_a_silent_layer_is_unlike_any_other():
    maps = maps_of(13, 2, 8)
    maps["here"][1] = 0
    numbers = {"channel": i32(1, 1), "weight": f32(5, 5), "group": i32(0, 0)}
    found = one("diversity", maps, FILTERS[:2], numbers)
    np.testing.assert_array_equal(found["score"], channel_of(maps, i32(1, 1))["score"])
    assert np.isfinite(found["here"]).all()


def test_a_picture_is_its_own_inversion_and_its_own_style():
    maps = maps_of(14, 2, 8)
    found = one("inversion", maps, i32(0, 1), {}, {"picture": maps})
    assert not found["score"].any() and not found["here"].any()
    weights = {"content_weight": f32(1, 2), "style_weight": f32(3, 4)}
    found = one("style", maps, i32(0, 1), weights, {"content": maps, "style": maps})
    assert not found["score"].any()


def test_without_a_content_there_is_a_texture():
    """Whatever the content's weight is; and with a weight of 0 the content's term is off, bitwise."""
    maps, other, third = (maps_of(seed, 3, 8) for seed in (15, 17, 19))
    weights = {"content_weight": f32(1, 0, 2), "style_weight": f32(1, 2, 3)}
    texture = one("style", maps, i32(0, 1, 2), weights, {"style": other}, content_layers=["here"])
    both = {"style": other, "content": third}
    found = one("style", maps, i32(0, 1, 2), weights, both, content_layers=["here"])
    bitwise(picked(found, [1]), picked(texture, [1]))
    assert (found["score"] < texture["score"])[[0, 2]].all()


def test_a_ratio_of_the_style_paper_is_ten_times_the_values_of_the_content_layer():
    """Gatys et al. 2016, equations 1 to 7, in float64; and what the preset and the reference say of it."""
    names = [f"layer{i}" for i in range(5)]
    maps, content, style = (
        {name: abs(noise(seed + i, 3, 4 + i, 5, 6 + i)) for i, name in enumerate(names)}
        for seed in (30, 40, 50)
    )
    ratio, there = 1e-3, "layer3"

    def published(b: int) -> float:
        f = {name: each[b].reshape(-1, each.shape[-1]).astype(float) for name, each in maps.items()}
        p = content[there][b].reshape(f[there].shape).astype(float)
        loss = ratio * 0.5 * ((f[there] - p) ** 2).sum()  # beta is 1
        for name in names:
            a = style[name][b].reshape(f[name].shape).astype(float)
            loss += ((f[name].T @ f[name] - a.T @ a) ** 2).sum() / (4 * f[name].size ** 2) / 5
        return loss

    def weight(values: int) -> float:
        return 10 * values * ratio

    ours = matching_objectives.style(
        "", tf.constant(i32(0, 1, 2)), targets={"content": seen(content), "style": seen(style)},
        content_layers=[there], style_layers=names, style_weight=tf.ones(3),
        content_weight=tf.fill([3], np.float32(weight(maps[there][0].size))),
    )(seen(maps))  # fmt: skip
    np.testing.assert_allclose(-ours / 20, [published(b) for b in range(3)], rtol=1e-5)

    side = OmegaConf.load(CONF / "experiment" / "neural_style.yaml").size // 8  # behind three poolings
    at_256 = f"{weight(side * side * 512):,.0f}"
    assert side == 32 and at_256 == "5,243"
    for text in (CONF / "objective" / "style.yaml", CONF.parent / "docs" / "reference" / "config.md"):
        assert at_256 in text.read_text(), text


def test_a_style_does_not_care_where_things_are():
    maps = maps_of(21, 2, 8)
    turned = {name: each[:, ::-1, ::-1].copy() for name, each in maps.items()}
    weights = {"content_weight": f32(0, 0), "style_weight": f32(1, 1)}
    found = one("style", maps, i32(0, 1), weights, {"style": turned})
    np.testing.assert_allclose(found["score"], 0, atol=1e-8)


def test_a_large_layers_gram_matrix_packed_equals_alone():
    """So large that one product would be split between threads."""
    maps = noise(22, 2, 96, 96, 64)
    bitwise(
        {"gram": matching_objectives.gram(maps[1:]).numpy()},
        {"gram": matching_objectives.gram(maps).numpy()[1:]},
    )


def test_a_large_layers_direction_packed_equals_alone():
    """So large that a batch's powers, were their exponents broadcast, would show somewhere."""
    maps, vectors = {"here": noise(24, 5, 128, 128, 16)}, noise(25, 5, 16)
    numbers = {"vectors": np.abs(vectors), "cosine_power": f32(0.3, 0.3, 0.3, 0.3, 0.3)}

    def some(which):
        given = (rows(each, which) for each in (maps, FILTERS, numbers))
        score, grads = climbing("direction", False, len(which))(*given, {})
        return {"score": score.numpy(), "here": grads["here"].numpy()}

    packed = some(np.arange(5))
    for i in range(5):
        bitwise(some(np.array([i])), picked(packed, [i]))


@pytest.mark.parametrize("channels", [11, 16])
def test_reading_a_unit_beside_one_that_is_none(channels):
    maps = seen(maps_of(23, 5, channels))
    plain = objectives.reading("here", tf.constant(FILTERS))(maps)
    some = objectives.reading("here", tf.constant(np.where([1, 0, 1, 0, 1], FILTERS, -1)))(maps)
    for name in ("activation", "rank", "margin", "features"):
        ours, wanted = getattr(some, name).numpy(), getattr(plain, name).numpy()
        np.testing.assert_array_equal(ours[[0, 2, 4]], wanted[[0, 2, 4]])
    assert np.isnan(some.rank.numpy()[[1, 3]]).all() and np.isnan(some.margin.numpy()[[1, 3]]).all()
    np.testing.assert_allclose(some.activation[1], maps["here"].post[1].numpy().mean(), rtol=1e-5)
    np.testing.assert_array_equal(some.features, plain.features)


# --- Terms -------------------------------------------------------------------------------------------------


def written(term: expressions.Term, rng: random.Random) -> str:
    """A term, in one of the ways in which a person may write it."""
    sign = "-" if term.weight < 0 else "+"
    weight = "" if abs(term.weight) == 1 and rng.random() < 0.5 else f"{abs(term.weight)!r} "
    index = "" if term.index is None else f" {term.index}"
    layer = "" if term.layer is None else f" of {term.layer}"
    return f"{sign}{rng.choice(['', ' ', '   '])}{weight}{term.kind}{index}{layer}"


def test_what_is_written_is_what_is_read():
    rng = random.Random(0)
    for _ in range(300):
        wanted = []
        for _ in range(rng.randint(1, 5)):
            kind = rng.choice(expressions.KINDS)
            index = None if kind == "layer" else rng.choice([None, 0, 7, 511])
            weight = rng.choice([-1, 1]) * rng.choice([1.0, 2.0, 0.5, 1e-7, 3e20, rng.random()])
            layer = rng.choice([None, "block4_conv1", "conv2_block1/out-relu", "of", "3"])
            wanted.append(expressions.Term(weight, kind, index, layer))
        text = " ".join(written(term, rng) for term in wanted)
        assert expressions.parse(text) == wanted
        if wanted[0].weight > 0:
            assert expressions.parse(text.removeprefix("+")) == wanted


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("", "''"), ("  ", "'  '"), ("channel 3 -", "'-'"), ("channel 3 - - channel 7", "'-'"),
        ("chanel 3", "'chanel'"), ("channel -3", "'- 3'"), ("channel 3 channel 7", "'+ channel 3 channel 7'"),
        ("channel 3-channel 7", "'+ channel 3-channel 7'"), ("2", "'+ 2'"),
        ("channel 1.5", "'+ channel 1.5'"),
        ("channel of", "'+ channel of'"), ("layer 3", "'layer 3'"), ("1e999 channel", "'1e999 channel'"),
        ("channel + nan neuron", "'+ nan neuron'"), ("channel + 3 of conv1", "'+ 3 of conv1'"),
        ("channel 9999999999", "'+ channel 9999999999'"), ("???", "'+ ???'"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_quoted(text, quoted):
    with pytest.raises(ValueError) as raised:
        expressions.parse(text)
    assert quoted in str(raised.value) and "\n" not in str(raised.value)


def test_every_kind_of_term_has_its_objective():
    assert set(objectives.TERMS) == set(expressions.KINDS)


def test_layers_besides_the_jobs_own():
    def of(name, layer, pictures=None, **changes):
        given = {key: path is not None for key, path in (pictures or {}).items()}
        return expressions.layers_of(config(name) | changes, given, layer)

    assert of("channel", "conv1") == of("inversion", "conv1") == []
    assert of("sum", "a", terms="channel of b - neuron + layer of c + channel 3 of b + layer of a") == [
        "b",
        "c",
    ]
    five = config("style")["style_layers"]
    alone = {"content": None, "style": "b.png"}
    assert of("style", "block1_conv1", pictures=alone) == five[1:]  # no content, no layer of it
    pictures = {"content": "a.png", "style": "b.png"}
    assert of("style", "block4_conv2", pictures=pictures) == five
    assert of("style", "elsewhere", pictures=pictures) == ["block4_conv2", *five]
