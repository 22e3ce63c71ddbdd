"""The amount of work: how many jobs, images, bytes and, as far as is known here, hours; refused if too much.

All of it is known before anything is made, so that a slip of the keyboard costs a second.
"""

import functools
import json
import math
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from deepvis import networks
from deepvis.config import schema
from deepvis.config.schema import Config
from deepvis.core import terminal
from deepvis.core.errors import ConfigError
from deepvis.results import known_sweeps, manifest
from deepvis.sweeps.jobs import Job

# Limits of a container's memory, of version 2 of control groups and of version 1.
CGROUP = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
HISTORY = 32  # bytes for each step of each image: eight numbers of four bytes
COPIES = 4  # of an image, float32, while it is optimized: itself, the best, its gradient, the next
SMALL = 8  # px, below which a note is printed
STARTUP = 5.0  # s until the first step: TensorFlow is imported, and a graph is traced
LONG = 5.0  # s that a job took whose speed is taken: of a shorter one most was tracing
RECENT = 10  # sweeps that are looked at for this machine's speed


def check_jobs(count: int, most: int, first: Job, outputs: Path) -> None:
    """Refuse a sweep of too many jobs.

    Args:
      count: of its jobs.
      most: ``max_jobs``.
      first: of its jobs; the others are taken to be like it.
      outputs: where sweeps are that were run before.

    Raises:
      ConfigError: says how many jobs and images, and how long they would take.
    """
    if count <= most:
        return
    images = count * len(first.filters) * (1 + first.cfg.twins)
    raise ConfigError(
        f"got {count:,} jobs of about {images:,} images, {duration(images, first, outputs)}; expected "
        f"{most:,} jobs at most: sweep fewer values, or set max_jobs={count}"
    )


def duration(images: int, job: Job, outputs: Path) -> str:
    """How long so many images like a job's take, by the last sweep of that layer on this machine; roughly."""
    found = _speed(job, outputs)
    if found is None:
        return "how long is not known, for no sweep of that layer has run here"
    speed, sweep = found
    return (
        f"roughly {_spoken(images * job.cfg.steps / speed)} at the speed of the sweep {sweep} on this machine"
    )


def expected(queue: Sequence[Job], outputs: Path) -> tuple[float | None, str]:
    """Seconds that jobs will take, by earlier sweeps on this machine, and the words for it, if there are any.

    Args:
      queue: the jobs.
      outputs: where sweeps are that were run before.
    """
    seconds, sweeps = 0.0 if "tensorflow" in sys.modules else STARTUP, dict[str, None]()
    speeds: dict[tuple[object, ...], tuple[float, str] | None] = {}
    for job in queue:
        like = job.cfg.model, job.cfg.layer.name, job.cfg.sides
        if like not in speeds:
            speeds[like] = _speed(job, outputs)
        if (found := speeds[like]) is None:
            return None, ""
        seconds += len(job.filters) * (1 + job.cfg.twins) * job.cfg.steps / found[0]
        sweeps[found[1]] = None
    return seconds, f"about {terminal.duration(seconds)}, at the speed of the sweep {', '.join(sweeps)}"


def _speed(job: Job, outputs: Path) -> tuple[float, str] | None:
    """Images x steps a second of a job's size, in the last sweep of its layer here, and that sweep's id."""
    for sweep in known_sweeps.known(outputs.glob("*"))[: -RECENT - 1 : -1]:
        if sweep.entry and sweep.entry["machine"].get("host") == socket.gethostname():
            for each in sweep.entry["jobs"][:3]:
                with suppress(OSError, ValueError, KeyError, TypeError):
                    path = manifest.result_of(sweep.folder, sweep.entry, each) / "result.json"
                    found = json.loads(path.read_bytes())
                    params, speed = found["params"], found["figures"]["time/images_steps_per_second"]
                    same = params["model"], found["layer"]
                    is_long = found["figures"]["time/seconds"] >= LONG
                    if is_long and same == (job.cfg.model.name, job.cfg.layer.name):
                        # Jobs of few images share batches, and each takes as long as its batch.
                        images = len(found["filters"]) * (1 + int(params["twins"]))
                        batch = min(int(params["batch_size"]), images * len(sweep.entry["jobs"]))
                        speed *= max(1.0, batch / images)
                        side = max(32.0, float(str(params["size"]).partition(",")[0]))
                        scale = math.prod(max(32, each) for each in job.cfg.sides) / side**2
                        return speed / scale, sweep.id
    return None


def check_memory(cfg: Config, filters: int) -> None:
    """Refuse a job that this machine's memory cannot hold, by what it takes at the very least.

    Args:
      cfg: of the job, resolved.
      filters: how many it has.

    Raises:
      ConfigError: names the option that asks for too much.
    """
    images, pixels = filters * (1 + cfg.twins), math.prod(cfg.sides)
    batch = min(images, cfg.batch_size)
    shown = 1 + math.ceil(cfg.steps / cfg.snapshot_every)  # and the start
    needs = {
        f"steps={cfg.steps}, {images} images: their histories": images * (cfg.steps + 1) * HISTORY,
        f"snapshot_every={cfg.snapshot_every}: {shown} pictures a filter": shown * filters * pixels * 3,
        f"size={schema.plain(cfg.size)}, twins={cfg.twins}: {images} images": images * pixels * 12,
        f"size={schema.plain(cfg.size)}, batch_size={batch}: a batch of images": batch * pixels * 12 * COPIES,
        f"size={schema.plain(cfg.size)}, batch_size={batch}: the maps of {cfg.layer.name} and those below it":
            batch * maps(cfg.model, cfg.layer.name, cfg.sides),
    }  # fmt: skip
    memory = _memory()
    what = max(needs, key=lambda each: needs[each])
    if needs[what] > memory:
        raise ConfigError(
            f"{what} take at least {needs[what] / 2**30:,.1f} GiB of memory, and this machine has "
            f"{memory / 2**30:,.1f}; expected less of one of them"
        )
    if min(cfg.sides) < SMALL:
        terminal.note(
            f"note      size={schema.plain(cfg.size)}: an image of fewer than {SMALL} px shows little"
        )


def _memory() -> int:
    """Bytes of memory that this machine has, or its container may take."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in CGROUP:
        with suppress(OSError, ValueError):  # there is none, or it says "max"
            limits.append(int(file.read_text()))
    return min(limits)


@functools.cache
def maps(model: schema.Settings, name: str, sides: tuple[int, int]) -> int:
    """Bytes of one image's maps up to a layer, half of what float32 takes: not all are kept at once."""
    total = 0
    for layer in networks.network(schema.plain(model)).layers().values():
        if layer.stride is not None:
            places = math.prod(math.ceil(s / t) for s, t in zip(sides, layer.stride, strict=True))
            total += 2 * layer.channels * places
        if layer.name == name:
            break
    return total


def _spoken(seconds: float) -> str:
    for unit, length in (("years", 31557600), ("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.0f} s"
