"""How long one request takes: single requests, one after the other, on a warm model.

A few requests warm up first and don't count. Requests that fail don't count either: how fast a failure comes says
nothing. A slow candidate is asked fewer times, so that measuring it does not eat a small budget: `n` says how many.
What a batch would give (throughput) is not measured here, nor is anything about a network.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import fmean, quantiles
from typing import ClassVar

from ..candidate import Candidate
from ..metrics import Metric
from ..model import Model
from ..predict import predict
from ..task import Example


@dataclass(frozen=True)
class Latency:
    """Milliseconds a request: `p50_ms`, `p95_ms`, `mean_ms`, over `n` requests; only `n` (0) when all failed."""

    requests: int = 50
    warm_ups: int = 3
    fewest: int = 15
    most_seconds: float = 15.0

    name: ClassVar[str] = "latency"
    takes_time: ClassVar[bool] = True

    def __call__(
        self, candidate: Candidate, models: Mapping[str, Model], examples: Sequence[Example], metric: Metric
    ) -> Mapping[str, float]:
        """Asks for `requests` of the examples' inputs, beginning again where there are fewer; after `most_seconds` no
        more than `fewest`. Raises ValueError without any example; `metric` plays no part."""
        if not examples:
            raise ValueError("latency needs at least one example to ask about")
        asked = islice(cycle([example.inputs for example in examples]), self.warm_ups + self.requests)
        predictions = predict(candidate, models, asked, chunk=1)
        times: list[float | None] = []
        start = time.perf_counter()
        for number in range(self.warm_ups + self.requests):
            begin = time.perf_counter()
            if number >= self.warm_ups + self.fewest and begin - start > self.most_seconds:
                break
            failed = next(predictions).failure is not None
            times.append(None if failed else 1000 * (time.perf_counter() - begin))
        kept = [ms for ms in times[self.warm_ups :] if ms is not None]
        if not kept:
            return {"n": 0.0}
        cuts = quantiles(kept, n=100, method="inclusive") if len(kept) > 1 else kept * 99
        return {"p50_ms": cuts[49], "p95_ms": cuts[94], "mean_ms": fmean(kept), "n": float(len(kept))}
