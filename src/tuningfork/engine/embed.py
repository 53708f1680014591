"""Vectors for texts and prompts: encoders as they pool by their own files, causal models by a hidden state.

Rows are sorted by length and equal rows are computed once. A prompt to a causal model shares its beginning like any
other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from ..model import EmbedRequest, Failure, Pooling, Usage, Vector
from ..task import Prompt, plain_text
from . import rows as rows_
from .attention import Shared
from .render import Renderer
from .rows import Row
from .score import too_long
from .weights import Weights

Key = tuple[int, Pooling | None, bool]


def embed(weights: Weights, renderer: Renderer, requests: Sequence[EmbedRequest]) -> list[Vector | Failure]:
    """One Vector (float32, (d,)) or Failure a request, in order. An encoder's text longer than its context is cut, as
    sentence encoders do by design; a causal model's is refused."""
    start = time.perf_counter()
    found: list[Vector | Failure | None] = [None] * len(requests)
    groups: dict[Key, list[int]] = {}
    for index, request in enumerate(requests):
        groups.setdefault((request.layer, request.pooling, request.normalise), []).append(index)
    with torch.inference_mode():
        for key, members in groups.items():
            _embed(weights, renderer, requests, key, members, found)
    seconds = (time.perf_counter() - start) / max(1, len(requests))
    done: list[Vector | Failure] = []
    for entry in found:
        assert entry is not None
        done.append(entry if isinstance(entry, Failure) else Vector(entry.values, entry.usage + Usage(seconds=seconds)))
    return done


def _embed(
    weights: Weights,
    renderer: Renderer,
    requests: Sequence[EmbedRequest],
    key: Key,
    members: Sequence[int],
    found: list[Vector | Failure | None],
) -> None:
    layer, pooling, normalise = key
    ids = token_ids(weights, renderer, [requests[i].content for i in members])
    first: dict[tuple[int, ...], int] = {}
    for index, row in zip(members, ids, strict=True):
        if not row:
            found[index] = Failure("empty_prompt", "The text is empty.")
        elif len(row) > weights.context_tokens:
            found[index] = too_long(len(row), weights.context_tokens)
        else:
            first.setdefault(tuple(row), index)
    offset = rows_.shared_prefix(list(first), weights.shares and pooling in (None, "last"))
    prefix = rows_.encode_prefix(weights, next(iter(first))[:offset]) if offset else {}
    rows = [rows_.build(index, row[offset:], []) for row, index in first.items()]
    for batch in rows_.batches(rows):
        vectors = pooled(weights, batch, offset, Shared(prefix=prefix), layer, pooling)
        if normalise:
            vectors = torch.nn.functional.normalize(vectors, dim=-1)
        values = vectors.float().cpu().numpy()
        for entry, value in zip(batch, values, strict=True):
            leads = entry.index == rows[0].index
            usage = Usage(len(entry.ids) + (offset if leads else 0), tokens_reused=0 if leads else offset)
            found[entry.index] = Vector(np.ascontiguousarray(value), usage)
    for index, ids_ in zip(members, ids, strict=True):
        if found[index] is None:
            same = found[first[tuple(ids_)]]
            assert isinstance(same, Vector)
            found[index] = Vector(same.values, Usage(tokens_reused=len(ids_)))


def token_ids(weights: Weights, renderer: Renderer, contents: Sequence[object]) -> list[list[int]]:
    """Token ids of texts and prompts. For an encoder a prompt is its messages' texts, one after the other."""
    if not contents:
        return []
    if weights.causal:
        prompts = [i for i, content in enumerate(contents) if isinstance(content, Prompt)]
        texts = [renderer.text(c) if isinstance(c, Prompt) else plain_text(c) for c in contents]  # type: ignore[arg-type]
        as_prompts = renderer.ids([texts[i] for i in prompts])
        plain = weights.tokenizer(texts, return_attention_mask=False)["input_ids"]
        for i, ids in zip(prompts, as_prompts, strict=True):
            plain[i] = ids
        return [list(row) for row in plain]
    texts = [
        "\n".join(plain_text(m.content) for m in c.messages) if isinstance(c, Prompt) else plain_text(c)  # type: ignore[arg-type]
        for c in contents
    ]
    encoded = weights.tokenizer(texts, truncation=True, max_length=weights.context_tokens, return_attention_mask=False)[
        "input_ids"
    ]
    return [list(row) for row in encoded]


def pooled(
    weights: Weights, batch: Sequence[Row], offset: int, shared: Shared, layer: int, pooling: Pooling | None
) -> torch.Tensor:
    """(B, d) fp32 vectors of a batch."""
    longest = max(len(row.ids) for row in batch)
    real = torch.tensor([[1] * len(row.ids) + [0] * (longest - len(row.ids)) for row in batch], device=weights.device)
    if weights.causal:
        states = rows_.hidden(weights, batch, offset, shared, layer)
    else:
        pad = weights.tokenizer.pad_token_id or 0
        ids = torch.tensor([row.ids + [pad] * (longest - len(row.ids)) for row in batch], device=weights.device)
        out = weights.body(input_ids=ids, attention_mask=real, output_hidden_states=layer != -1)
        states = out.last_hidden_state if layer == -1 else out.hidden_states[layer]
    states = states.float()
    how = pooling or weights.pooling
    if how == "first":
        return states[:, 0]
    if how == "last":
        return states[torch.arange(len(batch)), real.sum(1) - 1]
    return (states * real[..., None]).sum(1) / real.sum(1, keepdim=True)
