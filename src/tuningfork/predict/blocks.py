"""Items in blocks: what is asked together.

A block is a fixed amount of work, not of seconds, so that a run that was stopped and goes on cuts its blocks where an
unbroken one does, and gives the same answers to the last digit. Why these sizes: what prompts have in common is read
once a block, so a block should hold much more text of its own than that (64,000 characters, some 16,000 tokens, make
a prefix of 1,000 tokens cost 6%); and a stop loses a block, so it should not take minutes. Short rows are bounded by
their number, because each may be asked about many labels or answered at length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

ROWS = 512
CHARACTERS = 1 << 16


def in_blocks(
    items: Iterable[T],
    rows: int = ROWS,
    waits: Callable[[], bool] = lambda: False,
    characters: Callable[[T], int] = lambda item: 0,
) -> Iterator[list[T]]:
    """Items in lists of at least one and at most `rows`, ended sooner by the item that fills up CHARACTERS, or where
    the next item would have to be waited for (`waits()`).

    What `items` raises comes after the items that were there before it, as if they had been taken one by one.
    """
    taken = iter(items)
    block: list[T] = []
    length = 0
    while True:
        try:
            item = next(taken)
        except StopIteration:
            break
        except Exception:
            if block:
                yield block
            raise
        block.append(item)
        length += characters(item)
        if len(block) >= rows or length >= CHARACTERS or waits():
            yield block
            block, length = [], 0
    if block:
        yield block
