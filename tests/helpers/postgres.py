"""A PostgreSQL cluster of the suite's own: made by initdb in a temporary folder, run as an ordinary user."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

USER = "postgres"  # whom Debian's package makes; PostgreSQL refuses to be run by root


def programs() -> Path | None:
    """The folder of initdb and pg_ctl, which Debian keeps off the PATH; None where there is none."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass(frozen=True)
class Cluster:
    """A database server that may be stopped and started again."""

    folder: Path
    port: int

    @classmethod
    def make(cls) -> "Cluster":
        # Not pytest's folder: the other user may not enter it.
        made = cls(Path(tempfile.mkdtemp(prefix="deepvis-postgres-")), free_port())
        if os.getuid() == 0:
            os.chown(made.folder, pwd.getpwnam(USER).pw_uid, -1)
        made.run("initdb", "-D", "data", "-U", USER, "--auth-local=trust", "--auth-host=scram-sha-256", "-N")
        return made

    @property
    def environment(self) -> dict[str, str]:
        """With which psql and createdb reach it as its administrator."""
        path = f"{programs()}{os.pathsep}{os.environ['PATH']}"
        return {"PATH": path, "PGHOST": str(self.folder), "PGPORT": str(self.port), "PGUSER": USER}

    def run(self, program: str, *given: str) -> None:
        found = programs()
        assert found is not None
        with (self.folder / "log").open("a") as log:  # a pipe would be kept open by the server
            done = subprocess.run(
                [found / program, *given], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                user=USER if os.getuid() == 0 else None, env=self.environment, timeout=120,
            )  # fmt: skip
        assert done.returncode == 0, (self.folder / "log").read_text()

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.run("pg_ctl", "start", "-w", "-D", "data", "-l", "server.log", "-o", options)

    def stop(self) -> None:
        """As a machine that goes down, without a word to those that are connected."""
        self.run("pg_ctl", "stop", "-D", "data", "-m", "immediate")

    def remove(self) -> None:
        if (self.folder / "data/postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder)
