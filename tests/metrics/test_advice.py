"""Laws of the advice that a run ends with: each reason is given where it holds for half of the images."""

import numpy as np
import pytest
from helpers.configs import typed_of

from deepvis.ascent import specs
from deepvis.metrics.advice import RECIPE, advice


def told(rms=(30, 30), rank=(0, 0), image=0.0, channels=200, is_recipe=False):
    steps = np.ones([5, 1]) * np.ones(2)
    history = {
        "image_rms": steps * rms, "rank": steps * rank, "alive": steps, "gradient_rms": steps,
        "score": np.array([0, 8, 9, 10, 10])[:, None] * np.ones(2),
    }  # fmt: skip
    return advice(history, np.full((2, 4, 4, 3), image), [120, 120, 120], channels, is_recipe)


def test_good_images_need_no_advice():
    assert told() == "" and told(rank=(1, 2)) == ""


@pytest.mark.parametrize(("given", "says"), [
    ({"rms": (4.9, 4.9)}, "2 of 2 images have an RMS below 5 grey levels"),
    ({"rms": (4.9, 30)}, "1 of 2 images have an RMS below 5"),
    ({"rms": (91, 91)}, "2 of 2 images have an RMS above 90 grey levels"),
    ({"rank": (3, 0)}, "1 of 2 images converged, but their unit is not in the top 1% of its layer"),
    ({"image": 136.0}, "2 of 2 images have more than 25% of their values outside of 0 to 255"),
    ({"image": -121.0}, "2 of 2 images have more than 25% of their values outside of 0 to 255"),
])  # fmt: skip
def test_each_reason_is_counted_and_a_recipe_is_named(given, says):
    line = told(**given)
    assert line.startswith(says) and line.endswith(RECIPE) and "\n" not in line


def test_a_job_that_took_the_recipe_is_not_told_to_take_it():
    assert told(rms=(4.9, 30), is_recipe=True) == told(rms=(4.9, 30)).removesuffix(f"; {RECIPE}")
    assert told(is_recipe=True) == ""


@pytest.mark.parametrize(
    ("typed", "is_recipe"),
    [
        (["experiment=distill_2017"], True),
        (["experiment=distill_2017", "steps=128", "transform=jitter"], True),
        (["experiment=distill_2017", "transform=none"], False),
        (["experiment=maco"], False),
        ([], False),
    ],
)
def test_a_job_is_known_to_be_the_recipe_by_what_it_does(typed, is_recipe):
    assert specs.is_recipe(typed_of("model=tiny", "layer=block2_conv2", *typed)) == is_recipe


def test_a_unit_of_an_objective_without_one_has_no_rank():
    assert told(rank=(np.nan, np.nan)) == ""
