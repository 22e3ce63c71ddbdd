"""Errors: what deepvis refuses or cannot do, each with a message of one line.

A message says what came, what was expected, where, and what to do.
"""

import errno
import re
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # nothing more fits: on the disk, in a share, in a file


class DeepvisError(Exception):
    """Whatever deepvis refuses or cannot do; the message is one line."""


class ConfigError(DeepvisError, ValueError):
    """A config that cannot be run; the message is one line for the person who typed it."""


class WeightsError(DeepvisError):
    """Weights that cannot be had or are not the right ones."""


class TrackingError(DeepvisError):
    """A tracking store that cannot be used."""


class SweepError(DeepvisError):
    """A sweep that ended without all of its jobs, or not all of it is in its tracking store.

    Attributes:
      sweep: what there is of it, a `deepvis.Sweep`; None where it had not begun.
    """

    def __init__(self, message: str, sweep: Any = None) -> None:
        super().__init__(message)
        self.sweep = sweep


class ReportedError(DeepvisError):
    """A job failed and the terminal has said so."""


def first_line(err: BaseException) -> str:
    """The first line of an error's text that says something; its class where there is none."""
    return next((text.strip() for text in str(err).splitlines() if text.strip()), type(err).__name__)


def remedy(err: OSError) -> str:
    """What a person can do where a file cannot be read or written."""
    return "make room there" if _is_full(err) else "see that it is there and can be read and written"


def _is_full(err: OSError) -> bool:
    """Whether nothing more fits; NumPy tells a file that was cut short in words alone."""
    return err.errno in FULL or re.fullmatch(r"\d+ requested and \d+ written", str(err)) is not None


def one_line(err: BaseException) -> str:
    """Any error as one line for a person; the message of a `DeepvisError` is that line already."""
    if isinstance(err, DeepvisError):
        return str(err)
    if isinstance(err, OSError):
        if err.filename is None and not _is_full(err):  # of a connection, or of a library
            said = err.strerror or first_line(err)
            return f"{type(err).__name__}: {said}; run the command again when that is put right"
        elsewhere = "write elsewhere with hydra.run.dir=... (hydra.sweep.dir=... for -m)"
        return f"{err.filename or 'output folder'}: {err.strerror or err}; {remedy(err)}, or {elsewhere}"
    return f"{type(err).__name__}: {first_line(err)}"
