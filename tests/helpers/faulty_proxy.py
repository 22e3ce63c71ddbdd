"""A real MLflow server behind a proxy that fails on chosen calls, as a server or the way to it may."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# (number of the call, method, path) -> what happens: "", "500", "done 500" or "hang"
Fault = Callable[[int, str, str], str]


class Proxy:
    """Passes calls on, and counts them."""

    def __init__(self, target: str, folder: Path) -> None:
        self.target, self.folder = target, folder  # the server's address, and where it keeps things
        self.fault: Fault = lambda *call: ""
        self.calls: list[tuple[str, str]] = []
        self.lock, self.ended = threading.Lock(), threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def reset(self, fault: Fault = lambda *call: "") -> None:
        with self.lock:
            self.calls, self.fault = [], fault

    def handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args) -> None:
                pass

            def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name in ("Content-Type", "Content-Disposition"):
                    if name in headers:
                        self.send_header(name, headers[name])
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with proxy.lock:
                    number = len(proxy.calls)
                    proxy.calls.append((self.command, self.path))
                    fault = proxy.fault(number, self.command, self.path)
                if fault == "hang":
                    proxy.ended.wait(60)
                    self.close_connection = True
                    return None
                if fault == "500":
                    return self.answer(500, {}, b"{}")
                headers = {k: v for k, v in self.headers.items() if k not in ("Host", "Accept-Encoding")}
                asked = urllib.request.Request(
                    proxy.target + self.path, data=body or None, headers=headers, method=self.command
                )
                try:
                    with urllib.request.urlopen(asked, timeout=60) as answer:
                        got = answer.status, dict(answer.headers), answer.read()
                except urllib.error.HTTPError as err:
                    got = err.code, dict(err.headers), err.read()
                return self.answer(500, {}, b"{}") if fault == "done 500" else self.answer(*got)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815  http.server's names

        return Handler


@contextmanager
def faulty_server(folder: Path) -> Iterator[Proxy]:
    """A server of its own in a folder, and the proxy before it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder.mkdir(parents=True)
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    with (folder / "log").open("w") as log:
        env = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=env)
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.2)
        proxy = Proxy(f"http://127.0.0.1:{port}", folder)
        yield proxy
        proxy.ended.set()
        proxy.server.shutdown()
    finally:
        os.killpg(server.pid, 9)
        server.wait()
