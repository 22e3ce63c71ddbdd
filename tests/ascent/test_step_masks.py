"""Laws of step masks: a step times its mask, in float64, whatever the rule; off and beside others bitwise."""

import numpy as np
import pytest
from helpers import reference
from helpers.configs import job_of

from deepvis.ascent import optimize, specs, validation
from deepvis.core.errors import ConfigError

SIZE = ("size=[16,24]", "steps=1", "robustness=false", "start=gaussian")
RULES = {
    "normalized": (), "sgd": (), "progress": (), "adam": ("optimizer.learning_rate=3",),
    "nadam": ("optimizer.learning_rate=3",), "laplacian": (),
}  # fmt: skip
MASKS = [
    ("reg.center_bias=0.2",),
    ("reg.red_rate=0.3", "reg.blue_rate=2"),
    ("reg.center_bias=1.5", "reg.green_rate=0"),
    (),
]


def ends(*each: tuple[str, ...], more: tuple[str, ...] = ()) -> np.ndarray:
    cfgs = [job_of(None, *SIZE, *more, *typed).cfg for typed in each]
    for cfg in cfgs:
        validation.check_job(cfg)
    return optimize.optimize([specs.ImageSpec(cfg, 1) for cfg in cfgs]).final


def mask(typed: tuple[str, ...]) -> np.ndarray:
    off = {"center_bias": 0.0, "red_rate": 1.0, "green_rate": 1.0, "blue_rate": 1.0}
    pairs = (each.removeprefix("reg.").split("=") for each in typed)
    return reference.step_mask((16, 24, 3), off | {key: float(value) for key, value in pairs})


@pytest.mark.parametrize("rule", RULES)
def test_a_step_is_that_without_a_mask_times_the_mask(rule):
    more = (f"optimizer={rule}", *RULES[rule])
    found, plain = ends(*MASKS, more=more), ends((), more=more)[0]
    start = ends((), more=("optimizer=sgd", "optimizer.learning_rate=1e-30"))[0]
    np.testing.assert_array_equal(found[3], plain)  # off, beside others
    step = (plain - start).astype(float)
    assert np.abs(step).max() > 0.1
    for image, typed in zip(found, MASKS, strict=True):
        # Both ends are rounded to float32 where the pixels are.
        np.testing.assert_allclose(image - start, mask(typed) * step, rtol=1e-4, atol=2e-5)


def test_an_image_is_bitwise_the_same_alone_and_beside_others():
    """Also under octaves, whose masks have their sizes, and with regularizers."""
    more = ("steps=6", "param=octaves", "param.octaves=2", "reg.decay=0.9", "optimizer=adam")
    beside = ends(*MASKS, more=more)
    for typed, image in zip(MASKS[:2], beside, strict=False):
        np.testing.assert_array_equal(ends(typed, more=more)[0], image)
    assert len({image.tobytes() for image in beside}) == len(MASKS)


@pytest.mark.parametrize("typed", [("param=fourier",), ("optimizer=lbfgs", "reg.clip_pixels=true")])
@pytest.mark.parametrize("masked", ["reg.center_bias=0.2", "reg.red_rate=0"])
def test_what_has_no_pixels_to_step_by_is_refused(typed, masked):
    with pytest.raises(ConfigError, match=r"center_bias|colour_rates"):
        validation.check_job(job_of(None, *SIZE, *typed, masked).cfg)
