"""Who looks: the network that compares pictures with photographs; and which units can be compared."""

from collections.abc import Callable

import numpy as np
import yaml

from deepvis import networks
from deepvis.config import knobs, schema
from deepvis.config.schema import Config
from deepvis.core.errors import ConfigError, WeightsError
from deepvis.core.names import CONF
from deepvis.trust.natural_values import network_observer

OBSERVERS = ("efficientnet_lite0", "vgg16")  # networks that look at pictures, the first that is another one


def check(cfg: Config) -> None:
    """Refuse what cannot be compared with photographs.

    Raises:
      ConfigError: in one line.
    """
    kind = knobs.component("objective", cfg.objective.target).name
    if kind != "channel":
        raise ConfigError(f"objective={kind}: trust is measured of channels; leave the objective away")
    channels = networks.network(schema.plain(cfg.model)).channels
    if channels not in (1, 3):
        raise ConfigError(f"data: a photograph has 1 or 3 channels, this network's image {channels}")


def observer(cfg: Config) -> tuple[str, Callable[[np.ndarray], np.ndarray]]:
    """The network that looks at pictures: another than the one that is asked, where one can be had."""
    for name in OBSERVERS:
        if name == cfg.model.name or len(cfg.model.mean) != 3:
            continue
        # The file holds plain values, and Hydra, which may be composing a job, knows one config at a time.
        other = networks.network(yaml.safe_load((CONF / "model" / f"{name}.yaml").read_text()))
        try:
            return name, network_observer(other, cfg.sides)
        except (ConfigError, WeightsError):  # no weights here, or no image of that size
            continue
    own = networks.network(schema.plain(cfg.model))
    return f"{cfg.model.name} itself", network_observer(own, cfg.sides)
