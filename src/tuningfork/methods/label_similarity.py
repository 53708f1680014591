"""The label whose name is nearest to the text, by an encoder: what labels alone give, without one example.

Zero-shot classification by comparing embeddings (Yin et al. 2019, arXiv 1909.00161, compare labels as texts; with
sentence encoders it is a dot product). The label names' vectors become the rows of a head, so answering costs one
embedding. Cosines lie close together, so they are multiplied by 20 to give usable probabilities; the order does not
depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..candidate import Candidate
from ..errors import MethodError
from ..method import Bench, Family, Need, single
from ..model import Capability, EmbedRequest, Failure
from ..predict.head import head_of
from ..task import Kind


@dataclass(frozen=True)
class LabelSimilarity:
    """Picks the label whose name is nearest to the text, by an encoder."""

    scale: float = 20.0

    name: ClassVar[str] = "label_similarity"
    family: ClassVar[Family] = "baseline"
    needs: ClassVar[frozenset[Need]] = frozenset({"encoder"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        import numpy as np

        one = single(start, self.name)
        model = bench.models[one.model]
        if "score" in model.capabilities:
            raise MethodError(f"{one.model} answers by words; its vectors of single labels say little. Use an encoder.")
        replies = model.embed([EmbedRequest(word) for word in one.words])
        failed = [reply.message for reply in replies if isinstance(reply, Failure)]
        if failed:
            raise MethodError(f"{one.model} could not embed {len(failed)} of {len(replies)} label names: {failed[0]}")
        rows = np.stack([reply.values for reply in replies if not isinstance(reply, Failure)]).astype(np.float64)
        head = head_of(rows * self.scale, np.zeros(len(rows)))
        return replace(one, prompt=None, shots=(), calibration=None, head=head, answer_by="head")
