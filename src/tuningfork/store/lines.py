"""Files of one JSON value a line that only grow: what a person says is on disk before the next question."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append_line(path: Path, value: Mapping[str, Any]) -> None:
    """Append one line; it is on disk when this returns. A half-written line before it is cut off."""
    line = (json.dumps(value, ensure_ascii=False) + "\n").encode()
    with path.open("a+b") as file:
        file.seek(0)
        before = file.read()
        whole = before.rfind(b"\n") + 1
        if whole < len(before):
            file.truncate(whole)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
