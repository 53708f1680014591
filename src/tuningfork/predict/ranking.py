"""Which texts are most like another: by an encoder's cosine, by words (BM25), by both, with diversity.

One place for demonstrations and for passages. Ranking is exact and deterministic: likeness is rounded to six places,
so that padding noise of a batch decides nothing, and ties go to the earlier text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FUSE = 60.0
"""Reciprocal rank fusion's constant (Cormack, Clarke and Buettcher 2009)."""
WORD = re.compile(r"\w+")


class Words:
    """BM25 over texts, through `bm25s`. Words are runs of letters and digits without case, in any script; nothing is
    stemmed and no word is left out, so that no language is preferred."""

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s

        self._size = len(texts)
        self._index: Any = None
        words = [words_in(text) for text in texts]
        if any(words):
            self._index = bm25s.BM25(backend="numpy")
            self._index.index(words, show_progress=False)

    def likeness(self, text: str) -> NDArray[np.float64]:
        """The BM25 score of every text, shape (texts,)."""
        import numpy as np

        words = words_in(text)
        if self._index is None or not words:
            return np.zeros(self._size)
        return np.asarray(self._index.get_scores(words), dtype=np.float64)


def best(likeness: NDArray[Any], k: int) -> list[int]:
    """Positions of the `k` largest, best first."""
    import numpy as np

    rounded = np.round(likeness, 6)
    return [int(i) for i in np.lexsort((np.arange(len(rounded)), -rounded))[:k]]


def joined(likenesses: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """One likeness of several, by reciprocal rank: sum of 1 / (60 + rank), shape (texts,)."""
    import numpy as np

    total = np.zeros(len(likenesses[0]))
    for likeness in likenesses:
        order = best(likeness, len(likeness))
        total[order] += 1.0 / (FUSE + 1 + np.arange(len(order)))
    return total


def diverse(likeness: NDArray[Any], vectors: NDArray[Any], k: int, diversity: float) -> list[int]:
    """Positions of `k`, one after the other: each has the largest likeness less what it shares with those already
    taken (maximal marginal relevance; `likeness` up to 1). `vectors` are of unit length, shape (texts, d)."""
    import numpy as np

    taken: list[int] = []
    shared = np.full(len(likeness), -np.inf)
    for _ in range(min(k, len(likeness))):
        worth = likeness if not taken else (1 - diversity) * likeness - diversity * shared
        left = np.array(worth, dtype=np.float64)
        left[taken] = -np.inf
        taken += best(left, 1)
        shared = np.maximum(shared, vectors @ vectors[taken[-1]])
    return taken


def word_vectors(texts: Sequence[str]) -> NDArray[np.float64]:
    """Which words each text has, as rows of unit length, shape (texts, words): what texts share where there is no
    encoder."""
    import numpy as np

    found = [set(words_in(text)) for text in texts]
    place = {word: i for i, word in enumerate(sorted(set().union(*found)))}
    rows = np.zeros((len(texts), max(1, len(place))))
    for row, words in zip(rows, found, strict=True):
        row[[place[word] for word in words]] = 1.0 / max(1.0, len(words)) ** 0.5
    return rows


def words_in(text: str) -> list[str]:
    """The words of a text: runs of letters and digits, without case."""
    return WORD.findall(text.casefold())
