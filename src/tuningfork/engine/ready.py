"""Requests to write as they can be answered: prompts as tokens, with room for an answer, and with what guides it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ..model import Failure, GenerateRequest
from ..task import Prompt
from . import seq2seq
from .constrain import Guide, Guides
from .fit import fitted
from .render import Renderer
from .request import fault
from .weights import Weights


@dataclass(frozen=True)
class Ready:
    """A request that can be answered: its prompt's tokens, how many more were cut off, how many its answer may have."""

    index: int
    request: GenerateRequest
    ids: list[int]
    cut: int
    room: int
    guide: Guide | None


def ready(weights: Weights, renderer: Renderer, requests: Sequence[GenerateRequest]) -> list[Ready | Failure]:
    """Each request as it can be answered, or why it can't. Prompts are tokenized together; one that must be cut is read
    again. Raises MissingExtra for a constraint without its library."""
    texts = [renderer.read(request.prompt) for request in requests]
    ids = _ids(weights, renderer, ["" if isinstance(text, Failure) else text for text in texts])
    known = {
        id(request.prompt): text if isinstance(text, Failure) else row
        for request, text, row in zip(requests, texts, ids, strict=True)
    }
    guides = Guides(renderer.tokenizer, renderer.end_ids)
    return [_ready(weights, renderer, guides, known, index, request) for index, request in enumerate(requests)]


def begin(weights: Weights, renderer: Renderer) -> list[int]:
    """What an encoder-decoder's decoder reads before an answer."""
    return seq2seq.begin_ids(weights, renderer) if weights.seq2seq else []


def _ready(
    weights: Weights,
    renderer: Renderer,
    guides: Guides,
    known: Mapping[int, list[int] | Failure],
    index: int,
    request: GenerateRequest,
) -> Ready | Failure:
    if found := fault(request):
        return found
    length = partial(_length, 0 if weights.seq2seq else _wanted(request, weights.context_tokens))
    read = partial(_tokens, weights, renderer, known)
    ids, cut = fitted(renderer, request.prompt, weights.context_tokens, length, read)
    if isinstance(ids, Failure):
        return ids
    if not ids:
        return Failure("empty_prompt", "The prompt has no tokens.")
    guide = guides.guide(request.constraint) if request.constraint is not None else None
    if isinstance(guide, Failure):
        return guide
    left = weights.context_tokens - len(ids)
    if weights.seq2seq:
        left = weights.answer_tokens - len(begin(weights, renderer))
    return Ready(index, request, ids, cut, min(left, request.max_tokens), guide)


def _wanted(request: GenerateRequest, context: int) -> int:
    """Tokens that a prompt must leave for its answer: one; where it may be cut to make room, all that are asked for."""
    return 1 if request.prompt.overlong == "fail" else min(request.max_tokens, context // 2)


def _length(beside: int, ids: Sequence[int]) -> int:
    return len(ids) + beside


def _tokens(
    weights: Weights, renderer: Renderer, known: Mapping[int, list[int] | Failure], prompt: Prompt
) -> list[int] | Failure:
    if id(prompt) in known:
        return known[id(prompt)]
    text = renderer.read(prompt)
    return text if isinstance(text, Failure) else _ids(weights, renderer, [text])[0]


def _ids(weights: Weights, renderer: Renderer, texts: Sequence[str]) -> list[list[int]]:
    return renderer.encoder_ids(texts) if weights.seq2seq else renderer.ids(texts)
