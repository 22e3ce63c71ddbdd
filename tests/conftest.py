"""An environment that no test changes for the next, and the process that others are forked from."""

import os
import signal
from collections.abc import Iterator

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything imports TensorFlow

from helpers.processes import Forker

# A shell that starts the suite in the background makes it, and what it starts, deaf to Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def forker(tmp_path_factory) -> Iterator[Forker]:
    made = Forker(tmp_path_factory.mktemp("forker"))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """Caches stay where the person who runs the tests has them."""
    kept = os.environ.get("XDG_CACHE_HOME")
    yield
    if kept is None:
        os.environ.pop("XDG_CACHE_HOME", None)
    else:
        os.environ["XDG_CACHE_HOME"] = kept
