"""A sweep of `tiny` on disk, and `deepvis ui` over it, for the tests that open a browser."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deepvis.results import result_folder

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
def ui(folder: Path) -> Iterator[str]:
    """`deepvis ui`, and the link that it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "deepvis.run", "ui"],
        cwd=folder, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield re.search(r"http://127\.0\.0\.1:\d+\S*", process.stdout.readline())[0]
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            # The server's workers are in its group and may outlive it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
