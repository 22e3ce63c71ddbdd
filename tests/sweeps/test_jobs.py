"""Laws of deepvis.sweeps.jobs: what a job is, which jobs share a graph, and that no image is lost."""

import functools
import itertools
from collections import Counter
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from helpers.configs import plain_of, typed_of

from deepvis.ascent import specs
from deepvis.config import job_names, schema
from deepvis.sweeps import jobs

TINY = ["model=tiny", "layer=block2_conv1", "layer.filters=0-3", "size=16", "steps=2", "tracker=none",
        "precision=float32"]  # fmt: skip
# Where results go, how images are batched and how often they are looked at: none of it changes a result.
FREE = ("tracker", "data", "examples_per_image",
        "batch_size", "snapshot_every", "resume", "resume_force", "max_jobs", "device",
        "objective_value", "model.paired_with", "trust")  # fmt: skip


@functools.cache  # composing takes a tenth of a second
def composed(*overrides):
    return typed_of(*TINY, *overrides)


def made(*overrides, typed=None):
    return jobs.make(composed(*overrides), overrides if typed is None else typed, Path("out"))


BASE = composed()


def leaves(node, above=()):
    """Every key of a config that holds a value, as a path."""
    for each in fields(node):
        value = getattr(node, each.name)
        if is_dataclass(value):
            yield from leaves(value, (*above, each.name))
        else:
            yield (*above, each.name), value


def other(key, value):
    """A value of the same kind that is not this one."""
    known = {
        ("layer", "filters"): "0-2", ("layer", "name"): "block1_conv1", ("device",): "cpu",
        ("model", "target"): "deepvis.networks.vgg:Vgg",
        ("objective", "target"): "deepvis.ascent.objectives.neuron",
        ("start", "target"): "deepvis.ascent.starts.gaussian",
    }  # fmt: skip
    if key in known:
        return known[key]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, tuple):
        return (*value[:-1], (*value[-1], 7) if isinstance(value[-1], tuple) else value[-1] + 1)
    if value is None or isinstance(value, str):
        return f"{value}x"
    raise AssertionError(f"no other value known for {key}={value!r}")


def with_value(node, key, value):
    """A config in which one key has another value."""
    first, *rest = key
    return replace(node, **{first: with_value(getattr(node, first), rest, value) if rest else value})


LEAVES = dict(leaves(BASE))
VGG = dict(leaves(composed("model=vgg16")))


@pytest.mark.parametrize("key", LEAVES, ids=".".join)
def test_the_key_changes_with_everything_that_changes_a_result_and_with_nothing_else(key):
    """A new option is part of a job's identity unless someone adds it to the exceptions, here and there."""
    before = jobs.make(BASE, [], Path("a")).key
    after = jobs.make(with_value(BASE, key, other(key, LEAVES[key])), [], Path("a")).key
    assert (before == after) == (key[0] in FREE or ".".join(key) in FREE), key


@pytest.mark.parametrize("key", sorted(set(VGG) - set(LEAVES)), ids=".".join)
def test_so_it_does_for_the_options_of_real_networks(key):
    cfg = composed("model=vgg16")
    changed = with_value(cfg, key, other(key, VGG[key]))
    assert jobs.make(changed, [], Path("a")).key != jobs.make(cfg, [], Path("a")).key


@pytest.mark.parametrize("spec", ["0-3", "0,1,2,3", "[0,1,2,3]", "0-1,2-3"])
def test_the_key_is_of_the_filters_not_of_their_spelling(spec):
    assert made(f'layer.filters="{spec}"' if spec[0] != "[" else f"layer.filters={spec}").key == made().key


def test_the_key_is_of_the_config_not_of_how_or_where_it_was_asked_for():
    once = jobs.make(composed("reg.decay=0.8"), ["reg.decay=0.8"], Path("a"))
    preset = jobs.make(composed("reg=decay"), ["reg=decay"], Path("b"))
    assert once.key == preset.key
    keys = {made(f"reg.decay={d}").key for d in (0.8, 0.80001, 0.9, 1.0)}
    assert len(keys) == 4 and all(len(k) == 12 and int(k, 16) >= 0 for k in keys)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ([], "block2_conv1"),
        (["reg.decay=0.8"], "decay=0.8"),
        (["reg.decay=0.8", "model=hed"], "decay=0.8 model=hed"),
        (["reg.weights.decay=3", "optimizer.learning_rate=0.5"], "decay=3 learning_rate=0.5"),
        (["tracker=none", "tracker.uri=sqlite:///a.b=c", "batch_size=4", "snapshot_every=2"], "block2_conv1"),
        (["hydra.run.dir=/tmp/x", "seed=3"], "seed=3"),
        (["layer.filters=0,3,7", "steps=4"], "filters=0,3,7 steps=4"),
        (["start.path=a.b/c.d=e.jpg"], "path=c.d=e.jpg"),
    ],
)
def test_a_job_is_named_after_what_was_typed(typed, name, monkeypatch):
    monkeypatch.delenv("DEEPVIS_SWEPT", raising=False)
    assert (job_names.name(typed) or BASE.layer.name) == name


@pytest.mark.parametrize(
    ("swept", "name"),
    [
        ("reg.decay", "decay=0.8"),
        ("reg.decay seed", "decay=0.8 seed=3"),
        ("model", "model=hed"),
        ("snapshot_every", "snapshot_every=2"),  # unusual, but then it is what tells the jobs apart
        ("size", "block2_conv1"),
    ],
)
def test_in_a_sweep_a_job_is_named_after_what_was_swept(swept, name, monkeypatch):
    monkeypatch.setenv("DEEPVIS_SWEPT", swept)
    typed = ["model=hed", "reg.decay=0.8", "seed=3", "snapshot_every=2"]
    assert jobs.make(BASE, typed, Path("a")).name == name


@pytest.mark.parametrize(
    "typed",
    [
        ["start.path=/a/b c/é.jpg"],
        ["layer.filters=[0,1]"],
        ["reg.decay=0.8"] * 40,
        [],
        ["a=../../x"],
        ["size=[48,192]"],
    ],
)
def test_a_jobs_folder_is_one_safe_short_name_that_begins_with_its_number(typed, monkeypatch):
    monkeypatch.delenv("DEEPVIS_SWEPT", raising=False)
    found = job_names.job_folder(12, typed)
    assert found.partition("_")[0] == "12" and len(found) <= 120 and Path(found).name == found
    assert not set(found) & set(" /\\\"'[]{}$;&|<>*?:")


def test_a_square_is_one_job_however_its_size_is_typed_and_a_rectangle_another():
    def made(size):
        return jobs.make(
            schema.resolve(plain_of("model=tiny", "layer=block2_conv1", "layer.filters=0", size)),
            [],
            Path("a"),
        )

    square, typed_twice, wide, tall = map(made, ("size=48", "size=[48,48]", "size=[48,96]", "size=[96,48]"))
    assert square.key == typed_twice.key and square.cfg == typed_twice.cfg
    assert len({square.key, wide.key, tall.key}) == 3
    assert [jobs.params(each)["size"] for each in (square, wide, tall)] == [48, "48,96", "96,48"]
    again = schema.resolve(plain_of("model=tiny", "layer=block2_conv1") | schema.plain(wide.cfg))
    assert again == wide.cfg and again.sides == (48, 96)


def test_params_are_the_resolved_config_whatever_was_typed():
    tiny = ("model=tiny", "layer=block2_conv1", "layer.filters=0-3", "steps=2", "size=16")
    configs = [schema.resolve(plain_of(*tiny, typed)) for typed in ("reg=decay", "reg.decay=0.8")]
    preset, knob = (jobs.params(jobs.make(config, ["x=1"], Path("a"))) for config in configs)
    assert preset == knob and (preset["reg.decay"], preset["reg.blur"]) == (0.8, 0)
    named = {"model": "tiny", "layer": "block2_conv1", "layer.filters": "0-3", "steps": 2, "size": 16,
             "seed": 0, "optimizer": "normalized"}  # fmt: skip
    assert {key: preset[key] for key in named} == named
    assert all(isinstance(value, bool | int | float | str) for value in preset.values())


ALIKE = [
    ["reg.decay=0.8"], ["reg.decay=1.0"], ["reg.blur=5"], ["reg.blur_sigma=0.7"],
    ["reg.blur_kind=box", "reg.blur=3"], ["reg.blur_every=3", "reg.blur=3"],
    ["reg.value_percentile=5"], ["reg.norm_percentile=5"], ["reg.contribution_percentile=30"],
    ["reg.clip_pixels=true"], ["reg.weights.blur=7"], ["seed=4"], ["layer.filters=2"], ["layer.filters=all"],
    ["steps=7"], ["optimizer.learning_rate=0.1"], ["start=gaussian"], ["start.high=3"],
]  # fmt: skip
UNLIKE = [
    ["layer=block1_conv1"], ["layer=named", "layer.name=block2_conv2"], ["reg.combine=mix"],
    ["optimizer=sgd"], ["objective.pre_activation=false"], ["size=18"], ["precision=bfloat16"],
    ["model.weights.seed=1"], ["model.blocks=[[8],[12,17]]"],
]  # fmt: skip


@pytest.mark.parametrize("overrides", ALIKE, ids=" ".join)
def test_jobs_that_differ_in_numbers_of_their_images_share_a_graph(overrides):
    (pack,) = jobs.job_groups([made(), made(*overrides)])
    assert len(pack.jobs) == 2


@pytest.mark.parametrize("overrides", UNLIKE, ids=" ".join)
def test_jobs_whose_graphs_differ_do_not(overrides):
    job_groups = list(jobs.job_groups([made(), made(*overrides)]))
    assert [len(pack.jobs) for pack in job_groups] == [1, 1]
    assert job_groups[0].static_config != job_groups[1].static_config


def test_what_is_read_from_a_packs_first_job_is_common_to_all():
    """The harness takes the chunk's length, the batch's and the image's size from the first."""
    queue = [made(), made("snapshot_every=1"), made("batch_size=2"), made("size=18"), made("reg.decay=0.8")]
    for pack in jobs.job_groups(queue):
        for key in ("size", "batch_size", "snapshot_every"):
            assert len({getattr(job.cfg, key) for job in pack.jobs}) == 1, key


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 7, 16, 100])
def test_batches_hold_every_filter_of_every_job_once_and_in_order(batch_size):
    specs = ["0-3", "5", "all", "7,2"]
    batched = f"batch_size={batch_size}"
    queue = [made(f'layer.filters="{spec}"', batched, f"seed={i}") for i, spec in enumerate(specs)]
    queue.insert(2, made("size=18", "layer.filters=[1,0]", batched))
    job_groups = list(jobs.job_groups(queue))
    seen = Counter(
        (id(pack.jobs[row.job]), row.column) for pack in job_groups for batch in pack.batches for row in batch
    )
    assert seen == Counter((id(job), column) for job in queue for column in range(len(job.filters)))
    for pack in job_groups:
        rows = list(itertools.chain(*pack.batches))
        assert rows == sorted(rows)
        sizes = [len(batch) for batch in pack.batches]
        assert max(sizes) <= batch_size and set(sizes[:-1]) <= {sizes[0]} and 0 < sizes[-1] <= sizes[0]


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_each_image_gets_the_numbers_of_its_own_job(batch_size):
    queue = [
        made("reg.decay=0.8", "steps=1", 'layer.filters="3,1"', f"batch_size={batch_size}"),
        made("reg.norm_percentile=20", "reg.weights.norm=5", "layer.filters=2", f"batch_size={batch_size}"),
        made(
            "optimizer.learning_rate=0.25",
            "reg.clip_pixels=true",
            f"batch_size={batch_size}",
            "layer.filters=0",
        ),
    ]
    (pack,) = jobs.job_groups(queue)
    numbers = [specs.numbers([jobs.image_spec(pack, row) for row in batch]) for batch in pack.batches]
    whole = {key: np.concatenate([each[key] for each in numbers]).tolist() for key in numbers[0]}
    assert whole["filter"] == [3, 1, 2, 0]
    assert whole["steps"] == [1, 1, 2, 2]
    np.testing.assert_allclose(whole["reg.decay"], [0.8, 0.8, 1, 1], rtol=1e-7)
    assert whole["reg.norm_percentile"] == [0, 0, 20, 0]
    assert whole["reg.clip_pixels"] == [0, 0, 0, 1]
    np.testing.assert_allclose(whole["optimizer.learning_rate"], [0.9, 0.9, 0.9, 0.25], rtol=1e-7)
    # Only what is on has a weight, else a copy that nothing changed would water the mix down.
    assert whole["reg.weights.norm"] == [0, 0, 5, 0] and whole["reg.weights.decay"] == [1, 1, 0, 0]
    assert whole["reg.weights.blur"] == [0, 0, 0, 0]
    assert {each.name for each in pack.enabled} == {"decay", "norm", "clip_pixels"}


@pytest.mark.parametrize(
    ("overrides", "on"),
    [
        ([], set()),
        (["reg.decay=0.999999"], {"decay"}),
        (["reg.blur=3"], {"blur"}),
        (["reg.blur_sigma=0.01"], {"blur"}),
        (["reg.blur_every=4"], set()),
        (["reg.value_percentile=0.1"], {"value"}),
        (["reg.norm_percentile=0.1"], {"norm"}),
        (["reg.contribution_percentile=0.1"], {"contribution"}),
        (["reg.clip_pixels=true"], {"clip_pixels"}),
        (["reg.weights.decay=9"], set()),
        (["reg=gildenblat_2016"], {"decay", "blur", "value"}),
        (["reg=combined"], {"decay", "blur", "norm"}),
    ],
    ids=lambda given: " ".join(sorted(given)),
)
def test_a_regularizer_is_active_when_its_number_is_not_neutral(overrides, on):
    assert set(specs.regularizers(composed(*overrides))) == on


@pytest.mark.parametrize(("typed", "name"), [
    ((), "block5_conv1"),
    (("steps=20", "reg.decay=1", "reg=none", "layer=block5_conv1", "robustness=true"), "block5_conv1"),
    (("steps=20", "reg.decay=0.9", "seed=0"), "decay=0.9"),
    (("layer=block5_conv1", "layer.filters=0-3", "steps=4"), "layer=block5_conv1 filters=0-3 steps=4"),
])  # fmt: skip
def test_a_single_job_is_named_by_what_differs_from_the_defaults(typed, name, tmp_path):
    assert jobs.make(typed_of(*typed), typed, tmp_path).name == name
