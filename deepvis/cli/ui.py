"""``deepvis ui``: MLflow's UI on this store, opened on the latest sweep."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from deepvis.cli import server_guard, tracking_variables
from deepvis.config import compose
from deepvis.core import terminal
from deepvis.core.errors import ConfigError
from deepvis.core.names import nearest
from deepvis.tracking import mlflow

HELP = """deepvis ui    MLflow's UI on this folder's store, with a link to the latest sweep; Ctrl-C ends it

  deepvis ui                                            mlruns/mlflow.db
  deepvis ui tracker.uri=sqlite:///elsewhere/mlflow.db  another store

  --port 5000       the port; by default the first that is free from 5000 on
  --host 127.0.0.1  the address to listen on; 0.0.0.0 offers the store to the network, and whoever may read it
                    may change it"""
HOST = "127.0.0.1"
FLAGS = {"--host": HOST, "--port": ""}


def main(typed: Sequence[str]) -> int:
    """Serve the UI until interrupted; returns the exit code.

    Overrides such as ``tracker.uri=sqlite:///elsewhere/mlflow.db`` choose the store.
    """
    given, overrides = _flags(typed)
    host = given["--host"]
    chosen = _chosen(host, given["--port"]) if given["--port"] else None
    _fault(host, 0)  # a host that does not exist is refused before a store is made
    terminal.take()
    cfg = compose.config(tracking_variables.added(overrides)).tracker
    if "uri" not in cfg:
        raise ConfigError("deepvis ui: got tracker=none, which has no UI; give tracker.uri=...")
    store = mlflow.mlflow(cfg.uri, cfg.artifacts, cfg.experiment)
    if cfg.uri.startswith("http"):
        terminal.say(store.address(cfg.uri.rstrip("/")))
        return 0
    first = int(mlflow.UI.rpartition(":")[2])
    with contextlib.nullcontext(chosen) if chosen else _free(host, first) as port:
        return _serve(store, cfg.uri, host, port)


def _serve(store: mlflow.Mlflow, uri: str, host: str, port: int) -> int:
    """Serve a store until interrupted; returns the exit code."""
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--host", host,
               "--port", str(port), "--workers", "1"]  # fmt: skip
    shown = f"[{host}]" if ":" in host else host
    base = f"http://{HOST if host == '0.0.0.0' else '[::1]' if host == '::' else shown}:{port}"
    with _serving(command) as server:
        while not _answers(base):
            if server.poll() is not None:
                terminal.error(f"mlflow ui ended with code {server.returncode}; see: mlflow ui "
                               f"--backend-store-uri {uri} --port {port}")  # fmt: skip
                return 1
            time.sleep(0.2)
        terminal.say(f"the latest sweep  {store.address(base)}")
        terminal.say("Ctrl-C ends the server")
        with contextlib.suppress(KeyboardInterrupt):
            return server.wait()
    return 0


@contextlib.contextmanager
def _serving(command: Sequence[str]) -> Iterator[subprocess.Popen]:
    """A server in a process group of its own, which ends with this block and with this process."""
    read_end, write_end = os.pipe()  # only this process has the end that is written to
    server = subprocess.Popen(
        [sys.executable, server_guard.__file__, *command], stdin=read_end, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
    )  # fmt: skip
    os.close(read_end)
    try:
        yield server
    finally:
        os.close(write_end)
        try:
            server.wait(server_guard.GRACE + 1)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _flags(typed: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The flags, and the overrides beside them."""
    given, rest, words = dict(FLAGS), [], iter(typed)
    for each in words:
        flag, equals, value = each.partition("=")
        if flag in FLAGS:
            given[flag] = value if equals else next(words, "")
            if not given[flag]:
                raise ConfigError(f"deepvis ui {flag}: expected a value")
        elif each.startswith("-"):
            raise ConfigError(
                f"deepvis ui {each}: no such flag; {nearest(each, [*FLAGS, '--help', '--version'])}"
            )
        elif not each.lstrip("+").startswith(("tracker=", "tracker.")):
            raise ConfigError(
                f"deepvis ui {each}: expected tracker.uri=..., the store; see deepvis ui --help"
            )
        else:
            rest.append(each)
    return given, rest


def _chosen(host: str, text: str) -> int:
    """A port that was asked for.

    Raises:
      ConfigError: it is no port, taken, or not for this user; or the host is none of this machine's.
    """
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 65536:
        raise ConfigError(f"--port {text}: expected a number from 1 to 65535")
    if fault := _fault(host, int(text)):
        raise ConfigError(
            f"--port {text}: {fault} on {host}; take another port, or none for the first free one"
        )
    return int(text)


@contextlib.contextmanager
def _free(host: str, first: int) -> Iterator[int]:
    """The first port from here on that nobody listens on.

    It is locked: of two that start at once the second would show the store of the first.
    """
    fault: str | None = "taken"
    for port in range(first, first + 100):
        lock = FileLock(Path(tempfile.gettempdir()) / f"deepvis-ui-{os.getuid()}-{port}.lock", timeout=0)
        with contextlib.suppress(Timeout), lock:
            fault = _fault(host, port)
            if fault is None:
                yield port
                return
    raise ConfigError(f"--host {host}: no free port in {first} to {first + 99} ({fault})")


def _fault(host: str, port: int) -> str | None:
    """Why nobody can listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (socket.gaierror, UnicodeError) as err:
        raise ConfigError(
            f"--host {host}: no address ({err}); expected 127.0.0.1, 0.0.0.0 or a name"
        ) from err
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as err:
            return (err.strerror or str(err)).lower()
    return None


def _answers(base: str) -> bool:
    try:
        with urllib.request.urlopen(f"{base}/health", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
