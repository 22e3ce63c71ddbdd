"""``deepvis ui``: MLflow's UI on this store, opened on the latest sweep."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

from deepvis.config import compose
from deepvis.core import terminal
from deepvis.tracking import mlflow

HELP = """deepvis ui    MLflow's UI on this folder's store, with a link to the latest sweep; Ctrl-C ends it

  deepvis ui                                            mlruns/mlflow.db
  deepvis ui tracker.uri=sqlite:///elsewhere/mlflow.db  another store"""
HOST = "127.0.0.1"  # whoever may read the store may also change it, so it is not offered to the network


def main(typed: Sequence[str]) -> int:
    """Serve the UI until interrupted; returns the exit code.

    Overrides such as ``tracker.uri=sqlite:///elsewhere/mlflow.db`` choose the store.
    """
    terminal.take()
    cfg = compose.config(typed).tracker
    store = mlflow.mlflow(cfg.uri, cfg.artifacts, cfg.experiment)
    if cfg.uri.startswith("http"):
        terminal.say(store.address(cfg.uri.rstrip("/")))
        return 0
    port = _free(int(mlflow.UI.rpartition(":")[2]))
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", cfg.uri, "--host", HOST,
         "--port", str(port), "--workers", "1"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
    )  # fmt: skip
    base = f"http://{HOST}:{port}"
    try:
        while not _answers(base):
            if server.poll() is not None:
                terminal.error(f"mlflow ui ended with code {server.returncode}; see: mlflow ui "
                               f"--backend-store-uri {cfg.uri}")  # fmt: skip
                return 1
            time.sleep(0.2)
        terminal.say(f"the latest sweep  {store.address(base)}")
        terminal.say("Ctrl-C ends the server")
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        server.wait()


def _free(first: int) -> int:
    """The first port from here on that nobody listens on."""
    for port in range(first, first + 100):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) != 0:
                return port
    raise OSError(f"no free port in {first} to {first + 99}")


def _answers(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/health", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
