"""Laws of every declared knob, of every family and of the keys of no group: its range, its message, its
neutral value, and the way from a composed config to a typed one and back."""

import math
import re
from pathlib import Path

import pytest
from helpers.configs import switched_on, typed_of

from deepvis import ascent, atlas_cells, embeddings, factorizations
from deepvis.attribution import expanded_weights, fooling, linear_kernels
from deepvis.attribution.methods import MODULES
from deepvis.config import knobs, schema
from deepvis.config.knobs import FAMILIES, REQUIRED, Component, Knob
from deepvis.core.errors import ConfigError

KNOBS = {
    f"{family}.{each.name}.{key}": (f"{family}.{key}", knob)
    for family in FAMILIES for each in knobs.components(family).values() for key, knob in each.knobs.items()
}  # fmt: skip
KNOBS |= {f"key.{key}": (key, knob) for key, knob in schema.KEYS.items()}
KNOBS |= {"reg.combine": ("reg.combine", schema.COMBINE), "reg.weights": ("reg.weights.decay", schema.WEIGHT)}
NUMBERS = {name: own for name, own in KNOBS.items() if own[1].type in (int, float) and not own[1].choices}


def outside(knob: Knob) -> list[object]:
    """Values that a numeric knob's declaration excludes."""
    low, high = max(knob.low, knob.above), min(knob.high, knob.below)
    found: list[object] = [math.nan, math.inf, -math.inf, "word", True, [1], {"a": 1}]
    if math.isfinite(low):
        found += [low - 1, low - 1e6, *([low] if knob.above >= knob.low else [])]
    if math.isfinite(high):
        found += [high + 1, high + 1e6, *([high] if knob.below <= knob.high else [])]
    inside = max(low, 0) if math.isfinite(low) else 0
    if knob.type is int:
        found.append(inside + 1.5)
    if knob.odd:
        found += [2, 40]
    if knob.default is not None:
        found.append(None)
    return found


def inside(knob: Knob) -> list[float]:
    """Values that it allows: its bounds, and one between them."""
    found = [switched_on(knob)]
    found += [] if not math.isfinite(knob.low) or knob.above >= knob.low else [knob.low]
    found += [] if not math.isfinite(knob.high) or knob.below <= knob.high else [knob.high]
    return found


def test_every_family_has_components_whose_modules_are_exported():
    modules = {f"deepvis.ascent.{name}" for name in ascent.__all__}
    modules |= {
        each.__name__
        for each in (
            *MODULES,
            atlas_cells,
            embeddings,
            factorizations,
            fooling,
            expanded_weights,
            linear_kernels,
        )
    }
    for family in FAMILIES:
        found = knobs.components(family)
        assert found
        assert {each.function.__module__ for each in found.values()} <= modules
    source = {path.stem for path in Path(ascent.__file__).parent.glob("*.py")}
    assert set(ascent.__all__) <= source


@pytest.mark.parametrize("name", KNOBS)
def test_a_knobs_default_is_read_back(name):
    key, knob = KNOBS[name]
    if knob.default == REQUIRED:
        assert knob.type in (bool, int, float, str, tuple)
        return
    found = knob.read(key, knob.default)
    assert found == knob.default and type(found) is type(knob.default)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_value_outside_of_the_range_is_refused_in_a_line_that_names_key_value_and_range(name):
    key, knob = NUMBERS[name]
    for value in outside(knob):
        with pytest.raises(ConfigError) as error:
            knob.read(key, value)
        text = str(error.value)
        assert "\n" not in text and text.startswith(f"{key}={value}") and knob.range() in text, text
        assert "expected" in text


@pytest.mark.parametrize("name", NUMBERS)
def test_a_value_within_the_range_is_read_as_the_knobs_type(name):
    key, knob = NUMBERS[name]
    for value in inside(knob):
        found = knob.read(key, value)
        assert found == value and type(found) is knob.type


@pytest.mark.parametrize("name", [name for name, (_, knob) in KNOBS.items() if knob.choices])
def test_a_word_that_is_no_choice_is_refused_with_all_that_are(name):
    key, knob = KNOBS[name]
    assert [knob.read(key, word) for word in knob.choices] == list(knob.choices)
    for value in ("nothing", "", None, 1):
        with pytest.raises(ConfigError) as error:
            knob.read(key, value)
        assert str(error.value).startswith(f"{key}={value}: ")
        assert all(word in str(error.value) for word in knob.choices)


@pytest.mark.parametrize("name", [name for name, (_, knob) in KNOBS.items() if knob.type is bool])
def test_a_switch_is_true_or_false_and_nothing_else(name):
    key, knob = KNOBS[name]
    assert [knob.read(key, value) for value in (True, False)] == [True, False]
    for value in (0, 1, "true", None, 1.0):
        with pytest.raises(ConfigError, match=re.escape(f"{key}={value}: expected true or false")):
            knob.read(key, value)


@pytest.mark.parametrize("family", schema.SETS)
def test_a_component_is_on_where_one_of_its_switches_is_not_neutral_and_only_there(family):
    common, group = ("model=tiny", "layer=block2_conv1", "size=128"), family
    for name, each in knobs.components(family).items():
        assert not each.is_on(getattr(typed_of(*common), group))
        for key, knob in each.knobs.items():
            value = str(switched_on(knob)).lower()
            settings = getattr(typed_of(*common, f"{group}.{key}={value}"), group)
            on = [other for other, component in knobs.components(family).items() if component.is_on(settings)]
            assert on == ([name] if knob.switch else []), key


def test_a_knob_of_two_components_and_a_name_of_two_modules_are_refused():
    def decay(decay):
        return None

    def another(decay):
        return None

    knob = {"decay": Knob(1.0, above=0, high=1)}
    before = knobs.components("reg")
    with pytest.raises(ConfigError, match=r"decay has the name of a component of deepvis\.ascent\.reg"):
        knobs.register(Component("reg", "decay", decay, knob))
    with pytest.raises(ConfigError, match=r"reg\.decay: another and decay both have it"):
        knobs.register(Component("reg", "another", another, knob))
    assert knobs.components("reg") == before


def test_a_config_is_typed_frozen_and_plain_again():
    cfg = typed_of(
        "model=tiny", "layer=block2_conv1", "reg=combined", "objective_value=[final/score,image/sparsity]"
    )
    assert schema.resolve(schema.plain(cfg)) == cfg and hash(cfg) == hash(schema.resolve(schema.plain(cfg)))
    assert (
        cfg.reg.decay == 0.95
        and type(cfg.reg.blur) is int
        and cfg.objective_value == ("final/score", "image/sparsity")
    )
    with pytest.raises(AttributeError):
        cfg.steps = 3
    with pytest.raises(AttributeError):
        cfg.reg.decay = 3
