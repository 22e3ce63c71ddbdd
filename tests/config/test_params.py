"""Flat parameters: typed values by dotted key, the same for the same config."""

import pytest
from helpers.configs import choices, plain_of

from deepvis.config import params


def test_components_stand_under_their_group_and_lists_are_text():
    flat = params.flatten(plain_of("model=tiny", "objective=neuron", "optimizer=adam", "layer.filters=[0,3]"))
    assert (flat["model"], flat["objective"], flat["optimizer"]) == ("tiny", "neuron", "adam")
    assert (flat["layer"], flat["layer.filters"]) == ("block5_conv1", "0,3")
    assert (flat["model.blocks"], flat["objective.row"]) == ("[8],[12,16]", "none")
    assert (flat["reg.decay"], flat["reg.clip_pixels"], flat["reg.weights.blur"]) == (1.0, False, 1.0)
    assert not [key for key in flat if key.endswith(("_target_", ".name"))]


@pytest.mark.parametrize("reg", choices("reg"))
def test_every_preset_is_its_values(reg):
    flat = params.flatten(plain_of(f"reg={reg}"))
    typed = [f"{key}={value}" for key, value in flat.items() if key.startswith("reg.")]
    assert params.flatten(plain_of(*typed)) == flat
    assert all(isinstance(value, bool | int | float | str) for value in flat.values())


def test_what_varies_differs_by_value():
    one, other = (
        params.flatten(plain_of(*typed)) for typed in (["reg=decay", "batch_size=4"], ["optimizer=adam"])
    )
    assert params.varied([one, one]) == []
    assert set(params.varied([one, other])) == {
        "reg.decay", "optimizer", "optimizer.learning_rate", "optimizer.beta_1", "optimizer.beta_2",
        "optimizer.epsilon",
    }  # fmt: skip
    mixed = one | {"reg.combine": "mix"}
    assert "reg.weights.blur" in params.main(mixed) and "reg.weights.blur" not in params.main(one)
    assert "reg.weights.blur" in params.main(one, ["reg.weights.blur"])
    options = {"reg.blur_kind", "reg.total_variation_power", "reg.accentuation_layer"}
    assert not options & set(params.main(one))  # of regularizers that are off
    assert options & set(params.main(one | {"reg.blur_sigma": 2.0})) == {"reg.blur_kind"}
    main = params.main(one, ["start.low"])
    assert list(main)[:2] == ["model", "layer"] and "start.low" in main and "start.high" not in main
