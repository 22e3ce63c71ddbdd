"""Photographs: the ``data`` group of a config -> which files there are, and the digest of each one's content.

Files that cannot be taken are listed with the reason and left out; none of them ends a command.
"""

import csv
import hashlib
import importlib.util
import os
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from deepvis.core import picture_files
from deepvis.core.errors import ConfigError, first_line

Size = tuple[int, int]  # height and width, px
SUFFIXES = {".jfif", ".jpeg", ".jpg", ".png", ".webp"}
EXPECTED = "expected JPEG, PNG or WebP"
FOLDERS = "folders"  # labels: each photograph is named after the folder that it is in
# Of each package that carries some, where they are in it. Of a stereo pair one is taken.
BUILTIN = {
    "sklearn": ("datasets/images", ("china.jpg", "flower.jpg")),
    "skimage": ("data", (
        "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png",
        "coffee.png", "coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png",
        "moon.png", "motorcycle_left.png", "retina.jpg", "rocket.jpg",
    )),
}  # fmt: skip


@dataclass(frozen=True)
class Photographs:
    """Photographs in the order of their names, each content once."""

    place: str  # where they are from, in words
    paths: tuple[Path, ...]
    names: tuple[str, ...]  # of each, for a person
    digests: tuple[str, ...]  # SHA-256 of the content of each, 12 digits
    labels: tuple[str, ...] | None  # of each
    broken: tuple[tuple[Path, str], ...]  # what was left out, and why

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def digest(self) -> str:
        """Of all: their content and labels, whatever their names are; 12 digits."""
        text = " ".join(self.digests) + "\n" + "\n".join(self.labels or ())
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def image(self, index: int, size: Size, channels: int = 3) -> np.ndarray:
        """A photograph, cropped about its centre and scaled; see `picture_files.fitted`.

        Raises:
          ConfigError: it cannot be read as a whole.
        """
        return picture_files.fitted(self.paths[index], channels, *size)


def photographs(settings: Mapping[str, Any]) -> Photographs:
    """The photographs of a config.

    Args:
      settings: the group ``data``, plain: ``_target_`` is the path of a function that returns `Photographs`,
        the rest are its arguments.

    Raises:
      ConfigError: there is no such function, or there are no photographs.
    """
    options = dict(settings)
    target = options.pop("_target_")
    try:
        find = pkgutil.resolve_name(target)
    except (ImportError, AttributeError, ValueError) as err:
        raise ConfigError(
            f"data._target_={target}: got {err}, expected the path of a function that returns photographs, "
            "such as deepvis.data.photographs.of_folder"
        ) from err
    return find(**options)


def stamp(settings: Mapping[str, Any]) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of the files that a config's photographs and labels are read from."""
    places = [Path(str(settings[key])).expanduser() for key in ("path", "labels") if settings.get(key)]
    files = [each for place in places for each in (_files(place) if place.is_dir() else [place])]
    known = [(each, each.lstat()) for each in sorted(files) if each.is_symlink() or each.exists()]
    return tuple((str(each), said.st_size, said.st_mtime_ns) for each, said in known)


def of_folder(path: str, labels: str | None = None) -> Photographs:
    """The photographs in a folder, at any depth, in the order of their paths.

    Args:
      path: of the folder; ``~`` is the user's. Hidden files and folders are left out.
      labels: ``folders``: each photograph has the name of the folder that it is in; or the path of a CSV with
        the columns ``path`` (below the folder) and ``label``, a row a photograph. None: there are none.

    Raises:
      ConfigError: no folder, no photograph in it, or a label that is missing.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"data.path={path}: no such folder; expected one of photographs")
    found = _listed(str(path), [(each, each.relative_to(folder).as_posix()) for each in _files(folder)])
    if not found.paths:
        reasons = f"; {found.broken[0][0]}: {found.broken[0][1]}" if found.broken else ""
        raise ConfigError(f"data.path={path}: got no photograph, {EXPECTED}, at any depth{reasons}")
    if labels is None:
        return found
    return _labelled(found, _folders(found) if labels == FOLDERS else _table(labels, found), labels)


def builtin() -> Photographs:
    """The photographs that scikit-learn and scikit-image carry.

    Raises:
      ConfigError: they are not installed.
    """
    files = []
    for package, (folder, names) in BUILTIN.items():
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise ConfigError(
                f"data=photos: got no {package} here, expected the photographs that it carries; "
                "pip install 'deepvis[photos]', or take data=folder data.path=..."
            )
        files += [(Path(spec.origin).parent / folder / name, name) for name in names]
    return _listed("scikit-learn and scikit-image", files)


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder that are not hidden; links to folders, and closed folders, themselves."""
    closed: list[OSError] = []
    for at, folders, names in os.walk(folder, onerror=closed.append):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        yield from (Path(at, each) for each in folders if Path(at, each).is_symlink())
        yield from (Path(at, each) for each in names if not each.startswith("."))
    yield from (Path(each.filename) for each in closed)


def _listed(place: str, files: Sequence[tuple[Path, str]]) -> Photographs:
    """Files and their names -> those that are photographs, and why others that look like pictures are not."""
    taken: dict[str, tuple[Path, str]] = {}  # by digest
    broken = []
    for path, name in sorted(files, key=lambda each: each[1]):
        try:
            digest = _checked(path)
        except (OSError, SyntaxError, ValueError, ConfigError, Image.DecompressionBombError) as err:
            broken.append((path, first_line(err)))
            continue
        if digest is not None and digest in taken:
            broken.append((path, f"has the content of {taken[digest][1]}"))
        elif digest is not None:
            taken[digest] = path, name
    paths, names = zip(*taken.values(), strict=True) if taken else ((), ())
    return Photographs(place, tuple(paths), tuple(names), tuple(taken), None, tuple(broken))


def _checked(path: Path) -> str | None:
    """The digest of a file that begins like a photograph; None of one whose name is no picture's."""
    if path.is_dir():
        is_link = path.is_symlink()
        reason = "a link to a folder, which is not followed" if is_link else "a folder that cannot be read"
        raise ConfigError(reason)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        if suffix in picture_files.SUFFIXES:
            raise ConfigError(f"got {suffix}, {EXPECTED}")
        return None
    if path.exists() and not path.is_file():  # a pipe or a device, from which reading may never end
        raise ConfigError("got a pipe, a socket or a device, expected a file")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    with Image.open(path) as image:
        if image.format not in ("JPEG", "MPO", "PNG", "WEBP"):
            raise ConfigError(f"got {image.format}, {EXPECTED}")
    return digest


def _folders(found: Photographs) -> dict[str, str]:
    """The name of the folder that each photograph is in, where it is in one."""
    return {name: name.split("/")[-2] for name in found.names if "/" in name}


def _table(labels: str, found: Photographs) -> dict[str, str]:
    """The labels of a CSV, by the path of the photograph below the folder."""
    try:
        with (
            Path(labels).expanduser().open(newline="", encoding="utf-8-sig") as file
        ):  # a spreadsheet's begins with a mark
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as err:
        raise ConfigError(
            f"data.labels={labels}: got {first_line(err)}, expected {FOLDERS} or a CSV"
        ) from err
    if not rows or not {"path", "label"} <= rows[0].keys():
        head = f"got the columns {', '.join(map(str, rows[0]))}" if rows else "got no row"
        raise ConfigError(
            f"data.labels={labels}: {head}, expected a CSV with the columns path and label, by commas"
        )
    known: dict[str, str] = {}
    columns = sum(key is not None for key in rows[0])
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():  # more fields than columns, or fewer
            raise ConfigError(
                f"data.labels={labels}: got row {number} with more or fewer fields than its {columns} "
                "columns; expected quotes around a comma that is part of a path or label"
            )
        name = Path(row["path"]).as_posix()
        if known.setdefault(name, row["label"]) != row["label"]:
            raise ConfigError(f"data.labels={labels}: got {known[name]} and {row['label']} for {name}; "
                              "expected one label")  # fmt: skip
    others = known.keys() - set(found.names)
    left_out = {f"/{path.as_posix()}" for path, _ in found.broken}
    missing = sorted(each for each in others if not any(path.endswith(f"/{each}") for path in left_out))
    if missing:
        raise ConfigError(
            f"data.labels={labels}: {missing[0]} and {len(missing) - 1} more are no photographs of "
            f"{found.place}; expected paths below that folder"
        )
    return known


def _labelled(found: Photographs, known: Mapping[str, str], labels: str) -> Photographs:
    missing = [name for name in found.names if not known.get(name)]
    if missing:
        raise ConfigError(
            f"data.labels={labels}: got none for {missing[0]} and {len(missing) - 1} more of "
            f"{len(found)} photographs; expected one for each"
        )
    return Photographs(found.place, found.paths, found.names, found.digests,
                       tuple(known[name] for name in found.names), found.broken)  # fmt: skip
