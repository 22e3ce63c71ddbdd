"""Sweeps that are stopped at a point, resumed, and compared with one that never was.

See `fault_points` for what a point is. All processes are forked from one that has imported what deepvis
imports; a store's tables are made once and copied.
"""

import hashlib
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from helpers.fault_points import FILLER, Fault, normalised
from helpers.processes import LONGEST, WARM, Forker, Said, Started, environment

SETUP = f"{WARM}import helpers.fault_points, helpers.prepared\n"
TYPED = (
    "-m", "model=tiny", "layer=block2_conv1", "layer.filters=0-1", "size=16", "steps=4", "snapshot_every=2",
    "precision=float32", "reg.decay=0.8,0.9", "reg.blur=0,3",
)  # fmt: skip
CHANGING = re.compile(
    r"^resume$|^place$|time/|start|end|seconds|speed|pid|host|process|mlflow\.(user|source)|machine|git"
)


@dataclass(frozen=True)
class Left:
    """What a sweep leaves, without what is another at every run."""

    results: dict[str, dict[str, str]]  # by job folder: file or array -> hash
    runs: dict[str, dict[str, Any]]  # by run's name, of those that finished
    files: frozenset[str]  # all paths of the project but MLflow's artifacts
    counts: Counter  # (kind, status) of all runs


@dataclass(frozen=True)
class Outcome:
    """What came of a sweep that was stopped: nothing is wrong if it is whole."""

    hit: bool  # whether it came to the point
    twice: bool  # whether the resume was stopped, too
    wrong: list[str]
    said: list[Said]


@dataclass
class Bench:
    """A place for sweeps, and the process that they are forked from."""

    place: Path
    forker: Forker

    def start(self, cwd: Path, *typed: str, change: str = "") -> Started:
        """A process of deepvis in a folder, which has a store with its tables made."""
        template = self.place / "template.db"
        setup = f"from helpers import prepared\nprepared.store({str(template)!r})\n"
        return self.forker.start(cwd, *typed, change=setup + change)

    def run(self, cwd: Path, *typed: str, change: str = "") -> Said:
        """The same, to its end."""
        process = self.start(cwd, *typed, change=change)
        late = threading.Timer(LONGEST, os.kill, (process.pid, signal.SIGABRT))
        late.start()
        try:
            return process.wait(LONGEST + 30)
        finally:
            late.cancel()

    def stopped(self, cwd: Path, *typed: str, fault: Fault | None = None) -> tuple[Said, list[str]]:
        """The same, with a fault: what it said, and its points."""
        log = self.place / f"points-{os.getpid()}"
        log.unlink(missing_ok=True)
        made = f"fault_points.Fault(**{asdict(fault)!r})" if fault else None
        given = f"{str(log)!r}, {str(cwd)!r}, {made}"
        change = f"from helpers import fault_points\nfault_points.install({given})\n"
        said = self.run(cwd, *typed, change=change)
        return said, log.read_text().splitlines() if log.exists() else []

    def prepare(self) -> tuple[Left, list[tuple[str, str, int]]]:
        """A sweep that nobody stops: what it leaves, and its points."""
        cwd = self.folder("reference")
        said, lines = self.stopped(cwd, *TYPED)
        assert said.code == 0, said
        return left(cwd), points(lines)

    def case(self, name: str, fault: Fault, expected: Left, second: Fault | None = None) -> Outcome:
        """A sweep with a fault, a resume with another, and a last resume, which must end whole."""
        cwd = self.folder(name)
        said, lines = self.stopped(cwd, *TYPED, fault=fault)
        (cwd.parent / FILLER).unlink(missing_ok=True)
        hit, told, wrongs, twice = "HIT" in lines, [said], [], False
        wrongs += [f"first run: {each}" for each in rude(said, fault)] if hit else []
        if second is not None:
            again, lines = self.stopped(cwd, *TYPED, *resume(cwd), fault=second)
            twice = "HIT" in lines
            told.append(again)
            wrongs += [f"resume: {each}" for each in rude(again, second)]
        last = self.run(cwd, *TYPED, *resume(cwd))
        told.append(last)
        if last.code != 0:
            wrongs.append(f"last resume: exit {last.code}: {(last.err or last.out)[-300:].strip()}")
        wrongs += wrong(left(cwd), expected)
        if not wrongs:
            shutil.rmtree(cwd)
        return Outcome(hit, twice, wrongs, told)

    def folder(self, name: str) -> Path:
        cwd = self.place / name
        shutil.rmtree(cwd, ignore_errors=True)
        cwd.mkdir(parents=True)
        return cwd


def bench(place: Path) -> Bench:
    """Start one; its forker knows the tests' helpers."""
    place.mkdir(parents=True, exist_ok=True)
    tests = str(Path(__file__).parents[1])
    path = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), tests)))
    logs = place / "logs"
    logs.mkdir(exist_ok=True)
    forker = Forker(logs, SETUP, environment() | {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"})
    made = forker.run(
        place, change=f"from helpers import prepared\nprepared.tables({str(place / 'template.db')!r})"
    )
    assert made.code == 0, made
    return Bench(place, forker)


CODES = {"kill": -9, "SIGINT": 130, "SIGINT twice": 130, "SIGTERM": 143, "SIGHUP": 129}


def rude(said: Said, fault: Fault) -> list[str]:
    """What a person would not want to be told in this way: a traceback, an exit code of another kind."""
    found = ["traceback on the terminal"] if "Traceback" in said.err + said.out else []
    if said.code == -6:
        found.append(f"hung for {LONGEST} s")
    elif fault.what not in CODES and said.code not in (0, 1):
        found.append(f"exit {said.code}")
    elif fault.what in CODES and said.code not in (0, CODES[fault.what]):
        found.append(f"exit {said.code}, expected {CODES[fault.what]}: {said.err[-200:].strip()}")
    return found


def resume(cwd: Path) -> list[str]:
    """A sweep that has no manifest has not begun: it is started again."""
    return ["resume=latest"] if sweeps(cwd) else []


def points(lines: list[str]) -> list[tuple[str, str, int]]:
    """Points from the lines that a process has left."""
    split = [line.split("\t") for line in lines if line != "HIT"]
    return [(kind, target, int(nth)) for kind, target, nth in split]


def sweeps(cwd: Path) -> list[Path]:
    return sorted(path for path in (cwd / "outputs").glob("*") if (path / "sweep.json").is_file())


def left(cwd: Path) -> Left:
    """Everything that a project holds: results, runs, files."""
    results: dict[str, dict[str, str]] = {}
    for sweep in sweeps(cwd):
        for place in sorted(sweep.glob("*/result")):
            results[place.parent.name] = contents(place)
        results["sweep"] = {
            p.name: digest(p) for p in sorted(sweep.iterdir()) if p.suffix in (".csv", ".png")
        }
    runs, counts = stored(cwd)
    files = set()
    for path in cwd.rglob("*"):
        relative = path.relative_to(cwd)
        if relative.parts[:2] != ("mlruns", "artifacts"):
            files.add(normalised(str(relative)))
    return Left(results, runs, frozenset(files), counts)


def contents(folder: Path) -> dict[str, str]:
    """Hash of every file below a folder: of arrays, of pictures and texts; of JSON without times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = normalised(str(path.relative_to(folder)))
            while name in found:
                name += " again"
            found[name] = digest(path)
    return found


def digest(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix == ".npz":
        with np.load(io.BytesIO(data)) as file:
            data = b"".join(key.encode() + file[key].tobytes() for key in sorted(file.files))
    elif path.suffix == ".yaml":
        data = re.sub(rb"(?m)^resume: .*$", b"", data)
    elif path.suffix == ".json":
        data = json.dumps(steady(json.loads(data)), sort_keys=True).encode()
    elif path.suffix in (".html", ".md", ".log"):  # hold times
        return "any"
    return hashlib.sha256(data).hexdigest()[:12]


def steady(value: Any) -> Any:
    """A JSON value without what changes from run to run."""
    if isinstance(value, dict):
        return {k: steady(v) for k, v in value.items() if not CHANGING.search(k)}
    if isinstance(value, list):
        return [steady(each) for each in value]
    return normalised(value) if isinstance(value, str) else value


def stored(cwd: Path) -> tuple[dict[str, dict[str, Any]], Counter]:
    """The runs of a store, by name; those that finished with all that they hold."""
    file = cwd / "mlruns" / "mlflow.db"
    if not file.exists():
        return {}, Counter()
    with sqlite3.connect(file) as store:
        rows = store.execute(
            "select run_uuid, name, status, artifact_uri from runs where lifecycle_stage='active'"
        )
        runs, counts = {}, Counter()
        for run, name, status, uri in rows.fetchall():
            tags = dict(store.execute("select key, value from tags where run_uuid=?", (run,)))
            counts[tags.get("kind", "none"), status] += 1
            if status != "FINISHED":
                continue
            table = "latest_metrics" if tags.get("kind") == "sweep" else "metrics"  # summed up twice
            metrics = sorted(
                (key, step, round(value, 9))
                for key, step, value in store.execute(
                    f"select key, step, value from {table} where run_uuid=?", (run,)
                )
                if not CHANGING.search(key)
            )
            artifacts = Path(uri.removeprefix("file://")) if "://" in uri else cwd / uri
            name = normalised(name)
            while name in runs:
                name += " again"
            runs[name] = {
                "params": dict(store.execute("select key, value from params where run_uuid=?", (run,))),
                "metrics": metrics,
                "tags": {
                    k: normalised(v.replace(" resume=latest", ""))
                    for k, v in tags.items()
                    if not CHANGING.search(k)
                },
                "artifacts": contents(artifacts),
            }
    store.close()
    return runs, counts


def wrong(found: Left, expected: Left) -> list[str]:
    """What is not as in a sweep that was never stopped, in words; nothing if all is whole."""
    said = []
    for job in expected.results.keys() | found.results.keys():
        ours, theirs = found.results.get(job), expected.results.get(job)
        if ours is None or theirs is None:
            said.append(f"result {job}: {'missing' if ours is None else 'unexpected'}")
        elif ours != theirs:
            said.append(f"result {job}: {differing(ours, theirs)}")
    for name in expected.runs.keys() | found.runs.keys():
        run, other = found.runs.get(name), expected.runs.get(name)
        if run is None or other is None:
            said.append(f"run {name}: {'not finished' if run is None else 'one too many'}")
            continue
        for what in other:
            if run[what] == other[what]:
                continue
            if isinstance(run[what], dict):
                said.append(f"run {name}: {what} {differing(run[what], other[what])}")
            else:
                more, less = set(run[what]) - set(other[what]), set(other[what]) - set(run[what])
                twice = len(run[what]) - len(set(run[what]))
                said.append(f"run {name}: {what} {len(less)} missing, {len(more)} other, {twice} twice")
    said += [
        f"{count} {kind} run {status}"
        for (kind, status), count in found.counts.items()
        if status in ("RUNNING", "SCHEDULED")
    ]
    said += [f"stray {path}" for path in sorted(found.files - expected.files)]
    said += [f"missing {path}" for path in sorted(expected.files - found.files)]
    return said


def differing(ours: dict, theirs: dict) -> str:
    keys = sorted(k for k in ours.keys() | theirs.keys() if ours.get(k) != theirs.get(k))
    return ", ".join(
        f"{k} {'missing' if k not in ours else 'unexpected' if k not in theirs else 'differs'}"
        for k in keys[:4]
    )
