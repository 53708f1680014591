"""How items are cut into blocks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.predict.blocks import CHARACTERS, in_blocks


@given(st.lists(st.integers(0, CHARACTERS)), st.integers(1, 5), st.lists(st.booleans(), min_size=1))
def test_every_item_once_in_order_and_never_too_many(items: list[int], rows: int, waits: list[bool]) -> None:
    answers = iter(waits * (len(items) + 1))
    found = list(in_blocks(items, rows, lambda: next(answers), lambda item: item))
    assert [item for block in found for item in block] == items
    assert all(1 <= len(block) <= rows for block in found)
    assert all(sum(block[:-1]) < CHARACTERS for block in found)


def test_a_block_ends_where_the_next_item_would_be_waited_for() -> None:
    there = [3, 1, 4]

    def items() -> Iterator[int]:
        for count in tuple(there):
            for left in reversed(range(count)):
                there[0] = left
                yield left

    assert list(map(len, in_blocks(items(), 100, waits=lambda: there[0] == 0))) == [3, 1, 4]


def test_what_breaks_comes_after_what_was_there() -> None:
    def items() -> Iterator[int]:
        yield from range(5)
        raise ValueError("line 6")

    found = in_blocks(items(), 3)
    assert [next(found), next(found)] == [[0, 1, 2], [3, 4]]
    with pytest.raises(ValueError, match="line 6"):
        next(found)


def test_nothing_gives_no_block() -> None:
    assert list(in_blocks([])) == []
