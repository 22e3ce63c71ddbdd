"""A server ends with the process that started it, whatever ends that one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deepvis.cli import server_guard

# A server with a worker of its own; both say who they are.
SERVER = """
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(120)"]
worker = subprocess.Popen(sleep)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(f"{os.getpid()} {worker.pid}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(120)
"""
PARENT = """
import contextlib, sys
from deepvis.cli import signals, ui
signals.catch(lambda _: None)
command = [sys.executable, "-c", *sys.argv[1:]]
with contextlib.suppress(KeyboardInterrupt), ui._serving(command) as server:
    server.wait(120)
"""


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def until(ready, seconds=60):
    deadline = time.monotonic() + seconds
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.05)
    return ready()


@pytest.mark.parametrize(
    "sent",
    [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGQUIT],
    ids=lambda s: s.name,
)
def test_any_signal_ends_the_server_and_its_worker(sent, tmp_path):
    pids = tmp_path / "pids"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, SERVER, str(pids)])
    try:
        assert until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        server, worker = map(int, pids.read_text().split())
        assert runs(server) and runs(worker)
        parent.send_signal(sent)
        parent.wait(60)
        assert until(lambda: not runs(server) and not runs(worker))
    finally:
        parent.kill()
        parent.wait(30)


def test_the_guard_ends_with_its_server_and_has_its_code():
    guard = subprocess.Popen(
        [sys.executable, server_guard.__file__, sys.executable, "-c", "raise SystemExit(7)"],
        stdin=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert guard.wait(60) == 7
    with pytest.raises(ProcessLookupError):
        os.killpg(guard.pid, 0)
