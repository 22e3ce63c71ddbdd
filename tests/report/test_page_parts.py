"""The parts of a page: what it chooses, its pictures, and where it draws; against references."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from helpers.synthetic import STEPS, finish, grid, job, of
from PIL import Image
from scipy import stats

from deepvis.report import (
    comparison,
    curves,
    forest,
    heat_maps,
    page,
    selection,
    short_names,
    thumbnails,
    trade_off,
)
from deepvis.report.conclusions import Finding, Interval


def many(folder: Path, settings: int, filters: int = 12, size: int = 8) -> comparison.Comparison:
    """Settings whose score is highest at number 7, and whose robustness is highest at number 11."""
    for k in range(settings):
        values = (50.0 if k == 7 else 10.0) * np.linspace(1, 2, filters)
        own = {"reg.decay": (k + 1) / 100}
        job(folder, f"{k}_x", values, range(filters), size, robustness=0.9 if k == 11 else 0.4, **own)
    return of(finish(folder))


def test_of_many_settings_the_baseline_the_best_and_some_of_all_are_shown_and_that_is_said(tmp_path):
    compared = many(tmp_path / "s", 60)
    shown = selection.of(compared, [3])
    best = [compared.settings.index(((k + 1) / 100,)) for k in (7, 11)]
    assert {0, 59, 3, *best} <= set(shown.settings) and list(shown.settings) == sorted(set(shown.settings))
    assert len(shown.settings) == selection.COLUMNS
    assert np.diff([0, *shown.settings, 59]).max() <= 5, "across all of them"
    assert shown.said[0].startswith("40 of 60 settings: the first, the best by each measure")
    panels = selection.settings(compared, [3])
    assert {0, 59, 3, *best} <= set(panels) <= set(range(60)) and len(panels) == selection.SETTINGS
    assert np.diff([0, *panels, 59]).max() <= 10
    folder = tmp_path / "s"
    text = page.make([folder], folder)[0].read_text()
    assert "40 of 60 settings: " in text and "16 of 60 settings.</p>" in text
    assert "16 of 60 points have names" in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    assert len(data["settings"]) == 40 and compared.name(best[1]) in data["settings"]
    assert data["settings"][data["best"]] == compared.name(best[0])


def test_a_strip_has_each_settings_picture_in_its_place_and_equal_ones_once(tmp_path):
    folder = grid(tmp_path / "s", n=3)
    compared = of(folder)
    shown = selection.of(compared)
    made = thumbnails.make(shown)
    for row in shown.rows:
        for k, unit in enumerate(shown.units):
            strip = decoded(made.strips[row][k][-1])
            for place, setting in enumerate(shown.settings):
                found, column = shown.jobs[setting, row, unit]
                assert found.result.filters[column] == unit.index and found.row == row
                exact = np.asarray(Image.open(found.folder / f"filters/f{unit.index:03d}.png"), float)
                seen = strip[:, place * made.width :][:, : made.width]
                np.testing.assert_array_equal(seen, exact)  # small ones are not lossy
    for path in folder.glob(f"*/result/progress/step_{STEPS:05d}/*.png"):
        Image.new("RGB", (16, 16), (200, 30, 90)).save(path)
    again = decoded(thumbnails.make(shown).strips[0][0][-1])
    assert again.shape == (16, 16, 3) and np.abs(again - (200, 30, 90)).max() < 12, "red stays red"


def decoded(strip: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(strip))), float)


def test_effects_that_rows_are_filtered_by_are_ranges_over_means(tmp_path):
    compared = of(grid(tmp_path / "s", n=4))
    text = page.make([tmp_path / "s"], tmp_path / "s")[0].read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    scores = compared.values["score"]
    expected = (scores.max(axis=0) - scores.min(axis=0)) / scores.mean(axis=0)
    np.testing.assert_allclose([unit["effect"] for unit in data["units"]], expected, rtol=1e-4)


@pytest.mark.parametrize("n", [6, 10, 16, 33])
def test_whiskers_are_those_of_the_sign_test_and_two_meet_where_it_finds_nothing(n):
    rng = np.random.default_rng(n)
    for shift in (0.0, 0.2, 1.0):
        values = np.exp(rng.normal(0, 1, n) + np.stack([rng.normal(0, 0.4, n), rng.normal(shift, 0.4, n)]))
        (low, high), (other_low, other_high) = trade_off.intervals(values)
        medians = np.median(values, axis=1)
        d = np.sort(np.log(values[1] / values[0]))
        ends = stats.quantile_test(d, p=0.5).confidence_interval(0.95)
        half = np.array([ends.low, ends.high]) / 2 - np.median(d) / 2
        np.testing.assert_allclose([other_low, other_high], medians[1] * np.exp(half))
        np.testing.assert_allclose([low, high], medians[0] * np.exp(-half[::-1]))
    assert np.isnan(trade_off.intervals(values[:, :5])).all()


def test_a_tiny_range_does_not_take_all_colours():
    low, high = heat_maps.colour_range(np.array([[100.0, 100.3], [np.nan, 100.1]]))
    assert (low + high) / 2 == pytest.approx(100.15) and high - low == pytest.approx(0.1 * 100.3)
    assert heat_maps.colour_range(np.array([[2.0, 8.0]])) == (2.0, 8.0)
    assert np.isfinite(heat_maps.colour_range(np.zeros((2, 2)))).all()


def test_findings_of_one_unit_share_a_scale_with_zero_on_it():
    effects = [Interval(-40, -50, -30, "%"), Interval(10, 5, 25, "%"), Interval(0.1, -0.1, 0.3, "")]
    findings = [Finding("", effect, number != 2) for number, effect in enumerate(effects)]
    unknown = [Finding("", None, False), Finding("", Interval(1, np.nan, np.nan, "%"), False)]
    drawn = forest.rows([*findings, *unknown])
    assert drawn[3:] == ["", ""] and "nan" not in "".join(drawn)

    def x(row: str, what: str) -> float:
        return float(re.search(what, row)[1])

    wide = forest.WIDTH - 2 * forest.EDGE
    for row, effect, (low, high) in zip(drawn, effects, ((-50, 25), (-50, 25), (-0.1, 0.3)), strict=False):

        def place(value: float, low=low, high=high) -> float:
            return forest.EDGE + wide * (value - low) / (high - low)

        assert x(row, r'cx="([\d.]+)"') == pytest.approx(place(effect.estimate), abs=0.06)
        assert x(row, r'<line x1="([\d.]+)"') == pytest.approx(place(0), abs=0.06)
        ends = re.findall(r'<line x1="([\d.]+)" x2="([\d.]+)"', row)[1]
        assert list(map(float, ends)) == pytest.approx([place(effect.low), place(effect.high)], abs=0.06)
    assert ["var(--ground)" in row for row in drawn[:3]] == [False, False, True]


@pytest.mark.parametrize("names", [
    ["decay=0.8 blur=3", "decay=0.9 blur=5"],
    ["path=/data/models/of/mine/first.keras", "path=/data/models/of/mine/second.keras"],
    [f"decay={d} path=/data/models/of/mine/{m}.keras" for d in (1, 2) for m in ("a", "b")],
    ["a" * 60 + "1", "a" * 60 + "2", "b"],
    ["same", "same", "other" * 20],
])  # fmt: skip
def test_names_stay_apart_however_short(names):
    for most in (8, 16, 28):
        short = short_names.of(names, most)
        assert len(set(zip(names, short, strict=True))) == len(set(names)) == len(set(short))
        assert max(map(len, short)) <= most


@pytest.mark.parametrize(
    "values", [np.full(12, np.nan), np.zeros(12), -np.arange(1.0, 13), np.arange(1.0, 13)]
)
@pytest.mark.parametrize("jobs", [1, 3])
def test_no_nan_is_printed(values, jobs, tmp_path):
    for number in range(jobs):
        own = np.where(np.arange(12) == number, np.nan, values * (number + 1))
        job(tmp_path / "s", f"{number}_x", own, range(12), robustness=np.nan, **{"reg.decay": number})
    folder = finish(tmp_path / "s")
    for path in page.make([folder], folder)[:2]:
        text = re.sub(r"base64,[^\"]*|\"strips\": .*", "", path.read_text())
        assert not re.search(r"\b(nan|NaN|inf|Infinity|None)\b", re.sub(r"-Infinity;", "", text)), path
    json.loads(re.search(r'id="data">(.*?)</script>', (folder / "report.html").read_text())[1])


def test_labels_of_a_curves_scale_do_not_touch():
    """1 stands at 4 % of the height, below what a label takes, 10 and 100 at 27 and 63 %."""
    drawn = {0: np.array([[0.0], [1000.0], [np.nan]])}
    assert curves.apart([0, 1, 10, 100, 1000], 4.0, drawn) == [0, 10, 100, 1000]
    assert curves.apart([0, 1, 10], 0.5, drawn) == [0, 1, 10]
