"""The report: what is compared, tested and concluded, against pandas and by hand."""

import re
import shutil

import numpy as np
import pytest
from helpers.processes import newest, runs_of
from helpers.synthetic import SIZE, finish, grid, job, of

from deepvis.cli import main
from deepvis.report import effects, endings, page, selection, thumbnails
from deepvis.results import manifest
from deepvis.sweeps import finalize

TINY = ["model=tiny", "layer=block2_conv1", "layer.filters=0-11", "size=16", "steps=4", "snapshot_every=2"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = grid(tmp_path_factory.mktemp("outputs") / "sweep")
    page.make([folder], folder)
    return folder


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


def test_shares_that_are_not_known_are_dashes_in_the_page(made):
    row = re.search(r"<td>reg\.blur: 3 against 0</td><td [^>]*>score</td>(.*)\n(.*)\n(.*)</tr>",
                    (made / "report.html").read_text())  # fmt: skip
    cells = re.findall(r"<td [^>]*>(.*?)</td>", row[3])
    assert cells[:3] == ["– ", "0 %", "–"], "noise floor, higher, changed"


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
    assert endings.problems(of(folder), "diverged") == {"0_a": ["f004"]}
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
    cells = thumbnails.make(selection.of(of(made)))
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
