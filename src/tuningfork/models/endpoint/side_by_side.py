"""Several questions to a server at once, their answers in order.

Threads, because the client waits most of the time and may be used from several; a call's own threads end with it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def side_by_side(ask: Callable[[int], T], count: int, workers: int, stop: Callable[[], None]) -> list[T]:
    """`[ask(0), ..., ask(count - 1)]`, at most `workers` of them at a time.

    What one raises is raised once, and so is Ctrl-C: then `stop` is called, which is to end what waits, and those that
    had not begun are not asked.
    """
    if min(count, workers) <= 1:
        return [ask(index) for index in range(count)]
    pool = ThreadPoolExecutor(min(count, workers), thread_name_prefix="endpoint")
    try:
        waiting = [pool.submit(ask, index) for index in range(count)]
        return [answer.result() for answer in waiting]
    except BaseException:
        stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
