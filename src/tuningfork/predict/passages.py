"""Pieces of the user's documents, found for each input (retrieval-augmented generation, Lewis et al. 2020, arXiv
2005.11401).

Documents are cut where they part themselves, at blank lines and headings, and joined up to a size in characters; a
paragraph that is longer is cut between words, and its pieces overlap, so that no sentence is lost at an edge. Nothing
here knows a language. The pieces nearest to an input by words (BM25), by an encoder's cosine, or by both orders joined,
fill `{{passages}}` best first, numbered and with the names of their sources.

By words alone a piece that shares none with the input is not shown; where none is left, the prompt has no passages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ..candidate import FindBy, Passages
from ..errors import UnknownName
from ..model import EmbedRequest, Failure, Model, Usage
from ..store.blobs import Blob
from ..task import Inputs
from .prompt import plain_input
from .ranking import Words, best, joined

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BREAK = re.compile(r"\n[ \t]*\n\s*|\n(?=#{1,6} )")
"""Where a text parts itself: an empty line, or before a Markdown heading."""
HEADING = re.compile(r"#{1,6} [^\n]*")


@dataclass(frozen=True)
class Passage:
    """A piece of a document, and the name under which it is cited."""

    text: str
    source: str


@dataclass(frozen=True)
class Found:
    """The passages for one input, best first, or why there are none, and what finding them cost."""

    passages: tuple[Passage, ...] | Failure = ()
    usage: Usage = Usage()

    @property
    def shown(self) -> str:
        """What stands at `{{passages}}`: each under its number and source."""
        passages = () if isinstance(self.passages, Failure) else self.passages
        return "\n\n".join(f"[{n}] {p.source}\n{p.text}" for n, p in enumerate(passages, 1))

    @property
    def citations(self) -> tuple[str, ...]:
        """The sources, in the order of their numbers."""
        return () if isinstance(self.passages, Failure) else tuple(p.source for p in self.passages)


Find = Callable[[Sequence[Inputs]], list[Found]]


def cut(text: str, size: int = 800, overlap: int = 100) -> list[str]:
    """A text's pieces, each of at most `size` characters. Whole paragraphs are joined while they fit, and a heading
    stays with what follows it; pieces of one long paragraph share up to `overlap` characters."""
    pieces: list[str] = []
    held = ""
    for part in _parts(text, size, min(overlap, size // 4)):
        if held and (HEADING.match(part) or len(held) + 2 + len(part) > size):
            pieces.append(held)
            held = ""
        held = f"{held}\n\n{part}" if held else part
    return [*pieces, held] if held else pieces


def index_of(
    passages: Sequence[Passage],
    k: int,
    by: FindBy,
    model: str = "",
    vectors: Sequence[NDArray[np.float32]] = (),
) -> Passages:
    """Passages to find in; `vectors` (one each, any length) by the model of that name where they are looked for."""
    import numpy as np

    texts = json.dumps([{"text": p.text, "source": p.source} for p in passages], ensure_ascii=False)
    blob = Blob.of(texts.encode("utf-8", "replace"))
    if by == "bm25":
        return Passages(blob, "", None, k, by)
    stacked = np.stack(list(vectors)).astype(np.float32)  # (passages, d)
    unit = stacked / np.maximum(np.linalg.norm(stacked, axis=1, keepdims=True), 1e-12)
    return Passages(blob, model, Blob.of_arrays({"vectors": unit}), k, by)


def finder(index: Passages, models: Mapping[str, Model]) -> Find:
    """How the passages for a block of inputs are found. Raises UnknownName when the encoder was not opened."""
    passages, words = _read(index.texts)
    if index.vectors is None:
        return lambda block: [Found(_spoken(passages, words, plain_input(inputs), index.k)) for inputs in block]
    if index.model not in models:
        raise UnknownName("model", index.model, models, "what was opened for this candidate")
    encoder, vectors = models[index.model], index.vectors.arrays()["vectors"]  # (passages, d)

    def find_all(block: Sequence[Inputs]) -> list[Found]:
        import numpy as np

        texts = [plain_input(inputs) for inputs in block]
        found = []
        for text, reply in zip(texts, encoder.embed([EmbedRequest(text) for text in texts]), strict=True):
            if isinstance(reply, Failure):
                found.append(Found(reply))
                continue
            cosine = vectors @ (reply.values / max(float(np.linalg.norm(reply.values)), 1e-12))  # (passages,)
            likeness = joined([words.likeness(text), cosine]) if index.by == "both" else cosine
            found.append(Found(tuple(passages[i] for i in best(likeness, index.k)), reply.usage))
        return found

    return find_all


def _spoken(passages: Sequence[Passage], words: Words, text: str, k: int) -> tuple[Passage, ...]:
    """The nearest by words, of those that share any with the text."""
    likeness = words.likeness(text)
    return tuple(passages[i] for i in best(likeness, k) if likeness[i] > 0)


@lru_cache(maxsize=4)
def _read(texts: Blob) -> tuple[tuple[Passage, ...], Words]:
    """The passages of a blob and their words, indexed once: a race asks for the same ones block after block."""
    passages = tuple(Passage(entry["text"], entry["source"]) for entry in json.loads(texts.read()))
    return passages, Words([passage.text for passage in passages])


def _parts(text: str, size: int, overlap: int) -> Iterator[str]:
    """The paragraphs of a text, each with the headings right before it; a long one in several parts."""
    waiting = ""
    for paragraph in (part.strip() for part in BREAK.split(text.replace("\r\n", "\n"))):
        heading = HEADING.fullmatch(paragraph)
        waiting = f"{waiting}\n\n{paragraph}" if waiting else paragraph
        if heading or not paragraph:
            continue
        while len(waiting) > size:
            end = _edge(waiting, size // 2, size)
            yield waiting[:end].rstrip()
            waiting = waiting[_edge(waiting, end - overlap, end - overlap // 2, first=True) :].lstrip()
        if waiting:
            yield waiting
        waiting = ""
    if waiting.strip():
        yield from (waiting[at : at + size] for at in range(0, len(waiting), size))


def _edge(text: str, least: int, most: int, first: bool = False) -> int:
    """The last (or first) place between two words from `least` to `most`; `most` itself in a text without spaces."""
    spaces = [found.start() for found in re.finditer(r"\s", text[: most + 1]) if found.start() >= least]
    return (spaces[0] if first else spaces[-1]) if spaces else most
