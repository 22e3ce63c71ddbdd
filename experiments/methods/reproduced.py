"""Does a second run, from other seeds, find each number of the first within its interval?

python experiments/methods/make.py PHOTOGRAPHS --seed 3 --to SECOND
python experiments/methods/reproduced.py SECOND

Writes reproduced.csv, a row a number that has an interval.
"""

import argparse
import csv
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from study import write_csv

KEY = ("target", "budget", "method")


def compared(first: Sequence[Mapping[str, str]], second: Sequence[Mapping[str, str]]) -> Iterator[dict]:
    """A row a number of the first run that the second has, too."""
    others = {tuple(row[key] for key in KEY): row for row in second}
    for row in first:
        other = others.get(tuple(row[key] for key in KEY))
        for name in (each.removesuffix("_low") for each in row if each.endswith("_low")):
            if other is None or not (row[name] and row[f"{name}_low"] and other.get(name)):
                continue
            value, low, high, again = (
                float(each) for each in (row[name], row[f"{name}_low"], row[f"{name}_high"], other[name])
            )
            if not math.isnan(low + high + again):
                yield {key: row[key] for key in KEY} | {
                    "measure": name, "first": value, "low": low, "high": high, "second": again,
                    "within": int(low <= again <= high),
                }  # fmt: skip


def read(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("second", type=Path, help="folder of the second run")
    parser.add_argument("--first", type=Path, default=Path(__file__).parent)
    said = parser.parse_args()
    rows = list(compared(read(said.first), read(said.second)))
    write_csv(said.first / "reproduced.csv", rows)
    for name in dict.fromkeys(row["measure"] for row in rows):
        own = [row["within"] for row in rows if row["measure"] == name]
        print(f"{name:18} {sum(own)} of {len(own)} within")


if __name__ == "__main__":
    main()
