"""A sweep of `tiny` on disk, and `deepvis ui` over it, for the tests that open a browser."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deepvis.results import result_folder
from helpers.processes import kill_group, line_of

SIZE = 32


def sweep(folder: Path, *overrides: str) -> list[Path]:
    """Run a sweep of the product's own on the tiny network; returns its result folders."""
    before = set((folder / "outputs").glob("*"))
    small = ["model=tiny", "layer=block2_conv2", "layer.filters=all", f"size={SIZE}"]
    command = [sys.executable, "-m", "deepvis.run", "-m", *small, *overrides]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=300)
    (made,) = set((folder / "outputs").glob("*")) - before
    return list(result_folder.finished(made))


@contextmanager
def chromium() -> Iterator:
    """A headless Chromium, driven by playwright; the test is skipped where one of the two is missing."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("needs Chromium, and none of " + ", ".join(names) + " is on the PATH")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    arguments += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with playwright.sync_playwright() as drive:
        opened = drive.chromium.launch(executable_path=path, args=arguments)
        yield opened
        opened.close()


@contextmanager
def ui(folder: Path) -> Iterator[str]:
    """`deepvis ui`, and the link that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "deepvis.run", "ui"],
        cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield re.search(r"http://127\.0\.0\.1:\d+\S*", line_of(process, 120))[0]
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            kill_group(process)  # the server's workers may outlive it
