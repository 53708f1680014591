"""Demonstrations for each input, and the prompts that hold them.

A candidate's demonstrations are fixed, or picked for each input: the nearest of a pool, by an encoder's cosine, by
words, or by both orders joined (`ranking`). The nearest one comes last, right before the question, where small models
heed it most. With `diversity` they are picked one after the other, each also unlike those before it: by the encoder's
vectors, or by the words they share. Picking is exact and deterministic: likeness is rounded to six places, so that
padding noise of a batch decides nothing, and ties go to the earlier one of the pool.

Methods that ask about their own train examples pass `others_only`, so that no example is its own demonstration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from ..candidate import FindBy, Nearest, Prediction, Shot, Single
from ..errors import UnknownName
from ..model import Answer, EmbedRequest, Failure, Model, Scores, Usage, Vector
from ..store.blobs import Blob
from ..task import Inputs, Prompt
from .passages import Found, finder
from .prompt import plain_input, prompt_for, shot_of
from .ranking import Words, best, diverse, joined, word_vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

R = TypeVar("R", Scores, Answer, Vector)

CONSIDERED = 64
"""So many of the nearest are looked at where they are to be diverse: what lies farther off is no demonstration."""


@dataclass(frozen=True)
class Rendered:
    """A prompt, or why there is none, what choosing its demonstrations and passages cost, and the passages' sources."""

    prompt: Prompt | Failure
    usage: Usage = field(default_factory=Usage)
    citations: tuple[str, ...] = ()


Prompter = Callable[[Sequence[Inputs]], list[Rendered]]
Picked = tuple[tuple[Shot, ...] | Failure, Usage]


def prompter(candidate: Single, models: Mapping[str, Model], others_only: bool = False) -> Prompter:
    """How `candidate` turns inputs into prompts. With `others_only` an entry of the pool is never shown to itself."""
    shots, find = candidate.shots, finder(candidate.passages, models) if candidate.passages else _nothing_found
    if isinstance(shots, Nearest):
        pick = _picker(shots, models, others_only)
        return lambda block: [_render(candidate, *each) for each in zip(block, pick(block), find(block), strict=True)]
    fixed: Picked = (shots, Usage())
    return lambda block: [
        _render(candidate, inputs, fixed, found) for inputs, found in zip(block, find(block), strict=True)
    ]


def asked(rendered: Sequence[Rendered], ask: Callable[[list[Prompt]], Sequence[R | Failure]]) -> list[R | Failure]:
    """The model's reply to each prompt, in order. Where there is no prompt its failure stays in place."""
    prompts = [item.prompt for item in rendered if isinstance(item.prompt, Prompt)]
    replies = iter(ask(prompts) if prompts else ())
    found: list[R | Failure] = []
    for item in rendered:
        reply = next(replies) if isinstance(item.prompt, Prompt) else item.prompt
        found.append(reply if isinstance(reply, Failure) else replace(reply, usage=reply.usage + item.usage))
    return found


def answered(
    rendered: Sequence[Rendered],
    ask: Callable[[list[Prompt]], Sequence[R | Failure]],
    read: Callable[[R], Prediction],
) -> list[Prediction]:
    """A Prediction of each prompt, with the sources of the passages that it showed."""
    found = read_all(asked(rendered, ask), read)
    return [
        replace(p, citations=item.citations) if item.citations else p for p, item in zip(found, rendered, strict=True)
    ]


def read_all(replies: Iterable[R | Failure], read: Callable[[R], Prediction]) -> list[Prediction]:
    """A Prediction of each reply; a failure becomes a failed one."""
    return [Prediction("", failure=r) if isinstance(r, Failure) else read(r) for r in replies]


def nearest_of(
    model: str,
    pool: Sequence[Shot],
    vectors: Sequence[NDArray[np.float32]],
    k: int,
    by: FindBy = "embedding",
    diversity: float = 0.0,
) -> Nearest:
    """Demonstrations to pick from: `pool`, and a vector for each entry by the model of that name. By words alone
    neither is kept."""
    import numpy as np

    if by == "bm25":
        return Nearest("", tuple(pool), None, k, by, diversity)
    stacked = np.stack(list(vectors)).astype(np.float32)  # (pool, d)
    unit = stacked / np.maximum(np.linalg.norm(stacked, axis=1, keepdims=True), 1e-12)
    return Nearest(model, tuple(pool), Blob.of_arrays({"vectors": unit}), k, by, diversity)


def without(shots: Nearest, rows: Iterable[Inputs]) -> Nearest:
    """The demonstrations to pick from, but for these rows: asked about, they would be shown to themselves."""
    own = {shot_of(inputs, "").inputs for inputs in rows}
    kept = [at for at, shot in enumerate(shots.pool) if shot.inputs not in own]
    pool = tuple(shots.pool[at] for at in kept)
    if shots.vectors is None or len(pool) == len(shots.pool):
        return replace(shots, pool=pool)
    return replace(shots, pool=pool, vectors=Blob.of_arrays({"vectors": shots.vectors.arrays()["vectors"][kept]}))


def model_of(models: Mapping[str, Model], name: str) -> Model:
    """The model of that name. Raises UnknownName when it was not opened."""
    if name not in models:
        raise UnknownName("model", name, models, "what was opened for this candidate")
    return models[name]


def _picker(
    shots: Nearest, models: Mapping[str, Model], others_only: bool
) -> Callable[[Sequence[Inputs]], list[Picked]]:
    import numpy as np

    vectors = shots.vectors.arrays()["vectors"] if shots.vectors else None  # (pool, d)
    texts = tuple(plain_input(dict(shot.inputs)) for shot in shots.pool)
    words = None if shots.by == "embedding" else _words_of(texts)

    def likeness(inputs: Inputs, values: NDArray[np.float32] | None) -> NDArray[Any]:
        found = [words.likeness(plain_input(inputs))] if words else []
        if vectors is not None and values is not None:
            found.append(vectors @ (values / max(float(np.linalg.norm(values)), 1e-12)))  # (pool,)
        return found[0] if len(found) == 1 else joined(found)

    def pick(inputs: Inputs, values: NDArray[np.float32] | None = None) -> tuple[Shot, ...]:
        near = likeness(inputs, values)
        own = shot_of(inputs, "").inputs if others_only else None
        order = [i for i in best(near, len(near)) if shots.pool[i].inputs != own]
        if shots.diversity and order:
            order = order[: max(CONSIDERED, shots.k)]
            alike = word_vectors([texts[i] for i in order]) if vectors is None else vectors[order]
            scaled = near[order] / max(float(near[order].max()), 1e-12)
            order = [order[i] for i in diverse(scaled, alike, shots.k, shots.diversity)]
        return tuple(shots.pool[i] for i in order[: shots.k])[::-1]

    if vectors is None:
        return lambda block: [(pick(inputs), Usage()) for inputs in block]
    model = model_of(models, shots.model)

    def pick_all(block: Sequence[Inputs]) -> list[Picked]:
        replies = model.embed([EmbedRequest(plain_input(inputs)) for inputs in block])
        return [
            (reply, Usage()) if isinstance(reply, Failure) else (pick(inputs, reply.values), reply.usage)
            for inputs, reply in zip(block, replies, strict=True)
        ]

    return pick_all


@lru_cache(maxsize=4)
def _words_of(texts: tuple[str, ...]) -> Words:
    """An index of the pool, kept from block to block: making one of 5,000 texts takes half a second."""
    return Words(texts)


def _render(candidate: Single, inputs: Inputs, picked: Picked, found: Found) -> Rendered:
    shots, usage = picked
    for lacking in (shots, found.passages):
        if isinstance(lacking, Failure):
            return Rendered(lacking, usage + found.usage)
    assert isinstance(shots, tuple)
    passages = found.shown if candidate.passages else None
    return Rendered(prompt_for(candidate, inputs, shots, passages), usage + found.usage, found.citations)


def _nothing_found(block: Sequence[Inputs]) -> list[Found]:
    return [Found()] * len(block)
