"""What a server takes and tells, found out by one question when a model is opened (a few, where it refuses a setting).

Servers that speak the same protocol differ: some refuse `temperature` or `seed`, some want another name for the longest
answer, few give log-probabilities, and some take a setting and ignore it. What a server refuses by name is left out
from then on, and the notes say so; nothing is asked twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...model import Usage
from .faults import Fault
from .naming import Form
from .wire import Json, Path

MOST_TOP = 20
FEWER_TOP = 5
LOOK_TOKENS = 16
LOOKS = 10
LENGTHS = ("max_tokens", "max_completion_tokens")
ASKED = "Answer with exactly one word, yes or no: is water wet?"
SPELT_OUT = "The sky is blue"

Ask = Callable[[Path, Mapping[str, Any]], Json]


@dataclass(frozen=True)
class Manner:
    """`served`: the model that answers, by its own name; `top`: how many likeliest tokens it lists for a place; `nats`:
    whether it tells the log-probability of what it writes; `echoes`: whether it tells that of a text it is given;
    `counts`: whether it counts tokens; `hidden`: whether it thinks before it writes, unseen."""

    served: str = ""
    length: str = "max_tokens"
    left_out: frozenset[str] = frozenset()
    top: int = 0
    nats: bool = False
    echoes: bool = False
    counts: bool = True
    hidden: bool = False
    usage: Usage = Usage()

    def settings(self, **wanted: Any) -> dict[str, Any]:
        """Settings as this server takes them; None leaves one out."""
        return {key: value for key, value in wanted.items() if value is not None and key not in self.left_out}


def look(form: Form, ask: Ask) -> Manner:
    """How a server behaves. Raises Fault when it refuses the plainest question."""
    match form:
        case "chat":
            return _look_at_chat(ask)
        case "complete":
            return _look_at_completion(ask)
        case "embed":
            reply = ask("embeddings", {"input": "text"})
            return Manner(served=str(reply.get("model") or ""), counts="prompt_tokens" in (reply.get("usage") or {}))


def how_it_answers(manner: Manner) -> str:
    """Whether it scores choices, and how, as a sentence."""
    if manner.echoes:
        return "Choices are scored by the log-probability of their tokens, after the prompt as plain text."
    if manner.top:
        return (
            f"Choices are scored by the {manner.top} likeliest first tokens, where the server lists all of them there."
        )
    return "Answers are written and read, not scored: the server tells no log-probabilities of choices."


def _look_at_chat(ask: Ask) -> Manner:
    wanted: dict[str, Any] = {"temperature": 0, "seed": 0, "logprobs": True, "top_logprobs": MOST_TOP}
    length, left_out = LENGTHS[0], set[str]()
    messages = [{"role": "user", "content": ASKED}]
    for _ in range(LOOKS):
        try:
            reply = ask("chat", {"messages": messages, length: LOOK_TOKENS, **wanted})
        except Fault as fault:
            named = _named(fault, (length, *sorted(wanted, reverse=True)))
            if named == LENGTHS[0]:
                length = LENGTHS[1]
            elif named == "top_logprobs" and wanted[named] > FEWER_TOP:
                wanted[named] = FEWER_TOP
            else:
                for name in ("logprobs", "top_logprobs") if named == "logprobs" else (named,):
                    wanted.pop(name, None)
                    left_out.add(name)
            continue
        return _seen(reply, Manner(length=length, left_out=frozenset(left_out), top=wanted.get("top_logprobs", 0)))
    raise Fault("refused", "The server refuses every form of the plainest question.", everyone=True)


def _look_at_completion(ask: Ask) -> Manner:
    """Whether a server of plain completions tells the log-probability of a text that it is given."""
    asked = {"prompt": SPELT_OUT, "max_tokens": 1, "temperature": 0}
    try:
        reply = ask("completions", {**asked, "echo": True, "logprobs": 1})
    except Fault as fault:
        if fault.kind != "refused":
            raise
        reply = ask("completions", asked)
    told = reply["choices"][0].get("logprobs") or {}
    echoes = "".join(told.get("tokens") or ()).startswith(SPELT_OUT) and bool(told.get("text_offset"))
    return replace(_seen(reply, Manner(left_out=frozenset({"seed"}))), echoes=echoes, nats=echoes)


def notes_of(manner: Manner) -> list[str]:
    """What the user should know of it, in sentences."""
    found = []
    if "temperature" in manner.left_out:
        found.append(
            "The server takes no temperature: its answers are drawn by its own, and may differ when asked again."
        )
    if "seed" in manner.left_out:
        found.append("The server takes no seed: sampled answers may differ when asked again.")
    if not manner.counts:
        found.append("The server does not count tokens: they are taken for as many as they can be, a token a byte.")
    if manner.hidden:
        found.append("The model thinks before it writes: it is given room for that, which is paid for.")
    return found


def _named(fault: Fault, wanted: tuple[str, ...]) -> str:
    """The setting that a refusal is about. A refusal that names none is put down to what few servers know."""
    if fault.kind != "refused":
        raise fault
    for name in wanted:
        if re.search(rf"(?<!\w){name}(?!\w)", fault.message):
            return name
    for name in ("logprobs", "seed", "temperature"):
        if name in wanted:
            return name
    raise fault


def _seen(reply: Json, manner: Manner) -> Manner:
    usage = reply.get("usage") or {}
    told = (reply["choices"][0].get("logprobs") or {}).get("content") or []
    listed = min((len(place.get("top_logprobs") or ()) for place in told[:1]), default=0)
    thought = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return replace(
        manner,
        served=str(reply.get("model") or ""),
        top=manner.top if listed else 0,
        nats=bool(told),
        counts="prompt_tokens" in usage,
        hidden=thought > 0,
    )
