"""Laws of starts from facets: planted groups are found, their means are the start, in closed form."""

import numpy as np
import pytest
from helpers.configs import job_of
from PIL import Image

from deepvis.ascent import facets, optimize, program, specs, validation
from deepvis.ascent.facets import PhotographValues
from deepvis.core.errors import ConfigError
from deepvis.sweeps import jobs

MEAN = np.float32([120, 110, 100])
RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(0, 255, (12, 5, 6, 3)).astype(np.float32)
# Three directions of codes, four photographs each, the further from it the higher their number; unit 1 is
# excited by the second group most and by the third least; the last photograph is weak.
GROUP = np.arange(12) % 3
CODES = (np.eye(3, 8)[GROUP] * 5 + np.outer(np.arange(12) * 0.05, np.eye(8)[7])).astype(np.float32)
SCORES = np.stack([RNG.normal(size=12), np.array([5.0, 9.0, 2.0])[GROUP] + np.arange(12) * 0.01], axis=1)
SCORES[11, 1] = -1
VALUES = PhotographValues(SCORES, CODES, lambda number: IMAGES[number])


def made(facet, nearest=2, strongest=11, count=3, seed=0):
    return facets.facets((5, 6), seed, 1, MEAN, values=VALUES, facet=facet, facets=count, strongest=strongest,
                         nearest=nearest)  # fmt: skip


@pytest.mark.parametrize(("facet", "first"), [(0, 1), (1, 0), (2, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_a_facet_is_the_mean_of_the_photographs_nearest_to_their_centre(facet, first, seed):
    """In the order of the groups' scores, whatever centres k-means begins with."""
    members = [n for n in (first, first + 3, first + 6, first + 9) if n != 11]
    units = CODES[members] / np.linalg.norm(CODES[members].astype(float), axis=1)[:, None]
    near = units @ units.sum(axis=0)
    for nearest in (1, 2, 15):
        chosen = np.array(members)[np.argsort(-near)[:nearest]]
        wanted = IMAGES[chosen].astype(float).mean(axis=0) - MEAN
        np.testing.assert_allclose(made(facet, nearest, seed=seed), wanted, atol=1e-3)


def test_one_facet_is_the_mean_of_the_strongest_and_too_many_are_refused():
    strongest = np.argsort(-SCORES[:, 1])[:5]
    wanted = IMAGES[strongest].astype(float).mean(axis=0) - MEAN
    np.testing.assert_allclose(made(0, nearest=9, strongest=5, count=1), wanted, atol=1e-3)
    with pytest.raises(ConfigError, match=r"start.facets=13: got 11 photographs"):
        made(0, count=13)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Red, green and blue noise, three pictures each."""
    folder = tmp_path_factory.mktemp("photographs")
    for n in range(9):
        picture = RNG.integers(0, 60, (20, 20, 3))
        picture[..., n % 3] += 150 + 10 * (n // 3)
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{n}.png")
    return folder


def specs_of(folder, *typed):
    common = ("start=facets", "start.facets=3", "data=folder", f"data.path={folder}", "size=16", "steps=3",
              "robustness=false")  # fmt: skip
    cfg = job_of(None, *common, *typed).cfg
    validation.check_job(cfg)
    return specs.ImageSpec(cfg, 1)


def test_starts_are_means_of_the_users_photographs_and_the_same_in_any_batch(folder):
    images = [specs_of(folder, f"start.facet={facet}") for facet in range(3)]
    made = optimize.compiled(images)
    starts = np.stack([program.start(image, made.network.mean) for image in images])
    pictures = np.stack([np.asarray(Image.open(folder / f"{n}.png").resize((16, 16), 3)) for n in range(9)])
    means = [pictures[n::3].astype(float).mean(axis=0) - made.network.mean for n in range(3)]
    colours = [int(np.argmin([np.abs(start - mean).mean() for mean in means])) for start in starts]
    assert sorted(colours) == [0, 1, 2]
    for start, colour in zip(starts, colours, strict=True):
        np.testing.assert_allclose(start, means[colour], atol=1.0)  # pixels are rounded, then averaged
    beside = optimize.optimize(images)
    np.testing.assert_array_equal(optimize.optimize(images[1:2]).final[0], beside.final[1])
    scores = facets.values_of(images[0].cfg).scores[:, 1]
    order = [scores[colour::3].mean() for colour in colours]
    assert order == sorted(order, reverse=True)


def test_another_photograph_makes_another_job(folder, tmp_path):
    keys = []
    for changed in (False, True, False):
        for n in range(4):
            picture = np.asarray(Image.open(folder / f"{n}.png")) // (1 + (changed and n == 3))
            Image.fromarray(picture).save(tmp_path / f"{n}.png")
        cfg = specs_of(tmp_path).cfg
        keys.append(jobs.make(cfg, [], tmp_path).key)
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("start.facet=3",), r"start.facet=3: expected 0 to 2"),
        (("start.facets=10",), r"start.facets=10: got 9 photographs"),
        (("start.codes=block9",), r"start.codes=block9"),
        (("objective=layer",), r"objective=layer; take objective=channel"),
        (("param=maco", "optimizer=adam"), r"param.standardize=false"),
    ],
    ids=["facet", "facets", "codes", "objective", "maco"],
)
def test_what_has_no_meaning_is_refused(typed, words, folder):
    with pytest.raises(ConfigError, match=words):
        specs_of(folder, *typed)
