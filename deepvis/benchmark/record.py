"""The record of a benchmark: rows of images -> summaries, tests, verdicts, pictures and files."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepvis.benchmark import comparisons
from deepvis.benchmark.measures import ACROSS_SEEDS, MEASURES
from deepvis.benchmark.methods import BUDGETS
from deepvis.core import files, images, saved_folder
from deepvis.report import benchmark_page


@dataclass(frozen=True, eq=False)
class Entry:
    """A method within a budget: its images, and what was measured of them."""

    method: str
    budget: str  # one of `deepvis.benchmark.methods.BUDGETS`
    overrides: str  # of a job
    steps: int  # 0: not known
    passes: float  # an image, through the network
    seconds: float  # of processor time, an image
    shown: np.ndarray  # uint8 [seeds, n, H, W, 3]
    rows: Sequence[Sequence[Mapping[str, float]]]  # [seeds][n]; one more seed: the twins of the first

    @property
    def seeds(self) -> int:
        """How many there are."""
        return len(self.shown)

    def values(self) -> dict[str, np.ndarray]:
        """By measure, ``[n, seeds]``."""
        return self._columns(self.rows[: self.seeds])

    def floors(self) -> dict[str, np.ndarray]:
        """Twin minus image of the first seed, as compared, by measure ``[n, 1]``; without twins nothing."""
        if len(self.rows) == self.seeds:
            return {}
        first, twins = self._columns(self.rows[:1]), self._columns(self.rows[self.seeds :])
        return {
            measure.name: comparisons.difference(measure, twins[measure.name], first[measure.name])
            for measure in MEASURES
            if measure.name in twins and measure.name not in ACROSS_SEEDS
        }

    @staticmethod
    def _columns(rows: Sequence[Sequence[Mapping[str, float]]]) -> dict[str, np.ndarray]:
        return {
            measure.name: np.array([[each[measure.name] for each in seed] for seed in rows]).T
            for measure in MEASURES
            if measure.name in rows[0][0]
        }


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Methods compared on the same units."""

    place: str  # layer and network
    filters: Sequence[int]
    captions: Sequence[str]
    entries: Sequence[Entry]
    examples: np.ndarray  # uint8 [n, k, H, W, 3], photographs that excite each unit most
    notes: Sequence[str]  # what should be known, a sentence each

    @property
    def budgets(self) -> list[str]:
        """Those of its entries; images made elsewhere are compared within each."""
        return list(dict.fromkeys(each.budget for each in self.entries if each.budget != "given")) or [
            "given"
        ]

    def of(self, budget: str) -> list[Entry]:
        """The entries that are compared within a budget."""
        return [each for each in self.entries if each.budget in (budget, "given")]

    def summaries(self, budget: str) -> list[dict[str, Any]]:
        """A row a method: what it took, and each measure with interval and noise floor."""
        return self._tables[budget][0]

    def pairs(self, budget: str) -> list[dict[str, Any]]:
        """A row a measure and pair of methods."""
        return self._tables[budget][1]

    @functools.cached_property
    def _tables(self) -> dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
        """Summaries and pairs by budget: tests over all pairs take seconds, and many ask for them."""
        return {budget: (self._summaries(budget), self._pairs(budget)) for budget in self.budgets}

    def _summaries(self, budget: str) -> list[dict[str, Any]]:
        entries = self.of(budget)
        rows = comparisons.summaries(
            {each.method: each.values() for each in entries}, {each.method: each.floors() for each in entries}
        )
        return [
            {"budget": budget, "method": each.method, "steps": each.steps, "passes": each.passes,
             "seconds": each.seconds, "units": len(self.filters), "seeds": each.seeds} | row
            for each, row in zip(entries, rows, strict=True)
        ]  # fmt: skip

    def _pairs(self, budget: str) -> list[dict[str, Any]]:
        entries = self.of(budget)
        rows = comparisons.pairs(
            {each.method: each.values() for each in entries}, {each.method: each.floors() for each in entries}
        )
        return [{"budget": budget} | row for row in rows]

    def verdicts(self, budget: str) -> list[str]:
        """A sentence a measure, then the balance of all."""
        return comparisons.verdicts(self.summaries(budget), self.pairs(budget), len(self.filters))

    def told(self) -> list[str]:
        """Verdicts of each budget, then what should be known."""
        lines = []
        for budget in self.budgets:
            lines += [f"budget    {BUDGETS[budget]}", *self.verdicts(budget)]
        return lines + list(self.notes)

    def unit_rows(self) -> list[dict[str, Any]]:
        """A row an image."""
        names = dict.fromkeys(name for entry in self.entries for name in entry.rows[0][0])
        return [
            {"budget": entry.budget, "method": entry.method, "filter": index, "name": self.captions[at],
             "seed": seed} | {name: entry.rows[seed][at].get(name, np.nan) for name in names}
            for entry in self.entries for seed in range(entry.seeds) for at, index in enumerate(self.filters)
        ]  # fmt: skip

    def pictures(self) -> Mapping[str, np.ndarray]:
        """By budget and seed, a row a unit: photographs, then the picture of each method."""
        return self._sheets

    @functools.cached_property
    def _sheets(self) -> Mapping[str, np.ndarray]:
        sheets = {}
        for budget in self.budgets:
            entries = self.of(budget)
            columns = [*(f"photograph {k + 1}" for k in range(self.examples.shape[1])),
                       *(each.method.replace("_", " ") for each in entries)]  # fmt: skip
            for seed in range(max(each.seeds for each in entries)):
                rows = [
                    [*self.examples[at], *(each.shown[min(seed, each.seeds - 1), at] for each in entries)]
                    for at in range(len(self.filters))
                ]
                sheets[f"{budget}_seed_{seed}"] = images.contact_sheet(
                    rows, self.captions, columns, fits_words=True
                )
        return sheets

    def metrics(self) -> dict[str, float]:
        """What a run is compared by: each method's measures."""
        found = {}
        for budget in self.budgets:
            for row in self.summaries(budget):
                for measure in MEASURES:
                    value = row.get(measure.name, np.nan)
                    if np.isfinite(value):
                        found[f"{budget}/{row['method']}/{measure.name}"] = float(value)
        return found

    def write(self, folder: Path) -> None:
        """``results.csv``, ``pairs.csv``, ``units.csv``, and the page ``benchmark.html``."""
        results = [row for budget in self.budgets for row in self.summaries(budget)]
        tested = [row for budget in self.budgets for row in self.pairs(budget)]
        files.write_csv(folder / "results.csv", _filled(results))
        files.write_csv(folder / "pairs.csv", tested)
        files.write_csv(folder / "units.csv", self.unit_rows())
        measures = [(each.name, each.said) for each in MEASURES]
        verdicts = {budget: self.verdicts(budget) for budget in self.budgets}
        methods = {each.method: each.overrides for each in self.entries}
        page = benchmark_page.page(
            self.place, measures, results, verdicts, self.notes, self.pictures(), methods, BUDGETS
        )
        files.write_text(folder / "benchmark.html", page)

    def save(self, folder: str | Path) -> Path:
        """Pictures, tables and the page into a folder: see `saved_folder.save`."""
        return saved_folder.save(folder, self.write, self.pictures())


def _filled(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the columns of all: images made elsewhere have no noise floor."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name, np.nan) for name in names} for row in rows]
