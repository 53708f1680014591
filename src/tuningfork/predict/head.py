"""Answer by a head: a linear layer on the model's embedding of the input.

The embedding is of the rendered prompt where the candidate has one (a causal model reads the question), else of the
plain input (an encoder). logits = W v + b, and softmax; where labels are not exclusive, each by itself. One product a
row, in float64, so an answer is the same in any batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from ..candidate import Head, Prediction, Single
from ..errors import ModelError
from ..model import EmbedRequest, Failure, Model, Pooling, Vector
from ..store.blobs import Blob
from ..task import Inputs, Prompt
from .each import chosen
from .prompt import plain_input
from .score import decided
from .shots import answered, asked, prompter, read_all

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def answerer(
    candidate: Single, model: Model, models: Mapping[str, Model]
) -> Callable[[Sequence[Inputs]], list[Prediction]]:
    """How `candidate` answers a block by its head. Raises ModelError when the head does not fit its labels."""
    import numpy as np

    if candidate.head is None:
        raise ModelError(f"The candidate on {candidate.model!r} answers by a head and has none. Adapt it again.")
    head = candidate.head
    arrays = head.weights.arrays()
    weight, bias = arrays["weight"].astype(np.float64), arrays["bias"].astype(np.float64)  # (labels, d), (labels,)
    if len(weight) != len(candidate.labels):
        raise ModelError(f"The head has {len(weight)} rows, and the candidate {len(candidate.labels)} labels.")

    def read(vector: Vector) -> Prediction:
        logits = weight @ vector.values.astype(np.float64) + bias
        if not candidate.exclusive:
            return chosen(candidate.labels, logits.tolist(), candidate.calibration, vector.usage)
        return decided(candidate.labels, logits.tolist(), vector.usage)

    if candidate.prompt is None:
        embed = embedder(candidate, model, models, head.layer, head.pooling, head.normalise)
        return lambda block: read_all(embed(block), read)
    prompts, ask = prompter(candidate, models), _asker(model, head.layer, head.pooling, head.normalise)
    return lambda block: answered(prompts(block), ask, read)


def embedder(
    candidate: Single,
    model: Model,
    models: Mapping[str, Model],
    layer: int = -1,
    pooling: Pooling | None = None,
    normalise: bool = True,
    others_only: bool = False,
) -> Callable[[Sequence[Inputs]], list[Vector | Failure]]:
    """How a head's features are made. The method that fits a head uses this too, so that both see the same vectors."""
    ask = _asker(model, layer, pooling, normalise)
    if candidate.prompt is None:
        return lambda block: ask([plain_input(inputs) for inputs in block])
    prompts = prompter(candidate, models, others_only)
    return lambda block: asked(prompts(block), ask)


def _asker(
    model: Model, layer: int, pooling: Pooling | None, normalise: bool
) -> Callable[[Sequence[str | Prompt]], list[Vector | Failure]]:
    return lambda contents: model.embed([EmbedRequest(content, layer, pooling, normalise) for content in contents])


def head_of(
    weight: NDArray[np.float64],
    bias: NDArray[np.float64],
    pooling: Pooling | None = None,
    normalise: bool = True,
) -> Head:
    """A head of these arrays: `weight` (labels, d), `bias` (labels,)."""
    import numpy as np

    arrays = {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32)}
    return Head(Blob.of_arrays(arrays), pooling=pooling, normalise=normalise)
