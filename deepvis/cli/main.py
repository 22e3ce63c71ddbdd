"""The command line: subcommands, and Hydra's main for everything else.

Hydra composes the config; `preflight` checks it before anything is written and before TensorFlow is
imported. Whatever goes wrong ends in one line on standard error and a non-zero exit; HYDRA_FULL_ERROR=1
shows the traceback.
"""

import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence

import hydra
from omegaconf import DictConfig

import deepvis.ascent  # noqa: F401  declares the knobs, which are the schema of the config
from deepvis.cli import arguments, messages, resume
from deepvis.config import schema
from deepvis.core import names, terminal
from deepvis.core.errors import ReportedError

TERMINATED = 143  # 128 + SIGTERM, as shells have it


def main() -> None:
    """The console script."""
    # An exit ends what is open, the runs of a sweep or the server of the UI; a signal would not.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    if sys.argv[1:2] and sys.argv[1] in arguments.COMMANDS:
        sys.exit(subcommand(sys.argv[1], sys.argv[2:]))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise, so that the one line is ours
    code: int | str | None = 0
    typed: list[str] = []
    close: Callable[[], bool] | None = None
    multirun = True
    try:
        command_line = resume.expanded(arguments.parse(sys.argv[1:]))
        typed, multirun = arguments.with_recipe(command_line.overrides), command_line.multirun
        if command_line.runs and len(typed) > len(command_line.overrides):
            groups = ", ".join(sorted(arguments.HOW - {"resume"}))
            terminal.say(f"recipe    {typed[0]}, since none of {groups} is given")
        sys.argv[1:] = [*command_line.flags, *typed]
        if command_line.runs and any("._target_=" in each for each in typed):
            terminal.take()  # what a user's module prints on import goes to the log
        schema.store(typed)
        if command_line.help:
            print(arguments.help_text(typed))
        elif command_line.runs:
            from deepvis.cli import runs

            close = runs.close
            runs.start(typed)
        else:
            hydra.main(version_base="1.3", config_path=str(names.CONF), config_name="config")(_show)()
    except ReportedError:
        code = 1
    except SystemExit as stop:
        code = stop.code
        if code == TERMINATED:
            terminal.error("terminated; what had finished is kept")
    except KeyboardInterrupt:
        terminal.error("interrupted; what had finished is kept")
        code = 130
    except BrokenPipeError:  # deepvis --help | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except Exception as err:
        messages.report(err, typed, multirun)
        code = 1
    if close is not None and not close():
        code = code or 1
    sys.exit(code)


def subcommand(name: str, typed: Sequence[str]) -> int:
    """Run ``layers``, ``report`` or ``ui``; returns its exit code."""
    command = importlib.import_module(f"deepvis.cli.{name}")
    if {"-h", "--help"} & set(typed):
        print(command.HELP)
        return 0
    try:
        return command.main(typed)
    except Exception as err:
        messages.report(err, typed, multirun=False)
        return 1


def _show(cfg: DictConfig) -> None:
    """Hydra's task where Hydra only shows something."""
