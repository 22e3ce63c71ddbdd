"""The arguments of the command line: Hydra's documented flags, and overrides; and ``deepvis --help``."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import yaml
from omegaconf import OmegaConf

from deepvis import networks
from deepvis.config import compose
from deepvis.config.knobs import Knob
from deepvis.core.errors import ConfigError
from deepvis.core.names import CONF, nearest
from deepvis.core.version import __version__, installed

COMMANDS = (
    "atlas", "attribution", "benchmark", "delete", "directions", "embedding", "examples", "export", "fooling",
    "layers", "maps", "report", "sweeps", "trust", "tuning", "ui", "vote", "weights",
)  # fmt: skip
HOW = {"reg", "param", "transform", "optimizer", "start", "experiment", "resume"}  # to optimize, and what
PACKAGES = {"TensorFlow": "tensorflow", "Keras": "keras", "MLflow": "mlflow"}
INFORMATION = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
HELP = """deepvis: what do the filters of this network look for, and which regularizer shows it best?

  deepvis                                        one job: VGG16, block5_conv1, 16 filters
  deepvis -m reg.decay=0.8,0.9 reg.blur=3,5      an ablation: 4 jobs, compared in MLflow
  deepvis layer=block3_conv1 layer.filters=0-63  another layer
  deepvis experiment=maco                        a published recipe
  deepvis experiment=gildenblat_2016             reproduce a finished study
  deepvis layers model=keras model.name=VGG19    the layers of a network
  deepvis attribution attribution=grad_cam       which pixels of photographs a unit responds to
  deepvis examples layer.filters=0-3             photographs that excite these filters most and least
  deepvis trust                                  whether pictures of units can be believed, beside photographs
  deepvis benchmark                              which method shows these units best
  deepvis tuning                                 scores by position, scale, rotation, brightness
  deepvis weights                                the kernels of the first layer as pictures
  deepvis maps                                   activation maps of photographs, layer by layer
  deepvis directions                             directions of a layer (NMF, PCA), with pictures and heat maps
  deepvis atlas                                  an activation atlas of a layer, from photographs
  deepvis embedding                              photographs by their codes in a layer, in a plane
  deepvis fooling layer.filters=2                photographs changed a little, that a unit takes for its own
  deepvis sweeps                                 the sweeps of this folder: state, jobs done, size
  deepvis report latest                          the report of the latest sweep; written at its end, too
  deepvis export latest figures                  figures and tables for a paper
  deepvis delete latest                          remove a sweep's folder and its runs, after asking
  deepvis ui                                     the MLflow UI, with a link to the latest sweep
  deepvis vote latest                            choose between two settings' pictures, blind
  deepvis <command> --help                       more of one of these
"""


@dataclass(frozen=True)
class CommandLine:
    """What was typed, in the order that Hydra takes."""

    flags: list[str]
    overrides: list[str]
    multirun: bool
    help: bool
    version: bool
    runs: bool  # something; otherwise Hydra shows its own help or the config


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see deepvis --help")


def parse(argv: Sequence[str]) -> CommandLine:
    """Flags first, for Hydra takes no override behind one; a `ConfigError` of an unknown flag or command.

    In a single job ``layer.filters=0,3,7`` or ``flamingo,tabby`` can only mean one list; in a sweep a bare
    comma sweeps.
    """
    if argv and re.fullmatch(r"[a-z]+", argv[0]):
        commands = nearest(argv[0], COMMANDS)
        raise ConfigError(f"{argv[0]}: no such command; {commands}; a setting is typed as key=value")
    known = _parser().parse_intermixed_args(list(argv))
    _check_flags(known)
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
        bare = re.compile(r"layer\.filters=([\w -]+,[\w ,-]+)$")
        overrides = [bare.sub(r'layer.filters="\1"', each) for each in overrides]
    shows = known.help or known.version or known.hydra_help or known.cfg or known.info
    shows = shows or known.shell_completion
    return CommandLine(flags, overrides, known.multirun, known.help, known.version, not shows)


def taken(typed: Sequence[str], name: str, default: str) -> tuple[list[str], str]:
    """The words without an option that is a command's own, and its value."""
    given = [each.partition("=")[2] for each in typed if each.startswith(f"{name}=")]
    return [each for each in typed if not each.startswith(f"{name}=")], given[-1] if given else default


def number_taken(typed: Sequence[str], name: str, knob: Knob) -> tuple[list[str], int]:
    """The same of a whole number.

    Raises:
      ConfigError: it is none, or out of its range.
    """
    rest, text = taken(typed, name, str(knob.default))
    return rest, knob.read(name, int(text) if text.lstrip("-").isdigit() else text)


def _check_flags(known: argparse.Namespace) -> None:
    """Refuse flags that contradict one another, and those of Hydra that would leave deepvis' config out."""
    for flag in ("config_name", "config_path", "package", "experimental_rerun"):
        if (value := getattr(known, flag)) is not None:
            raise ConfigError(
                f"--{flag.replace('_', '-')}={value}: deepvis has one config; choose with group=choice, and "
                "give files of your own with --config-dir=folder"
            )
    each_alone = ("run", "multirun", "cfg", "info", "shell_completion", "hydra_help", "help")
    actions = [f"--{flag.replace('_', '-')}" for flag in each_alone if getattr(known, flag)]
    if len(actions) > 1 and actions[-1] != "--help":
        raise ConfigError(f"{' and '.join(actions)}: expected one of them; of a sweep, --cfg job shows the "
                          "config when each key has one value")  # fmt: skip
    if known.resolve and not known.cfg:
        raise ConfigError("--resolve: expected --cfg job beside it")
    words = ("install=", "uninstall=", "query=")
    if known.shell_completion and not any(each.startswith(words) for each in known.overrides):
        raise ConfigError("--shell-completion: expected install=bash, uninstall=bash or query=bash beside it")


def with_recipe(overrides: Sequence[str]) -> list[str]:
    """Overrides, and a recipe where none says how to optimize and no network is a VGG, which defaults fit."""
    keys = {re.split(r"[.=]", each.lstrip("+~"), maxsplit=1)[0] for each in overrides}
    given = dict(each.split("=", 1) for each in overrides if each.startswith(("model=", "model.name=")))
    files = [CONF / "model" / f"{name}.yaml" for name in given.get("model", "vgg16").split(",")]
    if keys & HOW or not all(file.is_file() for file in files):
        return list(overrides)
    models = [yaml.safe_load(file.read_text()) for file in files]
    names = [{"name": name} for name in given["model.name"].split(",")] if "model.name" in given else [{}]
    recipes = {networks.recipe(model | name) for model in models for name in names}
    return [*(f"experiment={recipe}" for recipe in recipes if recipe and len(recipes) == 1), *overrides]


def _parser() -> argparse.ArgumentParser:
    """Hydra's flags (https://hydra.cc/docs/advanced/hydra-command-line-flags)."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    for flags in (("--help", "-h"), ("--version",), ("--hydra-help",), ("--resolve",), ("--run", "-r"),
                  ("--multirun", "-m"), ("--shell-completion", "-sc")):  # fmt: skip
        parser.add_argument(*flags, action="store_true")
    for flags in (("--package", "-p"), ("--config-path", "-cp"), ("--config-name", "-cn"),
                  ("--config-dir", "-cd"), ("--experimental-rerun",)):  # fmt: skip
        parser.add_argument(*flags)
    parser.add_argument("--cfg", "-c", choices=("job", "hydra", "all"))
    parser.add_argument("--info", "-i", nargs="?", const="all", choices=INFORMATION)
    parser.add_argument("overrides", nargs="*")
    return parser


def versions() -> str:
    """deepvis' version, and those of the packages that its results depend on."""
    others = (f"{name} {installed(package) or 'not installed'}" for name, package in PACKAGES.items())
    return f"deepvis {__version__} ({', '.join(others)})"


def help_text(typed: Sequence[str]) -> str:
    """Commands, groups, and the config with these overrides."""
    folders = sorted(path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra")
    groups = [
        f"{each.name}: {', '.join(sorted(file.stem for file in each.glob('*.yaml')))}" for each in folders
    ]
    return "\n".join([
        HELP,
        "== Groups: choose with group=option ==",
        *groups,
        "",
        "== Config: override with key=value ==",
        OmegaConf.to_yaml(compose.config(typed)),
        "More: --cfg job (the whole config), --hydra-help (Hydra's own flags), --version",
    ])  # fmt: skip
