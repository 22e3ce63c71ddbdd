"""Credentials in addresses: taken out before anything is composed, written or shown.

MLflow reads a user and a password from ``MLFLOW_TRACKING_USERNAME`` and ``MLFLOW_TRACKING_PASSWORD``, which
the processes of a sweep inherit. So an address without them does the same, and nothing that holds it can
give them away: no config, manifest, log, message or database.
"""

import os
import re
from urllib.parse import unquote

_SERVER = re.compile(r"(https?://)([^/?#\s'\"@:]*)(?::([^/?#\s'\"]*))?@")
HIDDEN = ":***@"  # in the place of a password
# From the start of a word: from each of its letters, a word of 200 kB would take half a minute.
_ANY = re.compile(r"(\b\w+://[^/?#\s'\"@:]*):[^/?#\s'\"]*@")


def taken(text: str) -> str:
    """A text whose address of a server has lost its user and password to this process's environment."""
    if found := _SERVER.search(text):
        os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(found[2])
        os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(found[3] or "")
    return _SERVER.sub(r"\1", text)


def masked(text: str) -> str:
    """A text for a person: ``***`` in the place of every password of an address."""
    return _ANY.sub(rf"\1{HIDDEN}", text)
