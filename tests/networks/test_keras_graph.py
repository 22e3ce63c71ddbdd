"""What `keras_graph` reads of Keras' internals is there, in the version that it was written for."""

import keras
import numpy as np

from deepvis.networks import keras_graph

of = keras.layers
HELP = f"Keras is not {keras_graph.TESTED}: run all of tests/networks, mend keras_graph, then change TESTED"


def test_keras_is_the_version_whose_internals_are_read():
    assert keras.__version__.rpartition(".")[0] == keras_graph.TESTED, HELP


def test_a_functional_model_has_nodes_by_depth_and_a_sequential_has_one_inside():
    image = keras.Input((4, 4, 3))
    functional = keras.Model(image, of.Conv2D(2, 3, name="c")(image))
    sequential = keras.Sequential([keras.Input((4, 4, 3)), of.Conv2D(2, 3, name="c")])
    assert keras_graph.graph(functional) is functional and hasattr(functional, "_nodes_by_depth"), HELP
    assert keras_graph.graph(sequential) is sequential._functional, HELP
    assert keras_graph.graph(functional.get_layer("c")) is None
    assert keras_graph.graph(keras.Sequential([of.Conv2D(2, 3)])) is None  # not built yet


def test_a_node_has_shapes_and_arguments():
    """A call with other arguments beside its tensors."""
    image = keras.Input((None, 4, 3))
    x = of.Dropout(0.5, name="drop")(image, training=False)
    total = of.Add(name="sum")([x, of.Conv2D(3, 1, name="c")(x)])
    drop, conv, added = keras_graph.flat(keras.Model(image, total)).calls
    assert [call.name for call in (drop, conv, added)] == ["drop", "c", "sum"], HELP
    assert conv.input_shapes == [(None, None, 4, 3)] and added.output_shape == (None, None, 4, 3), HELP
    values = {slot: np.full((1, 2, 4, 3), slot) for slot in (0, *drop.writes, *conv.writes)}
    args, kwargs = drop.arguments(values)
    assert args[0] is values[0] and kwargs == {"training": False}, HELP
    ((first, second),), _ = added.arguments(values)
    assert first is values[drop.writes[0]] and second is values[conv.writes[0]], HELP
