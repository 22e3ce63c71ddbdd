"""The network of a config, built up to what the score of its units reads: (config) -> network, layers."""

from collections.abc import Sequence

from deepvis import networks
from deepvis.ascent import units
from deepvis.config import schema
from deepvis.config.schema import Config
from deepvis.core.errors import ConfigError
from deepvis.networks.base import Activations


def built(cfg: Config, more: Sequence[str] = ()) -> tuple[Activations, list[str]]:
    """A network in float32, and the layers that the score reads.

    Args:
      cfg: of the network, the layer, the objective and the size.
      more: layers that are read beside those.

    Raises:
      ConfigError: the score is of values before a nonlinearity, and a layer has none that can be seen.
    """
    layers = units.layers(cfg)
    network = networks.network(schema.plain(cfg.model))
    found = network.build([*dict.fromkeys([*layers, *more])], cfg.sides, "float32")
    if getattr(cfg.objective, "pre_activation", False):
        for name in layers:
            if name in found.without_pre_activation:
                raise ConfigError(f"objective.pre_activation=true: layer {name}: "
                                  f"{found.without_pre_activation[name]}; set it to false")  # fmt: skip
    return found, layers


def check_precision(cfg: Config) -> None:
    """Refuse a precision that would not be used.

    Raises:
      ConfigError: bfloat16.
    """
    if cfg.precision == "bfloat16":
        raise ConfigError("precision=bfloat16: this is computed in float32; leave precision away")
