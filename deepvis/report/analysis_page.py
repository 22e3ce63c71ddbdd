"""The page of an analysis: its folder -> ``report.html``, one file with pictures, measures and options."""

import base64
import html
import io
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from deepvis.core import files
from deepvis.core.errors import ConfigError, first_line
from deepvis.results import analysis_folder

NAME = "report.html"
MOST = 40  # pictures on a page; the others are named
WIDE, HIGH = 1400, 6000  # px
STYLE = """
:root { color-scheme: light dark; }
body { max-width: 90rem; margin: 1rem auto; padding: 0 1rem; font: 1rem/1.4 sans-serif; }
h1 { overflow-wrap: anywhere; } figure { margin: 1rem 0; overflow-x: auto; }
img { max-width: max(100%, 60rem); height: auto; display: block; } code { font-size: 0.9rem; }
td { padding-right: 1rem; vertical-align: top; overflow-wrap: anywhere; } td:last-child { min-width: 6rem; }
"""


def make(folder: Path) -> Path:
    """Write the page of an analysis again, from its folder.

    Raises:
      ConfigError: its ``analysis.json`` cannot be read.
    """
    file = folder / analysis_folder.FILE
    try:
        entry = json.loads(file.read_text(encoding="utf-8"))
        text = page(folder, entry)
    except (OSError, ValueError, KeyError) as err:
        raise ConfigError(f"{file}: got {first_line(err)}, expected what deepvis wrote") from err
    files.write_text(folder / NAME, text)
    return folder / NAME


def page(folder: Path, entry: Mapping[str, Any]) -> str:
    """The page: pictures at the top of a folder, what was measured, what was chosen, and its other files."""
    pictures = sorted(folder.glob("*.png"))
    title = html.escape(f"{entry['kind']} {entry['id']}")
    shown = "".join(_figure(path) for path in pictures[:MOST])
    rest = "".join(f"<li>{_link(folder, path)}</li>" for path in pictures[MOST:])
    others = [path for path in sorted(folder.iterdir()) if path.suffix in (".csv", ".html", ".json", ".yaml")]
    links = "".join(
        f"<li>{_link(folder, path)}</li>" for path in others if path.name not in (NAME, analysis_folder.FILE)
    )
    command = html.escape(shlex.join(["deepvis", str(entry["kind"]), *map(str, entry["overrides"])]))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>deepvis: {title}</title>'
        f'<link rel="icon" href="data:,"><style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n'
        f"<p><code>{command}</code></p>\n{shown}{rest and f'<ul>{rest}</ul>'}\n"
        f"<h2>Measured</h2>{_table(entry['metrics'])}\n<h2>Files</h2><ul>{links}</ul>\n"
        f"<details><summary>All options</summary>{_table(entry['params'])}</details></body></html>\n"
    )


def _figure(path: Path) -> str:
    with Image.open(path) as image:
        small = image.convert("RGB")
    if small.width > WIDE or small.height > HIGH:
        small = ImageOps.contain(small, (WIDE, HIGH))
    content = io.BytesIO()
    small.save(content, "webp", quality=85)
    data, name = base64.b64encode(content.getvalue()).decode(), html.escape(path.stem)
    return (
        f'<figure><figcaption>{name}</figcaption><img alt="{name}" width="{small.width}" '
        f'height="{small.height}" src="data:image/webp;base64,{data}"></figure>\n'
    )


def _link(folder: Path, path: Path) -> str:
    name = html.escape(path.relative_to(folder).as_posix())
    return f'<a href="{name}">{name}</a>'


def _table(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(key)}</td><td>{html.escape(_said(value))}</td></tr>"
        for key, value in values.items()
    )
    return f"<table>{rows}</table>"


def _said(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
