"""Names of jobs, and of their folders: (overrides) -> what tells a job from the others of its sweep."""

import os
import re
from collections.abc import Iterable, Sequence

from omegaconf import OmegaConf


def swept() -> list[str]:
    """The keys that are swept; the entry point sets them in ``DEEPVIS_SWEPT`` for every process."""
    return os.environ.get("DEEPVIS_SWEPT", "").split()


def name(overrides: Iterable[str]) -> str:
    """A job's name: the overrides that distinguish it from the other jobs of its sweep, without their groups.

    In a sweep only the swept keys do.
    """
    keys = swept()
    quiet = ("tracker", "hydra", "batch_size=", "snapshot_every=", "resume=", "resume_force=", "max_jobs=",
             "objective_value=", "trust=")  # fmt: skip
    last = {o.partition("=")[0]: o for o in overrides}  # typed twice, the last one counts
    naming = [o for key, o in last.items() if (key in keys if keys else not o.startswith(quiet))]
    long = r"(?<==)-?\d*\.\d{10,}(e[-+]?\d+)?$"  # a number that a search has drawn
    short = (re.sub(long, lambda m: f"{float(m[0]):.4g}", o) for o in naming)
    bare = (re.sub(r"^[\w.]*\.(?=\w+=)", "", o).replace('"', "") for o in short)
    return " ".join(re.sub(r"(?<==)[^\s=]*/(?=[^/]+$)", "", o) for o in bare)  # of a path the file


def job_folder(number: int, overrides: Sequence[str]) -> str:
    """A job's folder: its number and its name, safe and short enough for any file system."""
    words = re.sub(r"[^\w.=,+-]+", "_", name(overrides))
    return f"{number}_{words}"[:120].rstrip("_.,")


OmegaConf.register_new_resolver("job_folder", job_folder, replace=True)
