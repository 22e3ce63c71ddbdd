"""Law: of networks of keras.applications deepvis computes, and says, what Keras does.

Some of different kinds, here; benchmarks/applications.py measures all 40 and writes the page of them.
"""

import pytest
from helpers import applications

from deepvis.networks import keras_models

NAMES = (  # layer normalization; normalization inside; hard swish; normalization before; none
    "ConvNeXtTiny", "EfficientNetB0", "MobileNetV3Small", "ResNet50V2", "VGG16",
)  # fmt: skip
PUBLISHED = {  # px, of the last map: Araujo, Norris and Sim 2019, Distill, table of architectures
    "VGG16": 212, "MobileNet": 315, "ResNet50": 483, "ResNet101": 1027, "ResNet152": 1507,
    "InceptionV3": 1311, "InceptionResNetV2": 3039,
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_activations_are_keras_own(name):
    differences = applications.check_activations(name, 32)
    assert len(differences) == 7
    assert max(differences.values()) <= 1e-4, differences


def test_a_final_image_and_what_is_said_of_layers_are_keras_own():
    checked = applications.check("MobileNet")
    assert not checked.wrong
    assert len(checked.differences) == 9
    assert max(checked.differences.values()) <= 1e-4, checked.differences


@pytest.mark.parametrize(("name", "field"), PUBLISHED.items())
def test_receptive_fields_are_the_published_ones(name, field):
    layers = keras_models.application(name, None, "auto", None).layers().values()
    assert [layer.field for layer in layers if layer.stride][-1] == field
