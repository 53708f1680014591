"""When to ask again, and after how long: the one policy, so the client's own is switched off.

A server that is busy (429, 5xx) gave no answer: it is asked up to TRIES times, after an exponential backoff with full
jitter (Brooker 2015, "Exponential Backoff and Jitter", AWS), or after what `Retry-After` says, which then holds for all
requests that wait. An answer that did not arrive whole may have been made and paid: it is asked for again `ASKED_AGAIN`
times, which a budget reserves, and no more.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from ...price import ASKED_AGAIN
from .faults import Fault

T = TypeVar("T")
TRIES = 7
TRIES_AT_NOBODY = 3
"""Of a connection that is refused: a server that is not there seldom comes back within seconds."""
FIRST_SECONDS = 0.5
MOST_SECONDS = 30.0
MOST_AFTER_SECONDS = 120.0
"""A server that asks to wait longer is not waited for."""


class Patience:
    """The policy for one model. `stop` ends all waiting; `wait(seconds)` and `now()` are a test's to replace."""

    def __init__(
        self, wait: Callable[[float], object] | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.stop = threading.Event()
        self._wait, self._now = wait or self.stop.wait, now
        self._not_before = 0.0
        self._lock = threading.Lock()
        self._random = random.Random()

    def ask(self, call: Callable[[], T]) -> tuple[T, int]:
        """What `call` gives in the end, and how many answers were lost before it. Raises its last Fault."""
        tries = lost = 0
        while True:
            self._hold_back()
            try:
                return call(), lost
            except Fault as fault:
                tries, lost = tries + 1, lost + (fault.again == "lost")
                fault.lost = lost
                most = TRIES_AT_NOBODY if fault.kind == "unreachable" else TRIES
                over = tries >= most or lost > ASKED_AGAIN or self.stop.is_set()
                if fault.again == "never" or over or (fault.after or 0.0) > MOST_AFTER_SECONDS:
                    raise
                if not fault.after:  # 0 says no more than nothing: not to ask again at once, all together
                    self._wait(self._backoff(tries))
                else:
                    self._hold_all(fault.after)

    def _backoff(self, tries: int) -> float:
        return self._random.uniform(0.0, min(MOST_SECONDS, FIRST_SECONDS * 2.0**tries))

    def _hold_all(self, seconds: float) -> None:
        """Nobody asks before the server wants to be asked."""
        with self._lock:
            self._not_before = max(self._not_before, self._now() + seconds)

    def _hold_back(self) -> None:
        """Wait until then, and a little longer, so that not all come at once."""
        while (left := self._not_before - self._now()) > 0 and not self.stop.is_set():
            self._wait(left + self._random.uniform(0.0, min(1.0, 0.1 * left)))
