"""Known sweeps: those that some folders hold, and which of them ``latest`` or an id means."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deepvis.core import terminal
from deepvis.core.errors import ConfigError
from deepvis.core.names import is_plain
from deepvis.results import manifest

FOLDER_HINT = "that hydra.sweep.dir=... (hydra.run.dir=... without -m)"


@dataclass(frozen=True)
class KnownSweep:
    """A sweep's folder, and what its manifest says; None: that is broken."""

    folder: Path
    entry: dict[str, Any] | None
    problem: str = ""  # of a broken manifest, in one line

    @property
    def id(self) -> str:
        """That of the manifest; of a broken one the folder's name, which it is by default."""
        return str(self.entry["id"]) if self.entry else self.folder.absolute().name


def known(folders: Iterable[Path]) -> list[KnownSweep]:
    """The sweeps in these folders, in the order in which they were started, in UTC; broken ones first."""
    found = []
    for folder in folders:
        if (folder / manifest.FILE).is_file():
            try:
                found.append(KnownSweep(folder, manifest.read(folder)))
            except ConfigError as err:
                found.append(KnownSweep(folder, None, str(err)))
    # Of a copy of a folder, which has the same id and start, the one that is named after it counts.
    return sorted(found, key=lambda each: (_start(each), each.folder.name == each.id))


def find(word: str, folders: Sequence[Path], key: str = "resume", hint: str = FOLDER_HINT) -> KnownSweep:
    """The sweep that ``latest`` or an id means; broken manifests of others are named and passed over.

    Args:
      word: what was given.
      folders: that may be a sweep's.
      key: that the word was given to.
      hint: how to name a sweep's folder.

    Raises:
      ConfigError: no such sweep.
    """
    sweeps = known(folders)
    whole = [each for each in sweeps if each.entry]
    if word == "latest" and whole:
        for each in sweeps:
            if each.entry is None:
                terminal.error(f"{each.problem}; {key}=latest passes it over")
        return whole[-1]
    if is_plain(word):
        for each in reversed(sweeps):
            if each.id == word:
                return each
    ids = [each.id for each in whole]
    if word == "latest" and sweeps:
        raise ConfigError(f"{key}={word}: {sweeps[-1].problem}")
    raise ConfigError(
        f"{key}={word}: no such sweep; the latest are: {', '.join(ids[-5:]) or 'none'}; "
        f"one in another folder needs {hint}"
    )


def locate(word: str, folder: Path, key: str) -> Path:
    """The folder of the sweep that a word means, in a folder of sweeps or being that folder; see `find`."""
    return find(word, [folder, *folder.glob("*")], key, hint="folder=...").folder


def _start(sweep: KnownSweep) -> datetime:
    """When it was started: clocks of two time zones agree on it."""
    return manifest.when(sweep.entry["start"]) if sweep.entry else datetime.min.replace(tzinfo=UTC)
