"""Sweeps as they are named on the command line: a path as it was printed, an id, or ``latest``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deepvis.core.errors import ConfigError
from deepvis.core.names import nearest
from deepvis.results import known_sweeps, manifest

FOLDER = "folder="


@dataclass(frozen=True)
class Typed:
    """What was typed behind a command, sorted."""

    words: list[str]  # sweeps, folders
    flags: list[str]
    settings: dict[str, str]
    outputs: Path  # where sweeps are, or one's own folder

    def sweep(self, word: str, command: str) -> Path:
        """The folder of the sweep that a word means."""
        printed = Path(word)
        if (printed / manifest.FILE).is_file():
            return printed
        return known_sweeps.locate(word, self.outputs, command)


def read(command: str, typed: Sequence[str], flags: Sequence[str] = (), keys: Sequence[str] = ()) -> Typed:
    """Sort what was typed.

    Args:
      command: ``report``, for the message.
      typed: everything behind it.
      flags: that the command has.
      keys: of its settings, besides ``folder``.

    Raises:
      ConfigError: another flag or setting, or a setting given twice.
    """
    words, given, settings, known = [], [], {}, [*keys, "folder"]
    for each in typed:
        key, equals, value = each.partition("=")
        if each.startswith("-"):
            if each not in flags:
                raise ConfigError(f"deepvis {command} {each}: no such flag; "
                                  f"{nearest(each, [*flags, '--help', '--version'])}")  # fmt: skip
            given.append(each)
        elif equals and key in known and key not in settings:
            settings[key] = value
        elif equals and key.isidentifier() and not Path(each).exists():
            wrong = "given twice" if key in known else f"no such setting; {nearest(key, known)}"
            raise ConfigError(f"deepvis {command} {each}: {wrong}")
        else:
            words.append(each)
    outputs = Path(settings.get("folder") or "outputs").expanduser()
    if "folder" in settings and not outputs.is_dir():
        raise ConfigError(f"folder={settings['folder']}: no such folder, expected one with sweeps in it")
    return Typed(words, given, settings, outputs)
