"""Model files from elsewhere: one that would read other files, or fill the memory, is refused unread."""

import zipfile
from pathlib import Path

import h5py

from deepvis.core.errors import ConfigError

RATIO, ROOM = 64, 256 * 2**20  # how many times its size a file may expand to, and bytes beside


def check_hdf5(content: h5py.File, refused: str) -> None:
    """Refuse a file whose values lie in other files.

    Raises:
      ConfigError: names what does.
    """
    groups: list[h5py.Group] = [content]
    seen = set()
    while groups:
        group = groups.pop()
        if group.id in seen:  # by a second hard link
            continue
        seen.add(group.id)
        for name in group:
            link, place = group.get(name, getlink=True), f"{(group.name or '').rstrip('/')}/{name}"
            if isinstance(link, h5py.ExternalLink):
                raise _elsewhere(refused, place, link.filename)
            if isinstance(link, h5py.SoftLink):  # to something that is visited by its own name
                continue
            found = group[name]
            if isinstance(found, h5py.Group):
                groups.append(found)
            elif isinstance(found, h5py.Dataset) and found.external:
                raise _elsewhere(refused, place, found.external[0][0])
            elif isinstance(found, h5py.Dataset) and found.is_virtual:
                raise _elsewhere(refused, place, found.virtual_sources()[0].file_name)


def check_zip(content: zipfile.ZipFile, file: Path, refused: str) -> None:
    """Refuse a file that expands to far more than it is, as its directory says.

    Raises:
      ConfigError: names both sizes.
    """
    size = file.stat().st_size
    expanded, most = sum(each.file_size for each in content.infolist()), RATIO * size + ROOM
    if expanded > most:
        raise ConfigError(
            f"{refused} a file of {size / 1e6:.3g} MB that expands to {expanded / 1e6:.3g} MB, expected at "
            f"most {most / 1e6:.3g}; if you trust it, load it in Keras and save it again"
        )


def _elsewhere(refused: str, place: str, other: str) -> ConfigError:
    return ConfigError(
        f"{refused} a file whose {place} is stored in another file ({other}), which is not read; save the "
        "model whole, in one file"
    )
