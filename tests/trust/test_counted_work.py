"""What `deepvis trust` and `deepvis embedding` tell of their work: all of it, once, with the images done."""

from contextlib import contextmanager

import numpy as np
import pytest
from helpers.configs import typed_of
from PIL import Image

from deepvis import data, random_networks, trusted
from deepvis.analyses import embedding, photographs
from deepvis.config import schema
from deepvis.trust import observer

COUNT, FILTERS, SEEDS, STEPS = 20, (3, 5, 7), 2, 3


@pytest.fixture
def cfg(tmp_path):
    """Batches of 4: neither the pictures nor the photographs fill the last one; one photograph is broken."""
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT - 1, 16, 16, 3), dtype=np.uint8)
    for k, each in enumerate(pixels):
        Image.fromarray(each).save(tmp_path / f"{k:02d}.png")
    cut = (tmp_path / "00.png").read_bytes()
    (tmp_path / "99.png").write_bytes(cut[: len(cut) // 2])  # its head says it is a picture
    return typed_of("model=tiny", "layer=block2_conv2", "size=16", f"steps={STEPS}", "precision=float32",
                    "device=cpu", "batch_size=4", "data=folder", f"data.path={tmp_path}")  # fmt: skip


@pytest.fixture
def counted():
    """A `Counting` and what it was told: by what was done, total of images and steps, work, images done."""
    told = {}

    @contextmanager
    def counting(what, images, steps=1):
        row = told.setdefault(what, [images, steps, 0, 0])

        def tell(work, done):
            row[2], row[3] = row[2] + work, row[3] + done

        yield tell

    return counting, told


def test_trust_tells_of_each_step_and_photograph(cfg, counted, monkeypatch):
    monkeypatch.setattr(observer, "OBSERVERS", ())
    counting, told = counted
    given = data.photographs(schema.plain(cfg.data))
    found = trusted.assess(cfg, FILTERS, (), given, SEEDS, counting)
    seen = found.evidence.examples[:, 0]
    random_networks.assess(cfg, FILTERS, found.captions, given, seen, 2, counting=counting)
    pictures, random = SEEDS * len(FILTERS), 3 * len(FILTERS)
    assert len(found.evidence.broken) == 1
    assert told == {
        "optimizing": [pictures, STEPS, pictures * STEPS, pictures],
        "comparing": [COUNT, 2, COUNT * 2, COUNT],
        "randomizing": [random, STEPS, random * STEPS, random],
    }
    np.testing.assert_array_equal(found.images, trusted.assess(cfg, FILTERS, (), given, SEEDS).images)


def test_embedding_tells_of_each_code(cfg):
    read, told = photographs.of_config(cfg), []
    codes = embedding.codes_of(cfg, read, lambda work, images: told.append((work, images)))
    assert len(codes) == COUNT - 1 and told == [(1, 1)] * (COUNT - 1)
