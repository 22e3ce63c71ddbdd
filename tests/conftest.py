"""An environment that no test changes for the next, and the process that others are forked from."""

import os
import signal
from collections.abc import Iterator

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything imports TensorFlow

from helpers.processes import Forker, end_running

# The longest files, longest first. Each file is run by one process: one that begins last is waited for alone.
LONG = (
    "integration/test_launchers.py", "integration/test_cli.py", "sweeps/test_resume.py",
    "sweeps/test_runner.py", "sweeps/test_kills.py", "integration/test_search.py",
    "networks/test_applications.py", "integration/test_faults.py", "docs/test_docs.py",
    "integration/test_server.py", "tracking/test_outages.py", "networks/test_published.py",
    "networks/test_token_places.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, the others in their order."""
    places = {f"tests/{name}": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


# A shell that starts the suite in the background makes it, and what it starts, deaf to Ctrl-C and Ctrl-\.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)


@pytest.fixture(scope="session")
def forker(tmp_path_factory) -> Iterator[Forker]:
    made = Forker(tmp_path_factory.mktemp("forker"))
    yield made
    made.close()


# Caches stay where the person who runs the tests has them. MLflow's server, started inside a test, sets the
# store of its whole process.
KEPT = {name: os.environ.get(name) for name in ("XDG_CACHE_HOME", "MLFLOW_TRACKING_URI")}


@pytest.fixture(autouse=True)
def same_environment() -> Iterator[None]:
    """What a test changes is as it was before the next, and no process stays."""
    yield
    end_running()
    for name, value in KEPT.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
