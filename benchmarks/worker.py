"""One side of a benchmark in a process of its own: reads a job as JSON, leaves what it found as JSON.

Runs in the project's environment and in the peers', so it imports nothing but Python's own library.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOM_BYTES = 3 << 29
"""Of memory left to everyone else when a process may take the rest."""


def work(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """`python -m SIDE.NAME JOB OUT`: the job's answer is written to OUT."""
    job, out = map(Path, sys.argv[1:])
    found = answer(json.loads(job.read_text(encoding="utf-8")))
    out.write_text(json.dumps(found), encoding="utf-8")


def within_free_memory() -> None:
    """From here on, asking for more than what is free now fails in this process: it gets an error that it can answer
    with a smaller batch, and no other process is killed for it. Linux only; elsewhere nothing happens."""
    info = Path("/proc/meminfo")
    if not info.is_file():
        return
    import resource

    free = next(int(line.split()[1]) << 10 for line in info.read_text().splitlines() if line.startswith("MemAvailable"))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (max(ROOM_BYTES, free - ROOM_BYTES), hard))


def say(text: str) -> None:
    """A line of progress, at once."""
    print(f"    {text}", file=sys.stderr, flush=True)
