"""Resumption: what is typed to go on with a sweep, and whether that is the same sweep."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepvis.config.params import NOT_IDENTITY
from deepvis.core.credentials import HIDDEN, masked
from deepvis.core.errors import ConfigError
from deepvis.results.manifest import FOLDER_KEYS


def overrides(entry: Mapping[str, Any], folder: Path, typed: Sequence[str]) -> list[str]:
    """The overrides that go on with a sweep.

    What was typed to start it is taken as it was, never read and written again; nothing of it has to be typed
    once more. What may differ (``batch_size``, the device, the launcher ...) is taken from what is typed now.

    Args:
      entry: its manifest.
      folder: where it is.
      typed: now, ``resume=...`` among it.

    Raises:
      ConfigError: a password that was left out of the manifest is needed.
    """
    known = [_fixed(each, folder) for each in entry["overrides"] if _key(each) != "resume"]
    added = [each for each in typed if masked(each) not in (*known, *entry["overrides"])]
    if not all(map(is_free, added)):  # another sweep: `check` says what differs
        keys = {_key(each) for each in typed}
        known = [each for each in known if _group(each) == "tracker" and _key(each) not in keys]
        added = list(typed)
    else:
        kept = {_key(each) for each in added}
        exact = {masked(each): each for each in typed}  # with its password
        known = [exact.get(each, each) for each in known if _key(each) not in kept]
    if hidden := next((each for each in known if HIDDEN in each), None):
        raise ConfigError(
            f"resume={entry['id']}: type {hidden} with its password, which was not written down"
        )
    return [*known, *added]


def check(
    old: Mapping[str, Any], new: Mapping[str, Any], typed: Sequence[str] = (), force: bool = False
) -> None:
    """Refuse to resume a sweep that would not be the same.

    Args:
      old: its manifest.
      new: of what is typed now.
      typed: likewise.
      force: compute again what has changed by other files, weights or versions.

    Raises:
      ConfigError: names the first difference.
    """
    what, hint = f"resume={old['id']}", "start a new sweep, or add resume_force=true to compute it again here"
    before, this = (shlex.join(entry["overrides"]) for entry in (old, new))
    others = ConfigError(
        f"{what}: its jobs are others; it was started with: {before}; this is: {masked(this)}"
    )
    if _jobs(old, "folder") != _jobs(new, "folder"):
        raise others
    for name in ("deepvis", "tensorflow") if not force else ():
        was, now = old["versions"][name], new["versions"][name]
        if was != now:
            raise ConfigError(f"{what}: it ran with {name} {was}, this is {now}; {hint}")
    files = old.get("files", {})
    for name, now in new["files"].items() if not force else ():
        if name in files and files[name] != now:
            raise ConfigError(f"{what}: {name} has changed since (it was {files[name]}, is {now}); {hint}")
    if old["weights"] != new["weights"] and not force:
        was, now = (", ".join(f"{k} {v}" for k, v in entry["weights"].items()) for entry in (old, new))
        raise ConfigError(f"{what}: it ran on the weights {was}, these are {now}; {hint}")
    if not force and _jobs(old, "key") != _jobs(new, "key"):
        raise others
    was, now = old.get("tracker"), _masked(new["tracker"])
    if was and was != now:
        key = next(key for key in {**was, **now} if was.get(key) != now.get(key))
        mine = "leave out tracker.*" if any(_group(each) == "tracker" for each in typed) else (
            f"set tracker.{key}={was.get(key)}")  # fmt: skip
        raise ConfigError(
            f"{what}: it was logged with tracker.{key}={was.get(key)}, this is {now.get(key)}; {mine}"
        )


def _jobs(entry: Mapping[str, Any], what: str) -> list[str]:
    return [job[what] for job in entry["jobs"]]


def _masked(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: masked(value) if isinstance(value, str) else value for key, value in settings.items()}


def _fixed(override: str, folder: Path) -> str:
    """An override; one that named the sweep's folder by the time of its start names it as it is now."""
    key = _key(override)
    return f"{key}={folder}" if key in FOLDER_KEYS and "${" in override else override


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def _group(override: str) -> str:
    return _key(override).partition(".")[0]


def is_free(override: str) -> bool:
    """Whether an override says where and how jobs run, and nothing of what they are."""
    key = _key(override)
    return key.startswith(("hydra.", "hydra/")) or key.partition(".")[0] in NOT_IDENTITY
