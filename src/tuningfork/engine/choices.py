"""What a list of choices must be, as text and as tokens, whatever kind of model scores it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ..model import Failure
from .render import not_unicode


def fault(choices: Sequence[str]) -> Failure | None:
    """Why these texts can't be told apart or can't be tokenized."""
    if not choices or not all(choice.strip() for choice in choices):
        return Failure("empty_choice", f"A choice is empty: {list(choices)!r}.")
    if len(set(choices)) < len(choices):
        return Failure("same_choice", f"Two choices are the same: {sorted(choices)!r}.")
    for choice in choices:
        if found := not_unicode(choice, f"the choice {choice!r}"):
            return found
    return None


def token_fault(choices: Sequence[str], tokens: Sequence[Sequence[int]]) -> Failure | None:
    """Why their tokens, as `parted`, can't be told apart: a tokenizer may drop characters, fold case or spaces, or have
    no token that ends an answer."""
    seen: dict[tuple[int, ...], str] = {}
    for choice, own in zip(choices, map(tuple, tokens), strict=True):
        if not own:
            return Failure("empty_choice", f"The choice {choice!r} has no tokens: this tokenizer drops all of it.")
        if own in seen:
            return Failure(
                "same_choice", f"The choices {seen[own]!r} and {choice!r} are the same tokens to this model."
            )
        seen[own] = choice
    for shorter, longer in pairwise(sorted(seen)):
        if longer[: len(shorter)] == shorter:
            return Failure(
                "begun_choice",
                f"The choice {seen[shorter]!r} begins {seen[longer]!r}, and this tokenizer has no token that ends "
                "an answer: the shorter would always look at least as likely. Reword one, or give it other words.",
            )
    return None


def parted(tokens: Sequence[Sequence[int]], end: int | None) -> list[list[int]]:
    """The tokens of each choice. One that begins another ("how" and "how-to") is followed by the token that ends an
    answer, so that the two are different events; no other choice's end counts. Without such a token it stays bare."""
    begun = {tuple(own[:n]) for own in tokens for n in range(1, len(own))}
    return [[*own, end] if end is not None and tuple(own) in begun else list(own) for own in tokens]
