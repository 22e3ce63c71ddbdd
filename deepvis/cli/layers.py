"""``deepvis layers``: what can be visualized in a network."""

from collections.abc import Iterable, Sequence

from omegaconf import OmegaConf
from rich.table import Table

from deepvis import networks
from deepvis.cli import messages
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
    """The command.

    Args:
      typed: overrides, such as ``model=keras model.name=ResNet50``.

    Returns:
      Exit code.
    """
    if {"-h", "--help"} & set(typed):
        print(HELP)
        return 0
    terminal.take()
    try:
        model = compose.config(typed).model
        missing = sorted(OmegaConf.missing_keys(model))
        if missing:
            raise ConfigError(f"model.{missing[0]} is not given: add model.{missing[0]}=...")
        network = networks.network(compose.plain_mapping(model))
        found = network.layers()
    except Exception as err:
        messages.report(err, typed, multirun=False)
        return 1
    out = terminal.console()
    out.print(_table(found.values()))
    out.print(f"{len(found)} layers of {network.name}; look into one with layer.name=...", soft_wrap=True)
    hidden = [layer.name for layer in found.values() if not layer.pre_activation]
    if hidden:
        out.print(f"only with objective.pre_activation=false: {', '.join(hidden)}", soft_wrap=True)
    for name, why in network.refusals().items():
        out.print(f"refused: {name}: {why}", soft_wrap=True)
    return 0


def _table(layers: Iterable[Layer]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("layer", no_wrap=True)
    table.add_column("kind")
    for heading in ("channels", "stride", "receptive field", "smallest image"):
        table.add_column(heading, justify="right")
    for layer in layers:
        table.add_row(
            layer.name,
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
