"""An analysis that a signal ends says so in one line; what a killed one left is gone after the next."""

import signal

import pytest

TYPED = ["weights", "model=tiny", "layer=block1_conv1", "tracker=none"]
CHANGE = """
import os
from deepvis.core import images
real = images.save
def save(*given):
    real(*given)
    os.kill(os.getpid(), {number})
images.save = save
"""


IN_A_CHECKPOINT = """
import os
from pathlib import Path
from deepvis.core import files, images
def save(*given):
    with files.replacing(Path("outputs") / ".weights-1234.npz") as half:
        half.write_bytes(b"half")
        os.kill(os.getpid(), 9)
images.save = save
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_a_signal_while_it_writes_is_one_line_and_leaves_nothing(sent, forker, tmp_path):
    said = forker.run(tmp_path, *TYPED, change=CHANGE.format(number=int(sent)))
    word = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[sent]
    assert (said.code, said.err) == (128 + sent, f"deepvis: {word}; nothing was written\n")
    assert list((tmp_path / "outputs").iterdir()) == []


@pytest.mark.parametrize(
    ("change", "count"),
    [(CHANGE.format(number=int(signal.SIGKILL)), 1), (IN_A_CHECKPOINT, 2)],
    ids=["folder", "checkpoint"],
)
def test_the_next_analysis_removes_what_a_killed_one_left(change, count, forker, tmp_path):
    said = forker.run(tmp_path, *TYPED, change=change)
    assert said.code == -signal.SIGKILL
    left = list((tmp_path / "outputs").iterdir())
    assert len(left) == count and all(each.name.startswith(".") for each in left)
    said = forker.run(tmp_path, *TYPED)
    assert (said.code, said.err) == (0, "")
    (folder,) = (tmp_path / "outputs").iterdir()
    assert (folder / "analysis.json").is_file() and not folder.name.startswith(".")
