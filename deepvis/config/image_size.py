"""The size of an image as a person writes it: the side of a square, or [height, width]; px."""

from typing import Any

from deepvis.config.knobs import REQUIRED, Knob
from deepvis.core.errors import ConfigError


class SizeKnob(Knob):
    """One whole number, or two of them."""

    def read(self, key: str, value: Any) -> Any:
        """The side of a square, or height and width where they differ; see `Knob.read`."""
        if not isinstance(value, list | tuple):
            return super().read(key, value)
        try:
            height, width = (Knob.read(self, key, side) for side in value)
        except (ConfigError, ValueError) as err:  # of one side; or not two
            raise ConfigError(f"{key}={list(value)}: expected {self.range()}") from err
        return height if height == width else (height, width)

    def range(self) -> str:
        """The values allowed, in words."""
        return f"{super().range()}, or two: [height,width]"


SIZE = SizeKnob(REQUIRED, "of the image", kind=int, low=1, unit="whole number of px")
