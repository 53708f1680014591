"""Answers in order, never more at once than is said, and one end for all where one raises."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.models.endpoint.side_by_side import side_by_side


def nothing() -> None:
    """Nothing is to be stopped."""


@given(st.integers(0, 40), st.integers(1, 9))
def test_answers_stand_in_order_whatever_the_workers(count: int, workers: int) -> None:
    assert side_by_side(lambda index: index * index, count, workers, nothing) == [n * n for n in range(count)]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_who_waits_is_told_to_stop_and_the_rest_is_not_asked(error: type[BaseException]) -> None:
    stopped, asked = threading.Event(), list[int]()

    def ask(index: int) -> int:
        asked.append(index)
        if index == 0:
            raise error("no")
        assert stopped.wait(10), "nobody said stop"
        return index

    with pytest.raises(error, match="no"):
        side_by_side(ask, 50, 4, stopped.set)
    assert len(asked) < 50
