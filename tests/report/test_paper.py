"""An export for a paper: every pixel and number is that of the results; it is written whole or not at all."""

import hashlib
import io
import re
import struct
import xml.etree.ElementTree as ET
import zlib

import numpy as np
import pytest
from helpers.synthetic import finish, grid, job
from matplotlib.figure import Figure
from PIL import Image

from deepvis.core.errors import ConfigError
from deepvis.report import contact, paper
from deepvis.results import result_folder

SIZE = 32  # more than 256 colours, which a PDF would keep as a palette


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return grid(tmp_path_factory.mktemp("sweeps") / "20260102-030405-abcd", 3, size=SIZE)


@pytest.fixture(scope="module")
def exported(sweep, tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper") / "figures"
    assert paper.export([sweep], folder, "2,0") == []
    return folder


def picture(place, index):
    return np.asarray(Image.open(place / f"filters/{result_folder.label(index)}.png").convert("RGB"))


def in_order(sweep):
    """Result folders in the order of the report: a decay of 1 is off, hence the first."""

    def key(place):
        params = result_folder.read(place).params
        return -params["reg.decay"], params["reg.blur"], params["seed"]

    return sorted(result_folder.finished(sweep), key=key)


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_png_has_each_chosen_picture_pixel_by_pixel_in_its_row_and_column(exported, sweep):
    sheet = np.asarray(Image.open(exported / "contact.png").convert("RGB"))
    times = -(-contact.DPI // SIZE)
    step, side = times * (SIZE + 1), times * SIZE  # a gap of a pixel
    places = in_order(sweep)
    left = sheet.shape[1] - len(places) * step
    top = sheet.shape[0] - 2 * step
    assert min(left, top) > 0
    for row, index in enumerate((2, 0)):
        for column, place in enumerate(places):
            y, x = top + row * step, left + column * step
            large = picture(place, index).repeat(times, axis=0).repeat(times, axis=1)
            np.testing.assert_array_equal(sheet[y : y + side, x : x + side], large)
    margins = [sheet[:top], sheet[:, :left]]
    assert all((part.min(axis=-1) < 100).any() for part in margins), "no names"
    assert (sheet[:2].min(), sheet[:, :2].min()) == (255, 255)  # nothing is cut


def inflated(data):
    try:
        return zlib.decompress(data)
    except zlib.error:
        return b""


def images_of(pdf):
    """Every RGB picture in a PDF: its data are those of a PNG."""
    for head, data in re.findall(rb"<<([^>]*/Subtype /Image.*?)>>\s*stream\r?\n(.*?)endstream", pdf, re.S):
        width, height = (int(re.search(rb"/%s (\d+)" % key, head)[1]) for key in (b"Width", b"Height"))
        if b"/DeviceRGB" in head:
            chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", data)]
            body = b"".join(
                struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
                for kind, part in [*chunks, (b"IEND", b"")]
            )
            yield np.asarray(Image.open(io.BytesIO(b"\x89PNG\r\n\x1a\n" + body)))


def test_the_pdf_has_the_same_pixels_and_its_letters_are_truetype(exported, sweep):
    pdf = (exported / "contact.pdf").read_bytes()
    places = in_order(sweep)
    expected = [picture(place, i) for i in (2, 0) for place in places]
    for got, wanted in zip(images_of(pdf), expected, strict=True):
        np.testing.assert_array_equal(got[::-1], wanted)  # stored upside down, and drawn by a mirrored matrix
    streams = re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.S)
    page = next(text for text in map(inflated, streams) if b" Do" in text)
    drawn = re.findall(rb"1 0 0 1 (\S+) (\S+) cm 72 0 0 -72 0 72 cm /I(\d+) Do", page)
    assert [int(number) for _, _, number in drawn] == list(range(1, len(expected) + 1))
    where = np.array([[float(x), float(y)] for x, y, _ in drawn]).reshape(2, len(places), 2)
    step = 72 * (SIZE + 1) / SIZE
    np.testing.assert_allclose(np.diff(where[..., 0], axis=1), step)
    np.testing.assert_allclose(np.diff(where[..., 1], axis=0), -step)
    for file in exported.glob("*.pdf"):
        pdf = file.read_bytes()
        assert b"/FontFile2" in pdf and b"/Type3" not in pdf, file
    for file in exported.glob("*.svg"):
        texts = ["".join(each.itertext()) for each in ET.parse(file).iter("{http://www.w3.org/2000/svg}text")]
        assert len(texts) > 4, file


def test_there_is_a_figure_of_each_kind(exported):
    maps = (f"heatmap-reg_decay-reg_blur-{name}" for name in ("score", "robustness", "high_frequency"))
    kinds = ("curves", "tradeoff", *maps)
    figures = {f"{kind}.{suffix}" for kind in kinds for suffix in ("pdf", "svg")}
    assert set(digests(exported)) == figures | {
        "contact.pdf", "contact.png", "table.tex", "table.md", "export.json",
    }  # fmt: skip


def test_tables_have_the_medians(exported, sweep):
    scores = {}
    for place in result_folder.finished(sweep):
        read = result_folder.read(place)
        setting = f"decay={read.params['reg.decay']:g} blur={read.params['reg.blur']}"
        scores.setdefault(setting, []).append(read.history["score"][-1])
    expected = {name: f"{np.median(np.mean(both, axis=0)):.3g}" for name, both in scores.items()}
    latex = re.findall(r"^(decay.*?) & (\S+) &", (exported / "table.tex").read_text(), re.M)
    markdown = re.findall(r"^\| (decay.*?) \| (\S+) \|", (exported / "table.md").read_text(), re.M)
    assert dict(latex) == dict(markdown) == expected and len(latex) == len(expected)


@pytest.mark.parametrize(("text", "latex", "markdown"), [
    ("a_b & 5 %", r"a\_b \& 5 \%", r"a\_b & 5 %"),
    ("1.2e-05", r"$1.2 \times 10^{-5}$", "1.2e-05"),
    ("-0.5", "$-0.5$", "-0.5"),
    ("–", "--", "–"),
    (r"\x|{y}~^", r"\textbackslash{}x|\{y\}\textasciitilde{}\textasciicircum{}", r"\\x\|{y}~^"),
])  # fmt: skip
def test_letters_that_mean_something_are_escaped(text, latex, markdown):
    assert (paper._latex(text), paper._markdown(text)) == (latex, markdown)


def test_an_export_again_is_the_same_and_replaces_the_first(exported, sweep, tmp_path):
    for _ in range(2):
        paper.export([sweep], tmp_path / "again", "2,0")
    assert digests(tmp_path / "again") == digests(exported)
    paper.export([sweep], tmp_path / "again", "1")
    assert digests(tmp_path / "again")["contact.png"] != digests(exported)["contact.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_what_fails_in_the_middle_leaves_what_was_there(sweep, tmp_path, monkeypatch):
    paper.export([sweep], tmp_path / "again", "0")
    before = digests(tmp_path / "again")
    monkeypatch.setattr(paper, "_tables", lambda *given: 1 / 0)
    for folder in ("again", "new"):
        with pytest.raises(ZeroDivisionError):
            paper.export([sweep], tmp_path / folder, "1")
    assert [path.name for path in tmp_path.iterdir()] == ["again"] and digests(tmp_path / "again") == before


@pytest.mark.parametrize("yours", ["notes.txt", "table.tex", "contact.png", "folder/", "export.json"])
def test_files_of_the_users_are_named_and_stay(exported, sweep, tmp_path, yours):
    target = tmp_path / "figures"
    target.mkdir()
    if yours == "folder/":
        (target / yours).mkdir()
    elif yours == "table.tex":  # edited
        paper.export([sweep], target, None)
        (target / yours).write_text("mine")
    else:
        (target / yours).write_text("mine")
    before = {path.name for path in target.iterdir()}
    with pytest.raises(ConfigError, match=re.escape(yours.strip("/"))):
        paper.export([sweep], target, None)
    assert {path.name for path in target.iterdir()} == before
    if yours != "folder/":
        assert (target / yours).read_text() == "mine"


def test_a_file_or_a_link_is_no_folder(sweep, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("file", "link", "file/below"):
        with pytest.raises(ConfigError):
            paper.export([sweep], tmp_path / name, None)


@pytest.mark.parametrize("filters", ["3", "0,7", "1-9", "some", "", "0,0"])
def test_filters_that_are_not_there_are_named(sweep, tmp_path, filters):
    with pytest.raises(ConfigError, match=f"filters={filters}"):
        paper.export([sweep], tmp_path / "new", filters)
    assert list(tmp_path.iterdir()) == []


def test_jobs_of_other_filters_sizes_and_long_names_have_their_place(tmp_path):
    """A job without the filter has a dash; of two sizes both keep their pixels; no name is cut."""
    sweep = tmp_path / "s"
    name = "a_very_long_name_of_a_job_without_any_space_in_it " + "and words " * 9
    job(sweep, "0_a", [1, 2], [0, 1], size=16)
    job(sweep, name.strip().replace(" ", "_"), [3], [1], size=32, precision="bfloat16")
    paper.export([finish(sweep)], tmp_path / "out", None)
    sheet = np.asarray(Image.open(tmp_path / "out/contact.png").convert("RGB"))
    times = -(-contact.DPI // 32)
    step = times * 33
    y, x = sheet.shape[0] - step, sheet.shape[1] - 2 * step
    for column, place in enumerate(result_folder.finished(sweep)):
        small = picture(place, 1)
        scale = times * 32 // small.shape[0]
        large = small.repeat(scale, axis=0).repeat(scale, axis=1)
        at = x + column * step
        np.testing.assert_array_equal(sheet[y : y + times * 32, at : at + times * 32], large)
    empty = sheet[y - step : y - times, x + step : x + step + times * 32]
    assert 0 < (empty.min(axis=-1) < 128).mean() < 0.01  # a dash
    assert sheet[:2].min() == 255
    broken = contact._broken(name, 1.0)
    assert "".join(broken).replace(" ", "") == name.replace(" ", "")
    assert max(map(contact._wide, broken)) <= 1.0


def test_letters_that_the_font_lacks_are_named(sweep, tmp_path, monkeypatch):
    figure = Figure()
    figure.text(0, 0, "猫")
    monkeypatch.setattr(paper.curves, "sheet", lambda *given: figure)
    (note,) = paper.export([sweep], tmp_path / "new", None)
    assert note.startswith("no letter in the font")
