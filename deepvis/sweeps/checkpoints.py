"""Checkpoints: batches of images, written down between two chunks of steps, read by a resumed sweep.

Each batch has a file. It holds what every image needs to go on (`ImageState`) and what its job's recorder has
of it; of an image that has done its steps the latter alone. States are of single images, since an image is
the same beside any others: what goes on need not be the batch that was interrupted. A file is written at
snapshots, at most every `INTERVAL` seconds, and removed when all its jobs have their results.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path
from typing import Any

import numpy as np

from deepvis.ascent import specs
from deepvis.ascent.specs import ImageState, Snapshot
from deepvis.core import terminal
from deepvis.core.errors import one_line
from deepvis.core.version import __version__, installed
from deepvis.results import checkpoint_file, manifest
from deepvis.results.checkpoint_file import TornError
from deepvis.sweeps.jobs import JobGroup, Row
from deepvis.sweeps.recorder import JobRecorder

INTERVAL = 30.0  # s between two checkpoints, at least: a short job writes none
SHARE = 0.01  # of the time that checkpoints may take; the pause after one that took long is longer
FORMAT = 1
PACKAGES = ("tensorflow", "numpy", "scipy", "pillow", "keras")  # which decide on bits
Recorders = Mapping[int, JobRecorder]


@dataclass(frozen=True)
class Saved:
    """One image of a checkpoint."""

    state: ImageState  # without arrays where it has done its steps
    recorded: Mapping[str, np.ndarray]  # see `JobRecorder.recorded`
    seconds: float  # that its job had taken


class Checkpoints:
    """The checkpoints of one group of jobs."""

    def __init__(self, group: JobGroup) -> None:
        self.group = group
        self.folder = manifest.of_job(group.jobs[0].folder)
        self.fits: dict[str, Any] = {}  # what a checkpoint must have in common with this group
        self.files: dict[Path, list[str]] = {}  # of this group, and the folders of their jobs
        self.next = time.monotonic() + INTERVAL
        self.finished: list[
            tuple[Row, ...]
        ] = []  # batches that are in no file yet, or in one from their midst
        self.present: tuple[tuple[Row, ...], int, Callable[[], Sequence[ImageState]]] | None = None
        self.has_failed = False

    def load(self, tags: Mapping[str, str]) -> dict[Row, Saved]:
        """What the checkpoints in the sweep's folder hold of this group, if it is a sweep that is resumed.

        Args:
          tags: of the group's program: its weights and its device.
        """
        found: dict[Row, Saved] = {}
        self.fits |= {
            "format": FORMAT,
            "versions": {"deepvis": __version__} | {name: installed(name) for name in PACKAGES},
            "device": tags["device"].partition(":")[0],
            "weights": tags["weights.digest"],
            "snapshot_every": self.group.static_config.snapshot_every,
        }
        if not any(job.cfg.resume for job in self.group.jobs):
            return found
        rows = {self._name(row): row for batch in self.group.batches for row in batch}
        for path in checkpoint_file.paths(self.folder):
            try:
                header = checkpoint_file.read_header(path)
                names = [tuple(name) for part in header["parts"] for name in part["rows"]]
                if not {name[0] for name in names} & {name[0] for name in rows}:
                    continue  # of another group
                self.files[path] = sorted({name[0] for name in names})
                if fault := self._fault(header, names, rows):
                    terminal.say(f"checkpoint {path.name} is not used: {fault}; its images start over")
                    continue
                for name, saved in _images(header, checkpoint_file.read_arrays(path)):
                    row = rows.get(name)
                    if row is not None and (row not in found or saved.state.step > found[row].state.step):
                        found[row] = saved
            except (TornError, KeyError, TypeError, ValueError) as err:
                terminal.say(f"checkpoint {path.name} is torn ({one_line(err)}); its images start over")
                path.unlink(missing_ok=True)
                self.files.pop(path, None)
        if specs.is_joint(self.group.jobs[0].cfg):  # of a joint batch all images or none
            for batch in self.group.batches:
                if len({found[row].state.step if row in found else 0 for row in batch}) > 1:
                    found = {row: saved for row, saved in found.items() if row not in batch}
        if found:
            done = sum(saved.state.step for saved in found.values())
            terminal.say(
                f"resumed   {len(found)} images go on from a checkpoint, {done} steps in all are done"
            )
        return found

    def _fault(
        self, header: Mapping[str, Any], names: Sequence[tuple], rows: Mapping[tuple, Row]
    ) -> str | None:
        """Why a checkpoint does not fit this group."""
        for key, expected in self.fits.items():
            if header.get(key) != expected:
                return f"{key}: got {header.get(key)}, expected {expected}"
        keys = {self._name(row)[0]: self._name(row)[1] for row in rows.values()}
        for folder, key, *_ in names:
            if keys.get(folder, key) != key:
                return f"{folder}: the job's key is {keys[folder]}, it was {key}"
        return None

    def note(self, rows: Sequence[Row], snapshot: Snapshot, recorders: Recorders) -> None:
        """Take over a snapshot that has been recorded; write it down when it is time."""
        step = snapshot.first + len(snapshot.record["score"])
        if all(step >= self._steps(row) for row in rows):
            self.present = None
            self.finished.append(tuple(rows))
        else:
            self.present = tuple(rows), step, snapshot.states
        if time.monotonic() >= self.next:
            self.write(recorders)

    def write(self, recorders: Recorders) -> None:
        """Write the batches that changed since the last time; a full disk is said once, and no error."""
        began = time.monotonic()
        try:
            if self.present is not None:
                rows, step, states_of = self.present
                if states := states_of():
                    self._write(rows, step, dict(zip(rows, states, strict=True)), recorders)
                self.present = None
            while self.finished:
                rows = self.finished[-1]
                self._write(rows, max(map(self._steps, rows)), {}, recorders)
                self.finished.pop()
        except OSError as err:
            if not self.has_failed:
                terminal.error(f"no checkpoint: {one_line(err)}; computing goes on")
            self.has_failed = True
        now = time.monotonic()
        self.next = now + max(INTERVAL, (now - began) / SHARE)

    def _write(self, rows: Sequence[Row], step: int, states: Mapping[Row, ImageState],
               recorders: Recorders) -> None:  # fmt: skip
        parts: dict[tuple[int, bool, bool], list[Row]] = {}
        for row in rows:
            if row.job in recorders:
                steps = self._steps(row)
                parts.setdefault((min(step, steps), step >= steps, row.twin > 0), []).append(row)
        if not parts:
            return
        now, arrays = time.time(), dict[str, np.ndarray]()
        for number, ((done, has_ended, _), members) in enumerate(parts.items()):
            images = []
            for row in members:
                held = recorders[row.job].recorded(row, done)
                of_state = {} if has_ended else states[row].arrays
                images.append({f"recorded/{name}": values for name, values in held.items()}
                              | {f"state/{name}": values for name, values in of_state.items()})  # fmt: skip
            arrays |= {f"{number}/{name}": np.stack([each[name] for each in images]) for name in images[0]}
        header = self.fits | {
            "parts": [{"step": done, "rows": list(map(self._name, members))}
                      for (done, *_), members in parts.items()],
            "seconds": {self._name(row)[0]: now - recorders[row.job].began
                        for members in parts.values() for row in members},
        }  # fmt: skip
        path = checkpoint_file.path(self.folder, [self._name(row) for row in rows])
        self.files[path] = sorted(header["seconds"])
        checkpoint_file.write(path, header, arrays)

    def release(self) -> None:
        """Remove the checkpoints whose jobs all have a result."""
        for path, folders in list(self.files.items()):
            if all((self.folder / folder / "result" / "result.json").is_file() for folder in folders):
                path.unlink(missing_ok=True)
                del self.files[path]

    def _steps(self, row: Row) -> int:
        return self.group.jobs[row.job].cfg.steps

    def _name(self, row: Row) -> tuple[str, str, int, int]:
        """An image's name in files: folder and key of its job, column, twin."""
        job = self.group.jobs[row.job]
        return relpath(job.folder, self.folder), job.key, row.column, row.twin


def _images(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[tuple, Saved]]:
    for number, part in enumerate(header["parts"]):
        of_part = {name.partition("/")[2]: values for name, values in arrays.items()
                   if name.startswith(f"{number}/")}  # fmt: skip
        for i, name in enumerate(part["rows"]):
            held: dict[str, dict[str, np.ndarray]] = {"state": {}, "recorded": {}}
            for key, values in of_part.items():
                kind, _, rest = key.partition("/")
                held[kind][rest] = values[i]
            state = ImageState(part["step"], held["state"])
            yield tuple(name), Saved(state, held["recorded"], header["seconds"][name[0]])
