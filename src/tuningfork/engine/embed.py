"""Vectors for texts and prompts: encoders as they pool by their own files, causal models by a hidden state.

Rows are sorted by length and equal rows are computed once. A prompt to a causal model shares its beginning like any
other.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..model import EmbedRequest, Failure, Pooling, Usage, Vector
from ..task import Content, Prompt, plain_text
from . import rows as rows_
from .attention import Span
from .fit import fitted, too_long
from .render import Renderer
from .rows import Row
from .tree import grow
from .weights import Weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

Key = tuple[int, Pooling | None, bool]


def embed(weights: Weights, renderer: Renderer, requests: Sequence[EmbedRequest]) -> list[Vector | Failure]:
    """One Vector (float32, (d,)) or Failure a request, in order. A bare text longer than an encoder's context is cut,
    as sentence encoders do by design; a causal model's is refused. A prompt is cut where it says how, or refused."""
    start = time.perf_counter()
    found: list[Vector | Failure | None] = [None] * len(requests)
    groups: dict[Key, list[int]] = {}
    for index, request in enumerate(requests):
        groups.setdefault((request.layer, request.pooling, request.normalise), []).append(index)
    with torch.inference_mode():
        for key, members in groups.items():
            _embed(weights, renderer, requests, key, members, found)
    seconds = (time.perf_counter() - start) / max(1, len(requests))
    return [rows_.whole(entry, Usage(seconds=seconds)) for entry in found]


def _embed(
    weights: Weights,
    renderer: Renderer,
    requests: Sequence[EmbedRequest],
    key: Key,
    members: Sequence[int],
    found: list[Vector | Failure | None],
) -> None:
    layer, pooling, normalise = key
    layers = weights.net.config.get_text_config().num_hidden_layers
    if not -layers - 1 <= layer <= layers:
        told = (
            f"The model has layers 0 (its embeddings) to {layers}, or -1 to {-layers - 1} from the last; not {layer}."
        )
        for index in members:
            found[index] = Failure("layer", told)
        return
    first: dict[tuple[int, ...], int] = {}
    ids: dict[int, tuple[int, ...]] = {}
    cut: dict[int, int] = {}
    for index, made in zip(members, token_ids(weights, renderer, [requests[i].content for i in members]), strict=True):
        text, cut[index] = made
        if isinstance(text, Failure):
            found[index] = text
        else:
            ids[index] = tuple(text)
            first.setdefault(ids[index], index)
    rows = _rows(weights, list(first), pooling)
    beginnings = rows_.Beginnings(weights)

    def run(batch: list[Row]) -> torch.Tensor:
        vectors = pooled(weights, batch, beginnings.before(batch), layer, pooling)
        return torch.nn.functional.normalize(vectors, dim=-1) if normalise else vectors

    values: dict[tuple[int, ...], NDArray[np.float32]] = {}
    texts = list(first)
    lost: list[Row] = []
    for batch, vectors in rows_.in_passes(weights, rows, run, lost):
        for row, value in zip(batch, vectors.float().cpu().numpy(), strict=True):
            values[texts[row.index]] = np.ascontiguousarray(value)
    unfit = {texts[row.index]: rows_.no_memory(row.begin + len(row.ids)) for row in lost}
    cost = dict(zip(texts, (spent for _, spent in sorted(rows_.tokens(rows).items())), strict=True))
    for index, own in ids.items():
        read, reused = cost[own] if first[own] == index else (0, len(own))
        usage = Usage(read, tokens_reused=reused, tokens_cut=cut[index])
        found[index] = unfit.get(own) or checked(values[own], usage)


def checked(values: NDArray[np.float32], usage: Usage) -> Vector | Failure:
    """A vector whose numbers are numbers."""
    return Vector(values, usage) if np.isfinite(values).all() else Failure("nan", "The model gave NaN for this text.")


def token_ids(
    weights: Weights, renderer: Renderer, contents: Sequence[Content | Prompt]
) -> list[tuple[list[int] | Failure, int]]:
    """Token ids of texts and prompts, and how many tokens were cut: of a prompt what it says itself may be, of a bare
    text all but its start where an encoder reads it, as sentence encoders are made to."""
    if weights.causal:
        return [
            (_prompt_ids if isinstance(content, Prompt) else _text_ids)(weights, renderer, content)  # type: ignore[arg-type]
            for content in contents
        ]
    return [
        _encoder_prompt_ids(weights, renderer, content) if cut and isinstance(content, Prompt) else (ids, cut)
        for content, (ids, cut) in zip(contents, kept_starts(weights, renderer, contents), strict=True)
    ]


def kept_starts(
    weights: Weights, renderer: Renderer, contents: Sequence[Content | Prompt]
) -> list[tuple[list[int] | Failure, int]]:
    """What an encoder reads of texts and prompts when it keeps the start of each, and how many tokens were cut."""
    faults = [renderer.unreadable(content) for content in contents]
    texts = ["" if fault else _joined(content) for content, fault in zip(contents, faults, strict=True)]
    whole = _encoder_ids(weights, renderer, texts)
    most, after = weights.context_tokens, renderer.wrapping[1]
    kept = [row if len(row) <= most else [*row[: most - len(after)], *after] for row in whole]
    return [
        (fault, 0) if fault else (row, len(own) - len(row)) for fault, row, own in zip(faults, kept, whole, strict=True)
    ]


def _joined(content: Content | Prompt) -> str:
    """An encoder reads a prompt as its messages' texts, one after the other."""
    parts = [message.content for message in content.messages] if isinstance(content, Prompt) else [content]
    return "\n".join(map(plain_text, parts))


def _encoder_ids(weights: Weights, renderer: Renderer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of whole texts, however long."""
    defused = [renderer.defused(text) for text in texts]
    encoded = weights.tokenizer(defused, return_attention_mask=False, verbose=False)["input_ids"] if texts else []
    return [[*renderer.lead, *row] for row in encoded]


def _encoder_prompt_ids(weights: Weights, renderer: Renderer, prompt: Prompt) -> tuple[list[int] | Failure, int]:
    def read(prompt: Prompt) -> list[int] | Failure:
        return _encoder_ids(weights, renderer, [_joined(prompt)])[0]

    return fitted(renderer, prompt, weights.context_tokens, len, read)


def _prompt_ids(weights: Weights, renderer: Renderer, prompt: Prompt) -> tuple[list[int] | Failure, int]:
    def read(prompt: Prompt) -> list[int] | Failure:
        text = renderer.read(prompt)
        return text if isinstance(text, Failure) else renderer.ids([text])[0]

    return fitted(renderer, prompt, weights.context_tokens, len, read)


def _text_ids(weights: Weights, renderer: Renderer, content: Content) -> tuple[list[int] | Failure, int]:
    text = renderer.bare(content)
    if isinstance(text, Failure):
        return text, 0
    ids = list(weights.tokenizer(text, return_attention_mask=False)["input_ids"])
    return (too_long(len(ids), weights.context_tokens) if len(ids) > weights.context_tokens else ids), 0


def _rows(weights: Weights, texts: Sequence[tuple[int, ...]], pooling: Pooling | None) -> list[Row]:
    """A row for each text. Pooling that looks at the last token only lets texts share their beginnings."""
    if weights.causal and weights.shares and pooling in (None, "last"):
        return [rows_.build(i, texts[i][node.end if node else 0 :], (), node) for i, node in grow(texts)]
    return rows_.by_length([rows_.build(i, text, ()) for i, text in enumerate(texts)])


def pooled(
    weights: Weights, batch: Sequence[Row], spans: Sequence[Span], layer: int, pooling: Pooling | None
) -> torch.Tensor:
    """(B, d) fp32 vectors of a batch."""
    states = rows_.forward(weights, batch, spans, layer=layer).float()
    starts = torch.tensor(rows_.starts(batch), device=states.device)
    lengths = torch.tensor([len(row.ids) for row in batch], device=states.device)
    match pooling or weights.pooling:
        case "first":
            return states[starts]
        case "last":
            return states[starts + lengths - 1]
        case _:
            of = torch.arange(len(batch), device=states.device).repeat_interleave(lengths)
            sums = torch.zeros((len(batch), states.shape[1]), device=states.device).index_add_(0, of, states)
            return sums / lengths[:, None]
