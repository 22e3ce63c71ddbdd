"""Methods of a benchmark: each can be made, and its passes are those of a closed form."""

from pathlib import Path

import pytest

from deepvis.benchmark import methods
from deepvis.benchmark.methods import Method
from deepvis.config import compose, schema
from deepvis.core.errors import ConfigError
from deepvis.sweeps import jobs

PHOTOGRAPH = Path("docs/how-to/trust.jpg")


@pytest.fixture(scope="module")
def base():
    typed = ("model=tiny", "layer=block2_conv2", "size=64", "steps=24", "layer.filters=0-3")
    return jobs.make(schema.resolve(compose.plain_mapping(compose.config(typed))), typed, Path()).cfg


def own(*typed):
    return Method("own", typed)


@pytest.mark.parametrize("name", methods.known())
def test_each_method_is_a_job_of_the_units_that_all_share(name, base):
    method = methods.known()[name]
    made = methods.config(method, base, PHOTOGRAPH if methods.needs_photograph(method) else None)
    methods.check(method, made)
    for key in ("model", "layer", "size", "precision", "objective", "batch_size", "data"):
        assert getattr(made, key) == getattr(base, key), key


def test_no_two_methods_are_the_same(base):
    made = {
        name: methods.config(each, base, PHOTOGRAPH if methods.needs_photograph(each) else None)
        for name, each in methods.known().items()
    }
    assert len({repr(each) for each in made.values()}) == len(made)


@pytest.mark.parametrize(
    ("typed", "passes"),
    [
        (["reg=decay"], 1.0),
        (["transform=jitter"], 1.0),
        (["transform.pad=8"], (80 / 64) ** 2),
        (["param=octaves", "param.octaves=2", "param.octave_scale=2"], (1 + 1 / 4) / 2),
        (["experiment=maco", "transform.crops=6", "transform.crops_px=32"], 6 / 4),
        (["experiment=accentuation", "start.path={photograph}", "reg.accentuation_layer={middle}",
          "transform.crops=2", "transform.crops_px={size}"], 4.0),
    ],
)  # fmt: skip
def test_passes_a_step_are_the_pixels_that_the_network_sees(typed, passes, base):
    made = methods.config(own(*typed), base, PHOTOGRAPH)
    assert methods.passes_per_step(made) == pytest.approx(passes)
    assert methods.steps(made, "steps", 24) == 24
    assert methods.steps(made, "passes", 24) == max(1, round(24 / passes))


def test_own_steps_are_those_of_the_preset_or_of_what_was_typed(base):
    chosen = methods.chosen(
        ["distill_2017", "yosinski_2"], {"half": "experiment=yosinski_2 steps=375"}, ["own"]
    )
    made = {each.name: methods.config(each, base) for each in chosen}
    assert {name: methods.steps(cfg, "own", 0) for name, cfg in made.items()} == {
        "distill_2017": 256, "yosinski_2": 750, "half": 375,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("names", "mine", "said"),
    [
        (["decya"], {}, "methods=decya: no such method; did you mean decay?"),
        ([], {"decay": "reg=blur"}, "method.decay: there is a method of that name"),
        ([], {"mine": " "}, "method.mine: got nothing"),
    ],
)
def test_a_wrong_name_is_refused_in_one_line(names, mine, said):
    with pytest.raises(ConfigError, match=said) as refused:
        methods.chosen(names, mine)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["optimizer=lbfgs"], "method own: optimizer=lbfgs: takes any number of passes"),
        (["reg.decay=2"], "method own: reg.decay=2"),
        (["objective=neuron", "layer.filters=9999"], ""),
    ],
)
def test_what_a_method_cannot_be_is_refused_with_its_name_and_units_are_not_its_own(typed, said, base):
    if not said:
        assert methods.config(own(*typed), base).layer == base.layer
        return
    with pytest.raises(ConfigError, match=said):
        methods.check(own(*typed), methods.config(own(*typed), base))
