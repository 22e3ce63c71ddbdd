"""Laws of a whole optimization, for every component and file of conf/param, conf/transform, conf/objective,
conf/optimizer.

Jobs become groups, groups batches, batches are optimized in a compiled graph: as a sweep does it, on `tiny`.
A new component, or a new file, is held to the same laws because it is there.
"""

import functools
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from helpers.configs import choices, config_of, members, plain_of, switched_on
from omegaconf import OmegaConf
from PIL import Image

from deepvis.ascent import program, specs, validation
from deepvis.ascent.optimize import optimize
from deepvis.config import knobs, schema
from deepvis.core.names import CONF
from deepvis.sweeps import jobs

GROUPS = ("param", "transform", "objective", "optimizer")
MEMBERS = [f"{group}/{name}" for group in GROUPS if group != "transform" for name in members(group)]
MEMBERS += [f"transform/{name}" for name in choices("transform")]  # of numbers that are all there
COMMON = ("model=tiny", "layer=named", "layer.name=block2_conv2", "layer.filters=0", "size=[16,24]",
          "steps=4", "snapshot_every=2", "precision=float32", "robustness=false",
          "optimizer.learning_rate=3")  # fmt: skip

Line = tuple[str, ...]  # overrides of one job
# What is small enough for sixteen pixels and two blocks, and steps that suit what is optimized.
SMALL = {
    "param/fourier": ("optimizer.learning_rate=0.1",),
    "param/fourier_phase": ("optimizer.learning_rate=0.2",),
    "param/laplacian": ("optimizer.learning_rate=0.1",),
    "param/maco": ("optimizer.learning_rate=0.2",),
    "param/octaves": ("param.octaves=2",),
    "transform/accentuation": (
        "transform.crops=16",  # a mean of so many is taken in another order than one of three
        "transform.crops_px=24",
        "transform.crops_first=1",
        "transform.crops_last=0.8",
    ),
    "transform/crops": ("transform.crop=4",),
    "transform/maco": (
        "transform.crops=3",
        "transform.crops_px=24",
        "transform.crops_first=1",
        "transform.crops_last=0.95",
        "transform.crops_offset=0.02",
    ),
    "objective/style": (
        "objective.content_layers=[block1_conv1]",
        "objective.style_layers=[block1_conv1,block2_conv1]",
    ),
}
# Of every number that is one per image, another value; a test sees that none is forgotten.
OTHER = {
    "objective/caricature": ("objective.cosine_power=2", "objective.pictures.picture={folder}/other.png"),
    "objective/direction": ("objective.cosine_power=2", "objective.vectors={folder}/other.npy"),
    "objective/diversity": ("objective.channel=3", "objective.weight=20"),
    "objective/guided": ("objective.pictures.guide={folder}/other.png",),
    "objective/inversion": ("objective.pictures.picture={folder}/other.png",),
    "objective/neuron": ("objective.row=1", "objective.column=6"),
    "objective/style": (
        "objective.pictures.style={folder}/other.png",
        "objective.content_weight=10",
        "objective.style_weight=2",
    ),
    "optimizer/adam": (
        "optimizer.learning_rate=2",
        "optimizer.beta_1=0.5",
        "optimizer.beta_2=0.9",
        "optimizer.epsilon=1e-3",
    ),
    "optimizer/laplacian": ("optimizer.learning_rate=2", "optimizer.levels=2"),
    "optimizer/lbfgs": ("optimizer.memory=2", "reg.clip_pixels=true"),
    "optimizer/nadam": (
        "optimizer.learning_rate=2",
        "optimizer.beta_1=0.5",
        "optimizer.beta_2=0.9",
        "optimizer.epsilon=1e-3",
    ),
    "optimizer/normalized": ("optimizer.learning_rate=2",),
    "optimizer/progress": ("optimizer.max_learning_rate=50", "optimizer.target_gain=1"),
    "optimizer/sgd": ("optimizer.learning_rate=60",),
}
NUMBERS = {
    key: knob for each in knobs.components("transform").values() for key, knob in each.knobs.items()
    if not knob.static
}  # fmt: skip
OFF = tuple(f"transform.{key}={knob.default}" for key, knob in NUMBERS.items())
ON = tuple(
    f"transform.{key}={min(switched_on(knob), 0.2 if knob.below == 1 else 20)}"
    for key, knob in NUMBERS.items()
)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Pictures and directions."""
    folder = tmp_path_factory.mktemp("files")
    rng = np.random.default_rng(0)
    for name in ("given", "other"):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(folder / f"{name}.png")
        np.save(folder / f"{name}.npy", rng.normal(size=(16, 16)))
    return folder


@pytest.fixture(scope="module", params=MEMBERS)
def member(request) -> str:
    return request.param


def given(member: str, folder: Path) -> Line:
    """A member, and what a person must say with it."""
    group, name = member.split("/")
    common = tuple(o for o in COMMON if group != "optimizer" or not o.startswith("optimizer."))
    typed = (*common, f"{group}={name}", *SMALL.get(member, ()))
    for key in schema.missing(plain_of(*typed)):
        value = {"vectors": folder / "given.npy", "terms": '"channel - 0.5 channel 1 of block1_conv1"'}
        typed += (f"{key}={value.get(key.rpartition('.')[2], folder / 'given.png')}",)
    return typed


def lines_of(member: str, folder: Path) -> list[Line]:
    """Jobs whose every number differs."""
    other = tuple(each.format(folder=folder) for each in OTHER.get(member, ()))
    steps = (
        () if member == "param/octaves" else ("steps=3",)
    )  # of octaves each has a share, so all have as many
    lines = [("seed=1", "layer.filters=[3,0]"), (*steps, "layer.filters=[5]", *other),
             ("seed=2", "layer.filters=[9,2]")]  # fmt: skip
    if member.startswith("transform"):
        lines[1] += OFF
        lines[2] += ON
    return lines


@functools.cache
def job(typed: Line, line: Line) -> jobs.Job:
    plain = OmegaConf.merge(config_of(*typed), OmegaConf.from_dotlist(list(line)))
    cfg = schema.resolve(OmegaConf.to_container(plain, resolve=True))
    validation.check_job(cfg)
    return jobs.make(cfg, line, Path("nowhere"))


def packed(typed: Line, lines: Sequence[Line]) -> jobs.JobGroup:
    (group,) = jobs.job_groups([job(typed, line) for line in lines])
    return group


def optimized(group: jobs.JobGroup) -> dict[jobs.Row, dict[str, np.ndarray]]:
    """What comes of each row of a group: its start, its last image and its best one, its history."""
    made, found = program.compiled(group.static_config, group.enabled), {}
    for batch in group.batches:
        images = [jobs.image_spec(group, row) for row in batch]
        starts = np.stack([program.start(each, made.network.mean) for each in images])
        left = optimize(images, using=made, starts=starts, width=max(map(len, group.batches)))
        for i, (row, image) in enumerate(zip(batch, images, strict=True)):
            found[row] = {"first": starts[i], "image": left.final[i], "best": left.best[i]}
            found[row] |= {"features": left.features[i]} | {name: v[i] for name, v in left.values.items()}
            found[row] |= {name: v[: image.cfg.steps + 1, i] for name, v in left.history.items()}
    return found


def left(group: jobs.JobGroup) -> dict[tuple[str, ...], Any]:
    """By job, what comes of its rows."""
    found = optimized(group)
    return {
        own.overrides: {(row.column, row.twin): kept for row, kept in found.items() if row.job == i}
        for i, own in enumerate(group.jobs)
    }


def same(one: Any, other: Any) -> bool:
    """Bit by bit."""
    assert one.keys() == other.keys() and all(one[row].keys() == other[row].keys() for row in one)
    for row in one:
        for name, values in one[row].items():
            assert np.asarray(values).tobytes() == np.asarray(other[row][name]).tobytes(), (row, name)
    return True


def traces(made: program.Program) -> dict[str, int]:
    return {name: call.experimental_get_tracing_count() for name, call in vars(made.ascent).items()}


@pytest.fixture(scope="module")
def case(member, files):
    """A member's jobs, and what comes of them in one pack."""
    typed, lines = given(member, files), lines_of(member, files)
    return typed, lines, left(packed(typed, lines))


def test_every_number_of_every_file_is_varied(member, files):
    group, name = member.split("/")
    cfg = job(given(member, files), ()).cfg
    changed = {each.split("=")[0] for line in lines_of(member, files) for each in line}
    wanted = {key for key in specs.numbers([specs.ImageSpec(cfg, 0)]) if key.startswith(f"{group}.")}
    if group == "transform":  # numbers of the host
        wanted = {
            f"transform.{key}" for each in knobs.components("transform").values()
            for key, knob in each.knobs.items() if not knob.static
        }  # fmt: skip
    if group == "objective":
        pictures = schema.component("objective", cfg.objective).traits["pictures"]
        wanted |= {f"objective.pictures.{key}" for key in pictures} - {"objective.pictures.content"}
    assert wanted - {"objective.group"} <= changed
    shared = yaml.safe_load((CONF / group / f"{name}.yaml").read_text()) or {}
    assert {"target" if key == "_target_" else key for key in shared} <= vars(getattr(cfg, group)).keys()


def test_packed_equals_alone_in_any_order(case):
    typed, lines, together = case
    for line in lines:
        (alone,) = left(packed(typed, [(*line, "batch_size=1")])).values()
        assert same(together[line], alone)
    for line, other in left(packed(typed, lines[::-1])).items():
        assert same(together[line], other)
    for one, other in itertools.combinations(lines, 2):  # else a pack that mixes its jobs up would pass
        assert together[one][0, 0]["image"].tobytes() != together[other][0, 0]["image"].tobytes()


def test_other_numbers_trace_nothing(case):
    typed, lines, _ = case
    pack = packed(typed, lines)
    made = program.compiled(pack.static_config, pack.enabled)
    before = traces(made)
    again = packed(typed, [(*line, f"seed={i + 7}") for i, line in enumerate([lines[1], lines[0], lines[2]])])
    assert (again.static_config, again.enabled) == (pack.static_config, pack.enabled)
    left(again)
    assert program.compiled(again.static_config, again.enabled) is made and traces(made) == before


def test_the_score_rises(case):
    _, _, together = case
    for rows in together.values():
        for own in rows.values():
            assert own["score"][-1] > own["score"][0]
            assert own["alive"].all()


@pytest.mark.parametrize("off", [OFF, ()], ids=["zeros", "none"])
def test_a_transform_that_is_off_leaves_nothing_behind(off, files):
    """Beside neighbours that are moved and spoilt, bit by bit what it is where nothing is."""
    plain = given("transform/none", files)
    line = ("seed=1", "layer.filters=[3,0]")
    (alone,) = left(packed(plain, [line])).values()
    beside = left(packed(plain, [(*line, *off), ("layer.filters=[4]", *ON)]))
    assert same(alone, beside[(*line, *off)])
    shaken = left(packed(plain, [(*line, *ON)]))[(*line, *ON)]
    assert shaken[0, 0]["image"].tobytes() != alone[0, 0]["image"].tobytes()


def test_octaves_trace_once_a_size(files):
    typed = (*given("param/octaves", files), "size=[18,12]")  # of no other test
    pack = packed(typed, lines_of("param/octaves", files))
    left(pack)
    found = traces(program.compiled(pack.static_config, pack.enabled))
    assert found["advance"] == found["begin"] == found["show"] == 2 and found["finish"] == 1


@pytest.mark.parametrize("name", choices("param"))
def test_twins_start_one_rounding_off_and_climb_beside(name, files):
    typed, line = given(f"param/{name}", files), ("seed=1", "layer.filters=[3,0]", "batch_size=2")
    (own,) = left(packed(typed, [line])).values()
    found = left(packed(typed, [(*line, "twins=1")]))[(*line, "twins=1")]
    assert same({row: kept for row, kept in found.items() if row[1] == 0}, own)
    for column in (0, 1):
        one, other = found[column, 0], found[column, 1]
        apart = np.abs(one["first"] - other["first"])
        assert (apart > 0).all() and (apart <= 2e-7 * np.abs(one["first"])).all()
        assert other["score"][-1] > other["score"][0]
        assert other["score"][-1] == pytest.approx(one["score"][-1], rel=0.01)
        assert one["image"].tobytes() != other["image"].tobytes()
