"""A cell of a table as text."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from ..errors import DataError

SURROGATE = re.compile("[\ud800-\udfff]")


def as_text(value: Any) -> str:
    """A value of a row as text; an empty one where there is none (null, NaN)."""
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, bytes):
        raise DataError(f"A cell holds bytes ({value[:20]!r}), and only text is read so far. Take that column out.")
    return str(value)


def clean(text: str) -> str:
    """The text with what no encoding can write (halves of a surrogate pair) replaced."""
    return SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
