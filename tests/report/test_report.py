"""The report: what is compared, tested and concluded, against pandas and by hand."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from helpers.processes import newest, runs_of
from helpers.synthetic import SIZE, finish, grid, job, of
from scipy import stats as scipy_stats

import deepvis
from deepvis.cli import main
from deepvis.metrics import statistics
from deepvis.report import conclusions, effects, page, thumbnails
from deepvis.results import manifest
from deepvis.sweeps import finalize

TINY = ["model=tiny", "layer=block2_conv1", "layer.filters=0-11", "size=16", "steps=4", "snapshot_every=2"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = grid(tmp_path_factory.mktemp("outputs") / "sweep")
    page.make([folder], folder)
    return folder


def test_a_main_effect_is_that_of_ratios_of_means_over_everything_else(made):
    tested = {(f.kind, f.measure, f.comparison): f for f in effects.tested(of(made))}
    frame = deepvis.results(folder=made)
    for factor, one, other, ratio in (("reg.decay", 0.8, 0.9, 1 / 1.5), ("reg.blur", 3, 0, 0.5)):
        found = tested["main effect", "score", f"{factor}: {one} against {other}"]
        assert found.unit == "%" and found.effect.n == 16
        assert found.effect.median == pytest.approx(100 * (ratio - 1), abs=0.02)
        seeds_averaged = frame.groupby(["reg.decay", "reg.blur", "filter"]).high_frequency.mean()
        levels = np.log(seeds_averaged).groupby([factor, "filter"]).mean().unstack()
        difference = levels.loc[one] - levels.loc[other]
        noise = tested["main effect", "high_frequency", f"{factor}: {one} against {other}"]
        assert noise.effect.median == pytest.approx(100 * np.expm1(difference.median()))
        assert noise.effect.up == pytest.approx((difference > 0).mean())
        assert noise.effect.low < noise.effect.median < noise.effect.high
    p = [scipy_stats.wilcoxon(levels.loc[3] - levels.loc[0]).pvalue]
    assert tested["main effect", "high_frequency", "reg.blur: 3 against 0"].p >= p[0]


def test_p_are_holms_over_the_tests_of_a_kind_and_measure(made):
    tested = effects.tested(of(made))
    raw = pd.read_csv(made / "results.csv")
    for kind in ("main effect", "interaction", "pair"):
        own = [f.p for f in tested if (f.kind, f.measure) == (kind, "score")]
        p = raw[(raw.kind == kind) & (raw.measure == "score")].p.to_numpy()
        assert len(own) == {"main effect": 4, "interaction": 3, "pair": 15}[kind]
        np.testing.assert_allclose(own, statistics.holm(p), rtol=1e-4)


def test_a_measure_that_is_not_above_zero_everywhere_is_compared_by_differences(tmp_path):
    for name, decay, values in (("0_a", 0.8, np.arange(12.0) - 3), ("1_b", 0.9, np.arange(12.0) + 1)):
        job(tmp_path / "s", name, values, range(12), **{"reg.decay": decay})
    (found,) = [f for f in effects.tested(of(finish(tmp_path / "s"))) if f.measure == "score"]
    assert (found.unit, found.effect.median, found.comparison) == ("", -4.0, "reg.decay: 0.8 against 0.9")


def test_every_number_of_the_verdict_is_in_the_table(made):
    text = " ".join(conclusions.sentences(of(made), effects.tested(of(made))))
    values = [
        float(c) for c in re.findall(r"(?<=,)-?\d[\d.e+-]*(?=,|\n)", (made / "results.csv").read_text())
    ]
    settings = r"\b(?:decay|blur|reg\.\w+)=[\d.]+|instead of [\d.]+|p < 0.001|95 % interval|twins=1"
    told = re.findall(r"-?\d+\.?\d*", re.sub(r"(score, reg\.[^,]*,)", "", re.sub(settings, "", text)))
    assert len(told) > 15
    for word in told:
        half = 0.5001 * 10.0 ** -len(word.partition(".")[2])
        near = [v for v in values if abs(float(word) - v) <= max(half, 0.005 * abs(v))]
        counts = [v for v in values if float(word) == pytest.approx(16 * v)]  # 16 of 16 filters, from a share
        assert near or counts, word


def test_the_verdict_says_what_was_done_to_the_data(made):
    first, second, *_, last = conclusions.sentences(of(made), effects.tested(of(made)))
    assert first.startswith(
        "With reg.decay=0.8 instead of 1, all 16 filters end lower (score, median -55.6 %"
    )
    assert second.startswith("With reg.blur=3 instead of 0, all 16 filters end lower (score, median -50 %")
    assert "no difference is established (robustness" in first
    assert last == conclusions.NO_FLOOR


@pytest.mark.parametrize(
    ("kept", "said"), [(0.6, "are more robust"), (0.4, "are less robust"), (0.5, conclusions.NONE)]
)
def test_the_verdict_tells_better_from_worse(kept, said, tmp_path):
    spread = np.linspace(0, 0.01, 16)
    for name, blur, robustness in (("0_a", 0, 0.5 + spread), ("1_b", 3, kept + spread)):
        job(tmp_path / "s", name, np.arange(1.0, 17), range(16), robustness=robustness, **{"reg.blur": blur})
    compared = of(finish(tmp_path / "s"))
    first = conclusions.sentences(compared, effects.tested(compared))[0]
    assert f"; {'their images ' if kept != 0.5 else ''}{said}" in first.partition("(high_frequency")[0]
    assert first.count(" robust to") == (kept != 0.5)


def test_of_few_filters_neither_interval_nor_test_is_told(tmp_path):
    folder = grid(tmp_path / "few", n=3)
    page.make([folder], folder)
    sentence = conclusions.sentences(of(folder), effects.tested(of(folder)))[0]
    assert "all 3 filters end lower; 3 are too few" in sentence and "interval 1" not in sentence
    assert "too few" in (folder / "report.html").read_text()
    assert pd.read_csv(folder / "results.csv").low.isna().all()


@pytest.mark.parametrize(("floor", "moved"), [(0.01, 1.0), (900.0, 0.0)])
def test_a_filter_has_moved_only_beyond_the_noise_floor(floor, moved, tmp_path):
    folder = grid(tmp_path / "s", floor=floor)
    compared = of(folder)
    np.testing.assert_allclose(compared.floor["score"], floor)  # of an image, however many seeds
    relative = compared.floor["score"] / compared.values["score"]
    wanted = np.median(np.sqrt(np.square(relative).mean(axis=0)))
    (told,) = {f.floor for f in effects.tested(compared) if f.measure == "score"}
    assert told == pytest.approx(100 * wanted, rel=1e-3)  # a median of logarithms
    assert f"score by {told:.3g} % in the median" in " ".join(
        conclusions.sentences(compared, effects.tested(compared))
    )
    found = {f.comparison: f for f in effects.tested(compared) if f.measure == "score"}
    assert found["reg.decay: 0.8 against 0.9"].effect.moved == moved
    assert (
        f"{round(16 * moved)} change beyond the noise floor"
        in conclusions.sentences(compared, [*found.values()])[0]
    )


def test_without_a_grid_the_highest_setting_is_compared_with_the_lowest(tmp_path):
    for name, blur, decay, height in (
        ("0_a", 0, 1.0, 9),
        ("1_b", 3, 1.0, 3),
        ("2_c", 0, 0.9, 5),
    ):
        values = height * np.linspace(1, 2, 16)
        job(tmp_path / "s", name, values, range(16), **{"reg.blur": blur, "reg.decay": decay})
    compared = of(finish(tmp_path / "s"))
    assert not compared.is_grid()
    first = conclusions.sentences(compared, effects.tested(compared))[0]
    assert first.startswith("With blur=3 decay=1 instead of blur=0 decay=1, all 16 filters end lower")
    assert {f.kind for f in effects.tested(compared)} == {"pair"}


def test_the_same_jobs_give_the_same_report_whatever_was_typed(forker, tmp_path):
    """A preset, its knob, and a knob at its default are one and the same."""
    folders = []
    for name, typed in (("presets", "reg=decay,none"), ("knobs", "reg.decay=0.8,1")):
        said = forker.run(tmp_path / name, "-m", *TINY, typed)
        assert (said.code, said.err) == (0, "")
        folders.append(newest(tmp_path / name))
    presets, knobs = map(of, folders)
    assert presets.levels == knobs.levels == {"reg.decay": [1, 0.8]} and presets.is_grid()
    assert [j.result.params for j in presets.jobs] == [j.result.params for j in knobs.jobs]
    assert (folders[0] / "results.csv").read_bytes() == (folders[1] / "results.csv").read_bytes()
    texts = [(folder / "report.md").read_text().partition("Reproduce:")[0] for folder in folders]
    assert texts[0] == texts[1] and "reg.decay (1, 0.8)" in texts[0]
    logged = [
        sorted(sorted(run.data.params.items()) for run in runs_of(tmp_path / name, folder.name))
        for name, folder in zip(("presets", "knobs"), folders, strict=True)
    ]
    assert logged[0] == logged[1]
    assert [dict(params)["reg.decay"] for params in logged[0]] == ["0.8", "1"]


def test_only_filters_that_every_setting_has_are_compared(tmp_path):
    """Else the medians of one setting would be over other filters than those of its neighbour."""
    job(tmp_path / "s", "0_a", np.arange(1.0, 13), range(12), **{"reg.blur": 0})
    job(tmp_path / "s", "1_b", 2 * np.arange(1.0, 21), range(20), **{"reg.blur": 3})
    folder = finish(tmp_path / "s")
    compared = of(folder)
    assert [unit.index for unit in compared.units] == list(range(12)) and compared.left_out == 8
    np.testing.assert_allclose(compared.values["score"], [np.arange(1, 13), 2 * np.arange(1, 13)])
    page.make([folder], folder)
    assert "8 filters that not every setting has are left out" in (folder / "report.html").read_text()


@pytest.mark.parametrize("floor", [None, 0.0])
def test_a_floor_of_zero_is_not_an_unknown_one(floor, tmp_path):
    compared = of(grid(tmp_path / "s", floor=floor))
    tested = effects.tested(compared)
    said = conclusions.sentences(compared, tested)[-1]
    assert (said == conclusions.NO_FLOOR) == (floor is None) and ("floor is 0" in said) == (floor == 0)
    # How many filters changed beyond the floor is known only where there is one.
    moved = [each.effect.moved for each in tested if (each.measure, each.kind) == ("score", "pair")]
    assert np.isnan(moved).all() if floor is None else moved == [1.0] * 15


def test_shares_that_are_not_known_are_dashes_in_the_page(made):
    row = re.search(r"<td>reg\.blur: 3 against 0</td><td class=\"words\">score</td>(.*)\n(.*)\n(.*)</tr>",
                    (made / "report.html").read_text())  # fmt: skip
    cells = re.findall(r"<td>(.*?)</td>", row[3])
    assert cells[:3] == ["– ", "0 %", "–"], "noise floor, higher, changed"


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        ([2.0] * 16, "all 16 filters end higher"),
        ([0.5] * 16, "all 16 filters end lower"),
        ([2.0] * 12 + [0.5] * 4, "12 of 16 filters end higher"),
        ([2.0] * 3 + [0.5] * 12 + [1.0], "12 of 16 filters end lower"),
    ],
)
def test_the_direction_that_most_filters_took_is_told(factor, words, tmp_path):
    job(tmp_path / "s", "0_a", np.arange(1.0, 17), range(16), **{"reg.blur": 0})
    job(tmp_path / "s", "1_b", np.arange(1.0, 17) * factor, range(16), **{"reg.blur": 3})
    compared = of(finish(tmp_path / "s"))
    assert f"instead of 0, {words} (" in conclusions.sentences(compared, effects.tested(compared))[0]


def test_a_sweep_is_found_by_the_path_that_was_printed(made, capsys):
    assert main.subcommand("report", [str(made)]) == 0
    assert f"report    {made / 'report.html'}" in capsys.readouterr().out


def test_a_sweep_of_an_older_version_is_refused_in_one_line(made, capsys, tmp_path):
    shutil.copytree(made, tmp_path / "old")
    for path in (tmp_path / "old").glob("*/result/features.npz"):
        path.unlink()
    entry = manifest.read(tmp_path / "old")
    manifest.write(tmp_path / "old", entry | {"versions": entry["versions"] | {"deepvis": "0.3.0"}})
    assert main.subcommand("report", [str(tmp_path / "old")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "features.npz is missing; the sweep ran with deepvis" in said


def test_a_filter_that_diverged_is_named_and_not_compared(tmp_path):
    values = np.arange(1.0, 13)
    job(tmp_path / "s", "0_a", np.where(values == 5, np.nan, values), range(12), **{"reg.decay": 0.8})
    job(tmp_path / "s", "1_b", values * 2, range(12), **{"reg.decay": 0.9})
    folder = finish(tmp_path / "s")
    page.make([folder], folder)
    assert conclusions.problems(of(folder), "diverged") == {"0_a": ["f004"]}
    text = (folder / "report.html").read_text()
    assert "0_a: f004" in text and "Zero gradient: no filter." in text
    (score,) = [f for f in effects.tested(of(folder)) if (f.measure, f.kind) == ("score", "main effect")]
    assert score.effect.n == 11


@pytest.mark.parametrize("values", [np.full(12, np.nan), np.zeros(12), -np.arange(1.0, 13)])
def test_a_sweep_that_came_to_nothing_has_a_report_too(values, tmp_path):
    for number, decay in enumerate((0.8, 0.9)):
        job(tmp_path / "s", f"{number}_x", values, range(12), **{"reg.decay": decay})
    folder = finish(tmp_path / "s")
    assert all(path.stat().st_size > 100 for path in page.make([folder], folder))


def test_a_single_job_has_a_report(tmp_path):
    job(tmp_path / "s", "0_x", np.arange(1.0, 4), range(3))
    folder = finish(tmp_path / "s")
    page.make([folder], folder)
    assert "What do 3 filters of tiny block5_conv1 look for?" in (folder / "report.md").read_text()


def test_a_factor_of_many_levels_is_compared_at_its_ends_in_no_time(tmp_path):
    for number in range(40):
        job(tmp_path / "s", f"{number}_x", (number + 1) * np.arange(1.0, 13), range(12),
            **{"reg.decay": (number + 1) / 100})  # fmt: skip
    found = [f for f in effects.tested(of(finish(tmp_path / "s"))) if f.measure == "score"]
    assert [f.comparison for f in found if f.kind == "main effect"] == ["reg.decay: 0.01 against 0.4"]
    assert found[0].effect.median == pytest.approx(-97.5)


@pytest.mark.slow
def test_a_page_of_64_filters_and_16_jobs_of_noise_stays_under_ten_megabytes(tmp_path):
    """White noise is the worst that a picture can be; hard links spare the disk."""
    for number in range(16):
        job(
            tmp_path / "s",
            f"{number}_x",
            np.arange(1.0, 65),
            range(64),
            size=128,
            **{"reg.decay": number},
        )
    folder = finish(tmp_path / "s")
    made, *_ = page.make([folder], folder)
    assert 3e6 < made.stat().st_size < 10e6


def test_small_pictures_are_kept_in_their_size(made):
    cells = thumbnails.make(of(made).jobs, of(made).units)
    assert (cells.height, cells.width) == (SIZE, SIZE)


def test_a_sweep_that_does_not_exist_ends_in_one_line(forker, tmp_path):
    (tmp_path / "outputs").mkdir()
    said = forker.run(tmp_path, "report", "20990101-000000-abcd")
    assert said.code == 1 and said.out == ""
    assert re.fullmatch(r"deepvis: report=20990101-000000-abcd: no such sweep;.*\n", said.err)


def test_a_report_that_fails_takes_nothing_else_with_it(monkeypatch, capsys, made, tmp_path):
    def broken(*_):
        raise ValueError("no ink")

    monkeypatch.setattr(page, "make", broken)
    from deepvis.tracking.none import NoTracker

    folder = tmp_path / "copy"
    shutil.copytree(made, folder)
    finalize.close("sweep", folder, NoTracker())
    said = capsys.readouterr()
    assert "no report: ValueError: no ink; deepvis report copy tries again" in said.err
    assert "pictures" in said.out and (folder / "summary.csv").is_file()
