"""The command line: subcommands, and Hydra's main for everything else.

Hydra composes the config; `preflight` checks it before anything is written and before TensorFlow is
imported. Whatever goes wrong ends in one line on standard error and a non-zero exit; HYDRA_FULL_ERROR=1
shows the traceback.
"""

import os
import re
import secrets
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from deepvis.ascent import backend
from deepvis.cli import messages
from deepvis.config import schema
from deepvis.config.compose import Plan
from deepvis.config.schema import plain
from deepvis.core import names, terminal
from deepvis.core.errors import ConfigError, ReportedError
from deepvis.results import manifest, result_folder
from deepvis.sweeps import finalize, jobs, preflight

TERMINATED = 143  # 128 + SIGTERM, as shells have it


def job(cfg: DictConfig) -> float | list[float]:
    """Hydra's task: one job, where a launcher hands jobs out one by one."""
    of_hydra = HydraConfig.get()
    folder = Path(of_hydra.runtime.output_dir)
    terminal.take(folder / "deepvis.log")
    one = preflight.job_of(Plan(cfg, list(of_hydra.overrides.task), folder))
    manifest.add_jobs(manifest.of_job(folder), [jobs.listed(one)])
    backend.load()  # TensorFlow, now that nothing else can be wrong
    from deepvis.sweeps import runner

    if runner.run([one], preflight.tracker_of(plain(one.cfg.tracker)), os.environ["DEEPVIS_SWEEP"]):
        raise ReportedError(one.name)
    return result_folder.value(folder / "result", one.cfg.objective_value)


def main() -> None:
    """The console script."""
    # An exit ends what is open, the runs of a sweep or the server of the UI; a signal would not.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    if sys.argv[1:2] == ["ui"]:
        from deepvis.cli import ui

        sys.exit(ui.main(sys.argv[2:]))
    if sys.argv[1:2] == ["layers"]:
        from deepvis.cli import layers

        sys.exit(layers.main(sys.argv[2:]))
    if sys.argv[1:2] == ["report"]:
        from deepvis.cli import report

        sys.exit(report.main(sys.argv[2:]))
    debug = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise, so that the one line is ours
    for name in ("DEEPVIS_SWEPT", "DEEPVIS_FOLDER"):  # of a sweep that started this process
        os.environ.pop(name, None)
    code = 0
    try:
        sys.argv[1:] = _arguments(sys.argv[1:])
        schema.store(sys.argv[1:])
        os.environ["DEEPVIS_SWEEP"] = _sweep(sys.argv[1:])
        hydra.main(version_base="1.3", config_path=str(names.CONF), config_name="config")(job)()
    except ReportedError:
        code = 1
    except SystemExit as stop:
        code = stop.code
        if code == TERMINATED:
            terminal.error("terminated; what had finished is kept")
    except KeyboardInterrupt:
        terminal.error("interrupted; what had finished is kept")
        code = 130
    except BrokenPipeError:  # deepvis --help | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except Exception as err:
        terminal.error(messages.line(err, sys.argv[1:]) if not debug else traceback.format_exc())
        code = 1
    if "DEEPVIS_FOLDER" in os.environ:  # it had begun
        folder = Path(os.environ["DEEPVIS_FOLDER"])
        try:
            finalize.close(os.environ["DEEPVIS_SWEEP"], folder, preflight.opened())
        except Exception as err:  # the store is gone, or the disk is full
            terminal.error(f"the sweep could not be summed up: {messages.line(err)}")
            finalize.go_on(manifest.read(folder), folder)
            code = code or 1
    sys.exit(code)


def _sweep(argv: list[str]) -> str:
    """The sweep's id: a new one, or that of the sweep to go on with. Hydra needs it to name the folders."""
    typed = dict(a.split("=", 1) for a in argv if "=" in a)
    if "resume" in typed:
        own = [Path(typed[key].strip("'\"")) for key in manifest.FOLDER_KEYS if key in typed]
        return manifest.find(typed["resume"], own or list(Path("outputs").glob("*")))
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def _arguments(argv: list[str]) -> list[str]:
    """The command line as Hydra wants it.

    Flags come first, for it takes no override behind one. And in a single job ``layer.filters=0,3,7`` can
    only mean one list; in a sweep a bare comma sweeps.
    """
    if argv and re.fullmatch(r"[a-z]+", argv[0]):
        commands = names.nearest(argv[0], ("layers", "report", "ui"))
        raise ConfigError(f"{argv[0]}: no such command; {commands}; a setting is typed as key=value")
    flags = [a for a in argv if a in ("-m", "--multirun")]
    argv = flags + [a for a in argv if a not in flags]
    parser = get_args_parser()
    parser.error = _refuse
    parser.parse_args(argv)
    bare = re.compile(r"layer\.filters=([\d-]+,[\d,-]+)")
    return argv if flags else [bare.sub(r'layer.filters="\1"', a) for a in argv]


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"{message}; see deepvis --help")
