"""How large what a method made is, beside its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..candidate import Candidate, Single, blobs_of, parts_of
from ..metrics import Metric
from ..model import Model
from ..task import Example


@dataclass(frozen=True)
class Size:
    """`bytes` of all that the candidate holds beside its model, and `moved_bytes` of weights that were tuned."""

    name: ClassVar[str] = "size"

    def __call__(
        self, candidate: Candidate, models: Mapping[str, Model], examples: Sequence[Example], metric: Metric
    ) -> Mapping[str, float]:
        """Nothing is asked: only the `candidate` plays a part."""
        blobs = {blob.sha256: blob for blob in blobs_of(candidate)}
        adapters = [part.adapter for part in parts_of(candidate) if isinstance(part, Single) and part.adapter]
        moved = {blob.sha256: blob for adapter in adapters for blob in adapter.blobs()}
        return {
            "bytes": float(sum(blob.size for blob in blobs.values())),
            "moved_bytes": float(sum(blob.size for blob in moved.values())),
        }
