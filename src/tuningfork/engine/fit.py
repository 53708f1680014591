"""Prompts longer than a model's context, where the task says that their input may be cut.

Only what an input's column brought is cut, never the instruction, the demonstrations or the question round it; as much
as must be and no more, at a token's edge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from ..model import Failure
from ..task import Message, Prompt, plain_text
from .render import Renderer

T = TypeVar("T")
TRIES = 6


def fitted(
    renderer: Renderer, prompt: Prompt, context: int, length: Callable[[T], int], read: Callable[[Prompt], T | Failure]
) -> tuple[T | Failure, int]:
    """What `read` makes of the prompt, cut where it is too long and may be, and how many tokens were cut. `length`
    says how many tokens the whole takes, its answer included. A prompt that can't be made to fit is a Failure."""
    made = read(prompt)
    if isinstance(made, Failure):
        return made, 0
    whole = length(made)
    if whole <= context:
        return made, 0
    if prompt.overlong == "fail":
        return too_long(whole, context), 0
    shorter: Prompt | None = prompt
    excess = whole - context
    for _ in range(TRIES):
        shorter = _shortened(renderer, prompt, excess)
        made = read(shorter) if shorter else too_long(whole, context)
        if isinstance(made, Failure):
            return made, 0
        if (now := length(made)) <= context:
            return made, whole - now
        excess += now - context
    return too_long(whole, context), 0


def too_long(tokens: int, context: int) -> Failure:
    """A prompt is never cut in silence: it fails, with both lengths named."""
    return Failure(
        "too_long",
        f"The prompt has {tokens} tokens with its answer; the model reads at most {context}. "
        "`overlong: keep_start` (or keep_end) in the task file cuts such inputs and counts them.",
    )


def _shortened(renderer: Renderer, prompt: Prompt, tokens: int) -> Prompt | None:
    """The prompt without that many tokens of its loose part; None when the part has no more than these."""
    begin, end = prompt.loose
    *before, last = prompt.messages
    text = plain_text(last.content)
    edges = renderer.edges(text[begin:end])
    if len(edges) <= tokens:
        return None
    if prompt.overlong == "keep_start":
        kept = text[begin : begin + edges[-tokens][0]].rstrip()
    else:
        kept = text[begin + edges[tokens][0] : end].lstrip()
    if not kept:
        return None
    said = text[:begin] + kept + text[end:]
    return replace(prompt, messages=(*before, Message(last.role, said)), loose=(begin, begin + len(kept)))
