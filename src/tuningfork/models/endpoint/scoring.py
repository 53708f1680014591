"""Log-probabilities of choices from what a server tells. What it does not tell is a Failure, never a guess.

Two ways, each exact where it works:

- A chat server lists the likeliest tokens of the first place (`top_logprobs`, at most 20). A choice that is one of
  them, whole, has its log-probability there; tokens that differ in white space only are added up. If one choice is
  not in the list, its probability is not known, and the item fails.
- A server of plain completions tells the log-probability of every token of a text that it is given (`echo`): prompt and
  choice are given, and the choice's tokens are summed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from ...model import Failure
from .wire import Json

NOT_LISTED = "not_listed"


def first_token(reply: Json, choices: Sequence[str]) -> tuple[float, ...] | Failure:
    """The nats of choices that are one token each, from the list of the first place."""
    told = (reply["choices"][0].get("logprobs") or {}).get("content") or []
    listed = (told[0].get("top_logprobs") or []) if told else []
    by_text: dict[str, list[float]] = {}
    for entry in listed:
        if entry["logprob"] > -1000:  # some servers put -9999 where they do not know
            by_text.setdefault(str(entry["token"]).strip(), []).append(float(entry["logprob"]))
    missing = [choice for choice in choices if choice.strip() not in by_text]
    if missing:
        return Failure(
            NOT_LISTED,
            f"The log-probability of {missing[0]!r} is not known: it is not among the {len(listed)} likeliest first"
            " tokens, or is no single token. `answer_by: generate` needs none.",
        )
    return tuple(min(0.0, _log_sum(by_text[choice.strip()])) for choice in choices)


def echoed(choice: Mapping[str, Any], prompt: str, text: str) -> tuple[float, int] | Failure:
    """The nats of `text` after `prompt`, and its tokens, from a completion that tells those of both."""
    told = choice.get("logprobs") or {}
    offsets, nats = told.get("text_offset") or [], told.get("token_logprobs") or []
    begin, end = len(prompt), len(prompt) + len(text)
    if "".join(told.get("tokens") or ())[:end] != prompt + text:
        return Failure("not_echoed", "The server did not give the text back as it was, so its tokens can't be placed.")
    mine = [i for i, offset in enumerate(offsets) if begin <= offset < end]
    if not mine or offsets[mine[0]] != begin or any(nats[i] is None for i in mine):
        return Failure("boundary", f"No token begins where {text.strip()!r} begins, so it can't be scored by itself.")
    return float(sum(nats[i] for i in mine)), len(mine)


def fault(choices: Sequence[str]) -> Failure | None:
    """Why a server can't score these choices: where one begins another, its end would have to count, and no server
    tells that of an answer."""
    for one, other in pairwise(sorted(choices)):
        if other.startswith(one):
            return Failure(
                "same_beginning", f"{other!r} begins with {one!r}, and a server does not tell where one ends."
            )
    return None


def _log_sum(nats: Sequence[float]) -> float:
    top = max(nats)
    return top + math.log(sum(math.exp(value - top) for value in nats))
