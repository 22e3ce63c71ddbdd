"""Law: of networks of keras.applications deepvis computes, and says, what Keras does."""

import pytest
from helpers import applications

SMALL = ["MobileNet", "MobileNetV2", "MobileNetV3Small"]


@pytest.mark.parametrize("name", SMALL)
def test_activations_and_layers_of_an_application_are_keras_own(name):
    checked = applications.check(name)
    assert not checked.wrong
    assert len(checked.differences) == 9
    assert max(checked.differences.values()) <= 1e-4, checked.differences
