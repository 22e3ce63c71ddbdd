"""Ballots: which two pictures a person is shown next, blind, and what becomes of the choice."""

import random
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from deepvis.core.errors import ConfigError
from deepvis.report.comparison import ComparedJob, Comparison
from deepvis.results import manifest, result_folder, votes
from deepvis.results.votes import Vote

SAMPLE = 2000  # pairs that are looked at for the next one; all, where there are fewer


@dataclass(frozen=True)
class Pair:
    """Two pictures of one filter and seed, by two settings; which is left was drawn."""

    left: ComparedJob
    right: ComparedJob
    index: int  # of the filter

    def picture(self, side: str) -> Path:
        """The file of the left or the right picture."""
        job = self.left if side == "left" else self.right
        return job.folder / "filters" / f"{result_folder.label(self.index)}.png"


@dataclass(frozen=True)
class Ballots:
    """The ballots of one sitting; its collections change as votes come in."""

    folder: Path  # of the sweep
    compared: Comparison
    chance: random.Random = field(default_factory=random.SystemRandom)
    shown: dict[str, Pair] = field(default_factory=dict)  # by the ballot's name, those not voted on yet
    cast: list[tuple[str, Pair, Vote]] = field(default_factory=list)  # in this sitting
    groups: list[tuple[int, list[ComparedJob]]] = field(default_factory=list)  # filter, jobs of one seed

    def __post_init__(self) -> None:
        """List which jobs have a picture of which filter and seed.

        Raises:
          ConfigError: no two settings have one of the same.
        """
        by_place: dict[tuple[str, str, int, str], dict[int, ComparedJob]] = {}
        for job in (each for each in self.compared.jobs if each.row is not None):
            for index, end in zip(job.result.filters, job.result.ends, strict=True):
                if end != "diverged":
                    place = (job.network, job.result.layer, index, str(job.seed))
                    by_place.setdefault(place, {})[job.setting] = job
        self.groups.extend(
            (place[2], list(jobs.values())) for place, jobs in by_place.items() if len(jobs) > 1
        )
        if not self.groups:
            raise ConfigError(
                f"deepvis vote: {self.folder.name} has no two settings with pictures of one filter and seed, "
                "expected a sweep over a setting; nothing to vote on"
            )

    def draw(self) -> tuple[str, Pair]:
        """A ballot: of the pairs that were voted on least often one by chance, the sides by chance too."""
        done = [
            (vote.layer, vote.filter, frozenset((vote.left, vote.right))) for vote in votes.read(self.folder)
        ]
        exact, pairs = Counter(done), Counter(pair for *_, pair in done)
        filters = Counter(each[:2] for each in done)

        def worn(candidate: tuple[int, ComparedJob, ComparedJob]) -> tuple[int, int, int, float]:
            index, one, other = candidate
            pair = frozenset((_job(one), _job(other)))
            layer = one.result.layer
            return (
                exact[layer, index, pair], pairs[pair], filters[layer, index], self.chance.random()
            )  # fmt: skip

        index, one, other = min(self._candidates(), key=worn)
        left, right = (one, other) if self.chance.random() < 0.5 else (other, one)
        name, pair = secrets.token_hex(8), Pair(left, right, index)
        self.shown[name] = pair
        return name, pair

    def vote(self, name: str, choice: str) -> bool:
        """Take down the choice on a ballot; whether there was such a ballot, not voted on yet."""
        pair = self.shown.pop(name, None)
        if pair is None or choice not in votes.CHOICES:
            return False
        vote = Vote(
            pair.left.result.layer, pair.index, _job(pair.left), _job(pair.right), pair.left.result.key,
            pair.right.result.key, choice, datetime.now(UTC).isoformat(timespec="milliseconds"),
        )  # fmt: skip
        votes.add(self.folder, vote)
        self.cast.append((name, pair, vote))
        return True

    def undo(self) -> tuple[str, Pair] | None:
        """Take back the last vote of this sitting; its ballot, to be shown again."""
        if not self.cast:
            return None
        name, pair, vote = self.cast.pop()
        votes.remove(self.folder, vote)
        self.shown[name] = pair
        return name, pair

    def _candidates(self) -> Iterator[tuple[int, ComparedJob, ComparedJob]]:
        count = sum(len(jobs) * (len(jobs) - 1) // 2 for _, jobs in self.groups)
        if count <= SAMPLE:
            for index, jobs in self.groups:
                yield from ((index, jobs[i], jobs[j]) for i in range(len(jobs)) for j in range(i))
            return
        for _ in range(SAMPLE):
            index, jobs = self.chance.choice(self.groups)
            one, other = self.chance.sample(jobs, 2)
            yield index, one, other


def _job(job: ComparedJob) -> str:
    """What the manifest calls the job's folder."""
    return manifest.folder_name(job.folder.parent)
