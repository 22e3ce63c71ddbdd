"""The door: ``python -m deepvis.run`` and ``deepvis``.

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
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from deepvis import config, errors, jobs, ledger, preflight, sweep, terminal


def job(cfg: DictConfig) -> None:
    """Hydra's task: one job, where a launcher hands jobs out one by one."""
    of_hydra = HydraConfig.get()
    folder = Path(of_hydra.runtime.output_dir)
    terminal.take(folder / "deepvis.log")
    config.check(cfg)  # again: not every sweeper composes its jobs beforehand
    from deepvis import harness  # TensorFlow, now that nothing else can be wrong

    one = jobs.make(cfg, list(of_hydra.overrides.task), folder)
    if harness.run([one], preflight.tracker_of(cfg), os.environ["DEEPVIS_SWEEP"]):
        raise errors.ReportedError(one.name)


def main() -> None:
    """The console script."""
    # An exit ends what is open, the runs of a sweep or the server of the UI; a signal would not.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if sys.argv[1:2] == ["ui"]:
        from deepvis import ui

        sys.exit(ui.main(sys.argv[2:]))
    debug = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise, so that the one line is ours
    sys.argv[1:] = _quoted(sys.argv[1:])
    code = 0
    try:
        os.environ["DEEPVIS_SWEEP"] = _sweep(sys.argv[1:])
        hydra.main(version_base="1.3", config_path=str(config.CONF), config_name="config")(job)()
    except errors.ReportedError:
        code = 1
    except KeyboardInterrupt:
        terminal.error("interrupted; what had finished is kept")
        code = 130
    except BrokenPipeError:  # deepvis --help | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except Exception as err:
        if debug:
            raise
        terminal.error(errors.line(err, sys.argv[1:]))
        code = 1
    finally:
        tracker = preflight.opened()
        if tracker is not None and "DEEPVIS_FOLDER" in os.environ:
            sweep.close(os.environ["DEEPVIS_SWEEP"], Path(os.environ["DEEPVIS_FOLDER"]), tracker)
    sys.exit(code)


def _sweep(argv: list[str]) -> str:
    """The sweep's id: a new one, or that of the sweep to go on with. Hydra needs it to name the folders."""
    for word in (a.partition("=")[2] for a in argv if a.startswith("resume=")):
        return ledger.find(word, Path("outputs"))
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def _quoted(argv: list[str]) -> list[str]:
    """In a single job ``layer.filters=0,3,7`` can only mean one list; in a sweep a bare comma sweeps."""
    if {"-m", "--multirun"} & set(argv):
        return argv
    bare = re.compile(r"layer\.filters=([\d-]+,[\d,-]+)")
    return [bare.sub(r'layer.filters="\1"', a) for a in argv]


if __name__ == "__main__":
    # This file run as a script is __main__; Hydra's callback would load a second copy of it by name.
    from deepvis.run import main as door

    door()
