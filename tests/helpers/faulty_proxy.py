"""MLflow's server behind a proxy that fails on chosen calls, as a server or the way to it may.

The server's application is called in this process: the command `mlflow server` takes a minute to start on a
busy machine. What is between it and deepvis is HTTP.
"""

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

# (number of the call, method, path) -> what happens: "", "500", "done 500" or "hang"
Fault = Callable[[int, str, str], str]


class Proxy:
    """Passes calls on, and counts them."""

    def __init__(self, app: Any, folder: Path) -> None:
        self.app, self.folder = app, folder  # MLflow's Flask application, and where it keeps things
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
                headers = [(k, v) for k, v in self.headers.items() if k not in ("Host", "Accept-Encoding")]
                got = proxy.app.test_client().open(self.path, method=self.command, data=body, headers=headers)
                answer = got.status_code, dict(got.headers), got.get_data()
                return self.answer(500, {}, b"{}") if fault == "done 500" else self.answer(*answer)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815  http.server's names

        return Handler


@contextmanager
def faulty_server(folder: Path) -> Iterator[Proxy]:
    """A server of its own in a folder."""
    folder.mkdir(parents=True)
    backend = f"sqlite:///{folder}/mlflow.db"
    settings = {
        "_MLFLOW_SERVER_FILE_STORE": backend, "_MLFLOW_SERVER_REGISTRY_STORE": backend,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/", "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "artifacts"), "MLFLOW_DISABLE_TELEMETRY": "true",
    }  # fmt: skip  # what `mlflow server` sets for its workers
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        server, handlers = (importlib.import_module(f"mlflow.server{part}") for part in ("", ".handlers"))
        patch.setattr(handlers, "_tracking_store", None)
        patch.setattr(handlers, "_artifact_repo", None)
        proxy = Proxy(server.app, folder)
        yield proxy
        proxy.ended.set()
        proxy.server.shutdown()
        proxy.server.server_close()
