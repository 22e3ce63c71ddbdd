"""Two `deepvis ui` that start at once show their own stores."""

import contextlib

import pytest

from deepvis.cli import ui
from deepvis.core.errors import ConfigError


def test_a_port_is_chosen_by_one_of_two_that_start_at_once():
    with ui._free("127.0.0.1", 5000) as first:  # its server does not listen yet
        with ui._free("127.0.0.1", 5000) as second:
            assert second > first
        with ui._free("127.0.0.1", first) as again:
            assert again == second
    with ui._free("127.0.0.1", first) as later:
        assert later == first


def test_where_no_port_is_free_it_says_so():
    wanted = pytest.raises(ConfigError, match="no free port in 47000 to 47099")
    with contextlib.ExitStack() as stack, wanted:
        for _ in range(101):  # others may have some of them
            stack.enter_context(ui._free("127.0.0.1", 47000))
