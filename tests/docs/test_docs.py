"""The documentation is true: its commands and Python blocks run, its links resolve, its keys exist.

A comment before a fenced block says how it is run (the table is in CONTRIBUTING.md). The blocks of a page
share a folder; commands run in processes forked from one that has imported TensorFlow.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from helpers import knob_tables
from helpers.configs import choices, config_of
from omegaconf import OmegaConf
from PIL import Image

from deepvis.core.names import CONF

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
PAGES += sorted(ROOT.glob("docs/**/*.md"))
TINY = ["model=tiny", "layer=named", "layer.name=block2_conv2", "layer.filters=0-1", "size=16", "steps=2",
        "precision=float32", "snapshot_every=2"]  # fmt: skip
ASCENT = ("steps=", "snapshot_every=")
# What a command has no use for is refused.
UNREAD = {
    **dict.fromkeys(("attribution", "examples", "fooling", "tuning", "weights"), ASCENT),
    **dict.fromkeys(("embedding", "maps"), (*ASCENT, "layer.filters=")),
}
BLOCK = re.compile(r"((?:^<!-- [^\n]* -->\n)*)^( *)```(\w*)\n(.*?)^ *```$", re.M | re.S)
HOW = re.compile(r"<!-- (run|not run|fails|file|first)(?:: (.*?))? -->")
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
# A key and its value in the text: a name that may have parts, `=`, and something after it.
SETTING = re.compile(r"^\+?([a-z][a-z_0-9]*(?:\.[a-z_0-9]+)*)=\S")
ALONE = re.compile(r"^[a-z_]+(\.[a-z_0-9]+)+$")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    line: int
    language: str
    how: dict[str, str]  # run, not run, fails, file, first -> what the comment says beside it
    text: str


# What looks like a key of the config: placeholders, keys of launchers, arguments in Python.
ELSEWHERE = {
    "group", "group.key", "key", "num_gpus", "gpus_per_node", "cpus_per_task", "account", "array_parallelism",
    "mem_gb", "timeout_min", "folder", "low", "preprocess", "filters", "uri", "labels", "inputs", "optimize",
    "paired", "milliseconds", "randomized", "seeds", "method", "methods", "passes", "budgets", "judges",
    "images.lucent",
}  # fmt: skip


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in BLOCK.finditer(text):
        comments, _, language, body = found.groups()
        yield Block(text[: found.start()].count("\n") + 1, language, dict(HOW.findall(comments)), body)


def commands(block: Block) -> list[list[str]]:
    """The command lines of a block as a shell would split them, comments left out."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def overrides(words: list[str]) -> list[str]:
    """What a command says to deepvis."""
    for program in (["deepvis"], ["python", "-m", "deepvis.run"]):
        if words[: len(program)] == program:
            return words[len(program) :]
    raise AssertionError(f"no command of deepvis: {shlex.join(words)}; mark the block as not run")


def small(typed: list[str]) -> list[str]:
    """The same command on the tiny network; the last of two values of a key counts."""
    if typed and typed[0] in ("report", "layers", "sweeps", "export", "delete"):
        return typed
    tracked = any(word.startswith("tracker") for word in typed)
    tiny = [word for word in TINY if not word.startswith(UNREAD.get(typed[0] if typed else "", ()))]
    return [*typed, *tiny, *([] if tracked else ["tracker=none"])]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_says_what_it_is(page):
    for block in blocks(page):
        assert block.language in ("bash", "python", "text", "console"), (
            f"line {block.line}: {block.language!r}"
        )
        if "not run" in block.how:
            assert block.how["not run"], f"line {block.line}: no reason"
        assert block.how.get("run", "") in ("", "tiny", "compose"), f"line {block.line}"


@pytest.mark.parametrize("page", [page for page in PAGES if any(blocks(page))], ids=name)
def test_commands_and_python_run(page, forker, tmp_path):
    for picture in ("photo.jpg", "art.jpg", "flower.jpg", "china.jpg"):
        noise = np.random.default_rng(0).integers(256, size=(48, 48, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / picture)
    script: list[str] = []  # Python blocks run in one process at the end, for they share names
    for block in blocks(page):
        if "not run" in block.how or block.language not in ("bash", "python"):
            continue
        where = f"{name(page)} line {block.line}"
        if "file" in block.how:
            (tmp_path / block.how["file"]).write_text(block.text)
        elif block.language == "python":
            padded = "\n" * block.line + block.text  # so that a traceback names the line of the page
            script.append(f"exec(compile({padded!r}, {name(page)!r}, 'exec'), globals())\n")
            if "first" in block.how:
                run_python(forker, tmp_path, script, where)
        else:
            for words in commands(block):
                typed = overrides(words)
                if block.how.get("run") == "compose":
                    composed(typed)
                    continue
                typed = small(typed) if block.how.get("run") == "tiny" else typed
                said = forker.run(tmp_path, *typed)
                if "fails" in block.how:
                    assert said.code != 0 and len(said.err.strip().splitlines()) == 1, f"{where}: {said}"
                else:
                    assert said.code == 0, f"{where}: {shlex.join(words)}\n{said.out}\n{said.err}"
    run_python(forker, tmp_path, script, name(page))


def run_python(forker, folder: Path, script: list[str], where: str) -> None:
    """Run all blocks so far in one process, and forget them."""
    if not script:
        return
    body = "import sys, traceback\nsys.path.insert(0, '')\ntry:\n"
    body += f"    exec({''.join(script)!r}, {{'__name__': '__main__'}})\n"
    body += "except BaseException:\n    traceback.print_exc()\n    raise SystemExit(1)\nraise SystemExit(0)\n"
    said = forker.run(folder, change=body)
    script.clear()
    assert said.code == 0, f"{where}\n{said.out}\n{said.err}"


def composed(typed: list[str]) -> None:
    """Every config that a command makes has the keys it names; of a sweep, each value of each list."""
    words = [word for word in typed if word != "-m" and not word.startswith("hydra.")]
    config_of(*(word if len(each := values(word)) == 1 else each[0] for word in words))
    for word in words:
        for one in values(word)[1:]:
            config_of(*(one if other is word else values(other)[0] for other in words))


def values(word: str) -> list[str]:
    """A swept override as its single ones."""
    key, _, value = word.partition("=")
    if key == "layer.filters" or not re.fullmatch(r"[^\[\](){}'\"]*", value):
        return [f'{key}="{value}"' if "," in value and value[0] not in "[{'\"" else word]
    return [f"{key}={each}" for each in value.split(",")]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_resolve(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    wrong = []
    for link in LINK.findall(text):
        path, _, anchor = link.partition("#")
        if re.match(r"https?:|mailto:", link):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            wrong.append(link)
    assert wrong == []


def anchors(page: Path) -> set[str]:
    """The headings of a page as its links name them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def keys(node: object, prefix: str = "") -> Iterator[str]:
    for key, value in node.items() if isinstance(node, dict) else ():
        yield prefix + key
        yield from keys(value, f"{prefix}{key}.")


@pytest.fixture(scope="module")
def known() -> set[str]:
    """Every key of the config, under every choice of every group."""
    found = {"experiment"}
    groups = [
        path.name for path in CONF.iterdir() if path.is_dir() and path.name not in ("hydra", "experiment")
    ]
    for group in groups:
        for choice in choices(group):
            whole = OmegaConf.to_container(config_of(f"{group}={choice}"), resolve=False)
            found |= {key for key in keys(whole) if key.partition(".")[0] != "hydra"}
    return found


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name)
def test_keys_that_the_text_names_exist(page, known):
    """`reg.decay=0.8` in the text, and a key alone that begins with a group: `reg.decay`."""
    groups = {key.partition(".")[0] for key in known if "." in key}
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    named = set()
    for word in " ".join(CODE.findall(text)).split():
        if found := SETTING.match(word):
            named.add(found[1])
        elif ALONE.match(word) and word.partition(".")[0] in groups and not word.endswith((".yaml", ".py")):
            named.add(word)
    wrong = named - known - ELSEWHERE
    assert sorted(key for key in wrong if not key.startswith(("hydra", "ray."))) == []


def test_the_reference_has_every_key(known):
    text = (ROOT / "docs/reference/config.md").read_text()
    leaves = {key for key in known if not any(other.startswith(f"{key}.") for other in known)}
    assert sorted(key for key in leaves if not key.endswith("_target_") and key not in text) == []


def test_the_tables_of_knobs_are_their_declarations():
    text = knob_tables.PAGE.read_text()
    assert text == knob_tables.text(text), (
        "PYTHONPATH=.:tests python -m helpers.knob_tables writes them again"
    )


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


def test_nothing_names_a_folder_of_one_machine():
    files = [*PAGES, ROOT / "CITATION.cff", ROOT / ".pre-commit-config.yaml"]
    private = re.compile(r"/(work|tmp|root)/")
    assert [name(file) for file in files if private.search(file.read_text())] == []
