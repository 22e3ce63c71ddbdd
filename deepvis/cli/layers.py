"""``deepvis layers``: what can be visualized in a network."""

from collections.abc import Iterable, Sequence

from omegaconf import OmegaConf
from rich.table import Table
from rich.text import Text

from deepvis import networks
from deepvis.config import compose
from deepvis.core import terminal
from deepvis.core.errors import ConfigError
from deepvis.networks.base import Layer, Size

HELP = """deepvis layers [model=...]    the layers of a network that can be visualized

  deepvis layers                                            those of VGG16
  deepvis layers model=keras model.name=ResNet50            any network of keras.applications
  deepvis layers model=file model.path=my.keras             a model of yours

In pixels of the image, along one side: stride and receptive field of a unit, and the smallest image that fits
(with =: the only size)."""


def main(typed: Sequence[str]) -> int:
    """Print the layers of the network that these overrides choose; returns the exit code."""
    terminal.take()
    model = compose.config(typed).model
    missing = sorted(OmegaConf.missing_keys(model))
    if missing:
        raise ConfigError(f"model.{missing[0]} is not given: add model.{missing[0]}=...")
    network = networks.network(compose.plain_mapping(model))
    layers = network.layers()
    terminal.console().print(_table(layers.values()))
    terminal.say(f"{len(layers)} layers of {network.name}; look into one with layer.name=...")
    hidden = [layer.name for layer in layers.values() if not layer.pre_activation]
    if hidden:
        terminal.say(f"only with objective.pre_activation=false: {', '.join(hidden)}")
    for name, why in network.refusals().items():
        terminal.say(f"refused: {name}: {why}")
    return 0


def _table(layers: Iterable[Layer]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    # A name that is too long is folded, so that it leaves the other columns their place.
    table.add_column("layer", overflow="fold", max_width=80)
    table.add_column("kind")
    for heading in ("channels", "stride", "receptive field", "smallest image"):
        table.add_column(heading, justify="right")
    for layer in layers:
        table.add_row(
            Text(layer.name),  # as it is: [red] in it is no markup
            layer.kind,
            str(layer.channels),
            _sides(layer.stride),
            "all" if layer.field is None else str(layer.field),
            str(layer.smallest) if layer.exactly is None else f"= {_sides(layer.exactly)}",
        )
    return table


def _sides(size: Size | None) -> str:
    """One number where both sides are equal."""
    if size is None:
        return ""
    return str(size[0]) if size[0] == size[1] else f"{size[0]} x {size[1]}"
