"""What `nearest_shots` has to show: examples as demonstrations and, where an encoder was asked, a vector for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..candidate import FindBy, Nearest, Shot
from ..errors import MethodError
from ..model import EmbedRequest, Model, Vector
from ..predict.prompt import plain_input
from ..predict.shots import nearest_of
from ..task import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Way = tuple[FindBy, int, float]
"""By what, how many, how diverse."""


@dataclass(frozen=True)
class Pool:
    """Examples, the same as demonstrations, and no vectors where words find them."""

    encoder: str
    examples: tuple[Example, ...]
    shots: tuple[Shot, ...]
    vectors: tuple[NDArray[np.float32], ...] = ()

    def nearest(self, way: Way, without: frozenset[int] = frozenset()) -> Nearest:
        """Demonstrations picked in this way, of the pool without these positions."""
        by, k, diversity = way
        kept = [i for i in range(len(self.shots)) if i not in without]
        vectors = [self.vectors[i] for i in kept] if self.vectors else []
        return nearest_of(self.encoder, [self.shots[i] for i in kept], vectors, k, by, diversity)


def embedded(encoder: Model, examples: Sequence[Example], shots: Sequence[Shot]) -> Pool:
    """The examples that the encoder can embed. Raises MethodError where it can embed none."""
    replies = encoder.embed([EmbedRequest(plain_input(example.inputs)) for example in examples])
    kept = [(e, s, r.values) for e, s, r in zip(examples, shots, replies, strict=True) if isinstance(r, Vector)]
    if not kept:
        raise MethodError(f"{encoder.id} could embed none of {len(examples)} train examples, so none can be shown.")
    some, demonstrations, vectors = zip(*kept, strict=True)
    return Pool(encoder.id, some, demonstrations, vectors)
