"""``deepvis vote``: a page on this machine where a person chooses between two pictures of a filter, blind."""

import json
import secrets
import threading
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from deepvis.cli import sweep_words
from deepvis.cli.ballot import Ballots, Pair
from deepvis.core import terminal
from deepvis.core.errors import ConfigError, one_line
from deepvis.report import comparison
from deepvis.report.comparison import Unit
from deepvis.results import votes

HELP = """deepvis vote latest      opens a page for votes on the latest sweep of outputs/; Ctrl-C ends it
deepvis vote <sweep>     on another one; its id is the name of its folder
  folder=outputs         where sweeps are, or one's own folder

The page shows what two settings made of one filter, not which is which. Choose with the arrow keys (down: a
tie); u takes the last vote back. Votes are in votes.json in the sweep's folder; deepvis report <sweep> ranks
the settings by them."""
PAGE = Path(__file__).with_name("vote.html")
HOST = "127.0.0.1"
MOST = 4096  # bytes of what the page may post
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; connect-src 'self'; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def main(typed: Sequence[str]) -> int:
    """Serve the page until interrupted; returns the exit code."""
    given = sweep_words.read("vote", typed)
    if len(given.words) != 1:
        print(HELP)
        return 2
    folder = given.sweep(given.words[0], "vote")
    ballots = Ballots(folder, comparison.of_sweeps([folder], {}))
    votes.read(folder)  # a broken file is said before anybody votes
    with server(ballots) as serving:
        terminal.say(f"vote      {serving.address}")
        terminal.say("Ctrl-C ends the server; votes are in " + str(folder / votes.FILE))
        with suppress(KeyboardInterrupt):
            serving.serve_forever()
    terminal.say(f"votes     {len(votes.read(folder))} in {folder / votes.FILE}")
    terminal.say(f"report    deepvis report {given.words[0]}")
    return 0


class Server(ThreadingHTTPServer):
    """The page's server; only who knows the address, with its token, is answered."""

    daemon_threads = True

    def __init__(self, ballots: Ballots) -> None:
        super().__init__((HOST, 0), Handler)
        self.ballots = ballots
        self.token = secrets.token_urlsafe(24)
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"


def server(ballots: Ballots) -> Server:
    """A server that listens, on a port of the system's choice."""
    return Server(ballots)


class Handler(BaseHTTPRequestHandler):
    """One request: the page, a ballot, a picture, a vote or its undoing."""

    server: Server

    def do_GET(self) -> None:
        """The page, or a picture of a ballot."""
        path = self._path()
        if path == "":
            self._answer("text/html; charset=utf-8", PAGE.read_bytes())
        elif path is not None:
            name, _, side = path.partition("/")
            with self.server.lock:
                pair = self.server.ballots.shown.get(name)
            if pair is None or side not in ("left", "right"):
                self.send_error(404)
            else:
                self._answer("image/png", pair.picture(side).read_bytes())

    def do_POST(self) -> None:
        """``next``, ``undo``, or ``vote`` with ``{"ballot": ..., "choice": ...}``; the answer is a ballot."""
        path, length = self._path(), self.headers.get("Content-Length", "")
        if path is None:
            return
        # A form of another site cannot have this type.
        is_json = self.headers.get("Content-Type") == "application/json"
        if not is_json or not length.isdecimal() or int(length) > MOST:
            self.send_error(400)
            return
        body = self.rfile.read(int(length))
        try:
            with self.server.lock:
                self._act(path, body)
        except (ValueError, KeyError, TypeError, AttributeError):
            self.send_error(400)
        except (OSError, ConfigError) as err:
            terminal.error(f"a vote is not stored: {one_line(err)}")
            self.send_error(500, "not stored")

    def _act(self, path: str, body: bytes) -> None:
        ballots = self.server.ballots
        if path == "vote":
            given = json.loads(body)
            if not ballots.vote(str(given["ballot"]), str(given["choice"])):
                self.send_error(409)
                return
        elif path not in ("next", "undo"):
            self.send_error(404)
            return
        again = ballots.undo() if path == "undo" else None
        self._ballot(*(again or ballots.draw()))

    def _ballot(self, name: str, pair: Pair) -> None:
        ballots = self.server.ballots
        told = {
            "ballot": name,
            "filter": ballots.compared.label(Unit(pair.left.network, pair.left.result.layer, pair.index)),
            "here": len(ballots.cast),
            "all": len(votes.read(ballots.folder)),
        }
        self._answer("application/json", json.dumps(told).encode())

    def _path(self) -> str | None:
        """The path behind the token; None of a request that is refused, and was answered so."""
        hosts = {f"{host}:{self.server.server_port}" for host in (HOST, "localhost")}
        token, *rest = self.path.removeprefix("/").split("/", 1)
        origin = self.headers.get("Origin")
        if self.headers.get("Host") not in hosts or (
            origin is not None and origin.removeprefix("http://") not in hosts
        ):  # a name of another site that leads here
            self.send_error(403)
        elif not rest or not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self.send_error(404)
        else:
            return rest[0]
        return None

    def _answer(self, kind: str, content: bytes) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: each picture would be a line."""
