"""What is compared with what: units, parts, factors, seeds; and what is said of all that is not there."""

import re
from dataclasses import replace

import numpy as np
import pytest
from helpers.processes import newest
from helpers.synthetic import BLURS, DECAYS, compared, finish, grid, job, of, result

import deepvis
from deepvis.config import params
from deepvis.report import comparison
from deepvis.report.comparison import Part, Unit

ONE = np.arange(1.0, 13)  # scores of 12 filters
HED, VGG16 = {"model": "hed", "model.paired_with": "vgg16", "model.weights": "hed"}, {"model": "vgg16"}


def decays(*values, of=ONE, **own):
    """A job a decay, whose scores are multiples of those given."""
    return [result(f"{i}_{own}", of * (i + 1), **{"reg.decay": d}, **own) for i, d in enumerate(values)]


# Seeds, settings, units


def test_a_comparison_is_what_pandas_makes_of_the_table(tmp_path):
    folder = grid(tmp_path / "s")
    found = of(folder)
    # A decay of 1 is off, hence the first.
    assert found.levels == {"reg.decay": [1, 0.9, 0.8], "reg.blur": [0, 3]} and found.is_grid()
    assert found.settings == [(d, b) for d in DECAYS[::-1] for b in BLURS] and found.seeds == [0, 1]
    frame = deepvis.results(folder=folder)
    for name in ("score", "robustness", "high_frequency", "margin"):
        table = frame.pivot_table(index=["reg.decay", "reg.blur"], columns="filter", values=name)
        np.testing.assert_allclose(found.values[name], table.loc[found.settings].to_numpy())
        for row, seed in enumerate(found.seeds):
            own = frame[frame.seed == seed].pivot_table(
                index=["reg.decay", "reg.blur"], columns="filter", values=name
            )
            np.testing.assert_array_equal(found.by_seed[name][:, row], own.loc[found.settings].to_numpy())
    assert found.others == [] and found.unpaired == "" and found.parts == [Part("tiny", "block5_conv1")]


def test_seeds_that_diverged_or_are_missing_are_no_number_and_said():
    jobs = [
        result("a", [1, np.nan, 3], seed=0, **{"reg.blur": 0}),
        result("b", [5, 6, 7], seed=1, **{"reg.blur": 0}),
        result("c", [8, 9, 10], seed=1, **{"reg.blur": 3}),
    ]
    found = compared(*jobs)
    np.testing.assert_array_equal(
        found.by_seed["score"], [[[1, np.nan, 3], [5, 6, 7]], [[np.nan] * 3, [8, 9, 10]]]
    )
    np.testing.assert_array_equal(found.values["score"], [[3, 6, 5], [8, 9, 10]])
    assert found.others == [
        "Not every setting has every seed, so means are over different ones: blur=3 has no seed 0."
    ]


def test_a_filter_that_diverged_has_no_value_though_its_score_is_finite():
    jobs = [replace(result("a", [1, 2, 3], seed=0, floor=1.0), ends=["diverged", "rising", "stuck"])]
    found = compared(*jobs, result("b", [4, 5, 6], seed=1))
    np.testing.assert_array_equal(found.by_seed["score"][0], [[np.nan, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(found.values["score"], [[4, 3.5, 4.5]])
    np.testing.assert_array_equal(found.twin_differences["score"][0, 0], [[np.nan, 1, 1]])


def test_diversity_is_over_all_seeds_of_a_set_of_filters():
    jobs = [result(str(seed), ONE, seed=seed) for seed in range(3)]
    few = result("0", ONE[:4], seed=0)
    few = replace(few, features={"post": jobs[0].features["post"][:4]}, metrics={
        name: values[:4] for name, values in jobs[0].metrics.items()
    })  # fmt: skip
    alone, with_few = compared(*jobs), compared(few, *jobs, sweeps=["b", "a", "a", "a"])
    assert with_few.seeds == [0, 1, 2] and len(with_few.jobs) == 4
    for name in ("diversity", "reproducibility"):
        np.testing.assert_array_equal(with_few.values[name], alone.values[name])
        assert np.isfinite(alone.values[name]).all()
    np.testing.assert_array_equal(with_few.by_seed["score"], alone.by_seed["score"])


@pytest.mark.parametrize("values", [[-3.0], [0.0], [1e-30], [np.nan]])
def test_one_filter_of_one_seed_of_any_score_is_laid_out(values):
    found = compared(result("a", values))
    assert found.settings == [()] and found.seeds == [0] and found.name(0) == "block5_conv1"
    np.testing.assert_array_equal(found.by_seed["score"], [[values]])
    np.testing.assert_array_equal(found.values["score"], [values])
    assert found.twin_differences == {} and "diversity" not in found.values


def test_replicas_differ_from_their_image_with_a_sign_and_their_floor_does_not_shrink_with_seeds():
    jobs = [
        result(f"{blur} {seed}", ONE, seed=seed, floor=[0.5, -0.25 - seed], **{"reg.blur": blur})
        for blur in (0, 3)
        for seed in (0, 1)
    ]
    jobs.append(result("3 2", ONE, seed=2, **{"reg.blur": 3}))
    found = compared(*jobs)
    twins = found.twin_differences["score"]
    assert twins.shape == (2, 3, 2, 12) and set(found.twin_differences) == {"score", "robustness"}
    np.testing.assert_allclose(twins[0, :2, :, 4], [[0.5, -0.25], [0.5, -1.25]])
    assert np.isnan(twins[:, 2]).all()
    np.testing.assert_allclose(
        np.nanmean(np.abs(found.twin_differences["score"]), axis=(1, 2)), np.mean([0.5, 0.25, 0.5, 1.25])
    )
    assert np.nanmean(np.abs(compared(*jobs[:1]).twin_differences["score"])[0, ..., 0]) == pytest.approx(
        np.mean([0.5, 0.25])
    )


def test_only_filters_that_every_setting_of_their_part_has_are_compared():
    """Else the medians of one setting would be over other filters than those of its neighbour."""
    jobs = [
        result(f"{layer} {blur}", np.arange(1.0, n + 1), layer=layer, **{"reg.blur": blur})
        for layer, blur, n in (("a", 0, 12), ("a", 3, 20), ("b", 0, 5), ("b", 3, 5))
    ]
    found = compared(*jobs)
    assert [unit.index for unit in found.units] == [*range(12), *range(5)]
    assert found.left_out_by_part == [8, 0] and found.left_out == 8
    assert found.of_part(0).left_out == 8 and found.of_part(1).left_out == 0


# Parts


def test_layers_are_parts_and_no_factor():
    layers = ("block1_conv1", "block2_conv1")
    jobs = [
        result(f"{layer} {d}", (ONE[:6] + 100 * i) * d, layer=layer, seed=seed, **{"reg.decay": d})
        for i, layer in enumerate(layers)
        for d in (0.8, 0.9)
        for seed in (0, 1)
    ]
    found = compared(*jobs)
    assert list(found.levels) == ["reg.decay"] and found.part_names() == list(layers)
    assert found.units[7] == Unit("tiny", "block2_conv1", 1)
    assert found.label(found.units[7]) == "block2_conv1 f001"
    assert found.part_of.tolist() == [0] * 6 + [1] * 6
    assert found.unpaired == (
        "block1_conv1 and block2_conv1 are different layers: filter k of one is not filter k of another, so "
        "they are compared as distributions."
    )
    for i in (0, 1):
        own = found.of_part(i)
        np.testing.assert_allclose(own.values["score"], [(ONE[:6] + 100 * i) * d for d in (0.9, 0.8)])
        np.testing.assert_array_equal(own.by_seed["score"], found.by_seed["score"][..., 6 * i : 6 * i + 6])
        assert own.settings == found.settings == [(0.9,), (0.8,)] and own.name(1) == "decay=0.8"
        assert [job.result.layer for job in own.jobs] == [layers[i]] * 4 and own.is_grid()
        assert own.parts == [found.parts[i]] and own.unpaired == "" and own.label(own.units[1]) == "f001"


def test_layers_alone_are_one_setting_of_two_parts():
    found = compared(result("a", ONE, layer="a"), result("b", ONE, layer="b"))
    assert found.settings == [()] and found.name(0) == "a, b" and len(found.parts) == 2
    assert found.of_part(1).name(0) == "b" and not found.is_grid()


def test_a_part_has_its_own_settings_and_factors():
    """One network was run at two decays, the other at two numbers of steps."""
    jobs = [
        *decays(0.8, 0.9),
        *decays(0.8, steps=9, model="net"),
        *decays(0.8, steps=7, model="net", of=-ONE),
    ]
    found = compared(*jobs)
    assert found.levels == {"reg.decay": [0.9, 0.8], "steps": [4, 7, 9]} and len(found.settings) == 4
    lone = compared(*decays(0.8, seed=1), *(result(f"b{s}", ONE + s, layer="b", seed=s) for s in (1, 2)))
    assert [lone.of_part(i).seeds for i in (0, 1)] == [[1], [1, 2]]
    np.testing.assert_array_equal(lone.of_part(1).by_seed["score"], [[ONE + 1, ONE + 2]])
    assert lone.of_part(0).by_seed["score"].shape == (1, 1, 12)
    first, second = found.of_part(0), found.of_part(1)
    assert first.levels == {"reg.decay": [0.9, 0.8]} and second.levels == {"steps": [7, 9]}
    np.testing.assert_array_equal(first.values["score"], [2 * ONE, ONE])
    np.testing.assert_array_equal(second.values["score"], [-ONE, ONE])
    assert [second.name(job.setting) for job in second.jobs] == ["steps=7", "steps=9"]


def test_networks_without_a_lineage_are_parts_and_not_paired():
    found = compared(*decays(0.8, 0.9), *decays(0.8, 0.9, model="vgg16", of=ONE[:3]))
    assert list(found.levels) == ["reg.decay"]
    assert found.part_names() == ["tiny block5_conv1", "vgg16 block5_conv1"]
    assert found.unpaired == (
        "tiny and vgg16 share no lineage: filter k of one is not filter k of another, so they are compared "
        "as distributions."
    )
    assert found.label(found.units[-1]) == "vgg16 block5_conv1 f002" and found.left_out == 0
    np.testing.assert_array_equal(found.of_part(1).values["score"], [2 * ONE[:3], ONE[:3]])


def test_the_same_architecture_from_another_seed_is_another_network():
    jobs = [result(str(s), ONE, **{"model.weights": "seeded", "model.weights.seed": s}) for s in (0, 1)]
    found = compared(*jobs)
    assert found.levels == {} and [part.network for part in found.parts] == [
        "tiny weights.seed=0",
        "tiny weights.seed=1",
    ]
    assert found.unpaired.startswith("tiny weights.seed=0 and tiny weights.seed=1 share no lineage: ")


@pytest.mark.parametrize("stated", ["base", "runs/base.keras", "base.keras"])
def test_a_network_is_paired_with_the_one_that_it_is_said_to_be_trained_from(stated):
    base = {"model": "base", "model.path": "runs/base.keras", "model.paired_with": "none"}
    tuned = {"model": "tuned", "model.path": "runs/tuned.keras", "model.paired_with": stated}
    found = compared(result("a", ONE, **base), result("b", 2 * ONE, **tuned))
    assert found.levels == {"model": ["base", "tuned"]} and found.unpaired == ""
    assert found.parts == [Part("base", "block5_conv1")]
    np.testing.assert_array_equal(found.values["score"], [ONE, 2 * ONE])


def test_networks_trained_from_a_third_one_are_paired():
    found = compared(
        result("a", ONE, **HED), result("b", ONE, **{**HED, "model": "other", "model.weights": "x"})
    )
    assert found.levels == {"model": ["hed", "other"]} and found.parts == [Part("vgg16", "block5_conv1")]
    alone = compared(*decays(0.8, 0.9, **HED))
    assert alone.parts == [Part("hed", "block5_conv1")], "the network of all jobs is not another one"


def test_a_lineage_that_the_architecture_belies_is_not_believed():
    blocks = {"model.blocks": "[8],[16]"}, {"model.blocks": "[8],[32]"}
    found = compared(result("a", ONE, **VGG16, **blocks[0]), result("b", ONE, **HED, **blocks[1]))
    assert len(found.parts) == 2 and found.levels == {}
    assert found.unpaired.startswith(
        "vgg16 and hed share no lineage (hed is said to be trained from vgg16, but their model.blocks "
        "differ): "
    )


def test_a_file_that_was_trained_on_between_two_sweeps_is_another_network():
    tags = [{"weights.digest": digest} for digest in ("abc", "def", "abc")]
    own = {"model": "net", "model.path": "net.keras"}
    jobs = [result(str(i), ONE + i, tags=tag, **own) for i, tag in enumerate(tags[:2])]
    moved = result("2", ONE + 2, tags=tags[2], **{"model": "net", "model.path": "copy/net.keras"}, seed=1)
    found = compared(*jobs, moved)
    assert [part.network for part in found.parts] == ["net weights=abc", "net weights=def"]
    np.testing.assert_array_equal(found.of_part(0).values["score"], [ONE + 1]), "a path is no identity"


# Factors


def levels_of(*jobs: dict) -> dict:
    """The levels by factor of some jobs with these params; their typed choices stand under ``choices``."""
    return dict(compared(*(result(f"{i}", ONE, **own) for i, own in enumerate(jobs))).levels)


def test_what_a_choice_brings_along_is_no_factor_of_its_own():
    decay = {"reg.decay": 0.7, "reg.blur": 0, "reg.norm_percentile": 20.0}
    blur = {"reg.decay": 1.0, "reg.blur": 3, "reg.norm_percentile": 0.0}
    recipes = [
        {**reg, "steps": steps, "choices": {"reg": f"r{number}"}}
        for number, (reg, steps) in enumerate([(decay, 500), (blur, 750), (decay, 500)])
    ]
    assert levels_of(*recipes) == {"reg": ["r0", "r1"]}, "equal values are one level"
    own = [each | {"choices": {"experiment": f"e{i}"}} for i, each in enumerate(recipes[:2])]
    assert levels_of(*own) == {"experiment": ["e0", "e1"]}
    mixed = [each | {"reg.decay": d} for each in recipes[:2] for d in (0.8, 0.9)]
    assert levels_of(*mixed) == {"reg.decay": [0.9, 0.8], "reg": ["r0", "r1"]}
    untyped = [each | {"choices": {}} for each in recipes[:2]]
    assert list(levels_of(*untyped)) == [*decay]
    single = [{"reg.decay": d, "choices": {"reg": name}} for d, name in ((0.8, "decay"), (1.0, "none"))]
    assert levels_of(*single) == {"reg.decay": [1, 0.8]}


def test_a_component_stands_for_its_knobs():
    adam = {"optimizer": "adam", "optimizer.learning_rate": 1.0, "optimizer.beta_1": 0.9}
    sgd = {"optimizer": "sgd", "optimizer.learning_rate": 100.0}
    assert levels_of(adam, sgd) == {"optimizer": ["adam", "sgd"]}
    assert levels_of(VGG16 | {"model.weights": "vgg16"}, HED) == {"model": ["vgg16", "hed"]}
    shapes = [{"param.octaves": shape} for shape in ("[8],[16]", "[8],[32]")]
    assert levels_of(*shapes) == {"param.octaves": ["[[8],[16]]", "[[8],[32]]"]}


def test_what_identifies_nothing_is_no_factor():
    quiet = {"batch_size": 8, "snapshot_every": 2, "tracker.uri": "a", "resume": "none", "twins": 1,
             "model.labels": "none"}  # fmt: skip
    other = {"batch_size": 9, "snapshot_every": 5, "tracker.uri": "b", "resume": "x", "twins": 0,
             "model.labels": "imagenet"}  # fmt: skip
    assert levels_of(quiet, other) == {}
    assert levels_of({"steps": 10}, {"steps": 20}) == {"steps": [10, 20]}
    switch = [{"reg.clip_pixels": on} for on in (False, True)]
    assert levels_of(*switch) == {"reg.clip_pixels": ["false", "true"]}


def test_equal_numbers_are_one_level_however_they_came_about():
    assert params.written(0.9 + 0.08) == 0.98 and str(params.written(0.1 + 0.2)) == "0.3"
    assert [params.written(v) for v in (1.0, True, 1e-9, -0.5, "0.30000000000000004")] == [
        1, "true", 1e-9, -0.5, "0.30000000000000004"
    ]  # fmt: skip
    ranged = [{"reg.decay": 0.9 + 0.02 * i, "seed": i} for i in range(5)]  # as range(0.9,1,0.02) gives them
    assert levels_of(*ranged) == {"reg.decay": [0.98, 0.96, 0.94, 0.92, 0.9]}
    assert levels_of({"reg.decay": 0.98}, {"reg.decay": 0.9 + 0.08, "seed": 1}) == {}


def test_what_goes_along_with_a_factor_is_said():
    jobs = decays(0.8, steps=20, size=64, precision="bfloat16") + decays(
        0.9, steps=5, size=64, precision="float32"
    )
    found = compared(
        *jobs, sweeps=["a", "b"], versions={"a": {"deepvis": "0.4.0"}, "b": {"deepvis": "0.5.0"}}
    )
    assert found.levels == {"reg.decay": [0.9, 0.8]}
    assert found.others == [
        "Besides the factors these also differ: steps 20 / 5; precision bfloat16 / float32; deepvis 0.4.0 / "
        "0.5.0. An effect may be due to them."
    ]
    assert compared(*decays(0.8, 0.9, steps=20)).others == []


def test_what_differs_between_layers_only_is_said_and_no_factor():
    jobs = decays(0.8, 0.9, size=64, layer="a", device="cpu") + decays(
        0.8, 0.9, size=96, layer="b", device="gpu:0"
    )
    found = compared(*jobs)
    assert found.levels == {"reg.decay": [0.9, 0.8]} and found.is_grid()
    assert "these also differ: size 64 / 96; device cpu / gpu:0. " in found.others[0]


def test_unequal_steps_of_two_sweeps_are_a_factor_where_nothing_else_fixes_them():
    found = compared(*decays(0.8, 0.9, steps=20), *decays(0.8, 0.9, steps=5), sweeps=["a", "a", "b", "b"])
    assert found.levels == {"reg.decay": [0.9, 0.8], "steps": [5, 20]} and found.is_grid()


# Replicas


def test_equal_settings_of_two_sweeps_are_replicas():
    jobs = decays(0.8, 1) + decays(0.8, 1, of=10 * ONE)
    found = compared(*jobs, sweeps=["a", "a", "b", "b"])
    assert found.levels == {"reg.decay": [1, 0.8]} and found.seeds == [0, "0 (repetition 1)"]
    np.testing.assert_array_equal(found.by_seed["score"], [[2 * ONE, 20 * ONE], [ONE, 10 * ONE]])
    np.testing.assert_array_equal(found.values["score"], [11 * ONE, 5.5 * ONE])
    assert "diversity" not in found.values, "a repetition is no other seed"
    part = compared(*jobs[:3], sweeps=["a", "a", "b"])
    assert np.isnan(part.by_seed["score"][0, 1]).all() and len(part.others) == 1


def test_a_job_that_repeats_another_number_for_number_counts_once():
    jobs = decays(0.8, 1) + decays(0.8, 1)
    found = compared(*jobs, sweeps=["a", "a", "b", "b"])
    assert found.seeds == [0] and [job.repeats for job in found.jobs] == [False, True] * 2
    np.testing.assert_array_equal(found.values["score"], [2 * ONE, ONE])
    assert found.others == []
    with_replicas = compared(result("a", ONE), result("a", ONE, floor=0.5, twins=1), sweeps=["a", "b"])
    np.testing.assert_array_equal(with_replicas.twin_differences["score"], [[[[0.5] * 12]]])


def test_sweeps_are_a_factor_only_where_nothing_else_explains_a_difference():
    found = compared(result("a", ONE), result("b", 2 * ONE), sweeps=["2026-a", "2026-b"])
    assert found.levels == {"sweep": ["a", "b"]} and found.seeds == [0]
    assert compared(result("a", ONE), result("a", ONE), sweeps=["a", "b"]).levels == {}
    clash = compared(result("a", ONE), result("b", 2 * ONE), sweeps=["1-a", "2-a"])
    assert clash.levels == {"sweep": ["1-a", "2-a"]}


def test_jobs_of_other_filters_share_a_row():
    jobs = [result(str(i), ONE[:3] + i, [*range(3 * i, 3 * i + 3)], **{"reg.decay": 0.8}) for i in range(2)]
    found = compared(*jobs, sweeps=["a", "b"])
    assert found.seeds == [0] and len(found.units) == 6 and found.left_out == 0
    np.testing.assert_array_equal(found.values["score"], [[1, 2, 3, 2, 3, 4]])


# What is not there


def test_a_job_that_crashed_is_a_hole_and_shifts_nothing(tmp_path):
    for i, (d, b) in enumerate((d, b) for d in DECAYS for b in BLURS):
        if (d, b) != (0.9, 3):
            job(tmp_path / "s", f"{i}_x", ONE * (i + 1), range(12), **{"reg.decay": d, "reg.blur": b})
    folder = finish(tmp_path / "s")
    entry = comparison.manifest.read(folder)
    failed = {"name": "decay=0.9 blur=3", "key": "x", "folder": "3_x", "state": "FAILED", "reason": "why"}
    comparison.manifest.write(folder, entry | {"jobs": [*entry["jobs"], failed]})
    found = comparison.of_sweeps([folder], {})
    assert not found.is_grid() and found.settings == [(1, 0), (1, 3), (0.9, 0), (0.8, 0), (0.8, 3)]
    np.testing.assert_array_equal(found.values["score"], [ONE * k for k in (5, 6, 3, 1, 2)])
    assert found.others == [
        "1 of 6 jobs has no result: decay=0.9 blur=3 (failed).",
        "The grid has holes, 1 of 6 settings: decay=0.9 blur=3. The effect of reg.decay and reg.blur is that "
        "between settings that agree in everything else. Every two settings are tested against each other.",
    ]


def test_factors_that_are_not_crossed_are_said_to_be():
    jobs = [result(str(i), ONE, **{"reg.decay": d, "reg.blur": b, "reg.norm_percentile": n})
            for i, (d, b, n) in enumerate([(1, 0, 0), (0.9, 0, 0), (1, 3, 0), (1, 0, 5)])]  # fmt: skip
    (told,) = compared(*jobs).others
    assert told == (
        "reg.decay, reg.blur and reg.norm_percentile are not crossed, 4 of 8 combinations were run. The "
        "effect of reg.decay, reg.blur and reg.norm_percentile is that between settings that agree in "
        "everything else. Every two settings are tested against each other."
    )


def test_a_setting_that_one_layer_lacks_is_said():
    found = compared(*decays(0.8, 0.9, 1, layer="a"), *decays(0.8, 0.9, layer="b"))
    assert found.others == ["b: 1 of 3 settings has no job: decay=1."]
    assert np.isnan(found.values["score"][0, 12:]).all()
    assert found.of_part(1).settings == [(0.9,), (0.8,)] and found.of_part(1).is_grid()


def test_nothing_is_called_nan():
    jobs = [result(f"{d}", [np.nan] * 3, seed=i, **{"reg.decay": d}) for i, d in enumerate((0.8, 0.9))]
    found = compared(*jobs, unfinished=["x (killed)"])
    said = [*found.others, *map(found.name, range(2)), *map(found.label, found.units)]
    assert len(said) == 7 and "nan" not in " ".join(said).lower()


# What a person types


TINY = ["layer.filters=0-5", "size=16", "steps=3", "snapshot_every=3", "robustness=false", "tracker=none"]


@pytest.fixture(scope="module")
def typed(forker, tmp_path_factory):
    """Sweeps of `tiny` over layers, over networks, and over fewer settings with more steps; their folders."""
    place, folders = tmp_path_factory.mktemp("typed"), []
    for own in (
        ["layer=block1_conv1,block2_conv1", "reg.decay=0.8,1"],
        ["layer=block2_conv1", "model.weights.seed=0,1"],
        ["layer=block2_conv1", "reg.decay=range(0.94,0.99,0.02)", "++steps=4"],
    ):
        said = forker.run(place, "-m", "model=tiny", *TINY, *own)
        assert (said.code, said.err) == (0, "")
        folders.append(newest(place))
    return folders


def test_a_sweep_over_layers_has_a_part_a_layer(typed):
    found = comparison.of_sweeps(typed[:1], {})
    assert found.part_names() == ["block1_conv1", "block2_conv1"] and found.settings == [(1,), (0.8,)]
    for part in (0, 1):
        own = found.of_part(part)
        for row, (decay,) in enumerate(own.settings):
            (job,) = [job for job in own.jobs if job.result.params["reg.decay"] == decay]
            assert job.result.layer == found.parts[part].layer
            np.testing.assert_array_equal(own.by_seed["score"][row, 0], job.result.history["score"][-1])
        median = np.median(own.values["score"][1])
        row = rf"^\| {found.part_names()[part]} decay=0\.8 \| 6 \| {re.escape(f'{median:.3g}')} \|"
        assert re.search(row, (typed[0] / "report.md").read_text(), re.M)
    frame = deepvis.results(typed[0].name, folder=typed[0].parent)
    assert frame.job.drop_duplicates().tolist() == [job.result.name for job in found.jobs]


def test_a_sweep_over_networks_pairs_none_of_them(typed):
    found = comparison.of_sweeps(typed[1:2], {})
    assert found.settings == [()] and found.part_names() == [
        f"tiny weights.seed={seed} block2_conv1" for seed in (0, 1)
    ]
    assert "tiny weights.seed=0 and tiny weights.seed=1 share no lineage" in found.unpaired
    page = (typed[1] / "report.md").read_text()
    assert found.unpaired in page and "nan" not in page.partition("Reproduce:")[0]
    for part, name in enumerate(found.part_names()):
        median = np.median(found.of_part(part).values["score"])
        assert re.search(rf"^\| {re.escape(name)} \| 6 \| {re.escape(f'{median:.3g}')} \|", page, re.M)


def test_two_sweeps_of_unequal_steps_say_so(typed):
    found = comparison.of_sweeps([typed[0], typed[2]], {})
    assert found.levels == {"reg.decay": [1, 0.98, 0.96, 0.94, 0.8]}
    assert (
        found.others[0] == "Besides the factors these also differ: steps 3 / 4. An effect may be due to them."
    )
    assert (
        found.others[1] == "block1_conv1: 3 of 5 settings have no job: decay=0.98, decay=0.96 and decay=0.94."
    )


@pytest.mark.slow
def test_tiny_and_vgg16_are_parts(forker, tmp_path):
    said = forker.run(tmp_path, "-m", "model=tiny,vgg16,hed", "layer=block1_conv1", "twins=1", *TINY)
    assert said.code == 0
    found = comparison.of_sweeps([newest(tmp_path)], {})
    assert found.part_names() == ["tiny block1_conv1", "vgg16 block1_conv1"]
    assert found.levels == {"model": ["tiny", "vgg16", "hed"]}
    assert found.of_part(1).levels == {"model": ["vgg16", "hed"]} and found.of_part(0).levels == {}
    assert found.of_part(1).twin_differences["score"].shape == (2, 1, 1, 6) and found.others == []
