"""Files written whole or not at all: to a temporary name beside them, then renamed."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], digits: int = 6) -> None:
    """Write a CSV whole or not at all.

    Args:
      path: of the file.
      rows: with the same keys or some of them; a missing one is left empty.
      digits: of a number that is not whole.
    """
    text = io.StringIO()
    out = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    out.writeheader()
    for row in rows:
        out.writerow({k: f"{v:.{digits}g}" if isinstance(v, float) else v for k, v in row.items()})
    write_text(path, text.getvalue())
