"""stub"""

from typing import NamedTuple


class Param(NamedTuple):
    encode: object
    decode: object


def pixel(size, mean):
    return Param(lambda x: x, lambda x: x)
