"""The arguments of the command line: Hydra's documented flags, and overrides."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from deepvis.core.errors import ConfigError
from deepvis.core.names import CONF, nearest

COMMANDS = ("layers", "report", "ui")
PACKAGES = {"TensorFlow": "tensorflow", "Keras": "keras", "MLflow": "mlflow"}
INFORMATION = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


@dataclass(frozen=True)
class CommandLine:
    """What was typed, in the order that Hydra takes."""

    flags: list[str]
    overrides: list[str]
    multirun: bool
    help: bool
    runs: bool  # something; otherwise Hydra shows its own help or the config


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see deepvis --help")


def parse(argv: Sequence[str]) -> CommandLine:
    """Flags first, for Hydra takes no override behind one.

    In a single job ``layer.filters=0,3,7`` can only mean one list; in a sweep a bare comma sweeps.

    Raises:
      ConfigError: no such flag or command, or something that is no setting.
    """
    if argv and re.fullmatch(r"[a-z]+", argv[0]):
        commands = nearest(argv[0], COMMANDS)
        raise ConfigError(f"{argv[0]}: no such command; {commands}; a setting is typed as key=value")
    known = _parser().parse_intermixed_args(list(argv))
    flags, overrides = list(argv), list(known.overrides)
    for each in overrides:
        flags.remove(each)
        if "=" not in each and not each.startswith("~"):
            raise ConfigError(
                f"{each}: expected key=value; a sweep's id is for deepvis report, or resume=..."
            )
        if re.match(r"""[\w.]+=[^\s"'({[]*\s+[\w.]+=""", each):  # a job's name in the table
            raise ConfigError(f"{each}: got several settings in one argument, expected one each; no quotes")
        group, _, chosen = each.partition("=")
        for choice in set(chosen.split(",")) if group != "experiment" else ():
            if re.fullmatch(r"null|true|false|[\d.]+", choice) and (CONF / group).is_dir():
                files = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
                raise ConfigError(f"{group}={choice}: no such choice; {nearest(choice, files)}")
    if not known.multirun:
        bare = re.compile(r"layer\.filters=([\d-]+,[\d,-]+)")
        overrides = [bare.sub(r'layer.filters="\1"', each) for each in overrides]
    shows = known.help or known.hydra_help or known.cfg or known.info or known.shell_completion
    return CommandLine(flags, overrides, known.multirun, known.help, not shows)


def _parser() -> argparse.ArgumentParser:
    """Hydra's flags (https://hydra.cc/docs/advanced/hydra-command-line-flags)."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    for flags in (("--help", "-h"), ("--hydra-help",), ("--resolve",), ("--run", "-r"), ("--multirun", "-m"),
                  ("--shell-completion", "-sc")):  # fmt: skip
        parser.add_argument(*flags, action="store_true")
    for flags in (("--package", "-p"), ("--config-path", "-cp"), ("--config-name", "-cn"),
                  ("--config-dir", "-cd"), ("--experimental-rerun",)):  # fmt: skip
        parser.add_argument(*flags)
    parser.add_argument("--cfg", "-c", choices=("job", "hydra", "all"))
    parser.add_argument("--info", "-i", nargs="?", const="all", choices=INFORMATION)
    parser.add_argument("--version", action="version", version=_versions())
    parser.add_argument("overrides", nargs="*")
    return parser


def _versions() -> str:
    """deepvis' version, and those of the packages that its results depend on."""
    found = []
    for name, package in PACKAGES.items():
        try:
            found.append(f"{name} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    from deepvis import __version__

    return f"deepvis {__version__} ({', '.join(found)})"
