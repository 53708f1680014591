"""How far `predict` is, on stderr: a line that is kept up to date on a terminal, else a line every few seconds.

It only looks: a terminal that is gone stops nothing. The pace is that of the last blocks, so that opening a model and
rows that were answered in an earlier run don't count.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..report.drawing import GONE, drawn, wiped
from ..report.words import seconds

SECONDS_BETWEEN_LINES = 5.0
BLOCKS_OF_PACE = 30


class Stderr(Console):
    """A console on stderr whose reader may go away. What rich does then would turn off stdout too, where rows go."""

    def __init__(self) -> None:
        super().__init__(stderr=True)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Progress:
    """`with progress: progress.at(rows, failed, share)` after every block.

    `live` draws on a terminal; false where rows go to the same one. `clock` is for tests.
    """

    def __init__(
        self, console: Console, quiet: bool = False, live: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.console, self.quiet, self.clock = console, quiet, clock
        self._draws = live and not quiet and console.is_terminal and not console.is_dumb_terminal
        self._live: Live | None = None
        self._rows, self._failed = 0, 0
        self._share: float | None = None
        self._pace: deque[tuple[float, int]] = deque(maxlen=BLOCKS_OF_PACE)
        self._began = self._said = clock()

    def __enter__(self) -> Progress:
        if self._draws:
            self._live = drawn(self, self.console)
            self.quiet = self._live is None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        live, self._live = self._live, None
        if live is not None and not wiped(live):
            self.quiet = True

    def at(self, rows: int, failed: int, share: float | None) -> None:
        """`rows` are answered, of which `failed` failed; they are `share` (0 to 1) of all, where that is known."""
        self._rows, self._failed, self._share = rows, failed, share
        self._pace.append((self.clock(), rows))
        if self._live is None and self.clock() - self._said >= SECONDS_BETWEEN_LINES:
            self._said = self.clock()
            self.say(self._line())

    def say(self, text: str) -> None:
        """A line that stays."""
        if self.quiet:
            return
        try:
            safe = text.encode(self.console.encoding, "replace").decode(self.console.encoding)
            self.console.print(Text(safe), soft_wrap=True)
        except GONE:
            self.quiet = True

    def took(self) -> str:
        """The time since the beginning, in words."""
        return seconds(self.clock() - self._began)

    def __rich__(self) -> RenderableType:
        grid = Table.grid(padding=(0, 1))
        bar = [] if self._share is None else [ProgressBar(total=1.0, completed=self._share, width=30)]
        grid.add_row(*bar, Text(self._line()))
        return grid

    def _line(self) -> str:
        if not self._pace:
            return f"getting ready, {self.took()}"
        parts = [f"{self._rows:,} rows"]
        if self._share is not None:
            parts.append(f"{self._share:.0%}")
        if pace := self._rows_a_second():
            parts.append(f"{pace:,.0f} a second" if pace >= 10 else f"{pace:.1f} a second")
            if self._share:
                parts.append(f"{seconds(self._rows * (1 / self._share - 1) / pace)} left")
        if self._failed:
            parts.append(f"{self._failed:,} failed")
        return ", ".join(parts)

    def _rows_a_second(self) -> float | None:
        (begin, first), (end, last) = self._pace[0], self._pace[-1]
        return (last - first) / (end - begin) if last > first and end > begin else None
