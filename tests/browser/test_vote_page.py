"""The page of votes in a real browser: keys and buttons vote, what is shown is what is stored."""

import threading

from helpers import synthetic
from helpers.browser import chromium

from deepvis.cli import ballot, vote
from deepvis.report import comparison
from deepvis.results import votes


def test_keys_and_buttons_vote_and_undo(tmp_path):
    folder = synthetic.grid(tmp_path / "20260102-030405-abcd", n=12)
    ballots = ballot.Ballots(folder, comparison.of_sweeps([folder], {}))
    with vote.server(ballots) as server, chromium() as browser:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        said, asked = [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.address)

        def wait(condition: str) -> None:
            """Playwright's own waiting evaluates a text in the page, which the page's policy forbids."""
            for _ in range(400):
                if page.evaluate(condition):
                    return
                page.wait_for_timeout(25)
            raise AssertionError(condition)

        def after(count: int) -> str:
            wait(f"document.getElementById('here').value === '{count}' && !busy")
            shown = page.evaluate("ballot")
            assert page.locator("#left-image").evaluate("(image) => image.naturalWidth") == synthetic.SIZE
            assert page.locator("#left-image").get_attribute("src") == f"{shown}/left"
            return shown

        first = after(0)
        expected = []
        for count, (press, choice) in enumerate(
            (("ArrowLeft", "left"), ("ArrowRight", "right"), ("ArrowDown", "tie")), start=1
        ):
            pair = ballots.shown[page.evaluate("ballot")]
            expected.append((pair.left.result.name, pair.right.result.name, choice))
            page.keyboard.press(press)
            after(count)
        page.click("#right")
        after(4)
        page.keyboard.press("u")
        after(3)
        assert [(v.left, v.right, v.choice) for v in votes.read(folder)] == expected
        for _ in range(3):
            page.keyboard.press("u")
            page.wait_for_timeout(50)
            wait("!busy")
        assert after(0) == first and votes.read(folder) == []
        names = "".join(job.result.name for job in ballots.compared.jobs)
        assert "decay" in names and "decay" not in page.content()  # blind
        server.shutdown()
        server.server_close()
        page.keyboard.press("ArrowLeft")
        wait("document.getElementById('said').textContent.includes('does not answer')")
        assert all(url.startswith((server.address, "data:")) for url in asked)
        assert [line for line in said if "ERR_CONNECTION_REFUSED" not in line] == []
