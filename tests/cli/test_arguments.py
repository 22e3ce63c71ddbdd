"""What the command line adds by itself: a recipe, where nothing says how to optimize."""

import pytest

from deepvis.cli import arguments

RECIPE = "experiment=distill_2017"


@pytest.mark.parametrize(("typed", "is_added"), [
    (["model=keras", "model.name=ResNet50"], True),
    (["model=file", "model.path=m.keras", "steps=5"], True),
    (["model=keras", "objective=neuron"], True),
    ([], False),
    (["model=tiny"], False),
    (["model=hed"], False),
    (["model=keras", "model.name=VGG16"], False),
    (["model=keras", "model.name=VGG19", "model.weights=null"], False),
    (["model=keras", "model.name=VGG16,ResNet50"], False),
    (["model=file", "model.name=VGG16", "model.path=m.keras"], True),  # a name that the user gave to a file
    (["model=vgg16,keras"], False),  # one of them is what the defaults fit
    (["model=keras", "reg.decay=0.9"], False),
    (["model=keras", "+reg.decay=0.9"], False),
    (["model=keras", "param=maco"], False),
    (["model=keras", "optimizer.learning_rate=3"], False),
    (["model=keras", "experiment=maco"], False),
    (["model=keras", "resume=latest"], False),
    (["model=keres"], False),  # Hydra names the nearest
])  # fmt: skip
def test_a_recipe_is_added_where_nothing_says_how_and_no_network_is_a_vgg(typed, is_added):
    assert arguments.with_recipe(typed) == ([RECIPE, *typed] if is_added else typed)
