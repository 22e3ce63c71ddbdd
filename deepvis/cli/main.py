"""The command line: subcommands, and Hydra's main for everything else.

Hydra composes the config; `preflight` checks it before anything is written and before TensorFlow is
imported. Whatever goes wrong ends in one line on standard error and a non-zero exit; HYDRA_FULL_ERROR=1
shows the traceback.
"""

import errno
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

import hydra
from omegaconf import DictConfig

import deepvis.ascent  # noqa: F401  declares the knobs, which are the schema of the config
from deepvis.cli import arguments, messages, overrides, resume, signals, tracking_variables
from deepvis.config import schema
from deepvis.core import credentials, names, terminal
from deepvis.core.errors import ConfigError, ReportedError

Report = Callable[[Exception], None]
UNSAID = (errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF)  # where a stream does not take what is printed


def main() -> None:
    """The console script."""
    terminal.open_closed()
    logging.raiseExceptions = False  # a handler whose stream is closed would print a traceback for each line
    sys.argv[1:] = typed = [credentials.taken(each) for each in sys.argv[1:]]
    if wrong := [each for each in typed if any("\ud800" <= letter <= "\udfff" for letter in each)]:
        shown = os.fsencode(wrong[0]).decode(errors="backslashreplace")
        terminal.error(f"{shown}: expected UTF-8; rename the file, or type it in a UTF-8 terminal")
        sys.exit(2)
    if typed and typed[0] in arguments.COMMANDS:
        signals.catch(lambda _: None)  # nothing of a sweep's is open
        sys.exit(subcommand(typed[0], typed[1:]))
    signals.catch(terminal.error)
    sys.exit(sweep(typed))


def subcommand(name: str, typed: Sequence[str]) -> int:
    """Run ``layers``, ``report`` ...; returns its exit code."""
    command = importlib.import_module(f"deepvis.cli.{name}")

    def run() -> int:
        if {"-h", "--help"} & set(typed):
            print(command.HELP)
            return 0
        if "--version" in typed:
            print(arguments.versions())
            return 0
        return command.main(typed)

    def report(err: Exception) -> None:
        messages.report(err, typed, multirun=False)

    return _said(_guarded(run, report), report)


def sweep(argv: Sequence[str]) -> int:
    """Run the jobs of a command line, or let Hydra show what they would be; returns the exit code."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise, so that the one line is ours
    typed: list[str] = []
    multirun, close = True, None

    def run() -> int:
        nonlocal typed, multirun, close
        command_line = resume.expanded(arguments.parse(argv))
        typed, multirun = arguments.with_recipe(command_line.overrides), command_line.multirun
        if command_line.runs and len(typed) > len(command_line.overrides):
            groups = ", ".join(sorted(arguments.HOW - {"resume"}))
            terminal.note(f"recipe    {typed[0]}, since none of {groups} is given")
        if command_line.runs:
            typed = tracking_variables.added(typed)
        sys.argv[1:] = [*command_line.flags, *typed]
        if command_line.runs and any("._target_=" in each for each in typed):
            terminal.take()  # what a user's module prints on import goes to the log
        schema.store(typed)
        overrides.check_of_hydra(typed)
        if command_line.version:
            print(arguments.versions())
        elif command_line.help:
            print(arguments.help_text(typed))
        elif command_line.runs:
            from deepvis.cli import runs

            close = runs.close
            runs.start(typed)
        else:
            hydra.main(version_base="1.3", config_path=str(names.CONF), config_name="config")(_show)()
        return 0

    def report(err: Exception) -> None:
        messages.report(err, typed, multirun)

    code = _guarded(run, report)
    if close is None:
        return _said(code, report)
    closed = _guarded(close, report)  # however the jobs ended
    with suppress(OSError):
        sys.stdout.flush()  # the log: its disk may be full
    return code or closed


def _guarded(run: Callable[[], int], report: Report) -> int:
    """What a part of a command returns as its exit code, however it ends."""
    try:
        return run()
    except ReportedError:
        return 1
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except KeyboardInterrupt:
        return signals.code(signal.SIGINT)
    except Exception as err:
        if isinstance(err, OSError) and err.errno in UNSAID and not terminal.is_taken():
            return _unsaid(err, report)
        report(err)
        return 1


def _said(code: int, report: Report) -> int:
    """The exit code of a command that only shows something: it fails where that could not be written."""
    try:
        sys.stdout.flush()
    except OSError as err:
        return _unsaid(err, report) or code
    failure = terminal.lost()
    return code if failure is None else _unsaid(failure, report) or code


def _unsaid(err: OSError, report: Report) -> int:
    """The exit code where standard output did not take everything."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python flushes once more at its end
    if isinstance(err, BrokenPipeError):  # deepvis --help | head
        return 0
    report(ConfigError(f"standard output: {err.strerror}; what was to be shown there is not whole"))
    return 1


def _show(cfg: DictConfig) -> None:
    """Hydra's task where Hydra only shows something."""
