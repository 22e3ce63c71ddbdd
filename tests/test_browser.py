"""The saved view in a real browser: what a person sees who follows the link to a sweep."""

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from deepvis import saved_view

SWEEP = "20261123-101500"
NAMES = [f"decay={decay} blur={blur}" for decay in (0.0, 0.5) for blur in (0.0, 1.0)]
KEYS = [f"final/f{index:03d}" for index in range(16)]
CURVES = ["score/mean", "gradient_rms/mean"]
PARAMS = ["reg.decay", "reg.blur"]
STEPS = 20

# What MLflow's UI says in place of a view, a chart or an image that it cannot show.
COMPLAINTS = ["error", "does not exist", "went wrong", "No images found", "No image logged"]

READ_GRID = """() => {
    const table = document.querySelector("[role=table]:has(img)");
    const rows = [...table.querySelectorAll("[role=row]")];
    const canvas = document.createElement("canvas");
    const pen = canvas.getContext("2d");
    const cell = (element) => {
        const image = element.querySelector("img");
        if (!image || !image.naturalWidth) return null;
        pen.drawImage(image, 0, 0, 1, 1);
        const box = image.getBoundingClientRect();
        return {colour: [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3), width: box.width};
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


def colour(row: int, column: int) -> tuple[int, int, int]:
    return 10 + 15 * row, 40 + 60 * column, 128


def make_store(folder: Path, sweeps: dict[str, Sequence[str]], keys: Sequence[str]) -> str:
    """An experiment with a run for each job and one for each sweep; returns the experiment's id."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param
    from PIL import Image

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    location = (folder / "artifacts").as_uri()
    experiment = client.create_experiment("deepvis", artifact_location=location)
    for sweep, names in sweeps.items():
        tags = {"sweep": sweep, "kind": "sweep"}
        parent = client.create_run(experiment, run_name=f"whole {sweep}", tags=tags)
        client.set_terminated(parent.info.run_id)
        for column, name in enumerate(names):
            tags = {"sweep": sweep, "kind": "job"}
            run = client.create_run(experiment, run_name=name, tags=tags).info.run_id
            now = int(time.time() * 1000)
            metrics = [
                Metric(curve, (column + 1) * step, now, step)
                for curve in [*CURVES, "score/f000", "seconds"]
                for step in range(STEPS + 1)
            ]
            params = [Param("reg.decay", str(column // 2)), Param("reg.blur", str(column % 2))]
            client.log_batch(run, metrics=metrics, params=params)
            for row, key in enumerate(keys):
                image = Image.new("RGB", (128, 128), colour(row, column))
                client.log_image(run, image, key=key, step=STEPS, synchronous=True)
            client.set_terminated(run)
    return experiment


@contextmanager
def server(folder: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    log = folder / "ui.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **quiet},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_up(base, process, log)
        yield base
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            # The server's workers are in its group and may outlive it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_until_up(base: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"{base}/health", timeout=5):
            return
        time.sleep(0.5)
    pytest.fail("mlflow ui did not start:\n" + log.read_text()[-2000:])


@pytest.mark.slow
@pytest.mark.browser
def test_link_opens_the_comparison(tmp_path: Path) -> None:
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("needs Chromium, and none of " + ", ".join(names) + " is on the PATH")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    from mlflow import MlflowClient

    experiment = make_store(tmp_path, {SWEEP: NAMES, "another": ["foreign=0", "foreign=1"]}, KEYS)
    key, value = saved_view.tag(
        SWEEP, f"sweep {SWEEP}", saved_view.state(SWEEP, KEYS, CURVES, PARAMS, runs=len(NAMES))
    )
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client.set_experiment_tag(experiment, key, value)

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    arguments += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with server(tmp_path) as base, playwright.sync_playwright() as drive:
        browser = drive.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page(viewport={"width": 1600, "height": 1400})
        # On a first visit the UI opens its assistant over a quarter of the window.
        page.add_init_script(
            "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
        )
        page.goto(saved_view.link(base, experiment, SWEEP))
        try:
            page.wait_for_function(ALL_LOADED, arg=len(KEYS) * len(NAMES), timeout=60_000)
            page.wait_for_timeout(1000)
        finally:
            page.screenshot(path=tmp_path / "view.png")
        grid = page.evaluate(READ_GRID)
        curves = page.evaluate(READ_CURVES)
        text = page.inner_text("body")
        browser.close()

    assert grid["columns"] == NAMES
    assert [row["label"] for row in grid["rows"]] == KEYS
    for row, shown in enumerate(grid["rows"]):
        assert len(shown["cells"]) == len(NAMES)
        for column, cell in enumerate(shown["cells"]):
            assert cell["colour"] == pytest.approx(colour(row, column), abs=6), (row, column)
            assert cell["width"] > 150
    assert grid["overflow"] <= 0
    assert len(curves) == len(CURVES)
    for curve in curves:
        assert curve["colours"] == len(NAMES)
        # Smoothed curves would end lower than the last values logged.
        assert set(curve["ends"]) == {(column + 1) * STEPS for column in range(len(NAMES))}
    lines = text.splitlines()
    for name in [*CURVES, *NAMES]:
        assert name in lines
    assert f"{len(NAMES)} matching runs" in text
    for word in ["foreign", "whole", *COMPLAINTS]:
        assert word.lower() not in text.lower()
