"""Laws of process locks: a living process keeps its sweep, wherever it is; a dead one loses it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.processes import kill_group, line_of

from deepvis.core.errors import ConfigError
from deepvis.sweeps import process_locks

SIGNS = """
import sys, pathlib, signal, time
from deepvis.sweeps import process_locks
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
process_locks.INTERVAL = 0.05
{change}
print(process_locks.sign(pathlib.Path(sys.argv[1])), flush=True)
for _ in range(2400):
    time.sleep(0.05)
"""
ENTERS = """
import sys, pathlib, time
from deepvis.sweeps import process_locks
folder = pathlib.Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
process_locks.enter(folder, "x")
print("in", flush=True)
time.sleep(60)
"""
HERE = ""
ELSEWHERE = """
process_locks._kernel = lambda: "another-kernel"
process_locks._locked = lambda opened: None  # a file system whose locks do not reach this machine
"""
RENAMED = """
import socket
socket.gethostname = lambda: "../another host"
"""


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(process_locks, "INTERVAL", 0.05)
    monkeypatch.setattr(process_locks, "PATIENCE", 3.0)


@pytest.fixture
def start():
    started = []

    def start(code: str, folder: Path, *command: str) -> subprocess.Popen:
        argv = [*command, sys.executable, "-c", code, str(folder)]
        started.append(
            subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True, start_new_session=True)
        )  # fmt: skip
        return started[-1]

    yield start
    for process in started:
        kill_group(process)


def signed(start, folder, change=HERE, *command):
    process = start(SIGNS.format(change=change), folder, *command)
    token = line_of(process).strip()
    assert token, process.communicate(timeout=30)
    return process, token


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("change", [HERE, RENAMED, ELSEWHERE], ids=["here", "renamed", "elsewhere"])
def test_a_process_keeps_its_sweep_while_it_lives_and_no_longer(tmp_path, start, change):
    process, token = signed(start, tmp_path, change)
    assert Path(token).name == token
    for _ in range(2):  # asking does not change the answer
        assert process_locks.holds(tmp_path, token)
        with pytest.raises(ConfigError, match="another process still runs it") as refused:
            process_locks.enter(tmp_path, "x")
        assert token in str(refused.value) and "\n" not in str(refused.value)
    assert process.poll() is None
    process.kill()
    process.wait(30)
    process_locks.enter(tmp_path, "x")
    assert not process_locks.holds(tmp_path, token)
    process_locks.tidy(tmp_path)
    assert files(tmp_path) == set()


def test_another_name_of_the_host_changes_nothing(tmp_path, start):
    command = ["unshare", "--uts", "--", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"]
    if subprocess.run([*command, "true"], capture_output=True, timeout=60).returncode:
        pytest.skip("unshare --uts is not allowed here")
    process, token = signed(start, tmp_path, HERE, *command)
    assert token.startswith("elsewhere-")
    assert process_locks.holds(tmp_path, token)
    began = time.monotonic()
    process.kill()
    process.wait(30)
    assert not process_locks.holds(tmp_path, token)
    assert time.monotonic() - began < process_locks.PATIENCE, "one kernel: the lock says it at once"


def test_a_suspended_process_under_this_kernel_is_alive(tmp_path, start):
    process, token = signed(start, tmp_path)
    os.kill(process.pid, signal.SIGSTOP)
    assert process_locks.holds(tmp_path, token)
    with pytest.raises(ConfigError):
        process_locks.enter(tmp_path, "x")


def test_a_process_whose_sweep_was_taken_ends(tmp_path, start):
    """It was suspended on another machine for so long that it seemed dead, and then goes on."""
    process, _ = signed(start, tmp_path, ELSEWHERE)
    os.kill(process.pid, signal.SIGSTOP)
    process_locks.enter(tmp_path, "x")
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait(20) == 143
    assert "another process has taken this sweep" in process.stderr.read()
    process_locks.tidy(tmp_path)
    assert files(tmp_path) == set()


def test_of_many_who_enter_at_once_one_does(tmp_path, start):
    processes = [start(ENTERS, tmp_path) for _ in range(4)]
    for each in processes:
        assert line_of(each) == "ready\n"
    for each in processes:
        each.stdin.write("\n")
        each.stdin.flush()
    said = [line_of(each) for each in processes]
    assert sorted(said) == ["", "", "", "in\n"]


@pytest.mark.parametrize(
    "token", ["../outside", "..", ".", "", ".alive", "/etc/passwd", "a/b", "a\nb", "a\n", "no-such-1-abc"]
)
def test_what_is_no_name_is_no_process_and_no_path(tmp_path, token):
    folder = tmp_path / "sweep"
    (folder / ".alive").mkdir(parents=True)
    (folder / "outside").write_text("of the user's")
    before = files(tmp_path)
    assert not process_locks.holds(folder, token)
    assert files(tmp_path) == before


def test_a_process_has_one_name_in_a_sweep_and_leaves_nothing(tmp_path):
    token = process_locks.sign(tmp_path)
    assert process_locks.sign(tmp_path) == token and process_locks.holds(tmp_path, token)
    process_locks.enter(tmp_path, "x")  # it is in already
    process_locks.tidy(tmp_path)
    assert not process_locks.holds(tmp_path, token)
    assert files(tmp_path) == set()
