"""Sweeps from Python: what ``deepvis -m`` computes, in a process of its own, and its results at hand.

deepvis.sweep({"reg.decay": [0.8, 0.9]}, model="tiny", layer="block2_conv2").table()

The process is the command line's, so folders, keys and runs are the same. It may be interrupted as that.
"""

import json
import os
import re
import selectors
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from PIL import Image

from deepvis.config.groups import plain_value
from deepvis.core import errors, progress
from deepvis.core.errors import ConfigError, DeepvisError, SweepError
from deepvis.core.progress import Status
from deepvis.results import finished_jobs, manifest, result_folder

if TYPE_CHECKING:
    import pandas as pd

OURS = "deepvis: "  # begins what the command says on standard error


@dataclass(frozen=True, repr=False)
class Sweep:
    """A sweep that has ended: its folder, and what is in it."""

    id: str
    folder: Path

    @property
    def jobs(self) -> list[dict[str, str]]:
        """Name, key, folder, state and reason of each job, as the manifest has them."""
        return list(manifest.read(self.folder)["jobs"])

    @property
    def report(self) -> Path | None:
        """The page that compares the jobs; None of a single one."""
        path = self.folder / "report.html"
        return path if path.is_file() else None

    def results(self) -> "pd.DataFrame":
        """The final values, a row a job and filter: what ``deepvis.results`` gives."""
        import pandas as pd

        found = finished_jobs.read(self.folder, manifest.read(self.folder), {})
        return pd.DataFrame(result_folder.table(list(found.values())))

    def table(self) -> "pd.DataFrame":
        """A row a job: its state, and medians over its filters."""
        import pandas as pd

        frame = pd.DataFrame([{"job": job["name"], "state": job["state"]} for job in self.jobs])
        results = self.results()
        if results.empty:
            return frame
        shown = [name for name in ("score", "activation", "robustness") if name in results]
        medians = results.groupby("job", sort=False)[shown].median().reset_index()
        return frame.merge(medians, on="job", how="left")

    def compare(self) -> "pd.DataFrame":
        """All that is tested between the settings: what ``deepvis.compare`` gives."""
        import pandas as pd

        from deepvis.report import comparison, effects

        compared = comparison.of_sweeps([self.folder], {})
        return pd.DataFrame([test.row() for test in effects.tested(compared)])

    def contact_sheet(self) -> Image.Image:
        """The pictures, filters down and jobs across."""
        with Image.open(self.folder / "contact.png") as file:
            return file.copy()

    def __repr__(self) -> str:
        states: dict[str, int] = {}
        for job in self.jobs:
            states[job["state"].lower()] = states.get(job["state"].lower(), 0) + 1
        counts = ", ".join(f"{count} {state}" for state, count in states.items())
        return f"<Sweep {self.id}: {counts}; {self.folder}>"

    def _repr_html_(self) -> str:
        report = f'; <a href="{_shown(self.report)}">report</a>' if self.report else ""
        return f"<p>Sweep {self.id}, in {_shown(self.folder)}{report}</p>{self.table().to_html(index=False)}"


def sweep(*overrides: str | Mapping[str, Any], **settings: Any) -> Sweep:
    """Run every combination of the values, as ``deepvis -m`` does, in a process of its own.

    Args:
      overrides: as on the command line, ``"reg.decay=0.8,0.9"``; or mappings of them,
        ``{"reg.decay": [0.8, 0.9]}``.
      settings: keys without a dot, likewise: ``model="tiny"``, ``seed=[0, 1]``. A list is several values, a
        tuple is one: ``size=(48, 192)``. A mapping has the options of a group, and its file as ``preset``:
        ``reg={"preset": "combined", "blur": [3, 5]}``.

    Returns:
      The sweep; `deepvis.results` and `deepvis.report` take its id.

    Raises:
      DeepvisError: what the command refuses, as it says it; `SweepError` where jobs failed, or are not
        logged: its ``sweep`` has the others.
      KeyboardInterrupt: after what had finished was written.

    Example:
      >>> deepvis.sweep({"reg.decay": [0.8, 0.9]}, model="tiny", layer="block2_conv2")  # doctest: +SKIP
    """
    typed: list[str] = []
    for each in (*overrides, settings):
        typed += [each] if isinstance(each, str) else [one for item in each.items() for one in _typed(*item)]
    flags = [] if any(each.startswith("resume=") for each in typed) else ["-m"]
    end, said = _run([*flags, *typed])
    if "error" in end and end["error"] != "ReportedError":
        known = getattr(errors, end["error"], DeepvisError)
        raise (known if issubclass(known, DeepvisError) else DeepvisError)(end["message"])
    if not end.get("folder"):
        raise SweepError(said[-1] if said else f"the process of the sweep ended with {end['code']}")
    ended = Sweep(end["sweep"], Path(end["folder"]))
    if end["code"]:
        failed = [f"{job['name']}: {job['reason']}" for job in ended.jobs if job["state"] == "FAILED"]
        what = f"{len(failed)} of {len(ended.jobs)} jobs failed: {failed[0]}" if failed else said[-1]
        raise SweepError(f"sweep {ended.id}: {what}", ended)
    return ended


def _typed(key: str, value: Any) -> Iterator[str]:
    """A setting as it is typed; of a mapping, a line for each option.

    Example:
      >>> list(_typed("reg", {"preset": "combined", "blur": [3, 5]})), list(_typed("size", (48, 192)))
      (['reg=combined', 'reg.blur=3,5'], ['size=[48,192]'])
    """
    if isinstance(value, Mapping):
        options = dict(value)
        if "preset" in options:
            yield from _typed(key, options.pop("preset"))
        for name, option in options.items():
            yield from _typed(f"{key}.{name}", option)
    elif isinstance(value, list) or (type(value).__module__ == "numpy" and getattr(value, "ndim", 0) > 0):
        if not len(value):
            raise ConfigError(f"{key}=[]: got no value, expected one or more")
        yield f"{key}={','.join(_word(key, each) for each in value)}"
    else:
        yield f"{key}={_word(key, value)}"


def _word(key: str, value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{','.join(_word(key, each) for each in value)}]"
    value = plain_value(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if not isinstance(value, str):
        raise ConfigError(
            f"{key}: got {type(value).__name__}, expected a number, a text, or a list of them; a function of "
            f"yours is named by its module: {key}._target_=my_module.my_function"
        )
    if re.fullmatch(r"[\w./:+-]+", value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", r"\'")
    return f"'{escaped}'"


def _run(arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Run the command; returns how it ended, and what it said on standard error."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DEEPVIS_")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    reading, writing = os.pipe()
    is_seen = os.isatty(1) and not progress.is_notebook()
    process = subprocess.Popen(
        [sys.executable, "-m", "deepvis.cli.child", str(writing), *arguments], env=environment,
        stdin=subprocess.PIPE, stdout=None if is_seen else subprocess.DEVNULL, stderr=subprocess.PIPE,
        pass_fds=[writing], start_new_session=True,
    )  # fmt: skip
    os.close(writing)
    end: dict[str, Any] = {}
    said: list[str] = []
    is_interrupted = False
    with ExitStack() as stack, process, os.fdopen(reading, "rb", 0) as events:
        show = stack.enter_context(progress.in_notebook()) if progress.is_notebook() else None
        pipes = _Pipes([events, cast(IO[bytes], process.stderr)])
        while events in pipes.open:  # a worker may hold the others longer
            try:
                heard = pipes.read()
            except KeyboardInterrupt:  # the sweep writes what has finished; again, and it ends at once
                is_interrupted = True
                process.send_signal(signal.SIGINT)
                continue
            for pipe, line in heard:
                if pipe is not events:
                    said.append(line.removeprefix(OURS))
                elif "status" not in (event := json.loads(line)):
                    end = event
                elif show is not None:
                    show(Status(**event["status"]))
        code = process.wait()
        said += [line.removeprefix(OURS) for _, line in pipes.read(timeout=0)]
    told = said if "error" not in end else said[:-1]  # the last one is raised
    for line in told:
        print(f"{OURS}{line}", file=sys.stderr)
    if is_interrupted:
        raise KeyboardInterrupt
    if not end:
        how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        raise SweepError(f"the process of the sweep {how}: {shlex.join(arguments)}; resume=latest goes on")
    return end, said


class _Pipes:
    """Pipes that are read line by line as they come, until each has ended."""

    def __init__(self, pipes: Sequence[IO[bytes]]) -> None:
        self.open = dict.fromkeys(pipes, b"")  # what has come of a line

    def read(self, timeout: float | None = None) -> list[tuple[IO[bytes], str]]:
        """Wait for some lines."""
        with selectors.DefaultSelector() as selector:
            for pipe in self.open:
                selector.register(pipe, selectors.EVENT_READ)
            ready = [cast(IO[bytes], key.fileobj) for key, _ in selector.select(timeout)]
        heard = []
        for pipe in ready:
            data = os.read(pipe.fileno(), 1 << 16)
            *lines, rest = (self.open.pop(pipe) + data).split(b"\n")
            if data:
                self.open[pipe] = rest
            elif rest:
                lines.append(rest)
            heard += [(pipe, line.decode(errors="replace")) for line in lines]
        return heard


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
