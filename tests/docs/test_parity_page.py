"""The page that `make parity` writes: every row is within float32's rounding, or says why it is not."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/parity.md").read_text()
METHODS = {
    "Fourier, decorrelated colour", "Start of `distill_2017`", "MACO", "Robust transforms", "Deep dream",
    "Gatys' losses", "Mahendran's inversion", "Penalties", "Yosinski's operators", "Guided backprop",
}  # fmt: skip


def rows(columns: int) -> list[list[str]]:
    lines = [re.findall(r"(?<=\|)[^|]*(?=\|)", line) for line in PAGE.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line] for line in lines if len(line) == columns]


def test_every_row_is_within_rounding_or_says_why():
    head, *compared = rows(6)
    assert head[-2:] == ["largest difference", "why it differs"]
    assert {row[0] for row in compared} == METHODS
    for method, what, library, inputs, difference, why in compared:
        assert float(difference) <= 1e-4 or len(why) > 20, (method, what, library, inputs)
    strict = {row[0] for row in compared if float(row[4]) <= 1e-4}
    assert strict == METHODS - {"Start of `distill_2017`"}  # which is a matter of draws


def test_every_draw_is_within_chance_or_says_why():
    head, *drawn = rows(7)
    assert head[-2:] == ["standard errors", "why it differs"] and len(drawn) >= 7
    for what, library, _, _, _, errors, why in drawn:
        assert float(errors) <= 5 or len(why) > 20, (what, library)
    [theirs, ours] = next(row[3:5] for row in drawn if row[0] == "both moves")
    for side in (theirs, ours):  # sd 2.94 of 9 and of 5 places
        assert abs(float(side.split(", ")[1]) - 2.944) < 0.05 and side.endswith("-6 to 6")


def test_the_versions_are_those_that_are_installed():
    pins = dict(
        re.findall(
            r"^([\w-]+)==(\S+)", "".join(path.read_text() for path in ROOT.glob("requirements-*.lock")), re.M
        )
    )
    named = {
        tuple(found)
        for row in rows(6) + rows(7)
        for found in re.findall(r"^([a-z][\w-]*) (\d+\.\d+(?:\.\d+)*)", row[2] if len(row) == 6 else row[1])
    }
    assert {name for name, _ in named} >= {
        "torch-lucent", "lucid", "xplique", "tf-keras-vis", "horama", "dreamlens", "captum", "pystiche",
        "neural-style",
    }  # fmt: skip
    for name, version in named:
        assert pins[name] == version, name
