"""Laws of the progress line: what it says of the time that is left, by a clock that the test sets."""

import re

import pytest

from deepvis.core import terminal


@pytest.fixture
def clock(monkeypatch):
    """The time in seconds, as a list whose only element is changed."""
    now = [1000.0]
    monkeypatch.setattr(terminal.time, "perf_counter", lambda: now[0])
    return now


def test_the_first_chunk_bounds_the_time_and_the_others_tell_what_is_left(clock, capsys):
    """10 s of compiling, then 2 s for each chunk of 5 steps of 4 images: 10 images x steps a second."""
    with terminal.progress("a job", total=40, work=160) as update:
        for number in range(8):
            clock[0] += 2 + 10 * (number == 0)
            update(5, 4, 1.0, 0)
    estimate, *lines = capsys.readouterr().out.splitlines()
    # All of it at the speed of the first: 8 chunks of 12 s.
    assert estimate == "estimate  at most 96 s for a job: 160 images x steps at 1.7 images x steps/s"
    left = [re.search(r"  (\S+ images x steps/s)  (\S+ s) left", line).groups() for line in lines]
    assert left[0] == ("1.7 images x steps/s", "84 s")
    assert left[1:] == [("10.0 images x steps/s", f"{12 - 2 * number} s") for number in range(7)]


def test_batches_of_unequal_size_count_by_their_images(clock, capsys):
    with terminal.progress("jobs", total=20, work=10 * 16 + 10 * 2) as update:
        for images in (16, 2):
            for _ in range(2):
                clock[0] += images
                update(5, images, 1.0, 0)
    lines = capsys.readouterr().out.splitlines()[1:]
    # 5 images x steps a second all the time: steps alone would have said 16 s where 4 are left.
    assert [line.split("  ")[3] for line in lines] == ["20 s left", "4 s left", "2 s left", "0 s left"]


def test_one_chunk_has_nothing_to_estimate(clock, capsys):
    with terminal.progress("a job", total=5, work=20) as update:
        clock[0] += 3
        update(5, 4, 1.0, 0)
    assert "estimate" not in capsys.readouterr().out
