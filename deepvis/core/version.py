"""The version of deepvis, part of what identifies a job, and those of other packages."""

from importlib.metadata import PackageNotFoundError, version

__version__ = "0.5.0"


def installed(package: str) -> str | None:
    """The version of a package, if it is installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
