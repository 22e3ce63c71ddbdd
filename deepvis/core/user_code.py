"""Modules of the user's, imported by name, and only because the user named them."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

from deepvis.core.errors import ConfigError


def imported(key: str, name: str) -> ModuleType:
    """A module, from the current folder too.

    Args:
      key: what was typed, for the message: ``model.custom_objects=my_package.layers``.
      name: of the module.

    Raises:
      ConfigError: it cannot be imported.
    """
    folder = str(Path.cwd())
    if folder not in sys.path:  # a console script does not look there
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ImportError as err:
        raise ConfigError(f"{key}: cannot import {name}: {err}") from err
    except Exception as err:  # it is the user's code
        text = " ".join(str(err).split())[:200]
        raise ConfigError(f"{key}: importing {name} failed with {type(err).__name__}: {text}") from err
