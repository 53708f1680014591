"""Plain transformers, one sequence at a time, in each dtype that is asked for: nats of choices."""

from __future__ import annotations

from typing import Any

import plain
from worker import say, within_free_memory, work


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: folder, device, dtypes, items (prompt ids, choices ids)."""
    within_free_memory()
    found: dict[str, Any] = {}
    for dtype in job["dtypes"]:
        net = plain.opened(job["folder"], dtype, job["device"])
        found[dtype] = []
        for number, (prompt, choices) in enumerate(job["items"], 1):
            found[dtype].append(plain.choice_nats(net, prompt, choices))
            say(f"plain transformers, {dtype}: item {number} of {len(job['items'])}")
    return found


if __name__ == "__main__":
    work(answer)
