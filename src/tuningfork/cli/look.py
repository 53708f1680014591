"""One line of the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Look:
    """One thing that was looked at. `todo` says what to do where it is not well."""

    what: str
    state: Literal["ok", "warning", "problem"]
    text: str
    todo: str = ""
