"""Laws of the choice of jobs that MLflow's UI shows, and of the view that finds them."""

import base64
import itertools
import json
import zlib
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from deepvis.results.result_folder import Result
from deepvis.tracking import choice, mlflow, runs
from deepvis.tracking.base import JobRun

LEVELS = {"a": range(9, -1, -1), "b": range(4, -1, -1), "reg.decay": (1, 2, 3, 4), "d": range(4, -1, -1)}
NAMES = ("score", "activation", "gradient_rms", "image_rms", "alive", "rank", "margin")
HISTORY = {name: np.ones((2, 1), np.float32) for name in NAMES}


def result(score: float, **values: float) -> Result:
    return Result(
        "name",
        "key",
        "layer",
        [0],
        ["converged"],
        values,
        {},
        {"final/score": score},
        HISTORY,
        {},
        {},
        {},
        "",
    )


def sweep(count: int) -> dict[str, Result]:
    """A grid whose job 77 is the best, and whose last has the baseline: of decay the highest value is off."""
    grid = list(itertools.product(*LEVELS.values()))[-count:]
    return {f"{i}_x": result(i == 77, **dict(zip(LEVELS, each, strict=True))) for i, each in enumerate(grid)}


@pytest.mark.parametrize("count", [1, 10])
def test_of_ten_jobs_all_are_shown(count):
    jobs = sweep(count)
    assert choice.of_jobs(jobs) == list(jobs)


def test_of_a_thousand_jobs_ten_cover_every_value_with_the_baseline_and_the_best_among_them():
    jobs = sweep(1000)
    chosen = choice.of_jobs(jobs)
    assert len(set(chosen)) == 10 and chosen == [job for job in jobs if job in chosen]
    assert {"999_x", "77_x"} <= set(chosen)
    for key, levels in LEVELS.items():
        shown = [jobs[job].params[key] for job in chosen]
        assert len(set(shown)) >= min(len(levels), 9), key  # the best may share one with the baseline
        assert max(map(shown.count, shown)) <= -(-10 // len(levels)) + 1, key


def test_the_view_finds_the_choice_and_says_of_how_many_and_a_later_choice_replaces_it(tmp_path):
    store = mlflow.mlflow(f"sqlite:///{tmp_path}/mlflow.db", f"{tmp_path}/artifacts", "deepvis")
    jobs = sweep(14)
    for job in jobs:
        store.log(JobRun("s", job, "key", job, {}, {}, None, Path("nowhere")))

    def placed(chosen: dict[str, Result]) -> dict[Path, Result]:
        return {Path("nowhere", job, "result"): result for job, result in chosen.items()}

    def shown() -> tuple[str, list[str]]:
        saved = json.loads(store.client.get_experiment(store.experiment_id).tags["mlflow.sharedViewState.s"])
        state = json.loads(zlib.decompress(base64.b64decode(saved["state"].partition(";")[2])))
        found = runs.search(store.client, store.experiment_id, state["searchFilter"])
        return saved["name"], sorted(run.at[0] for run in found)

    store.close("s", placed(jobs), [], {})
    assert shown() == ("sweep s, 10 of 14 jobs", sorted(choice.of_jobs(jobs)))
    better = jobs | {
        job: replace(jobs[job], figures={"final/score": 2}) for job in jobs if job not in shown()[1]
    }
    store.close("s", placed(better), [], {})
    assert shown() == ("sweep s, 10 of 14 jobs", sorted(choice.of_jobs(better)))
    few = dict(list(jobs.items())[:9])
    store.close("s", placed(few), [], {})  # the others are no longer there
    assert shown()[0] == "sweep s"


def test_runs_that_started_in_another_order_are_sorted_by_a_tag():
    client = mock.Mock()
    stored = [runs.StoredRun(name, "FINISHED", start, "", {}, {}) for name, start in (("a", 1), ("b", 2))]
    assert runs.order(client, stored) == "attributes.start_time" and not client.mock_calls
    assert runs.order(client, stored[::-1]) == "tags.`place`"
    assert client.mock_calls == [
        mock.call.set_tag("b", "place", "000000"), mock.call.set_tag("a", "place", "000001")
    ]  # fmt: skip
