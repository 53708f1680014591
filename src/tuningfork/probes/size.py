"""How large what a method made is, and whether it says the same once it was written and read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..candidate import Candidate, Single, blobs_of, from_dict, to_dict
from ..model import Model
from ..predict import predict
from ..store.blobs import Blob
from ..task import Inputs

ASKED = 16


@dataclass(frozen=True)
class Size:
    """`bytes` of all that the candidate holds beside its model, `moved_bytes` of weights that were tuned, and
    `same_after_loading`: the share of answers that stay the same once it was written and read again."""

    name: ClassVar[str] = "size"

    def __call__(
        self, candidate: Candidate, models: Mapping[str, Model], inputs: Sequence[Inputs]
    ) -> Mapping[str, float]:
        """Asks the first of the inputs twice."""
        blobs = {blob.sha256: blob for blob in blobs_of(candidate)}
        adapter = candidate.adapter if isinstance(candidate, Single) else None
        found = {
            "bytes": float(sum(blob.size for blob in blobs.values())),
            "moved_bytes": float(adapter.bytes if adapter else 0),
        }
        asked = list(inputs[:ASKED])
        if not adapter or not asked:
            return found
        again = from_dict(to_dict(candidate), lambda sha256: Blob.of(blobs[sha256].read()))
        one, other = (list(predict(made, models, asked)) for made in (candidate, again))
        same = sum(a.answer == b.answer for a, b in zip(one, other, strict=True))
        return {**found, "same_after_loading": same / len(asked)}
