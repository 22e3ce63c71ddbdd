"""The door: ``python -m deepvis.run`` and ``deepvis``.

Hydra composes the config. Every job of a sweep is checked, weights and store included, before anything is
written and before TensorFlow is imported. Whatever goes wrong ends in one line on standard error and a
non-zero exit; HYDRA_FULL_ERROR=1 shows the traceback.
"""

import os
import re
import secrets
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf, open_dict

from deepvis import config, errors, jobs, sweep, terminal
from deepvis.tracker import Tracker

PACKAGE = Path(__file__).resolve().parent
# A wheel carries conf/ inside the package; a checkout has it beside.
CONF = next(p for p in (PACKAGE / "conf", PACKAGE.parent / "conf") if p.is_dir())

_opened: dict[str, Tracker] = {}  # this process's tracker: the preflight opens it, the jobs use it


class Preflight(Callback):
    """Checks every job before Hydra makes a folder for the first."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        _refusing(_preflight, [config], config)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        _refusing(lambda: _preflight(_composed(config), config))


def job(cfg: DictConfig) -> None:
    """Hydra's task: one job. A failure is reported and raised; Hydra goes on with the next job."""
    of_hydra = HydraConfig.get()
    folder = Path(of_hydra.runtime.output_dir)
    typed = list(of_hydra.overrides.task)
    terminal.take(folder / "deepvis.log")
    try:
        config.check(cfg)  # again: not every sweeper composes its jobs beforehand
        from deepvis import harness  # TensorFlow, now that nothing else can be wrong

        harness.run([jobs.make(cfg, typed, folder)], _tracker(cfg), os.environ["DEEPVIS_SWEEP"])
    except Exception as err:
        traceback.print_exc()
        terminal.error(f"{config.name(typed) or cfg.layer.name}: {errors.line(err, CONF, typed)}")
        raise errors.ReportedError from err


def main() -> None:
    """The console script."""
    # An exit ends what is open, the runs of a sweep or the server of the UI; a signal would not.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if sys.argv[1:2] == ["ui"]:
        from deepvis import ui

        sys.exit(ui.main(sys.argv[2:], CONF))
    debug = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise, so that the one line is ours
    os.environ["DEEPVIS_SWEEP"] = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    sys.argv[1:] = _quoted(sys.argv[1:])
    code = 0
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(job)()
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
        terminal.error(errors.line(err, CONF, sys.argv[1:]))
        code = 1
    finally:
        for tracker in _opened.values():
            sweep.close(os.environ["DEEPVIS_SWEEP"], Path("outputs", os.environ["DEEPVIS_SWEEP"]), tracker)
    sys.exit(code)


def _preflight(composed: list[DictConfig], whole: DictConfig) -> None:
    _check_additions(list(whole.hydra.overrides.task))
    networks: dict[str, tuple[DictConfig, str]] = {}
    for cfg in composed:
        own = cfg.copy()
        with open_dict(own):
            del own["hydra"]
        config.check(own)
        networks[f"{cfg.model}{cfg.layer.name}"] = cfg.model, cfg.layer.name
    terminal.take()
    for model, layer in networks.values():
        source = OmegaConf.to_container(model.weights)
        get_method(source.pop("_target_"))(shapes=config.shapes(model.blocks, layer), **source)
    for cfg in composed[:1]:
        _tracker(cfg)


def _composed(whole: DictConfig) -> list[DictConfig]:
    """Every job of a sweep; none where the sweeper thinks them up as it goes."""
    loader = GlobalHydra.instance().config_loader()
    fixed = [f"{key}={value}" for key, value in (whole.hydra.sweeper.params or {}).items()]
    parsed = OverridesParser.create(loader).parse_overrides([*fixed, *whole.hydra.overrides.task])
    os.environ["DEEPVIS_SWEPT"] = " ".join(o.get_key_element() for o in parsed if o.is_sweep_override())
    if not whole.hydra.sweeper._target_.endswith(BasicSweeper.__name__):
        return []
    (every,) = BasicSweeper.split_arguments(parsed, None)
    return [loader.load_sweep_config(whole, each) for each in every]


def _check_additions(typed: list[str]) -> None:
    """Refuse ``+reg.decya=0.8``, which Hydra accepts and nothing would read."""
    for override in OverridesParser.create().parse_overrides(typed):
        key = override.get_key_element()
        if key[0] in "+~" and not key.lstrip("+~").startswith("hydra."):
            plain = key.lstrip("+~")
            if key[0] == "~" or not errors.is_option(plain, CONF, typed):
                raise config.ConfigError(errors.unknown(key, plain, CONF, typed))


def _tracker(cfg: DictConfig) -> Tracker:
    if not _opened:
        where = OmegaConf.to_container(cfg.tracker)
        _opened[""] = get_method(where.pop("_target_"))(**where)
    return _opened[""]


def _refusing(check: Any, *args: Any) -> None:
    """Hydra turns a callback's exception into a warning and goes on; an exit it lets through."""
    try:
        check(*args)
    except Exception as err:
        terminal.error(errors.line(err, CONF, sys.argv[1:]))
        raise SystemExit(1) from err


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
