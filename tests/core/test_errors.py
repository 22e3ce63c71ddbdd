"""Errors of the system as one line: what it said, and what helps against that."""

import errno
import os
import resource

import numpy as np
import pytest

from deepvis.core.errors import one_line

ELSEWHERE = "or write elsewhere with hydra.run.dir=... (hydra.sweep.dir=... for -m)"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_room_is_asked_for_where_nothing_more_fits(number):
    said = os.strerror(number)
    assert one_line(OSError(number, said, "out/a.png")) == f"out/a.png: {said}; make room there, {ELSEWHERE}"
    assert one_line(OSError(number, said)) == f"output folder: {said}; make room there, {ELSEWHERE}"


def test_an_array_that_was_cut_short_lacks_room(tmp_path):
    """NumPy's error has no number; the limit on the size of a file stands for a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        with (tmp_path / "a.npy").open("wb") as file, pytest.raises(OSError, match="written") as found:
            np.save(file, np.zeros(1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    line = one_line(found.value)
    assert line.startswith("output folder: ") and line.endswith(f"; make room there, {ELSEWHERE}")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOENT, errno.EIO, errno.ENOTDIR])
def test_of_another_file_that_cannot_be_used_the_system_is_quoted(number):
    said = os.strerror(number)
    line = one_line(OSError(number, said, "out/a.png"))
    assert line == f"out/a.png: {said}; see that it is there and can be read and written, {ELSEWHERE}"


@pytest.mark.parametrize(
    "err",
    [
        ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"),
        OSError("Unable to open file\n(truncated)"),
        TimeoutError("timed out"),
    ],
)
def test_what_is_about_no_file_is_no_matter_of_folders(err):
    line = one_line(err)
    assert line.startswith(f"{type(err).__name__}: {err.strerror or str(err).splitlines()[0]}; ")
    assert "\n" not in line and "room" not in line and "hydra" not in line
