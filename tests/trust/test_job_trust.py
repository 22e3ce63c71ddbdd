"""A job with ``trust=true``: its numbers, against NumPy; its folder, run and report; resumed; and refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.configs import typed_of
from helpers.processes import newest, runs_of
from PIL import Image
from trust.test_contributions import unit

from deepvis import networks
from deepvis.ascent.optimize import optimize
from deepvis.ascent.specs import ImageSpec
from deepvis.config import groups
from deepvis.results import result_folder

FILTERS, COUNT, DECAYS = (3, 5), 12, ("1", "0.8")
TINY = ["model=tiny", "layer=block2_conv2", "layer.filters=[3,5]", "size=16", "steps=3",
        "precision=float32", "batch_size=2"]  # fmt: skip
SWEPT = [*TINY, f"reg.decay={','.join(DECAYS)}", "data=folder", "data.path=photos"]
# The network itself looks at the pictures: to build another one takes longer than all the rest.
ITSELF = "from deepvis.trust import observer\nobserver.OBSERVERS = ()"


@pytest.fixture(scope="module")
def done(forker, tmp_path_factory):
    """A sweep of two jobs, finished without trust, and resumed with it."""
    place = tmp_path_factory.mktemp("job_trust")
    (place / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 16, 16, 3), dtype=np.uint8)
    for k, each in enumerate(pixels):
        Image.fromarray(each).save(place / "photos" / f"{k:02d}.png")
    said = forker.run(place, "-m", *SWEPT)
    assert said.code == 0, said
    folder = newest(place)
    before = {path.relative_to(folder): path.read_bytes() for path in folder.glob("*/result/**/f00*.png")}
    keys = [json.loads(path.read_text())["key"] for path in sorted(folder.glob("*/result/result.json"))]
    said = forker.run(place, "resume=latest", "trust=true", change=ITSELF)
    assert said.code == 0, said
    return place, folder, said, pixels, before, keys


def results(folder: Path) -> list[result_folder.Result]:
    return [result_folder.read(path) for path in result_folder.finished(folder)]


def test_it_changes_no_picture_and_no_key(done):
    _, folder, said, _, before, keys = done
    assert said.out.count("without trust, which trust=true asks for") == len(DECAYS)
    assert [each.key for each in results(folder)] == keys and len(before) > 8
    for path, content in before.items():
        assert (folder / path).read_bytes() == content, path


def test_strength_is_the_picture_over_the_best_photograph(done):
    _, folder, _, pixels, _, _ = done
    tiny = networks.network(groups.composed({"model": "tiny"})["model"])
    for decay, result, path in zip(DECAYS, results(folder), sorted(folder.glob("*/result")), strict=True):
        cfg = typed_of(*TINY, f"reg.decay={decay}", "device=cpu")
        final = optimize([ImageSpec(cfg, index) for index in FILTERS]).final
        rows = list(csv.DictReader((path / "trust.csv").open()))
        for at, index in enumerate(FILTERS):
            best = max(unit(tiny, each - np.array(tiny.centre), index).max() for each in pixels)
            expected = max(unit(tiny, final[at], index).max(), 0) / best
            assert result.metrics["trust_strength"][at] == pytest.approx(expected, rel=1e-4)
            assert float(rows[at]["strength"]) == pytest.approx(expected, rel=1e-4)
            assert rows[at]["filter"] == str(index) and rows[at]["verdict"]


def test_store_table_and_report_have_the_verdicts(done):
    place, folder, said, _, _, _ = done
    verdicts = [row["verdict"] for path in sorted(folder.glob("*/result/trust.csv"))
                for row in csv.DictReader(path.open())]  # fmt: skip
    summary = list(csv.DictReader((folder / "summary.csv").open()))
    assert sorted(row["trust"] for row in summary) == sorted(verdicts)
    believed = sum(each == "believable" for each in verdicts)
    assert f"trust     believe {believed} of 4 pictures" in said.out
    assert f"beside {COUNT} photographs; so few photographs may lack" in said.out
    for run in runs_of(place, folder.name):
        if run.data.tags["kind"] == "job":
            assert run.data.metrics["trust/photographs"] == COUNT
            assert run.data.tags["trust.observer"] == "tiny itself"
    (table,) = place.glob("mlruns/artifacts/*/artifacts/filters.json")
    read = json.loads(table.read_text())
    at = read["columns"].index("trust")
    assert sorted(row[at] for row in read["data"]) == sorted(verdicts)
    page = (folder / "report.html").read_text()
    assert '<h2 id="trust">' in page and '<td data-name="trust">' in page and "not believe" in page


def test_resumed_again_nothing_is_left_and_other_photographs_count(done, forker):
    place, folder, _, _, _, _ = done
    said = forker.run(place, "resume=latest", "trust=true", change=ITSELF)
    assert said.code == 0 and "computes" not in said.out
    digest = results(folder)[0].tags["trust.photographs"]
    Image.new("RGB", (16, 16), "red").save(place / "photos" / "more.png")
    try:
        said = forker.run(place, "resume=latest", "trust=true", change=ITSELF)
    finally:
        (place / "photos" / "more.png").unlink()
    assert said.code == 0 and said.out.count(f"its trust is of the photographs {digest}") == len(DECAYS)
    assert [each.figures["trust/photographs"] for each in results(folder)] == [COUNT + 1] * 2


def test_a_job_that_cannot_be_compared_is_refused_before_anything_is_written(done, forker):
    place = done[0]
    (place / "few").mkdir()
    Image.new("RGB", (16, 16)).save(place / "few" / "one.png")
    before = set((place / "outputs").iterdir())
    for typed, text in [
        (["objective=neuron"], "objective=neuron: trust is measured of channels"),
        (["data=folder", "data.path=few"], "data: got 1 photographs, expected 8 or more for trust=true"),
    ]:
        said = forker.run(place, *TINY, "tracker=none", "trust=true", *typed)
        assert said.code == 1 and text in said.err and len(said.err.splitlines()) == 1
    assert set((place / "outputs").iterdir()) == before
