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


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_a_signal_while_it_writes_is_one_line_and_leaves_nothing(sent, forker, tmp_path):
    said = forker.run(tmp_path, *TYPED, change=CHANGE.format(number=int(sent)))
    word = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}[sent]
    assert (said.code, said.err) == (128 + sent, f"deepvis: {word}; nothing was written\n")
    assert list((tmp_path / "outputs").iterdir()) == []


def test_the_next_analysis_removes_what_a_killed_one_left(forker, tmp_path):
    said = forker.run(tmp_path, *TYPED, change=CHANGE.format(number=int(signal.SIGKILL)))
    assert said.code == -signal.SIGKILL
    (left,) = (tmp_path / "outputs").iterdir()
    assert left.name.startswith(".") and list(left.iterdir())
    said = forker.run(tmp_path, *TYPED)
    assert (said.code, said.err) == (0, "")
    (folder,) = (tmp_path / "outputs").iterdir()
    assert (folder / "analysis.json").is_file() and not folder.name.startswith(".")
