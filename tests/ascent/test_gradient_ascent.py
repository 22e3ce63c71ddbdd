"""The ascent as a whole: every step against the oracle, and jobs that share a pack against each alone."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers import reference
from helpers.configs import choices, job_of, optimized
from PIL import Image

from deepvis import networks
from deepvis.ascent import objectives, ops, specs
from deepvis.ascent import program as graphs
from deepvis.config import schema
from deepvis.core import images
from deepvis.metrics import image_statistics, robustness
from deepvis.results import result_folder
from deepvis.sweeps import jobs, runner
from deepvis.tracking.none import NoTracker

LAYER = "block2_conv2"
BLOCKS = [[8], [12, 16]]
MEAN = np.array([123.68, 116.779, 103.939])
TINY = {
    "_target_": "deepvis.networks.vgg.Vgg",
    "name": "tiny",
    "blocks": BLOCKS,
    "mean": MEAN.tolist(),
    "weights": {"_target_": "deepvis.networks.weights.seeded"},
}
NETWORK = networks.network(TINY)
WEIGHTS = NETWORK.read(LAYER)
STATES = (0, 1, 5, 19)
# One step of them tells all.
FORGETFUL = [name for name in choices("optimizer") if name not in ("adam", "nadam", "lbfgs")]
CHECKED = ("activation", "gradient_rms", "image_rms", "rank")


def images_on_the_way(job: jobs.Job) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """A job's images [B, H, W, 3] after 0, 1, 2 ... steps, as its pack really computes them; the history."""
    start, looks = optimized(job)
    history = {name: np.concatenate([look.record[name] for look in looks]) for name in ("score", *CHECKED)}
    return [start, *(look.image for look in looks)], history


def gradient(image: np.ndarray, index: int, pre: bool) -> np.ndarray:
    """Of one filter's score by one image, alone in its batch."""
    network = NETWORK.build([LAYER], 32, "float32")
    x = tf.constant(image[None])
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = objectives.channel(LAYER, tf.constant([index]), pre)(network.activations(x, [LAYER]))
    return tape.gradient(score, x)[0].numpy().astype(float)


def settings(job: jobs.Job) -> tuple[dict, dict]:
    """A job's regularizers and step rule as the oracle wants them."""
    plain = schema.plain(job.cfg)
    rule = {k: v for k, v in plain["optimizer"].items() if k != "_target_"}
    return plain["reg"], rule | {"name": plain["optimizer"]["_target_"].rpartition(".")[2]}


# Every preset with the post's step rule; every step rule and both scores with a few presets.
WHOLE = {(reg, "normalized", True) for reg in choices("reg")}
WHOLE |= set(itertools.product(("combined", "yosinski_4"), FORGETFUL, (True,)))
WHOLE |= set(itertools.product(("none", "gildenblat_2016"), ("normalized",), (False,)))


@pytest.mark.parametrize(("reg", "optimizer", "pre"), sorted(WHOLE))
def test_each_step_of_an_ascent_equals_the_oracle(reg, optimizer, pre, tmp_path):
    """snapshot_every=1 shows every image; the step from one to the next is recomputed by hand."""
    start = "gaussian" if reg.startswith("yosinski") else "raw_noise" if reg == "gildenblat_2016" else "noise"
    overrides = [
        f"reg={reg}",
        f"optimizer={optimizer}",
        f"objective.pre_activation={str(pre).lower()}",
        f"start={start}",
    ]
    job = job_of(tmp_path, *overrides, "snapshot_every=1", "layer.filters=[3,11]")
    seen, history = images_on_the_way(job)
    numbers, rule = settings(job)
    for t in STATES:
        for i, index in enumerate(job.filters):
            image = seen[t][i]
            grad = gradient(image, index, pre)
            oracle = reference.next_image(image, grad, t, numbers, rule, MEAN)
            scale = max(np.abs(oracle).max(), np.abs(image).max())
            np.testing.assert_allclose(seen[t + 1][i], oracle, rtol=0, atol=1e-4 * scale)
            maps = reference.forward(image, WEIGHTS.layers, LAYER)
            assert history["score"][t, i] == pytest.approx(
                reference.score(maps[not pre], index), rel=1e-4, abs=1e-4
            )
            assert history["activation"][t, i] == pytest.approx(
                reference.score(maps[1], index), rel=1e-4, abs=1e-4
            )
            assert history["rank"][t, i] == reference.rank(maps[0], index)
            assert history["gradient_rms"][t, i] == pytest.approx(np.sqrt(np.mean(grad**2)), rel=1e-4)
            assert history["image_rms"][t, i] == pytest.approx(
                np.sqrt(np.mean(image.astype(float) ** 2)), rel=1e-4
            )


def test_the_first_image_is_the_oracles(tmp_path):
    for overrides, oracle in (
        (["start=noise"], lambda k: reference.noise((32, 32), 5, k, 0.0, 20.0)),
        (["start=raw_noise"], lambda k: reference.noise((32, 32), 5, k, 128.0, 148.0)),
        (["start=gaussian", "start.sigma=99"], lambda k: reference.gaussian((32, 32), 5, k, 99.0)),
        (["start=gaussian", "start.sigma=99", "reg.clip_pixels=true"],
         lambda k: reference.clip_pixels(reference.gaussian((32, 32), 5, k, 99.0), MEAN)),
    ):  # fmt: skip
        job = job_of(tmp_path, "seed=5", *overrides)
        for index in (0, 3):
            np.testing.assert_allclose(
                graphs.start(specs.ImageSpec(job.cfg, index), MEAN), oracle(index), atol=1e-4
            )


@pytest.mark.parametrize("layer", ["block1_conv1", "block2_conv1", LAYER])
@pytest.mark.parametrize("size", [2, 7, 32, 33])
def test_activations_score_and_rank_of_tiny_equal_a_forward_pass_in_numpy(layer, size):
    network = NETWORK.build([layer], size, "float32")
    image = np.random.default_rng(size).normal(0, 50, (3, size, size, 3)).astype(np.float32)
    filters = np.array([0, 7, 4])
    seen = network.activations(tf.constant(image), [layer])
    assert list(seen) == [layer]
    for pre in (True, False):
        scores = objectives.channel(layer, tf.constant(filters), pre)(seen).numpy()
        read = objectives.reading(layer, tf.constant(filters))(seen)
        for i, index in enumerate(filters):
            before, after = reference.forward(image[i], WEIGHTS.layers, layer)
            scale = np.abs(before).max()
            np.testing.assert_allclose(seen[layer].pre[i], before, atol=1e-5 * scale)
            np.testing.assert_allclose(seen[layer].post[i], after, atol=1e-5 * scale)
            assert scores[i] == pytest.approx(
                reference.score(before if pre else after, index), abs=1e-5 * scale
            )
            assert read.activation[i].numpy() == pytest.approx(
                reference.score(after, index), abs=1e-5 * scale
            )
            assert read.rank[i] == reference.rank(before, index)
            assert float(read.margin[i]) == pytest.approx(reference.margin(before, index), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("pre", [True, False])
def test_the_gradient_is_the_slope_of_the_oracles_score(pre):
    """Along random directions, in float64: steps small enough that hardly a ReLU or a maximum switches."""
    image = np.random.default_rng(1).uniform(0, 20, (32, 32, 3)).astype(np.float32)
    for index in (3, 11):
        grad = gradient(image, index, pre)
        for seed in range(3):
            direction = np.random.default_rng(seed).normal(size=image.shape)
            ends = [
                reference.forward(image + e * direction, WEIGHTS.layers, LAYER)[not pre][:, :, index].mean()
                for e in (-1e-5, 1e-5)
            ]
            slope = (ends[1] - ends[0]) / 2e-5
            assert (grad * direction).sum() == pytest.approx(slope, abs=1e-4 * np.sqrt((grad**2).sum()))


# Jobs of one static_config whose every number differs; each line is a job.
DIFFERENT = [
    ("reg.decay=0.8", "seed=1", "layer.filters=[0,5,9]"),
    ("reg=combined", "seed=2", "steps=7", "layer.filters=3-4"),
    ("reg=none", "layer.filters=[15]", "steps=3", "optimizer.learning_rate=3"),
    ("reg=yosinski_1", "start=gaussian", "steps=12", "layer.filters=[1,2]"),
    ("reg=yosinski_4", "steps=10", "reg.blur_every=3", "layer.filters=[9,0]", "seed=1"),
    ("reg.value_percentile=20", "reg.blur=5", "reg.blur_kind=box", "layer.filters=[7,8,2]"),
]
MIXED = [
    ("reg=gildenblat_2016", "start=raw_noise", "steps=6", "layer.filters=0-3"),
    ("reg.decay=0.9", "reg.combine=mix", "seed=4"),
    ("reg=combined", "reg.combine=mix", "reg.contribution_percentile=30", "reg.weights.norm=4", "steps=11"),
    ("reg=none", "reg.combine=mix", "steps=4", "layer.filters=[2]"),
]


def run(folder: Path, lines, *common: str) -> dict[tuple[str, ...], dict[str, bytes]]:
    """What each job leaves: every array of its history and every picture, as bytes."""
    queue = [job_of(folder / str(n), "snapshot_every=4", *common, *line) for n, line in enumerate(lines)]
    for job in queue:
        job.folder.mkdir(parents=True)
    tracker = NoTracker()
    runner.run(queue, tracker, "sweep")
    assert [run["status"] for run in tracker.runs.values()] == ["FINISHED"] * len(queue)
    assert sorted(run["name"] for run in tracker.runs.values()) == sorted(job.name for job in queue)
    return {line: left_by(job) for line, job in zip(lines, queue, strict=True)}


def left_by(job: jobs.Job) -> dict[str, bytes]:
    place = job.folder / "result"
    with np.load(place / "history.npz") as file:
        history = {name: file[name] for name in file.files}
    assert all(len(values) == job.cfg.steps + 1 for values in history.values())
    assert np.abs(np.diff(history["score"], axis=0)).max(axis=0).all()  # every image moved
    pictures = [p for p in place.rglob("*.png") if p.parent.parent.name != "progress"]
    last = sorted((place / "progress").iterdir())[-1]
    assert last.name == f"step_{job.cfg.steps:05d}"
    assert len(pictures) == 2 + 2 * len(job.filters)
    files = {str(p.relative_to(place)): p.read_bytes() for p in [*pictures, *last.iterdir()]}
    return files | {name: values.tobytes() for name, values in history.items()}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Each job run by itself, in a batch that holds its images and no other."""
    return {line: run(tmp_path_factory.mktemp("alone"), [line])[line] for line in [*DIFFERENT, *MIXED]}


@pytest.mark.parametrize("lines", [DIFFERENT, MIXED], ids=["chain", "mix"])
@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_jobs_packed_leave_what_each_leaves_alone(lines, batch_size, alone, tmp_path):
    packed = run(tmp_path, lines, f"batch_size={batch_size}")
    for line in lines:
        for name in alone[line]:
            assert packed[line][name] == alone[line][name], (line, name)


@pytest.mark.parametrize("lines", [DIFFERENT, MIXED], ids=["chain", "mix"])
def test_the_order_of_jobs_changes_nothing(lines, alone, tmp_path):
    order = [*lines[1::2], *reversed(lines[::2])]
    for line, left in run(tmp_path, order, "batch_size=5").items():
        assert left == alone[line], line


def test_jobs_that_differ_tell_by_what_they_leave(alone):
    """Else the two tests above would hold for a harness that mixes its jobs up."""
    for one, other in itertools.combinations(alone.values(), 2):
        assert one["score"] != other["score"] and one["gallery.png"] != other["gallery.png"]


def test_a_subset_of_filters_repeats(alone, tmp_path):
    line = DIFFERENT[0]
    again = run(tmp_path, [(*line[:-1], "layer.filters=[9]")], "snapshot_every=4")
    (left,) = again.values()
    assert left["filters/f009.png"] == alone[line]["filters/f009.png"]
    whole = np.frombuffer(alone[line]["score"], np.float32).reshape(-1, 3)
    assert left["score"] == whole[:, 2].tobytes()


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_job_that_explodes_takes_no_other_with_it(batch_size, tmp_path):
    """sgd at a rate beyond float32, beside two that are well."""
    well = [("optimizer.learning_rate=50", "layer.filters=0-2"), ("optimizer.learning_rate=80", "steps=9")]
    common = ("optimizer=sgd", f"batch_size={batch_size}")
    queue = [job_of(tmp_path / "beside" / str(n), *common, *line)
             for n, line in enumerate([well[0], ("optimizer.learning_rate=3e38",), well[1]])]  # fmt: skip
    for job in queue:
        job.folder.mkdir(parents=True)
    tracker = NoTracker()
    runner.run(queue, tracker, "sweep")
    with np.load(queue[1].folder / "result" / "history.npz") as file:
        assert not file["alive"][-1].any()
    for n, line in ((0, well[0]), (2, well[1])):
        (clean,) = run(tmp_path / f"clean{n}", [line], *common).values()
        with np.load(queue[n].folder / "result" / "history.npz") as file:
            for name in file.files:
                assert file[name].tobytes() == clean[name], name


def test_the_metrics_of_a_job_are_those_of_its_last_images(tmp_path):
    job = job_of(tmp_path, "reg=combined", "steps=5", "snapshot_every=2", "batch_size=3")
    runner.run([job], NoTracker(), "sweep")
    finals = images_on_the_way(job_of(tmp_path, "reg=combined", "steps=5", "snapshot_every=2"))[0][-1]
    found = result_folder.read(tmp_path / "result")
    each = [image_statistics.of(image) for image in finals]
    for name in image_statistics.METRICS:
        np.testing.assert_array_equal(found.metrics[name], [one[name] for one in each])
        assert found.figures[f"image/{name}"] == np.median(found.metrics[name])
    seen = ["robustness", *(f"retained_{name}" for name in robustness.CHANGES)]
    assert list(found.metrics) == [*image_statistics.METRICS, *seen]


@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_what_an_image_came_to_is_measured_by_the_oracle_through_every_view(batch_size, tmp_path):
    """The last row of a history, the layer's features, and the share of the score that each view keeps."""
    common = "reg=combined", "layer.filters=[3,0,11,7]"
    finals = images_on_the_way(job_of(tmp_path, *common, "snapshot_every=20"))[0][-1]
    job = job_of(tmp_path, *common, f"batch_size={batch_size}")
    runner.run([job], NoTracker(), "sweep")
    found = result_folder.read(tmp_path / "result")
    for i, (index, image) in enumerate(zip(job.filters, finals, strict=True)):
        pre, post = reference.forward(image, WEIGHTS.layers, LAYER)
        own = reference.score(pre, index)
        assert found.history["score"][-1, i] == pytest.approx(own, rel=1e-4)
        assert found.history["activation"][-1, i] == pytest.approx(reference.score(post, index), rel=1e-4)
        np.testing.assert_allclose(found.features["post"][i], post.mean(axis=(0, 1)), rtol=1e-3, atol=1e-3)
        kept = {}
        for name, views in robustness.of(image, index).items():
            scores = [reference.score(reference.forward(v, WEIGHTS.layers, LAYER)[0], index) for v in views]
            kept[name] = np.mean(scores) / own
            assert found.metrics[f"retained_{name}"][i] == pytest.approx(kept[name], rel=1e-3)
        assert found.metrics["robustness"][i] == pytest.approx(np.mean(list(kept.values())), rel=1e-3)
    assert np.isnan(found.history["gradient_rms"][-1]).all()


def test_robustness_is_left_out_on_request(tmp_path):
    runner.run([job_of(tmp_path, "steps=2", "robustness=false")], NoTracker(), "sweep")
    assert list(result_folder.read(tmp_path / "result").metrics) == list(image_statistics.METRICS)


TWINS = ("steps=6", "snapshot_every=4", "reg.decay=0.9", "reg.blur=3")


def finished(folder, *overrides):
    job = job_of(folder, *TWINS, *overrides)
    folder.mkdir(exist_ok=True)
    assert runner.run([job], NoTracker(), "sweep") == {}
    return job, result_folder.read(folder / "result")


@pytest.mark.parametrize("batch_size", [1, 5, 16])
def test_twins_change_nothing_but_what_they_add(batch_size, tmp_path):
    _, alone = finished(tmp_path / "alone")
    _, beside = finished(tmp_path / "beside", "twins=2", f"batch_size={batch_size}")
    for name, values in alone.history.items():
        assert values.tobytes() == beside.history[name].tobytes(), name
        assert beside.twins[name].shape == (2, *values.shape) and alone.twins[name].shape[0] == 0
    for name, values in alone.metrics.items():
        assert values.tobytes() == beside.metrics[name].tobytes(), name
        assert beside.twins[name].shape == (2, *values.shape)
    pictures = {
        place: {p.name: p.read_bytes() for p in (tmp_path / place / "result" / "filters").iterdir()}
        for place in ("alone", "beside")
    }
    assert pictures["alone"] == pictures["beside"]
    assert result_folder.floor(alone) == {} and not (tmp_path / "alone" / "result" / "twins").exists()


def test_a_twin_is_the_ascent_of_a_start_one_rounding_off(tmp_path):
    job, found = finished(tmp_path, "twins=2")
    own, _ = optimized(job_of(tmp_path, *TWINS))
    for twin in (1, 2):
        start, looks = optimized(job_of(tmp_path, *TWINS), twin)
        assert (start != own).all() and (np.abs(start - own) <= np.abs(own) * 2e-7).all()
        score = np.concatenate([look.record["score"] for look in looks])
        score = np.concatenate([score, looks[-1].final_values["score"][None]])
        assert score.tobytes() == found.twins["score"][twin - 1].tobytes()
        each = [image_statistics.of(image) for image in looks[-1].image]
        for name in image_statistics.METRICS:
            np.testing.assert_array_equal(found.twins[name][twin - 1], [one[name] for one in each])
        for i, index in enumerate(job.filters):
            with Image.open(
                tmp_path / "result" / "twins" / str(twin) / f"{result_folder.label(index)}.png"
            ) as file:
                np.testing.assert_array_equal(np.asarray(file), images.contrast(looks[-1].image[i]))


def test_the_noise_floor_is_how_far_twins_end_in_the_mean(tmp_path):
    job, found = finished(tmp_path, "twins=3")
    rows = result_folder.table([found])
    for i in range(len(job.filters)):
        apart = [abs(found.twins["score"][t, -1, i] - found.history["score"][-1, i]) for t in range(3)]
        assert rows[i]["score_floor"] == pytest.approx(np.mean(apart), rel=1e-6)
        apart = [abs(found.twins["sparsity"][t, i] - found.metrics["sparsity"][i]) for t in range(3)]
        assert rows[i]["sparsity_floor"] == pytest.approx(np.mean(apart), rel=1e-6)
    assert found.figures["floor/score"] == pytest.approx(np.median([row["score_floor"] for row in rows]))
    assert 0 < found.figures["floor/score"] < found.figures["final/score"]


def test_numbers_of_a_batch_are_those_of_its_jobs(tmp_path):
    """Row by row what was typed; the weight of an operator that is off is 0."""
    lines = [
        ("reg=gildenblat_2016", "seed=1"),
        ("reg.combine=mix", "reg.blur=3", "steps=9", "optimizer.learning_rate=2"),
    ]
    pack = next(jobs.job_groups([job_of(tmp_path, *line) for line in lines]))
    assert {each.name for each in pack.enabled} == {"decay", "blur", "value"}
    numbers = specs.numbers([jobs.image_spec(pack, row) for row in (jobs.Row(0, 1), jobs.Row(1, 3))])
    wanted = {
        "filter": [1, 3], "unit": [1, 3], "steps": [20, 9], "optimizer.learning_rate": [0.9, 2],
        "reg.decay": [0.8, 1],
        "reg.value_percentile": [1, 0], "reg.norm_percentile": [0, 0], "reg.contribution_percentile": [0, 0],
        "reg.clip_pixels": [0, 0], "reg.blur_every": [1, 1], "reg.weights.decay": [3, 0],
        "reg.weights.blur": [3, 1], "reg.weights.value": [1, 0], "reg.weights.norm": [0, 0],
        "reg.weights.contribution": [0, 0],
        "reg.is_on.total_variation": [0, 0], "reg.is_on.p_norm": [0, 0], "reg.is_on.high_frequency": [0, 0],
        "reg.total_variation": [0, 0], "reg.total_variation_power": [2, 2], "reg.p_norm": [0, 0],
        "reg.p_norm_power": [6, 6], "reg.high_frequency": [0, 0],
        "reg.is_on.accentuation": [0, 0], "reg.accentuation": [0, 0],
        "reg.red_rate": [1, 1], "reg.green_rate": [1, 1], "reg.blue_rate": [1, 1],
    }  # fmt: skip
    assert set(numbers) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_array_equal(numbers[name], np.array(values, numbers[name].dtype), name)
    assert {v.dtype.name for v in numbers.values()} == {"float32", "int32"}


def test_blur_matrix_leaves_the_mean_of_a_picture(tmp_path):
    """Reflected borders lose no light: rows and columns of the matrix sum to 1."""
    for kind, size, sigma in (("gaussian", 3, 0), ("gaussian", 9, 0), ("gaussian", 0, 1.5), ("box", 5, 0)):
        matrix = ops.blur_matrix(32, kind, size, sigma).astype(float)
        np.testing.assert_allclose(matrix.sum(axis=0), 1, atol=1e-6)
        np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-6)
