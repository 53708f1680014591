"""How likely each given choice is as the answer: log-probabilities of all its tokens, never by generating and guessing.

A choice's end counts only where it must: when one choice's tokens begin another's ("how" and "how-to"), the shorter one
is followed by the token that ends an answer, so that the two are different events.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from ..model import Failure, ScoreRequest, Scores, Usage
from . import rows as rows_
from .attention import Shared
from .render import Renderer
from .rows import Row
from .weights import Weights


def score(weights: Weights, renderer: Renderer, requests: Sequence[ScoreRequest]) -> list[Scores | Failure]:
    """One Scores or Failure a request, in order. Prompts of a call share their common beginning."""
    start = time.perf_counter()
    texts = [renderer.read(request.prompt) for request in requests]
    ids = renderer.ids(["" if isinstance(text, Failure) else text for text in texts])
    found: list[Scores | Failure | None] = [None] * len(requests)
    branches: dict[int, list[list[int]]] = {}
    for index, (request, text) in enumerate(zip(requests, texts, strict=True)):
        fault = text if isinstance(text, Failure) else _fault(request)
        if fault:
            found[index] = fault
        else:
            ids[index], branches[index] = branch(renderer, str(text), ids[index], request.choices)
            longest = len(ids[index]) + max(map(len, branches[index]))
            if longest > weights.context_tokens:
                found[index] = too_long(longest, weights.context_tokens)
                del branches[index]
    with torch.inference_mode():
        _score(weights, ids, branches, found)
    seconds = (time.perf_counter() - start) / max(1, len(requests))
    return [_timed(entry, seconds) for entry in found]


def branch(renderer: Renderer, text: str, ids: list[int], choices: Sequence[str]) -> tuple[list[int], list[list[int]]]:
    """The prompt's ids that stand whatever the choice, and the ids of each choice after them."""
    parts = [renderer.continuation(text, ids, choice) for choice in choices]
    stand = min(kept for kept, _ in parts)
    tokens = [[*ids[stand:kept], *rest] for kept, rest in parts]
    end = renderer.end_id
    if end is not None:
        begun = {tuple(t[:n]) for t in tokens for n in range(1, len(t))}
        tokens = [[*t, end] if tuple(t) in begun else t for t in tokens]
    return ids[:stand], tokens


def too_long(tokens: int, context: int) -> Failure:
    """A prompt is never cut in silence: it fails, with both lengths named."""
    return Failure("too_long", f"The prompt has {tokens} tokens with its answer; the model reads at most {context}.")


def _fault(request: ScoreRequest) -> Failure | None:
    if not request.choices or not all(choice.strip() for choice in request.choices):
        return Failure("empty_choice", f"A choice is empty: {list(request.choices)!r}.")
    if len(set(request.choices)) < len(request.choices):
        return Failure("same_choice", f"Two choices are the same: {sorted(request.choices)!r}.")
    return None


def _score(
    weights: Weights,
    ids: Sequence[Sequence[int]],
    branches: dict[int, list[list[int]]],
    found: list[Scores | Failure | None],
) -> None:
    offset = rows_.shared_prefix([ids[i] for i in branches], weights.shares)
    prefix = rows_.encode_prefix(weights, ids[next(iter(branches))][:offset]) if offset else {}
    if weights.shares:
        rows = [rows_.build(i, ids[i][offset:], tokens) for i, tokens in branches.items()]
    else:  # a row for each choice
        rows = [rows_.build(i, ids[i], [tokens]) for i, branch_ in branches.items() for tokens in branch_]
    parts: dict[int, dict[int, tuple[list[float], int]]] = {}
    for batch in rows_.batches(rows):
        states = rows_.hidden(weights, batch, offset, Shared(prefix=prefix))
        for row, asked in zip(batch, rows_.asked_nats(weights, batch, states), strict=True):
            parts.setdefault(row.index, {})[id(row)] = (rows_.choice_nats(row, asked).tolist(), len(row.ids))
    by_row: dict[int, list[Row]] = {}
    for row in rows:
        by_row.setdefault(row.index, []).append(row)
    first = next(iter(branches), None)
    for index, own in by_row.items():
        nats = tuple(value for row in own for value in parts[index][id(row)][0])
        read = sum(parts[index][id(row)][1] for row in own)
        usage = Usage(tokens_in=read + (offset if index == first else 0), tokens_reused=0 if index == first else offset)
        if all(value == value for value in nats):
            found[index] = Scores(nats, tuple(len(t) for t in branches[index]), usage=usage)
        else:
            found[index] = Failure("nan", "The model gave NaN for this prompt.")


def _timed(entry: Scores | Failure | None, seconds: float) -> Scores | Failure:
    assert entry is not None
    if isinstance(entry, Failure):
        return entry
    return Scores(entry.nats, entry.tokens, entry.exclusive, entry.usage + Usage(seconds=seconds))
