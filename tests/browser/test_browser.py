"""The saved view in a real browser: what a person sees who runs a sweep and then `deepvis ui`."""

import base64
import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.browser import SIZE, chromium, sweep, ui
from PIL import Image

from deepvis.metrics import convergence
from deepvis.results import result_folder
from deepvis.tracking import saved_view

SWEEP = "20261123-101500"
CURVES = ["score/median", "gradient_rms/mean"]
PARAMS = ["reg.decay", "reg.blur"]
# In the order of the report, whatever was typed: less decay first.
NAMES = ["decay=0.9 blur=3", "decay=0.9 blur=5", "decay=0.8 blur=3", "decay=0.8 blur=5"]

# What MLflow's UI says in place of a view, a chart or an image that it cannot show.
COMPLAINTS = ["error", "does not exist", "went wrong", "No images found", "No image logged"]

READ_GRID = """(size) => {
    const table = document.querySelector("[role=table]:has(img)");
    const rows = [...table.querySelectorAll("[role=row]")];
    const cell = (element) => {
        const image = element.querySelector("img");
        if (!image || !image.naturalWidth) return null;
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [size, size];
        const pen = canvas.getContext("2d");
        pen.drawImage(image, 0, 0, size, size);
        const box = image.getBoundingClientRect();
        return {pixels: [...pen.getImageData(0, 0, size, size).data], width: box.width};
    };
    return {
        columns: [...rows[0].children].slice(1).map((c) => c.innerText.trim().split("\\n").pop()),
        rows: rows.slice(1).map((row) => ({
            label: row.children[0].innerText.trim(),
            cells: [...row.children].slice(1).map(cell),
        })),
        overflow: table.scrollWidth - table.clientWidth,
    };
}"""
READ_CURVES = """() => [...document.querySelectorAll(".js-plotly-plot")].map((plot) => ({
    colours: new Set([...plot.querySelectorAll("svg .scatterlayer .trace path.js-line")]
        .map((line) => line.style.stroke)).size,
    ends: plot.data.map((trace) => [...(trace.y ?? [])].pop()),
}))"""
ALL_LOADED = """(count) => {
    const images = [...document.querySelectorAll("[role=table] img")];
    return images.length === count && images.every((image) => image.naturalWidth > 0)
        && document.querySelectorAll(".js-plotly-plot .scatterlayer .trace").length > 0;
}"""


def unpack(value: str) -> dict:
    packed = json.loads(value)["state"].removeprefix("deflate;")
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def grid_keys(view: dict) -> list[str]:
    return next(c["imageKeys"] for c in view["compareRunCharts"] if c["type"] == "IMAGE")


def test_tag_holds_64_images() -> None:
    keys = [f"final/f{index:03d}" for index in range(64)]
    view = saved_view.state(SWEEP, keys, CURVES, PARAMS)
    key, value = saved_view.tag(SWEEP, "a sweep", view)
    assert key == f"mlflow.sharedViewState.{SWEEP}"
    assert len(value) < 8000
    assert unpack(value) == view


def test_tag_drops_the_last_images_when_too_large() -> None:
    keys = [base64.b32encode(os.urandom(100)).decode() for _ in range(200)]
    view = saved_view.state(SWEEP, keys, CURVES, PARAMS)
    _, value = saved_view.tag(SWEEP, "a sweep", view)
    kept = grid_keys(unpack(value))
    assert len(value) < 8000
    assert 0 < len(kept) < 200
    assert kept == keys[: len(kept)]
    assert grid_keys(view) == keys


def test_link_quotes_the_key() -> None:
    address = saved_view.link("http://host:5000/", "7", "a b")
    assert address.startswith("http://host:5000/#/experiments/7/runs?viewStateShareKey=a%20b&")


@pytest.mark.slow
@pytest.mark.browser
def test_ui_opens_on_the_latest_sweep_rows_filters_columns_jobs(tmp_path: Path) -> None:
    sweep(tmp_path, "seed=98,99", "steps=2")
    places = sweep(tmp_path, "reg.decay=0.8,0.9", "reg.blur=3,5")
    places = [*places[2:], *places[:2]]
    jobs = [result_folder.read(place) for place in places]

    with ui(tmp_path) as link, chromium() as browser:
        page = browser.new_page(viewport={"width": 1600, "height": 1400})
        # On a first visit the UI opens its assistant over a quarter of the window.
        page.add_init_script("localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')")
        page.goto(link)
        try:
            page.wait_for_function(ALL_LOADED, arg=16 * 4, timeout=60_000)
            page.wait_for_timeout(1000)
        finally:
            page.screenshot(path=tmp_path / "view.png")
        grid = page.evaluate(READ_GRID, SIZE)  # small: each of its numbers is an object on the way
        curves = page.evaluate(READ_CURVES)
        text = page.inner_text("body")

    assert [job.name for job in jobs] == NAMES
    assert grid["columns"] == NAMES
    assert [row["label"] for row in grid["rows"]] == [f"final/f{index:03d}" for index in range(16)]
    assert grid["overflow"] <= 0
    files = [[place / "filters" / f"f{index:03d}.png" for place in places] for index in range(16)]
    wanted = np.stack([[np.asarray(Image.open(file), float) for file in row] for row in files])
    for row, shown in enumerate(grid["rows"]):
        assert len(shown["cells"]) == len(NAMES)
        for column, cell in enumerate(shown["cells"]):
            assert cell["width"] > 150
            seen = np.array(cell["pixels"], float).reshape(SIZE, SIZE, 4)[..., :3]
            distance = np.square(wanted - seen).mean(axis=(2, 3, 4))
            assert np.unravel_index(distance.argmin(), distance.shape) == (row, column)
            assert np.sqrt(distance.min()) < 16  # the UI shows a lossy copy

    assert len(curves) == 3
    # Smoothed curves would end lower than the last values logged.
    last = [convergence.curves(job.history)["score/median"][-1] for job in jobs]
    assert sorted(set(curves[0]["ends"])) == pytest.approx(sorted(map(float, last)), rel=1e-6)
    assert all(curve["colours"] == len(NAMES) for curve in curves)
    lines = text.splitlines()
    for name in [*CURVES, *NAMES]:
        assert name in lines
    assert f"{len(NAMES)} matching runs" in text
    for word in ["seed=98", "seed=99", *COMPLAINTS]:
        assert word.lower() not in text.lower()
