"""What the two studies that are made by the benchmark share: units, progress, and the tables of all parts."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import study

from deepvis.core import files
from deepvis.data import Photographs, photographs
from deepvis.sweeps import jobs
from deepvis.sweeps.jobs import Job

JUDGES = ("efficientnet_lite1", "efficientnet_lite2")
EVERY = 2000  # images x steps between two lines


def units(overrides: Sequence[str], count: int, folder: Path) -> tuple[Job, Photographs]:
    """A job of so many units of a layer, drawn at random, and the photographs of a folder."""
    typed = (*overrides, "data=folder", f"data.path={folder}")
    cfg = study.resolved(*typed)
    channels = study.networks.network(study.schema.plain(cfg.model)).layer(cfg.layer.name).channels
    drawn = sorted(np.random.default_rng(0).permutation(channels)[:count].tolist())
    typed = (*typed, f"layer.filters=[{','.join(map(str, drawn))}]")
    data = photographs({"_target_": "deepvis.data.photographs.of_folder", "path": str(folder)})
    return jobs.make(study.resolved(*typed), typed, Path()), data


def teller(name: str, work: int) -> Callable[[int, int], None]:
    """Prints a line now and then: how much of the work, images x steps, is done."""
    done = 0

    def tell(more: int, _: int) -> None:
        nonlocal done
        if done // EVERY != (done + more) // EVERY:
            print(f"{name}: {done + more} of {work} images x steps", flush=True)
        done += more

    return tell


def collect(to: Path, parts: Mapping[str, Mapping[str, str]]) -> None:
    """Write the tables of all parts that are there: by folder, what stands in front of each row."""
    for table in ("results.csv", "pairs.csv"):
        rows = []
        for folder, front in parts.items():
            if (to / folder / table).exists():
                with (to / folder / table).open(encoding="utf-8", newline="") as stream:
                    rows += [{**front, **row} for row in csv.DictReader(stream)]
        names = dict.fromkeys(name for row in rows for name in row)
        files.write_csv(to / table, [{name: row.get(name, "") for name in names} for row in rows])
