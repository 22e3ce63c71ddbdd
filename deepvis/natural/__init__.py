"""Natural examples: the photographs, and the places in them, that excite a unit most and least."""

from deepvis.natural.examples import Examples, K, examples

__all__ = ["Examples", "K", "examples"]
