"""A pass over photographs, for natural examples, beside the network alone."""

import numpy as np
import pytest
import tensorflow as tf
from measure import QUICK, ROUNDS, interleaved, plain, ratio, report, timed
from PIL import Image

from deepvis import data, networks
from deepvis.config import schema
from deepvis.data import batches
from deepvis.model_choice import unit_config
from deepvis.natural import one_pass
from deepvis.natural.units import units

PHOTOGRAPHS, BATCH = (4, 2) if QUICK else (32, 16)
SMALL = ("tiny", "block2_conv2", 32) if QUICK else ("efficientnet_lite0", "block5c_add", 224)
LARGE = ("tiny", "block1_conv1", 32) if QUICK else ("vgg16", "block5_conv1", 224)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """JPEGs of 500 x 375 px, the size of ImageNet's, cut out of the photographs of packages."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    known = data.photographs({"_target_": "deepvis.data.photographs.builtin"})
    for k in range(PHOTOGRAPHS):
        image = Image.open(known.paths[rng.integers(len(known))]).convert("RGB").resize((800, 600))
        left, top = (int(each) for each in rng.integers(0, (301, 226)))
        image.crop((left, top, left + 500, top + 375)).save(folder / f"{k:03d}.jpg", quality=90)
    return folder


@pytest.mark.parametrize("name, layer, size", [LARGE, SMALL], ids=["large", "small"])
def test_a_pass_beside_the_bare_forward_pass(benchmark, photographs, name, layer, size):
    """Warm: both graphs are traced before; the bare one gets photographs that are decoded already."""
    choices = {"objective": "channel", "data": {"preset": "folder", "path": str(photographs)}}
    cfg, _ = unit_config(choices, name, layer, "all", size, "auto", None, None, "auto", "cpu", BATCH)
    network, found = networks.network(schema.plain(cfg.model)), data.photographs(schema.plain(cfg.data))
    count = network.layer(layer).channels
    built = network.build([layer], cfg.sides, "float32")
    asked = units(cfg, range(count), network.map_size(layer, cfg.sides))
    search = one_pass.Search(
        built, layer, True, asked, count, 9, 1, found, cfg.sides, BATCH, cfg.device, "benchmark"
    )
    step, mean, decoded = (
        one_pass.compiled(search),
        np.float32(built.mean),
        list(batches(found, cfg.sides, BATCH)),
    )

    @tf.function(autograph=False)
    def forward(images):
        return tf.reduce_sum(built.activations(images - mean, [layer])[layer].maps(True))

    def bare():
        return [forward(batch.images).numpy() for batch in decoded]

    def whole():
        one_pass.through(search, step, one_pass.nothing(search), None, lambda done: None)

    def reading():
        return [forward(batch.images).numpy() for batch in batches(found, cfg.sides, BATCH)]

    works = {"whole": timed(whole), "bare": timed(bare), "reading": timed(reading)}
    for work in works.values():
        work()
    spent = interleaved(benchmark, works, rounds=2 * ROUNDS - 1)
    where = f"{name} {layer}, {size} px, all {count} channels"
    walls = sorted(each.wall for each in spent["whole"])
    speed = f"{len(found) / walls[len(walls) // 2]:.1f} images/s"
    report(
        benchmark,
        ratio(f"a pass for natural examples / bare forward pass, {where}", "float32", "1.10",
              spent["whole"], spent["bare"]),
        ratio(f"the same / reading the photographs and the bare forward pass, {where}", "float32", "1.10",
              spent["whole"], spent["reading"]),
        plain(f"a pass for natural examples, {where}", "float32", "", "", speed),
    )  # fmt: skip
