"""Laws of progress: what is said of the time that is left, by a clock that the test sets, and drawn."""

import io
import re

import pytest
from rich.console import Console

from deepvis.core import progress
from deepvis.core.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """The time in seconds, as a list whose only element is changed."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


def test_a_traced_step_bounds_the_time_and_the_others_tell_what_is_left(clock, capsys):
    """10 s of importing and tracing, then 2 s for each step of 4 images: 2 images x steps a second."""
    with progress.progress("a job", images=8, work=8 * 5) as shown:
        assert shown.left() == "", "nothing is known yet, and nothing is said"
        left = []
        shown.trace()
        for _ in range(2):
            shown.begin(4, 0, 5)
            for _step in range(5):
                clock[0] += 2 + 10 * (not left)
                shown.advance()
                left.append(shown.left())
            shown.finish(4)
            shown.snapshot(1.0, 0)
    assert left[0] == "at most 108 s left".replace("108 s", "2 min")  # 36 of 40, at 4 in 12 s
    assert left[1:] == [f"{2 * (9 - number)} s left" for number in range(1, 10)]
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "a job  step 2/5  0/8 images  2.0 images x steps/s  16 s left", (
        "as soon as it is measured"
    )
    assert [re.search(r"(\d)/8 images", line)[1] for line in lines] == ["4", "8"]
    assert lines[-1].endswith("0 s left  median score 1  zero gradient: 0 of 4 images")


def test_what_has_no_snapshots_says_a_line_now_and_then(clock, capsys):
    """16 images at 4 s each, the first with 6 s of tracing."""
    with progress.progress("", images=16, work=16) as shown:
        shown.unit = "images"
        shown.doing("attributing")
        for number in range(16):
            clock[0] += 4 + 6 * (number == 0)
            shown.count(1, 1)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "attributing  1/16 images  0.1 images/s  at most 2 min left"
    assert lines[1] == "attributing  4/16 images  0.2 images/s  48 s left", "10 s and more between two lines"
    assert len(lines) == 6


def test_batches_of_unequal_size_count_by_their_images(clock):
    shown = Progress("jobs", images=18, work=10 * 16 + 10 * 2)
    shown.trace()
    for images in (16, 2):
        shown.begin(images, 0, 10)
        for _ in range(10):
            clock[0] += images / 4
            shown.advance()
            if (images, shown.step) == (16, 10):
                assert shown.left() == "5 s left", "steps alone would have said 40 s"
    assert shown.left() == "0 s left" and shown.status().share == 1


def test_earlier_sweeps_tell_what_is_left_from_the_first_second(clock):
    shown = Progress("jobs", images=16, work=320, expected=40.0)
    assert shown.left() == "about 40 s left"
    clock[0] += 3
    assert shown.left() == "about 37 s left"
    shown.trace()
    shown.begin(16, 0, 20)
    shown.advance()
    assert shown.left() == "about 37 s left"
    clock[0] += 1
    shown.advance()
    assert shown.left() == "18 s left", "measured, it is told by the measure"
    clock[0] += 100
    assert Progress("late", 1, 1, expected=0.5).left() == ""


def test_a_step_that_was_traced_gives_a_bound_and_the_next_one_a_measure(clock):
    shown = Progress("jobs", images=1, work=10)
    clock[0] += 5
    shown.trace()
    assert shown.left() == "", "nothing is known, and no pass was taken to know it"
    shown.begin(1, 0, 10)
    clock[0] += 4
    shown.advance()
    assert shown.left() == "at most 81 s left", "of a step that was traced only a bound is known"
    clock[0] += 1
    shown.advance()
    assert shown.left() == "8 s left" and shown.rest() == 8.0


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_bar_takes_one_line_of_any_terminal_and_cuts_no_number(clock, width):
    shown = Progress("jobs", images=5120, work=102400, expected=9000.0)
    file = io.StringIO()
    out = Console(file=file, width=width, force_terminal=True, color_system=None)
    for what in ("loading TensorFlow", "building the network"):
        shown.doing(what)
        out.print(shown.status())
    shown.trace()
    shown.begin(512, 0, 20)
    for _ in range(2):
        clock[0] += 1
        shown.advance()
    shown.snapshot(-1234.5, 17)
    out.print(shown.status())
    first, second, third = (line.rstrip() for line in file.getvalue().splitlines())
    assert "loading TensorFlow" in first and "0/5120 images  about 2.5 h left" in first
    assert second.startswith("building the network")
    assert third.startswith("step 2/20") and third.endswith(
        "17 of 512 images" if width == 140 else "score -1234"
    )
    assert max(map(len, (first, second, third))) <= width


def test_what_is_done_is_drawn_for_a_listener_and_nothing_is_printed(capfd, monkeypatch):
    monkeypatch.setattr(progress, "_listeners", [])
    told = []
    progress.tell(told.append)
    with progress.doing("loading weights"):
        pass
    with progress.progress("a job", images=1, work=1), progress.doing("writing"):
        pass
    assert [each.what for each in told] == ["loading weights", "writing", "starting"]
    assert capfd.readouterr() == ("", "")


def test_a_script_that_is_piped_has_nothing_printed(capfd):
    with progress.progress("a layer", images=1, work=2, of_command=False) as shown:
        shown.begin(1, 0, 2)
        shown.advance()
        shown.snapshot(1.0, 0)
        shown.advance()
    assert capfd.readouterr() == ("", "")
