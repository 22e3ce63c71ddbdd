"""Tables of the documentation that follow from the declared knobs.

PYTHONPATH=.:tests python -m helpers.knob_tables        writes them into docs/reference/config.md again
"""

import re
from collections.abc import Iterator
from pathlib import Path

import deepvis.ascent  # declares the components
import deepvis.atlas_cells
import deepvis.attribution.expanded_weights
import deepvis.attribution.fooling
import deepvis.attribution.methods
import deepvis.embeddings
import deepvis.factorizations  # noqa: F401
from deepvis.config.knobs import Component, Knob, components

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "config.md"
TABLE = re.compile(r"(<!-- knobs: (\w+) -->\n).*?(<!-- end -->)", re.S)
SETS = ("reg", "transform")  # all components are there, each off by its neutral value


def text(page: str) -> str:
    """A page with its tables as the knobs are declared."""
    return TABLE.sub(lambda found: f"{found[1]}{table(found[2])}\n{found[3]}", page)


def table(family: str) -> str:
    """The knobs of a family in Markdown, in the order of their declaration."""
    head = (
        ["key", "what it does", "values", "off"] if family in SETS else ["key", "of", "what it is", "values"]
    )
    rows = sets(family) if family in SETS else choices(family)
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def own(family: str) -> list[Component]:
    """The components that deepvis brings, without those of a test in the same process."""
    return [each for each in components(family).values() if each.function.__module__.startswith("deepvis.")]


def sets(family: str) -> Iterator[list[str]]:
    for component in own(family):
        for key, knob in component.knobs.items():
            off = "false" if knob.default is False else f"{knob.default:g}" if knob.switch else ""
            yield [f"`{family}.{key}`", knob.help, values(knob), off]


def choices(family: str) -> Iterator[list[str]]:
    takers: dict[tuple[str, Knob], list[str]] = {}
    for component in own(family):
        for key, knob in component.knobs.items():
            takers.setdefault((key, knob), []).append(f"`{component.name}`")
    everywhere = len(own(family))
    for (key, knob), names in takers.items():
        of = "all" if len(names) == everywhere else ", ".join(names)
        yield [f"`{family}.{key}`", of, knob.help, values(knob)]


def values(knob: Knob) -> str:
    """The values allowed, in words."""
    if knob.choices:
        return " or ".join(f"`{each}`" for each in knob.choices)
    if knob.type is bool:
        return "true or false"
    if knob.type in (str, tuple):
        words = "text" if knob.type is str else "a list"
        return f"{words}, or null" if knob.default is None else words
    return f"{knob.range()}, or null" if knob.default is None else knob.range()


if __name__ == "__main__":
    PAGE.write_text(text(PAGE.read_text()))
