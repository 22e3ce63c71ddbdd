"""Facets of seeds in the report: planted faces, a real two-faced unit of `tiny`, and what is not decided."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.processes import newest
from helpers.synthetic import compared, result
from helpers.two_faces import PLAIN, TWO_FACED
from PIL import Image

from deepvis.report import seed_facets
from deepvis.results.trust import CONTRIBUTIONS, CONTRIBUTIONS_OF

SEEDS = 8
SWEEP = ["-m", "model=tiny", "model.weights._target_=helpers.two_faces.planted", "layer=block2_conv2",
         f"layer.filters={PLAIN},{TWO_FACED},2,3", "size=8", "steps=20",
         f"seed=range({SEEDS})", "trust=true", "data=folder", "data.path=photos"]  # fmt: skip


def vectors(faces, seed):
    """Contributions of 8 channels: a filter of two faces shows the one or the other by turns."""
    chance = np.random.default_rng(seed)
    made = chance.exponential(0.3, (len(faces), 8))
    for row, of_filter in zip(made, faces, strict=True):
        row[of_filter[seed % len(of_filter)]] += 3
    return made


def job(name, seed, faces=((0,), (0, 1)), values=(1.0, 1.0), layer="block2_conv1", **params):
    made = result(name, values, seed=seed, **params)
    return replace(made, features=dict(made.features) | {CONTRIBUTIONS: vectors(faces, seed)},
                   tags={CONTRIBUTIONS_OF: layer})  # fmt: skip


def test_two_faces_are_several_things_and_one_is_one():
    told = seed_facets.of(compared(*(job(f"{seed}", seed) for seed in range(12))))
    several, one = told.sentences
    assert several.startswith("Seeds show several things: f001 (2 things in 12 seeds, silhouette 0.")
    assert one == "Seeds show one thing: 1 of 2 filters."
    assert told.beside.startswith(
        "One thing or several was decided for each filter and setting on 12 seeds, by what the channels of "
        "block2_conv1 of tiny give to the filter's value: "
    )
    assert told.shares == ["1 of 2"]
    assert [(row["comparison"], row["n"], row["facets"], row["facets_apart"]) for row in told.rows] == [
        ("f000", 12, 1, ""), ("f001", 12, 2, "yes"),
    ]  # fmt: skip
    units = np.stack([vectors(((0,), (0, 1)), seed)[1] for seed in range(12)])
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    assert told.rows[1]["facets_cosine"] == pytest.approx((units[::2] @ units[1::2].T).mean())


def test_each_setting_is_decided_by_itself():
    jobs = [job(f"{decay}_{seed}", seed, [(0,), (0, 1) if decay == 1 else (0,)], **{"reg.decay": decay})
            for decay in (1, 0.8) for seed in range(12)]  # fmt: skip
    told = seed_facets.of(compared(*jobs))
    assert told.sentences[0].startswith("Seeds show several things: f001 with decay=1 (2 things in 12 seeds")
    assert told.sentences[1:] == ["Seeds show one thing: 3 of 4 filters with a setting."]
    assert told.shares == ["1 of 2", "0 of 2"]


def test_a_row_from_one_to_another_is_not_several_things():
    ends = np.eye(8)[:2]
    jobs = []
    for seed in range(12):
        along = seed / 11
        made = job(f"{seed}", seed, [(0,)], [1.0])
        jobs.append(replace(made, features={"post": made.features["post"],
                                            CONTRIBUTIONS: ([1 - along, along] @ ends)[None]}))  # fmt: skip
    told = seed_facets.of(compared(*jobs))
    assert told.sentences[0].startswith("Seeds can be cut in groups that are not apart, and may be a row")
    assert told.shares == ["0 of 1"] and told.rows[0]["facets_apart"] == "no"


@pytest.mark.parametrize("bad", [np.nan, 0.0])
def test_seeds_that_show_nothing_are_not_counted(bad):
    """Four of eight diverged, or nothing excites the filter in them: four are left."""
    jobs = []
    for seed in range(8):
        made = job(f"{seed}", seed, [(0,), (0, 1)], [1.0, bad if seed < 4 and np.isnan(bad) else 1.0])
        if seed < 4 and bad == 0:
            made.features[CONTRIBUTIONS][1] = 0
        jobs.append(made)
    told = seed_facets.of(compared(*jobs))
    assert told.sentences == ["Seeds show one thing: every filter."] and told.shares == ["0 of 1"]
    assert told.beside.endswith(" 1 of 2 have fewer than 6 seeds whose pictures excite them.")


def test_four_seeds_or_diverged_pictures_are_not_told():
    for values in ([1.0, 1.0], [np.nan, np.nan]):
        told = seed_facets.of(compared(*(job(f"{k}", k, values=values) for k in range(4))))
        assert told.beside.startswith("Whether a filter shows one thing or several is not told: it takes 6")
        assert not (told.sentences or told.shares or told.rows)
    assert told.beside.endswith("no filter has more than 0.")


def test_without_trust_or_a_second_seed_nothing_is_said():
    assert seed_facets.of(compared(*(result(f"{k}", [1.0], seed=k) for k in range(8)))) is None
    assert seed_facets.of(compared(job("0", 0))) is None


def test_a_repeated_seed_is_no_other_seed():
    jobs = [job(f"{sweep}_{seed}", seed) for sweep in "ab" for seed in range(4)]
    told = seed_facets.of(compared(*jobs, sweeps=["a"] * 4 + ["b"] * 4))
    assert told.beside.endswith("no filter has more than 4.") and not told.rows


def test_a_unit_that_sums_two_channels_is_told_in_the_report(forker, tmp_path):
    """One of them is excited by what the other is inhibited by, so each start decides for one."""
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    for k, each in enumerate(pixels):
        Image.fromarray(each).save(tmp_path / "photos" / f"{k:02d}.png")
    itself = (
        f"import sys\nsys.path.append({str(Path(__file__).parents[1])!r})  # of its helpers\n"
        "from deepvis.trust import observer\nobserver.OBSERVERS = ()"  # to build another takes longer
    )
    said = forker.run(tmp_path, *SWEEP, change=itself)
    assert said.code == 0, said
    folder = newest(tmp_path)
    with (folder / "results.csv").open() as file:
        rows = {row["comparison"]: row for row in csv.DictReader(file) if row["kind"] == "seeds"}
    faced = rows[f"f{TWO_FACED:03d}"]
    assert (faced["n"], faced["facets"], faced["facets_apart"]) == (str(SEEDS), "2", "yes")
    assert float(faced["facets_cosine"]) == pytest.approx(0, abs=1e-6)
    assert (rows[f"f{PLAIN:03d}"]["facets"], rows[f"f{PLAIN:03d}"]["facets_apart"]) == ("1", "")
    for name in ("report.html", "report.md"):
        text = (folder / name).read_text()
        assert f"f{TWO_FACED:03d} (2 things in {SEEDS} seeds" in text
        assert "by what the channels of block2_conv1 of tiny give" in text.replace("&#39;", "'")
    header = next(line for line in (folder / "report.md").read_text().splitlines() if "| setting" in line)
    assert header.endswith("| trust | several things |")
