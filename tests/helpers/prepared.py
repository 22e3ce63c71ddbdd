"""What a forked process of the fault tests need not do again: tables of a store, MLflow's list of versions.

Imported before the fork.
"""

import functools
import shutil
from pathlib import Path

import sqlalchemy
from mlflow.store.db import utils

from deepvis.networks import backend
from deepvis.report import figures

backend.load()
utils._get_latest_schema_revision = functools.cache(utils._get_latest_schema_revision)
utils._get_latest_schema_revision()
figures.svg = lambda figure, title: f'<svg aria-label="{title}"></svg>'


def tables(file: str) -> None:
    """Make an empty store, and end the process."""
    Path(file).unlink(missing_ok=True)
    utils._initialize_tables(sqlalchemy.create_engine(f"sqlite:///{file}"))
    raise SystemExit(0)


def store(template: str) -> None:
    """Give the project in this folder a store without experiments, where it has none."""
    file = Path("mlruns", "mlflow.db")
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(template, file)
