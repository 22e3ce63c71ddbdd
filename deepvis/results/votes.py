"""Votes: what people chose between the pictures of two jobs, in ``votes.json`` in the sweep's folder.

The file is written whole or not at all after each vote, and a vote names both jobs by folder and key: of a
job that was computed again since, with another config or version, a vote does not count.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from filelock import FileLock

from deepvis.core.errors import ConfigError, first_line
from deepvis.core.files import write_text

FILE = "votes.json"
LOCK = f".{FILE}.lock"
CHOICES = ("left", "right", "tie")


@dataclass(frozen=True)
class Vote:
    """One choice between the pictures that two jobs made of a filter."""

    layer: str
    filter: int
    left: str  # the job's folder, by the name in the manifest
    right: str
    left_key: str
    right_key: str
    choice: str  # of CHOICES
    time: str  # ISO 8601, UTC


NAMES = tuple(each.name for each in fields(Vote))


def read(folder: Path) -> list[Vote]:
    """The votes on a sweep, oldest first; none where there is no file.

    Raises:
      ConfigError: the file is broken.
    """
    path = folder / FILE
    try:
        listed = json.loads(path.read_bytes())["votes"]
        votes = [Vote(**{name: vote[name] for name in NAMES}) for vote in listed]
        wrong = [vote.choice for vote in votes if vote.choice not in CHOICES]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as err:
        raise ConfigError(
            f"{path}: torn or no votes of deepvis ({first_line(err)}); move it away, and vote again"
        ) from err
    if wrong:
        raise ConfigError(f"{path}: got the choice {wrong[0]!r}, expected one of {', '.join(CHOICES)}")
    return votes


def add(folder: Path, vote: Vote) -> None:
    """Add a vote; others may vote on the sweep at the same time."""
    with FileLock(folder / LOCK):
        _write(folder, [*read(folder), vote])


def remove(folder: Path, vote: Vote) -> None:
    """Take a vote back."""
    with FileLock(folder / LOCK):
        _write(folder, [each for each in read(folder) if each != vote])


def _write(folder: Path, votes: Sequence[Vote]) -> None:
    write_text(folder / FILE, json.dumps({"votes": [asdict(vote) for vote in votes]}, indent=1))
