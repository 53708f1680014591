"""What a request to write must be, whatever kind of model writes."""

from __future__ import annotations

import math

from ..model import Failure, GenerateRequest


def fault(request: GenerateRequest) -> Failure | None:
    """Why nothing can be written as this request asks."""
    if request.max_tokens < 1:
        return Failure(
            "max_tokens", f"max_tokens is {request.max_tokens}, so nothing could be written. Ask for 1 or more."
        )
    if "" in request.stop:
        return Failure(
            "empty_stop", f"A stop string is empty: {list(request.stop)!r}. Every text begins with it: take it out."
        )
    if not (math.isfinite(request.temperature) and request.temperature >= 0):
        return Failure(
            "temperature", f"The temperature is {request.temperature}. It must be 0 (greedy) or a number above."
        )
    if not 0 < request.top_p <= 1:
        return Failure("top_p", f"top_p is {request.top_p}. It must be above 0 and at most 1 (all tokens).")
    return None
