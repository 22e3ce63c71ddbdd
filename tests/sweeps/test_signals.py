"""Signals and lost outputs: the sweep is left whole, and ``resume=latest`` ends with every job finished."""

import os
import signal
import subprocess
import sys

import pytest
from helpers.processes import entry_of, environment, newest, states

TINY = ["model=tiny", "layer=block2_conv1", "layer.filters=0-1", "size=16"]
SWEEP = ["-m", *TINY, "steps=4", "snapshot_every=1", "seed=0,1", "tracker=none"]
# Each makes a moment last: it says that it is there, and waits.
WAIT = "import pathlib, time\ndef wait():\n    pathlib.Path('here').touch()\n    time.sleep(30)\n"
COMPUTING = WAIT + (
    "from deepvis.sweeps import recorder\nreal = recorder.JobRecorder.update\n"
    "def update(self, row, snapshot, index):\n"
    "    if snapshot.first == 2: wait()\n    return real(self, row, snapshot, index)\n"
    "recorder.JobRecorder.update = update\n"
)
SUMMING = WAIT + (
    "from deepvis.sweeps import finalize\nreal = finalize.contact\n"
    "def contact(results):\n    wait()\n    return real(results)\nfinalize.contact = contact\n"
)
REPORTING = WAIT + (
    "from deepvis.report import page\nreal = page.make\n"
    "def make(*given):\n    wait()\n    return real(*given)\npage.make = make\n"
)
CLOSING = COMPUTING + (
    "from deepvis.sweeps import finalize\n"
    "def close(*given):\n    pathlib.Path('closing').touch()\n    time.sleep(30)\nfinalize.close = close\n"
)
INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
CASES = {
    "interrupted while computing": (COMPUTING, [INT], 130),
    "hung up while computing": (COMPUTING, [HUP], 129),
    "interrupted twice": (CLOSING, [INT, INT], 130),
    "terminated, then interrupted": (CLOSING, [TERM, INT], 143),
    "terminated while summing up": (SUMMING, [TERM], 143),
    "interrupted while summing up": (SUMMING, [INT], 130),
    "interrupted while reporting": (REPORTING, [INT], 130),
}


def resumed(forker, folder):
    """Every job is finished, with the report, and nothing half written is left."""
    said = forker.run(folder, "resume=latest")
    assert (said.code, said.err) == (0, ""), said
    sweep = newest(folder)
    assert list(states(sweep).values()) == ["FINISHED"] * 2 and entry_of(sweep)["end"]
    assert (sweep / "report.html").is_file() and (sweep / "contact.png").is_file()
    assert not [path for path in sweep.rglob(".*") if path.name not in (".hydra", ".alive")]


@pytest.mark.parametrize("name", CASES)
def test_a_signal_leaves_a_sweep_that_resume_finishes(name, forker, tmp_path):
    change, sent, code = CASES[name]
    started = forker.start(tmp_path, *SWEEP, change=change)
    for place, number in zip(("here", "closing"), sent, strict=False):
        started.until((tmp_path / place).exists)
        os.kill(started.pid, number)
    said = started.wait()
    assert said.code == code, said
    lines = said.err.splitlines()
    assert len(lines) == len(sent) and all(line.startswith("deepvis: ") for line in lines), said.err
    assert len(sent) == 1 or "ended at once" in lines[1]
    resumed(forker, tmp_path)


LOST = {
    "closed pipe": "import os\nread, write = os.pipe()\nos.close(read)\nos.dup2(write, 1)\n",
    "full disk": "import os\nos.dup2(os.open('/dev/full', os.O_WRONLY), 1)\n",
    "closed": "import os, sys\nos.close(1)\nsys.stdout = None\n",
    "all closed": "import os, sys\nfor fd in range(3): os.close(fd)\n"
    "sys.stdin = sys.stdout = sys.stderr = None\n",
}


@pytest.mark.parametrize("name", LOST)
def test_a_sweep_goes_on_without_its_output_and_the_log_has_the_words(name, forker, tmp_path):
    said = forker.run(tmp_path, *SWEEP, change=LOST[name])
    assert (said.code, said.err) == (0, "")
    sweep = newest(tmp_path)
    assert list(states(sweep).values()) == ["FINISHED"] * 2
    log = (sweep / "deepvis.log").read_text()
    for words in (
        "2 jobs  step 4/4",
        "median score",
        "seed  score",
        f"report    outputs/{sweep.name}/report.html",
    ):
        assert words in log, words


@pytest.mark.parametrize(
    "typed",
    [["--help"], ["--version"], ["--cfg", "job"], ["layers", "model=tiny"], ["ui", "--help"]],
    ids=" ".join,
)
def test_what_only_shows_something_fails_on_a_full_disk_and_not_on_a_closed_pipe(typed, forker, tmp_path):
    full = forker.run(tmp_path, *typed, change=LOST["full disk"])
    assert full.code == 1
    assert (
        full.err
        == "deepvis: standard output: No space left on device; what was to be shown there is not whole\n"
    )
    piped = forker.run(tmp_path, *typed, change=LOST["closed pipe"])
    assert (piped.code, piped.err) == (0, "")


def test_a_real_pipe_that_is_closed_after_a_line(tmp_path):
    command = f"{sys.executable} -m deepvis.run {' '.join(SWEEP)} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=240
    )
    first, code = done.stdout.splitlines()
    assert "2 jobs" in first and (code, done.stderr) == ("0", "")
    assert list(states(newest(tmp_path)).values()) == ["FINISHED"] * 2
