"""How the fake models read: words, nearness and dice, all from hashes.

A word is a direction in 64 dimensions whose signs are the bits of its hash; a text is the sum of its words, short words
counting little and words of one stem partly the same, so texts about the same thing are near each other. Nothing
depends on a process, a platform or a library's random stream. It understands nothing.
"""

from __future__ import annotations

import hashlib
import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DIMENSIONS = 64
WORD = re.compile(r"\w+")
SHORT_WORD_WEIGHT = 0.15
STEM_LETTERS = 5
STEM_WEIGHT = 0.6


@lru_cache(maxsize=1 << 13)
def vector(text: str) -> NDArray[np.float64]:
    """The sum of a text's words, (64,), not normalised, read-only; a text without words has a direction of its own."""
    import numpy as np

    total = np.zeros(DIMENSIONS)
    for word in WORD.findall(text.lower()) or ["(nothing)"]:
        weight = SHORT_WORD_WEIGHT if len(word) <= 3 else 1.0
        total += weight * _direction(word)
        if len(word) > STEM_LETTERS:
            total += STEM_WEIGHT * _direction(f"{word[:STEM_LETTERS]}-")
    total.setflags(write=False)
    return total


def unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same direction with length 1, over the last axis."""
    import numpy as np

    lengths = np.linalg.norm(values, axis=-1, keepdims=True)
    scaled: NDArray[np.float64] = values / np.maximum(lengths, 1e-12)
    return scaled


@lru_cache(maxsize=1 << 13)
def direction(text: str) -> NDArray[np.float64]:
    """`vector` with length 1, read-only."""
    found = unit(vector(text))
    found.setflags(write=False)
    return found


def dice(*parts: object) -> float:
    """A number in [-1, 1) that depends on nothing but the parts."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2.0**63 - 1.0


def digest_of(*parts: object) -> str:
    """Sixteen hex digits that name the parts."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")).hexdigest()[:16]


@lru_cache(maxsize=1 << 15)
def _direction(word: str) -> NDArray[np.float64]:
    import numpy as np

    digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=DIMENSIONS // 8).digest()
    signs: NDArray[np.float64] = np.unpackbits(np.frombuffer(digest, np.uint8)).astype(np.float64) * 2.0 - 1.0
    return signs / math.sqrt(DIMENSIONS)
