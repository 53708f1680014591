"""Look it up: passages of the user's documents stand in the prompt (retrieval-augmented generation, Lewis et al. 2020,
arXiv 2005.11401).

The documents are cut into passages, indexed once, and the index is part of the candidate; `predict` finds those nearest
to each input, shows them with their sources, and every answer cites them. How they are found (by words, by an encoder,
by both) and how many are shown is chosen on hold, as far as the share allows; where there is no encoder, or reading all
documents with it would take more than half of the share, they are found by words. Demonstrations stay:
`few_shot+retrieve` shows both; a demonstration itself has no passages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ..candidate import Candidate, FindBy, Passages, Single, Template
from ..errors import MethodError
from ..method import Bench, Family, Need, single
from ..model import Capability, EmbedRequest, Failure
from ..predict.passages import Passage, cut, index_of
from ..predict.prompt import PASSAGES, columns_of, default_template
from ..task import Kind, Message, plain_text
from .zero_shot import asking

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHARACTERS_A_TOKEN = 2.5
"""A careful guess, so that choosing never eats the whole share."""
HINT = "These passages may help:\n{{passages}}\n\n"


@dataclass(frozen=True)
class Retrieve:
    """Shows each input the passages of your documents that are most like it, and cites them."""

    k: int = 3
    size: int = 800
    overlap: int = 100

    name: ClassVar[str] = "retrieve"
    family: ClassVar[Family] = "prompt"
    needs: ClassVar[frozenset[Need]] = frozenset({"answer", "documents"})
    uses: ClassVar[frozenset[Capability]] = frozenset()
    kinds: ClassVar[frozenset[Kind]] = frozenset({"classification", "generation"})

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        one = single(start, self.name)
        if not bench.documents:
            raise MethodError("This task has no documents to look things up in. Name them under `data: documents:`.")
        if PASSAGES in bench.task.columns.input:
            raise MethodError(f"The task reads a column {PASSAGES!r}, where the passages would stand. Rename it.")
        if self.size < 1 or self.k < 1 or self.overlap < 0:
            raise MethodError("retrieve needs a size and a k of at least 1, and an overlap of at least 0.")
        asked = replace(asking(one, bench, one.shots), prompt=with_place(one.prompt or default_template(bench.task)))
        if isinstance(bench.mine, Single) and bench.mine.passages:
            return replace(asked, passages=bench.mine.passages)  # chosen on an earlier rung
        return self._chosen(asked, self._indexes(bench), bench)

    def _indexes(self, bench: Bench) -> dict[FindBy, Passages]:
        """The documents, indexed every way that there is a model for."""
        passages = [
            Passage(piece, document.id if len(pieces) == 1 else f"{document.id}#{number}")
            for document in bench.documents
            for pieces in [cut(plain_text(document.inputs["text"]), self.size, self.overlap)]
            for number, piece in enumerate(pieces, 1)
        ]
        encoders = [name for name, can in bench.capabilities.items() if "embed" in can and "score" not in can]
        if not encoders or sum(len(p.text) for p in passages) / CHARACTERS_A_TOKEN > bench.share.tokens / 2:
            return {"bm25": index_of(passages, self.k, "bm25")}
        kept, vectors = _embedded(passages, encoders[0], bench)
        ways: tuple[FindBy, ...] = ("both", "bm25", "embedding")
        return {by: index_of(kept, self.k, by, encoders[0], vectors) for by in ways}

    def _chosen(self, asked: Single, indexes: dict[FindBy, Passages], bench: Bench) -> Candidate:
        """First the way, then how many, each on hold; as many to choose from as half of what is left pays for."""
        ways = [replace(asked, passages=index) for index in indexes.values()]
        found = bench.pick(ways[: self._affordable(bench)])
        assert isinstance(found, Single) and found.passages is not None
        counts = dict.fromkeys((self.k, 1, 2 * self.k))
        return bench.pick(
            [replace(found, passages=replace(found.passages, k=k)) for k in counts][: self._affordable(bench)]
        )

    def _affordable(self, bench: Bench) -> int:
        """How many candidates can be tried on the first hold items."""
        a_prompt = self.k * self.size / CHARACTERS_A_TOKEN + 100
        return max(1, int(bench.share.tokens / 2 / (a_prompt * min(16, max(1, len(bench.hold))))))


def _embedded(
    passages: Sequence[Passage], encoder: str, bench: Bench
) -> tuple[list[Passage], list[NDArray[np.float32]]]:
    """The passages that the encoder could read, and their vectors."""
    replies = bench.models[encoder].embed([EmbedRequest(passage.text) for passage in passages])
    pairs = [(p, r.values) for p, r in zip(passages, replies, strict=True) if not isinstance(r, Failure)]
    if not pairs:
        raise MethodError(f"{encoder} could embed none of {len(passages)} passages of the documents.")
    return [passage for passage, _ in pairs], [values for _, values in pairs]


def with_place(template: Template) -> Template:
    """The template with a place for the passages before what the user asks, where it has none."""
    if PASSAGES in columns_of(template):
        return template
    *leading, turn = template.messages
    return Template((*leading, Message(turn.role, HINT + plain_text(turn.content))))
