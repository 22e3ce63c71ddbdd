"""Quiet: what TensorFlow says on standard error while it is imported and looks for devices is left out.

Some of it is written by C++ to the file descriptor, before any setting of its logs is read. A command has all
of it in its log; where deepvis is called from Python there is none, and nobody asked for it.
"""

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from deepvis.core import terminal
from deepvis.core.errors import DeepvisError

# A line of a log of TensorFlow's, absl's or CUDA's; the two that have no head; and what TensorFlow takes for
# retracing, where several calls of one function of deepvis each have a graph of their own.
SAID = re.compile(
    rb"(WARNING:tensorflow:\d+ out of the last \d+ calls to <function |[IWE]\d{4} "
    rb"|\d{4}-\d\d-\d\d [\d:.]+: [IWE] |WARNING: All log messages before absl::InitializeLog"
    rb"|To enable the following instructions: ).*"
)
_one = threading.Lock()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what is said on standard error while the block runs, and say it later without `SAID`.

    If something fails that deepvis does not refuse itself all of it is said, for the reason may be in there.
    """
    if terminal.is_taken() or not _one.acquire(blocking=False):
        yield
        return
    try:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        with tempfile.TemporaryFile(buffering=0) as kept:
            before = os.dup(2)
            has_failed = False
            os.dup2(kept.fileno(), 2)
            try:
                yield
            except Exception as err:
                has_failed = not isinstance(err, DeepvisError)  # that says its reason itself
                raise
            finally:
                with suppress(OSError, ValueError, AttributeError):
                    sys.stderr.flush()
                os.dup2(before, 2)
                os.close(before)
                kept.seek(0)
                for line in kept.read().splitlines(keepends=True):
                    if has_failed or not SAID.match(line):
                        os.write(2, line)
    finally:
        _one.release()
