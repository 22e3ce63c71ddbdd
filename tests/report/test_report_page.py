"""The report's page in a real browser: from disk, without a network, in any light, and inside MLflow."""

from pathlib import Path

import numpy as np
import pytest
from helpers.browser import chromium, sweep, ui
from helpers.processes import list_runs
from PIL import Image

from deepvis.metrics import convergence
from deepvis.results import result_folder
from deepvis.tracking import mlflow

FILTERS, SIZE, LAST = 16, 32, 20
STEPS = (0, 5, 10, 15, LAST)
NAMES = ["blur=0", "blur=5"]
# The pixels of a picture of the sheet: of a filter and a column.
READ_CELL = """([unit, column]) => {
    const row = [...document.querySelectorAll(".row")].find((each) => each.unit === unit);
    const canvas = row.querySelectorAll("canvas")[column];
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
    copy.drawImage(canvas, 0, 0);
    return [...copy.getImageData(0, 0, canvas.width, canvas.height).data];
}"""
READ_LARGE = """() => {
    const canvas = document.getElementById("canvas");
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
    copy.drawImage(canvas, 0, 0);
    return [...copy.getImageData(0, 0, canvas.width, canvas.height).data];
}"""
READ_PNG = """() => document.getElementById("png").naturalWidth"""
LABELS = """() => [...document.querySelectorAll(".row")].map((row) => row.unit)"""
# What a reader would have to guess: words or pictures that end outside of what is shown of them.
CUT = """() => {
    const width = document.documentElement.clientWidth, cut = [];
    for (const each of document.querySelectorAll("body *")) {
        const box = each.getBoundingClientRect(), style = getComputedStyle(each);
        if (!box.width || !box.height || each.closest(".scroll > *")) continue;
        const isOutside = box.right > width + 1 || box.left < -1;
        const isClipped = style.overflowX !== "visible" && each.scrollWidth > each.clientWidth + 1;
        const isFound = isOutside || (isClipped && !each.matches("select, .scroll"));
        if (isFound) cut.push(each.outerHTML.slice(0, 80));
    }
    return cut;
}"""

# Numbers of a table that are broken into two lines.
BROKEN = """() => [...document.querySelectorAll("td:not(:first-child, .words)")].filter((each) => {
    const text = document.createRange();
    text.selectNodeContents(each);
    return new Set([...text.getClientRects()].map((box) => Math.round(box.top))).size > 1;
}).map((each) => each.textContent)"""

# Words of the sheet, of captions and of the names above it, that are broken within a word or a number.
BROKEN_WORDS = """() => {
    const sheet = document.querySelector(".sheet"), found = [];
    const words = document.createTreeWalker(sheet, NodeFilter.SHOW_TEXT);
    while (words.nextNode()) {
        for (const { 0: word, index } of words.currentNode.data.matchAll(/[^\\s_=\u200b-]+/g)) {
            const range = document.createRange();
            range.setStart(words.currentNode, index);
            range.setEnd(words.currentNode, index + word.length);
            const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
            if (lines.size > 1) found.push(word);
        }
    }
    return found;
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
    opened.set_default_timeout(10_000)
    opened.on("console", lambda message: wrong.append(message.text))
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda r: r.url.startswith(("file:", "data:")) or wrong.append(r.url))
    opened.goto(f"file://{folder}/report.html")
    yield opened
    context.close()
    assert wrong == []


def file(folder: Path, setting: int, seed: int, step: int, index: int) -> np.ndarray:
    """The picture file of a job; jobs are blur by seed."""
    place = sorted(path.parent for path in folder.glob("*/result/result.json"))[2 * setting + seed]
    return np.asarray(Image.open(place / f"progress/step_{step:05d}/f{index:03d}.png"), float)


def picture(pixels) -> np.ndarray:
    return np.array(pixels, float).reshape(SIZE, SIZE, 4)[..., :3]


def whose(pixels, folder: Path, seed: int, step: int) -> tuple[int, int]:
    """The setting and filter whose picture after a step is what is seen; small ones are not lossy."""
    known = np.stack([[file(folder, b, seed, step, i) for i in range(FILTERS)] for b in range(len(NAMES))])
    distance = np.sqrt(np.square(known - picture(pixels)).mean(axis=(2, 3, 4)))
    assert distance.min() == 0
    return np.unravel_index(distance.argmin(), distance.shape)


def scores(folder: Path, seed: int) -> np.ndarray:
    """By setting and filter."""
    jobs = map(result_folder.read, result_folder.finished(folder))
    return np.stack([job.history["score"][-1] for job in jobs if job.params["seed"] == seed])


def test_the_sheet_shows_each_filter_and_setting_after_each_step_and_of_each_seed(page, folder):
    assert page.locator(".row").first.locator(".name").all_inner_texts() == NAMES
    assert page.locator("#after").inner_text() == str(LAST)
    for seed in (0, 1):
        page.locator("#seed").select_option(str(seed))
        for position in (4, 0, 2):
            page.locator("#step").fill(str(position))
            page.wait_for_timeout(250)
            assert page.locator("#after").inner_text() == str(STEPS[position])
            for unit, column in ((0, 0), (0, 1), (1, 1)):
                seen = page.evaluate(READ_CELL, [unit, column])
                if position == 0:  # both settings start from the same
                    np.testing.assert_array_equal(picture(seen), file(folder, column, seed, 0, unit))
                else:
                    assert whose(seen, folder, seed, STEPS[position]) == (column, unit)
    words = page.locator(".row").first.locator("figcaption").first.inner_text()
    final = result_folder.read(next(iter(result_folder.finished(folder))))
    assert f"{scores(folder, 1)[0, 0]:.3g}" in words and "rank " in words
    assert final.name.startswith("blur=0")


def test_print_has_the_pictures_of_all_rows(page, folder):
    """Rows out of view hold nothing, and print does not wait for what is not decoded."""
    page.set_viewport_size({"width": 1280, "height": 300})
    page.locator("#step").fill("2")
    page.wait_for_timeout(500)
    page.evaluate(f"""() => addEventListener("beforeprint", () => {{
        window.printed = [0, {FILTERS - 1}].map((unit) => ({READ_CELL})([unit, 1]));
    }})""")
    page.pdf()
    for pixels, unit in zip(page.evaluate("window.printed"), (0, FILTERS - 1), strict=True):
        assert whose(pixels, folder, 0, STEPS[2]) == (1, unit)
    assert page.evaluate("[...document.querySelectorAll('.row')].some((row) => !row.isFilled)")


def test_it_plays_from_the_start_to_the_end(page):
    page.locator("#speed").select_option("4")
    page.evaluate("""() => {
      window.seen = [];
      const after = document.getElementById("after");
      const note = () => window.seen.push(Number(after.textContent));
      new MutationObserver(note).observe(after, {childList: true});
    }""")
    page.locator("#play").click()
    page.wait_for_function(
        "() => document.getElementById('play').innerText != 'pause' && window.seen.length", timeout=60_000
    )
    assert list(dict.fromkeys(page.evaluate("window.seen"))) == list(STEPS)


def test_two_settings_flicker_and_their_difference_is_signed(page, folder):
    page.locator("#a").select_option(label=NAMES[1])
    page.locator("#b").select_option(label=NAMES[0])
    page.locator("#hold").click()
    shown = []
    for _ in range(2):
        page.wait_for_timeout(150)
        shown.append(whose(page.evaluate(READ_CELL, [3, 0]), folder, 0, LAST))
        name = page.locator(".row").nth(3).locator(".name").inner_text()
        assert name.split() == ["f003", "AB"[not shown[-1][0]], NAMES[shown[-1][0]]]
        page.keyboard.press("f")
    assert {setting for setting, _ in shown} == {0, 1} and {index for _, index in shown} == {3}
    page.locator("#difference").click()
    page.wait_for_timeout(150)
    seen = picture(page.evaluate(READ_CELL, [3, 0]))
    exact = np.clip(128 + 2 * (file(folder, 0, 0, LAST, 3) - file(folder, 1, 0, LAST, 3)), 0, 255)
    np.testing.assert_array_equal(seen, exact)
    page.locator("#b").select_option(label=NAMES[1])
    page.wait_for_timeout(150)
    assert (picture(page.evaluate(READ_CELL, [3, 0])) == 128).all()
    assert "doubled" in page.locator("#scale").inner_text()


def test_rows_are_sorted_by_score_and_filtered_by_end_and_by_difference(page, folder):
    known = scores(folder, 0)
    for setting in (0, 1):
        page.locator("#sort").select_option(str(setting))
        assert page.evaluate(LABELS) == np.argsort(-known[setting], kind="stable").tolist()
    page.locator("#sort").select_option("filter")
    both = (scores(folder, 0) + scores(folder, 1)) / 2  # the comparison's: seeds are averaged
    spread = np.ptp(both, axis=0) / np.abs(both).mean(axis=0)
    page.locator("#only").select_option(">0.5")
    assert page.evaluate(LABELS) == np.flatnonzero(spread >= 0.5).tolist()
    ends = [
        job.ends for job in map(result_folder.read, result_folder.finished(folder)) if job.params["seed"] == 0
    ]
    for end, words in convergence.ENDS.items():
        page.locator("#only").select_option(words)
        expected = [i for i in range(FILTERS) if any(each[i] == end for each in ends)]
        assert page.evaluate(LABELS) == expected
        count = page.locator("#count").inner_text()
        assert count == (f"{len(expected)} of 16 filters" if len(expected) < FILTERS else "16 filters")


def test_a_click_enlarges_a_picture_and_arrows_go_on_to_the_next(page, folder):
    page.locator(".row").nth(2).scroll_into_view_if_needed()
    page.locator(".row").nth(2).locator("canvas").nth(1).click()
    page.wait_for_timeout(150)
    assert whose(page.evaluate(READ_LARGE), folder, 0, LAST) == (1, 2)
    assert page.locator("#caption").inner_text().startswith(f"f002, {NAMES[1]}: ")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    page.wait_for_timeout(150)
    assert whose(page.evaluate(READ_LARGE), folder, 0, LAST) == (0, 1)
    assert page.evaluate("document.getElementById('canvas').clientWidth") % SIZE == 0
    page.locator("#step-large").fill("1")
    page.wait_for_timeout(150)
    assert whose(page.evaluate(READ_LARGE), folder, 0, 5) == (0, 1)
    page.locator("#whole").check()
    page.wait_for_timeout(150)
    assert page.evaluate(READ_PNG) == SIZE and page.locator("#png").is_visible()
    assert page.locator("#png").get_attribute("src").endswith("result/progress/step_00005/f001.png")
    page.keyboard.press("Escape")
    assert not page.locator("#large").is_visible()
    assert page.locator("#after").inner_text() == "5"


def test_every_control_does_something_and_complains_of_nothing(page):
    """Each choice of each list, each button, each fold; the fixture asserts that nothing is complained of."""
    for summary in page.locator("summary").all():
        summary.click()
    for control in page.locator(".control:visible select").all():
        for option in control.locator("option").all():
            control.select_option(value=option.get_attribute("value"))
            page.wait_for_timeout(20)
        control.select_option(index=0)
    for name in ("play", "all", "flicker", "hold", "difference"):
        button = page.locator(f"#{name}")
        before = button.get_attribute("aria-pressed")
        button.click()
        page.wait_for_timeout(50)
        assert before == "true" or button.get_attribute("aria-pressed") == "true", name
    for key in "pfdp":
        page.keyboard.press(key)
    page.locator("#all").click()
    page.locator(".row canvas").first.press("Enter")
    assert page.locator("#large").is_visible()
    for key in ("ArrowDown", "ArrowRight", "f", "d", "p"):
        page.keyboard.press(key)
        page.wait_for_timeout(50)
    page.locator("#close").click()
    assert not page.locator("#large").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 800, 1280])
def test_nothing_is_cut_and_words_stand_out_in_any_light(width, scheme, page):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(CUT) == []
    assert page.evaluate(BROKEN) == []
    assert page.evaluate(BROKEN_WORDS) == []
    for view in ("flicker", "difference"):
        page.locator(f"#{view}").click()
        assert page.evaluate(CUT) == []

    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    inks = ("body", "querySelector('.quiet')", "querySelector('svg text')", "querySelector('td')")
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
        inside.locator("#step").fill("1", timeout=60_000)
        assert inside.locator("#after").inner_text() == "5"
        assert not inside.locator("#beside").is_visible()  # no picture files are beside it there
        assert "What does reg.blur (0, 5) do to 16 filters" in inside.locator("h1").inner_text()
        page.screenshot(path=folder / "artifact.png")
        page.close()
