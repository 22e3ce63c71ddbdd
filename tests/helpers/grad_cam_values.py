"""Grad-CAM by tf-keras-vis 0.8.7 of a small network, recorded: tf-keras-vis needs the older Keras.

TF_USE_LEGACY_KERAS=1 PYTHONPATH=tests python -m helpers.grad_cam_values        writes grad_cam.npz again

with tf-keras-vis==0.8.7 and tf_keras==2.21.0 (requirements-bench.lock). The network has 3 convolutions with
ReLU, one with a stride, a mean over positions and a dense layer; its weights and images are drawn from seeds.
"""

from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_name("grad_cam.npz")
LAYER, UNITS = "second", (0, 2, 3)


def network(keras: Any) -> Any:
    """The network by either Keras."""
    model = keras.Sequential([
        keras.layers.InputLayer((20, 24, 3)),
        keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="first"),
        keras.layers.Conv2D(8, 3, strides=2, padding="valid", activation="relu", name="second"),
        keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="third"),
        keras.layers.GlobalAveragePooling2D(name="mean"),
        keras.layers.Dense(4, name="logits"),
    ])  # fmt: skip
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(0, 0.3, each.shape).astype(np.float32) for each in model.get_weights()])
    return model


def images() -> np.ndarray:
    return np.random.default_rng(4).uniform(-1, 1, (3, 20, 24, 3)).astype(np.float32)


def main() -> None:
    import tf_keras
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.scores import CategoricalScore

    method = Gradcam(network(tf_keras))
    found = method(CategoricalScore(list(UNITS)), images(), penultimate_layer=LAYER,
                   seek_penultimate_conv_layer=False, expand_cam=False,
                   normalize_cam=False)  # fmt: skip
    np.savez(FILE, maps=np.asarray(found))


if __name__ == "__main__":
    main()
