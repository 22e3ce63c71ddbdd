"""The gallery of EfficientNet-Lite0: its numbers are those of its tables."""

import csv
import re
from pathlib import Path

GALLERY = Path(__file__).parents[2] / "docs/gallery"
PAGE = (GALLERY / "efficientnet_lite0.md").read_text()


def table(name: str) -> dict[str, float]:
    with (GALLERY / f"efficientnet_lite0_{name}.csv").open() as file:
        return {f"{row['class']} ({row['number']})": float(row["p"]) for row in csv.DictReader(file)}


def test_the_probabilities_on_the_page_are_those_of_the_tables():
    recipes = [table(name) for name in ("default", "combined", "maco", "classes")]
    rows = re.findall(r"^\| ([\w ]+ \(\d+\)) \| (.*) \|$", PAGE, re.M)
    assert {name: [float(p) for p in ps.split(" | ")] for name, ps in rows} == {
        name: [each[name] for each in recipes] for name in recipes[0]
    }


def test_what_the_page_says_of_all_classes_is_so():
    assert len(table("classes")) == 20 and "**all twenty**" in PAGE
    assert min(table("classes").values()) > 0.999
    assert sum(p > 0.9 for p in table("maco").values()) == 3 and "Three of five classes" in PAGE
    assert max(table("combined").values()) < 0.9


def test_every_picture_of_the_page_is_made_by_its_script():
    script = (GALLERY / "efficientnet_lite0.py").read_text()
    for name in re.findall(r"\(efficientnet_lite0_(\w+)\.(?:jpg|csv)\)", PAGE):
        assert f"_{name}" in script or f'"{name}"' in script
        assert list(GALLERY.glob(f"efficientnet_lite0_{name}.*"))
