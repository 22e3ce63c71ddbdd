"""The report's page in a real browser: from disk, without a network, in any light, and inside MLflow."""

from pathlib import Path

import numpy as np
import pytest
from helpers.browser import chromium, sweep, ui
from helpers.processes import list_runs
from PIL import Image

from deepvis.tracking import mlflow

FILTERS, LAST = 16, 20
NAMES = ["blur=0 seed=0", "blur=0 seed=1", "blur=5 seed=0", "blur=5 seed=1"]
# The middle of one cell of a column's picture, or of the enlarged one.
READ_CELL = """([job, row, rows]) => {
    const image = document.querySelectorAll(".pictures img")[job], size = image.naturalWidth;
    const pen = new OffscreenCanvas(size, size).getContext("2d");
    pen.drawImage(image, 0, Math.round(row * image.naturalHeight / rows), size, size, 0, 0, size, size);
    return [...pen.getImageData(0, 0, size, size).data];
}"""
READ_LARGE = """() => {
    const pen = new OffscreenCanvas(32, 32).getContext("2d");
    pen.drawImage(document.getElementById("canvas"), 0, 0, 32, 32);
    return [...pen.getImageData(0, 0, 32, 32).data];
}"""

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of a sweep of four jobs; its report is the sweep's own doing."""
    place = tmp_path_factory.mktemp("report")
    return sweep(place, "reg.blur=0,5", "seed=0,1")[0].parents[1]


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser, folder):
    """The page from disk; whatever it complains of or asks the network for is a failure."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    opened, wrong = context.new_page(), []
    opened.on("console", lambda message: wrong.append(message.text))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda r: r.url.startswith(("file:", "data:")) or wrong.append(r.url))
    opened.goto(f"file://{folder}/report.html")
    yield opened
    context.close()
    assert wrong == []


def places(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/result/result.json"))


def whose(pixels, folder: Path, step: int) -> tuple[int, int]:
    """The job and filter whose picture after a step is nearest to what is seen."""
    seen = np.array(pixels, float).reshape(32, 32, 4)[..., :3]
    files = [
        [place / f"progress/step_{step:05d}/f{i:03d}.png" for i in range(FILTERS)] for place in places(folder)
    ]
    known = np.stack([[np.asarray(Image.open(file), float) for file in row] for row in files])
    distance = np.sqrt(np.square(known - seen).mean(axis=(2, 3, 4)))
    assert distance.min() < 32  # lossy: half of the colour, and smoothed
    return np.unravel_index(distance.argmin(), distance.shape)


def test_the_slider_shows_every_picture_after_that_many_steps(page, folder):
    assert page.locator("figcaption").all_inner_texts()[: len(NAMES)] == NAMES
    for position, step in ((3, LAST), (0, 5), (2, 15)):
        page.locator("#step").fill(str(position))
        assert page.locator("#after").inner_text() == str(step)
        page.wait_for_timeout(200)
        for job, row in ((0, 0), (1, 7), (3, 15)):
            assert whose(page.evaluate(READ_CELL, [job, row, FILTERS]), folder, step) == (job, row)


def test_a_click_enlarges_that_picture_and_arrows_go_on_to_the_next(page, folder):
    image = page.locator(".pictures img").nth(2)
    box = image.bounding_box()
    image.click(position={"x": box["width"] / 2, "y": box["height"] * (9 + 0.4) / FILTERS})
    assert whose(page.evaluate(READ_LARGE), folder, LAST) == (2, 9)
    assert page.locator("#caption").inner_text().startswith(f"f009, {NAMES[2]}: score ")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert whose(page.evaluate(READ_LARGE), folder, LAST) == (3, 8)
    page.locator("#step-large").fill("0")
    page.wait_for_timeout(200)
    assert whose(page.evaluate(READ_LARGE), folder, 5) == (3, 8)
    page.keyboard.press("Escape")
    assert not page.locator("#large").is_visible()
    assert page.locator("#after").inner_text() == "5"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_fits_and_its_words_stand_out_in_any_light(width, scheme, page):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") == width

    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    inks = ("body", "querySelector('.conclusions li')", "querySelector('svg text')", "querySelector('th')")
    for ink in inks:
        kind = "fill" if "svg" in ink else "color"
        words = page.evaluate(f"getComputedStyle(document.{ink}).{kind}")
        assert contrast(words, ground) > 4.5, (ink, words, ground)
    assert (luminance(ground) < 0.1) == (scheme == "dark")


def luminance(colour: str) -> float:
    """WCAG's, of ``rgb(1, 2, 3)``."""
    channels = np.array([float(c) for c in colour[colour.index("(") + 1 : -1].split(",")[:3]]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_it_opens_and_slides_inside_mlflows_artifact_view(browser, folder):
    store = mlflow.mlflow(f"sqlite:///{folder.parents[1]}/mlruns/mlflow.db", None, "deepvis")
    (run,) = list_runs(store, folder.name, "sweep")
    with ui(folder.parents[1]) as link:
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        base = link.partition("/#/")[0]
        page.goto(
            f"{base}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}/artifacts/report.html"
        )
        inside = page.frame_locator("iframe")
        inside.locator("#step").fill("0", timeout=60_000)
        assert inside.locator("#after").inner_text() == "5"
        assert "What does reg.blur (0, 5) do to 16 filters" in inside.locator("h1").inner_text()
        page.screenshot(path=folder / "artifact.png")
        page.close()
