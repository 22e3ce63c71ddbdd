"""A search by Optuna: its trials are ordinary jobs of a sweep, and it is told what they came to."""

import json
import shutil

import numpy as np
import pytest
from helpers.configs import typed_of
from helpers.processes import entry_of, newest, pixels, same, states, statuses
from matplotlib.figure import Figure
from omegaconf import OmegaConf

import deepvis
from deepvis.ascent import validation
from deepvis.config import job_names
from deepvis.core.errors import ConfigError
from deepvis.report import page, trade_off
from deepvis.results import result_folder

SEARCH = ["-m", "hydra/sweeper=optuna", "hydra/sweeper/sampler=random", "hydra.sweeper.sampler.seed=0",
          "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=4"]  # fmt: skip
TINY = ["model=tiny", "layer=block2_conv1", "layer.filters=0-1", "size=16", "steps=2", "precision=float32"]
DRAWN = ["reg.decay=interval(0.7,1.0)", "reg.blur=choice(0,3,5)"]
TWO = ["objective_value=[final/activation,image/high_frequency]",
       "hydra.sweeper.direction=[maximize,minimize]"]  # fmt: skip


def figures_of(folder):
    return [result_folder.read(place).figures for place in result_folder.finished(folder)]


@pytest.mark.parametrize("launcher", ["packed", "basic"])
def test_trials_are_jobs_of_a_sweep_and_the_best_is_the_best(launcher, forker, tmp_path):
    said = forker.run(
        tmp_path, *SEARCH, "hydra.sweeper.direction=maximize", f"hydra/launcher={launcher}", *TINY, *DRAWN
    )
    assert (said.code, said.err) == (0, "")
    folder = newest(tmp_path)
    assert len(states(folder)) == 6 and set(states(folder).values()) == {"FINISHED"}
    assert statuses(tmp_path, folder.name) == sorted((name, "FINISHED") for name in states(folder))
    keys = {job["folder"]: job["key"] for job in entry_of(folder)["jobs"]}
    assert {p.parent.name: result_folder.read(p).key for p in result_folder.finished(folder)} == keys

    told = OmegaConf.load(folder / "optimization_results.yaml")
    heights = [figures["final/activation"] for figures in figures_of(folder)]
    assert len(set(heights)) > 3 and told.best_value == max(heights)
    frame = deepvis.results(folder=tmp_path / "outputs")
    best = frame[frame["reg.decay"] == told.best_params["reg.decay"]]
    assert len(best) == 2 and best["activation"].mean() == pytest.approx(told.best_value)
    # A number that a search draws is long; a name is for reading.
    assert all(len(name) < 30 and "decay=0." in name for name in states(folder))


def test_of_two_values_the_front_is_told(forker, monkeypatch, tmp_path):
    assert forker.run(tmp_path, *SEARCH, *TWO, *TINY, *DRAWN).code == 0
    folder = newest(tmp_path)
    found = np.array(
        [[each["final/activation"], each["image/high_frequency"]] for each in figures_of(folder)]
    )
    on_front = [
        not any(o[0] >= own[0] and o[1] <= own[1] and (o != own).any() for o in found) for own in found
    ]
    told = OmegaConf.load(folder / "optimization_results.yaml")
    assert sorted(tuple(each["values"]) for each in told.solutions) == sorted(map(tuple, found[on_front]))
    assert 0 < sum(on_front) < len(found)
    assert "image/high_frequency against final/activation" in (folder / "report.html").read_text()
    drawn = []
    monkeypatch.setattr(trade_off, "figure", lambda of, *given: drawn.append(of) or Figure())
    page.make([folder], tmp_path)
    shown = drawn[0]
    places = [shown.names.index(result_folder.read(place).name) for place in result_folder.finished(folder)]
    np.testing.assert_array_equal(shown.points[places], found)
    assert [shown.status[place] == "Pareto-optimal" for place in places] == on_front
    assert shown.axes == ("final/activation", "image/high_frequency")
    assert sorted(places) == list(range(len(found))) == list(range(len(shown.names)))


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_trial_that_fails_is_reported_and_ends_the_search_unless_it_may(rate, forker, tmp_path):
    typed = [
        "optimizer=sgd",
        "optimizer.learning_rate=choice(10.0,3e38)",
        f"hydra.sweeper.max_failure_rate={rate}",
    ]
    said = forker.run(tmp_path, *SEARCH, "hydra.sweeper.direction=maximize", *TINY, *typed)
    assert said.code == (0 if rate else 1)
    ended = list(states(newest(tmp_path)).items())
    assert len({state for _, state in ended}) == 2
    for name, state in ended:
        assert (state == "FAILED") == ("3e+38" in name or "3e38" in name)
        assert (f"{name}: not finite" in said.err) == (state == "FAILED")
    if rate:
        told = OmegaConf.load(newest(tmp_path) / "optimization_results.yaml")
        assert told.best_params["optimizer.learning_rate"] == 10


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        (["objective_value=final/activatoin"], "did you mean final/activation?"),
        (["objective_value=[final/activation,sharpness]"], "objective_value=sharpness: valid: "),
        (["resume=latest"], "no such sweep"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_computed(typed, wanted, forker, tmp_path):
    said = forker.run(tmp_path, "-m", *TINY, "reg.decay=0.8,0.9", *typed)
    assert said.code == 1 and wanted in said.err and said.err.count("\n") == 1
    assert not (tmp_path / "outputs").exists()


def test_a_search_for_an_unknown_figure_writes_nothing(forker, tmp_path):
    said = forker.run(tmp_path, *SEARCH, *TINY, *DRAWN, "objective_value=nothing/there")
    assert said.code == 1 and said.err.startswith("deepvis: objective_value=nothing/there: valid: ")
    assert list(tmp_path.iterdir()) == []


# Ends the process without a word as soon as so many results are written.
KILLED = """
import os, signal
from deepvis.results import result_folder
write, left = result_folder.write, [{after}]
def killed(*given):
    done = write(*given)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return done
result_folder.write = killed
"""
SAMPLERS = {
    "random": ["hydra.sweeper.direction=maximize"],
    "tpe": ["hydra.sweeper.direction=maximize", "hydra.sweeper.sampler.n_startup_trials=2"],
    "nsgaii": [*TWO, "hydra.sweeper.sampler.population_size=2"],
}


def search(sampler, *typed):
    return ["-m", "hydra/sweeper=optuna", f"hydra/sweeper/sampler={sampler}", "hydra.sweeper.n_trials=8",
            "hydra.sweeper.n_jobs=2", "tracker=none", *SAMPLERS[sampler], *TINY, *DRAWN, *typed]  # fmt: skip


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_that_was_killed_is_resumed_with_the_trials_that_it_would_have_had(
    sampler, forker, tmp_path
):
    typed = search(sampler, "hydra.sweeper.sampler.seed=3")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert forker.run(whole, *typed).code == 0
    assert forker.run(cut, *typed, change=KILLED.format(after=3)).code == -9
    folder = newest(cut)
    done = {place: (place / "result.json").stat().st_ino for place in result_folder.finished(folder)}
    assert len(done) == 3 and len(entry_of(folder)["jobs"]) == 4
    # Resumed twice: it is killed in the first trial after the one that it was killed in before, too.
    assert forker.run(cut, *typed, "resume=latest", change=KILLED.format(after=2)).code == -9
    said = forker.run(cut, *typed, "resume=latest")
    assert (said.code, said.err) == (0, "")
    assert newest(cut) == folder and set(states(folder).values()) == {"FINISHED"}
    assert len(entry_of(folder)["jobs"]) == len(result_folder.finished(folder)) == 8
    assert all((place / "result.json").stat().st_ino == was for place, was in done.items())
    same(pixels(folder), pixels(newest(whole)))
    told = [OmegaConf.load(each / "optimization_results.yaml") for each in (folder, newest(whole))]
    assert told[0] == told[1]


def test_a_search_without_a_seed_is_resumed_and_may_be_made_longer(forker, tmp_path):
    assert forker.run(tmp_path, *search("tpe"), change=KILLED.format(after=3)).code == -9
    drawn = list(states(newest(tmp_path)))
    assert forker.run(tmp_path, *search("tpe"), "resume=latest").code == 0
    assert list(states(newest(tmp_path)))[: len(drawn)] == drawn
    said = forker.run(tmp_path, *search("tpe", "hydra.sweeper.n_trials=10"), "resume=latest")
    assert said.code == 0 and len(result_folder.finished(newest(tmp_path))) == 10
    # Another search has other draws.
    assert forker.run(tmp_path, *search("tpe", "hydra.sweeper.n_trials=2")).code == 0
    assert list(states(newest(tmp_path))) != drawn[:2]


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        (["hydra.sweeper.n_trials=4"], "got hydra.sweeper.n_trials=4, expected 8 or more"),
        (["hydra.sweeper.sampler.seed=5"], "trial 0 is now drawn as "),
        (["steps=3"], "trial 0 is now drawn as "),
        (["hydra/sweeper/sampler=grid"], "hydra.sweeper.sampler.seed"),
        (
            ["hydra.sweeper.storage=sqlite:///study.db"],
            "hydra.sweeper.storage=sqlite:///study.db: expected none",
        ),
    ],
)
def test_a_search_is_not_resumed_as_another(typed, wanted, forker, drawn, tmp_path):
    folder = shutil.copytree(drawn / "outputs", tmp_path / "outputs") and newest(tmp_path)
    was = (folder / "sweep.json").read_text()
    given = search("random", "hydra.sweeper.sampler.seed=3")
    said = forker.run(tmp_path, *given, *typed, "resume=latest")
    assert said.code == 1 and wanted in said.err and said.err.count("\n") == 1
    assert len(result_folder.finished(folder)) == 8
    assert json.loads((folder / "sweep.json").read_text())["jobs"] == json.loads(was)["jobs"]


@pytest.fixture(scope="module")
def drawn(forker, tmp_path_factory):
    """A folder in which a search was run."""
    cwd = tmp_path_factory.mktemp("drawn")
    assert forker.run(cwd, *search("random", "hydra.sweeper.sampler.seed=3")).code == 0
    return cwd


def test_a_search_may_be_told_robustness_unless_it_is_left_out():
    wanted = "objective_value=[image/robustness,image/retained_translation]"
    validation.check_job(typed_of("model=tiny", "layer=block2_conv1", "layer.filters=0-3", wanted))
    with pytest.raises(ConfigError, match="objective_value=image/robustness: valid: filters/"):
        validation.check_job(
            typed_of("model=tiny", "layer=block2_conv1", "layer.filters=0-3", wanted, "robustness=false")
        )


def test_a_figure_that_no_filter_has_is_told_as_nan(tmp_path):
    (tmp_path / "result.json").write_text('{"figures": {"final/activation": 2.0}}')
    assert result_folder.value(tmp_path, "final/activation") == 2.0
    one, other = result_folder.value(tmp_path, ["image/robustness", "final/activation"])
    assert np.isnan(one) and other == 2.0


@pytest.mark.parametrize("typed", ["3.077402031400422e-09", "0.30774020314004"])
def test_a_name_has_few_digits_of_a_number_that_was_drawn(typed):
    assert job_names.name([f"optimizer.learning_rate={typed}"]) == f"learning_rate={float(typed):.4g}"
