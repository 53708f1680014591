"""What can go wrong, as a tree. Every message says what happened, where, and what to do next.

TuningforkError
├── UserError            the user can mend it: one paragraph, no traceback, exit 2
│   ├── TaskError        the task file or a flag
│   ├── DataError        a data file or its rows
│   ├── UnknownName      a model, method, metric or column that is not there: did you mean ...
│   ├── MissingExtra     a library that an extra brings is not installed
│   └── ModelError       a model that can't be had: no index, wrong checksum, not a model folder
├── MethodError          a method can't do its work on this task: it fails, the race goes on
│   └── TrainingFailed   a training ended without weights; what it cost, and its curve
├── NoScore              a metric can say nothing of one answer: it counts as failed, with the reason
└── BudgetSpent          a metered model was called past its share

Anything else that reaches the top is a bug of ours: traceback, exit 1.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import Any


class TuningforkError(Exception):
    """Root of all errors that this package raises on purpose."""


class UserError(TuningforkError):
    """Something the user can mend; shown as one paragraph without a traceback."""


class TaskError(UserError):
    """The task file, or a flag that overrides it, can't be used as it is."""


class DataError(UserError):
    """A data file can't be read, or its rows can't make a task."""


class ModelError(UserError):
    """A model can't be fetched, opened or used as asked. `usage`: what the call that it ended had cost until then,
    where that is paid for."""

    def __init__(self, message: str, usage: Any = None) -> None:
        super().__init__(message)
        self.usage = usage


class UnknownName(UserError):
    """A name that is on no menu; the message offers the nearest names and the whole menu."""

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "") -> None:
        from difflib import get_close_matches

        menu = sorted(known)
        lower = {entry.lower(): entry for entry in menu}
        near = [lower[hit] for hit in get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
        hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
        place = f" in {where}" if where else ""
        super().__init__(f"There is no {kind} {name!r}{place}.{hint} Known: {', '.join(menu) or 'none'}.")


class MissingExtra(UserError):
    """A feature needs a library that is not installed; the message is the install line."""

    def __init__(self, feature: str, library: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs {library}, which is not installed. Install it with: pip install 'tuningfork[{extra}]'"
        )


class MethodError(TuningforkError):
    """A method found that it can't work here; the reason goes to the log and the race goes on."""


class TrainingFailed(MethodError):
    """A training that came to nothing. `cost` (a Tuned without weights that can be used) says what it took and how its
    losses went."""

    def __init__(self, message: str, cost: Any = None) -> None:
        super().__init__(message)
        self.cost = cost


class NoScore(TuningforkError):
    """A metric can say nothing of one answer. `kind` is a short word to count by."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class BudgetSpent(TuningforkError):
    """A metered model was asked for more than what is left of a share."""


def is_disk_full(error: BaseException) -> bool:
    """Whether there is no room to write: nobody's crash, so the race stops and goes on once there is."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
