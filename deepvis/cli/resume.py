"""``resume=latest`` on the command line: what was typed to start that sweep is typed again."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deepvis.cli.arguments import CommandLine
from deepvis.core import credentials
from deepvis.core.errors import ConfigError
from deepvis.results import known_sweeps, manifest, resumption
from deepvis.results.known_sweeps import KnownSweep

OUTPUTS = Path("outputs")  # where sweeps are unless hydra.sweep.dir or hydra.run.dir says otherwise


def expanded(command_line: CommandLine) -> CommandLine:
    """A command line that goes on with a sweep, with all that was typed to start it; others as they are.

    Raises:
      ConfigError: there is no such sweep.
    """
    typed = [each.replace("resume.force=", "resume_force=", 1) if each.lstrip("+").startswith("resume.force=")
             else each for each in command_line.overrides]  # fmt: skip
    sweep = sought(typed)
    if sweep is None or sweep.entry is None or not command_line.runs:
        return replace(command_line, overrides=typed)
    multirun = command_line.multirun or bool(sweep.entry.get("multirun"))
    flags = command_line.flags if multirun == command_line.multirun else [*command_line.flags, "-m"]
    overrides = resumption.overrides(sweep.entry, sweep.folder, typed)
    return replace(command_line, flags=flags, overrides=overrides, multirun=multirun)


def sought(typed: Sequence[str]) -> KnownSweep | None:
    """The sweep that ``resume=...`` means, by its folder where one is typed; None without it.

    Raises:
      ConfigError: there is no such sweep, or its folder has another name.
    """
    values = dict(each.split("=", 1) for each in typed if "=" in each)
    word = values.get("resume", "null").strip("'\"")
    if word in ("null", ""):
        return None
    folders = [Path(values[key].strip("'\"")) for key in manifest.FOLDER_KEYS if key in values]
    sweep = known_sweeps.find(word, folders or list(OUTPUTS.glob("*")))
    if not folders and sweep.folder.name != sweep.id:
        raise ConfigError(
            f"resume={word}: the sweep {sweep.id} is in {sweep.folder}, expected a folder of that name; "
            f"rename it, or add hydra.sweep.dir={sweep.folder}"
        )
    return sweep


def adds_nothing(sweep: KnownSweep, typed: Sequence[str]) -> bool:
    """Whether nothing is typed that was not typed to start the sweep, but how its jobs would be run."""
    known = sweep.entry["overrides"] if sweep.entry else []
    added = [each for each in typed if credentials.masked(each) not in known and resumption.is_free(each)]
    others = [each for each in typed if each not in added and credentials.masked(each) not in known]
    lasting = ("resume_force", "tracker", "objective_value", "hydra.sweeper", "trust")
    return not others and not any(each.lstrip("+").startswith(lasting) for each in added)
