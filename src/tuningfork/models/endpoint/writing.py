"""A request to write as a server takes it, and its answer as ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...model import Answer, Failure, GenerateRequest, Usage
from ...price import SCHEMA_TOKENS, most_tokens
from ...task import Prompt, plain_text
from .forms import format_of, kept
from .manner import Manner
from .wire import Json, text_of

WHY = {"stop": "end", "length": "length"}
COMPLETION_STOP = "\n\n"
"""Where a plain completion ends: turns are set apart by an empty line."""


def chat_messages(prompt: Prompt) -> list[dict[str, str]]:
    """A prompt as chat messages."""
    return [{"role": message.role, "content": plain_text(message.content)} for message in prompt.messages]


def completion_text(prompt: Prompt) -> str:
    """A prompt as one text for a model without a chat template: turns apart by an empty line, each answer after
    `Answer:`."""
    turns: list[str] = []
    for message in prompt.messages:
        text = plain_text(message.content)
        if message.role == "assistant" and turns:
            turns[-1] += f"\nAnswer: {text}"
        else:
            turns.append(text)
    return "\n\n".join(turns) + "\nAnswer:"


def body_of(request: GenerateRequest, manner: Manner, hidden: int, complete: bool) -> dict[str, Any]:
    """What is sent. `hidden`: tokens more, for what is thought unseen."""
    room = SCHEMA_TOKENS if request.constraint else 0
    asked = {"prompt": completion_text(request.prompt)} if complete else {"messages": chat_messages(request.prompt)}
    stop = list(request.stop) or ([COMPLETION_STOP] if complete else None)
    nats: Any = (1 if complete else True) if manner.nats else None
    return {
        **asked,
        manner.length: request.max_tokens + room + hidden,
        **manner.settings(
            temperature=request.temperature,
            top_p=request.top_p if request.top_p < 1 else None,
            seed=request.seed,
            stop=stop,
            logprobs=nats,
            response_format=format_of(request.constraint) if request.constraint else None,
        ),
    }


def answer_of(reply: Json, request: GenerateRequest, usage: Usage) -> Answer | Failure:
    """The answer in a server's reply."""
    choice = reply["choices"][0]
    text, why = text_of(reply), choice.get("finish_reason")
    refusal = (choice.get("message") or {}).get("refusal")
    if refusal or why == "content_filter":
        return Failure("declined", f"The provider declined to answer: {str(refusal or 'content filter')[:200]}", usage)
    if not text and why == "length" and _thought(reply):
        tokens = f"all {usage.tokens_out} tokens"
        return Failure("no_room", f"The model spent {tokens} on thinking. Give `max_tokens` more room.", usage)
    if request.constraint is not None:
        found = kept(text, request.constraint)
        if found is None:
            return Failure("constraint", f"The server did not keep to the form asked for: {text[:80]!r}.", usage)
        text = found
    return Answer(text, _nats(choice), WHY.get(str(why), "end"), usage)


def usage_of(reply: Json, request: Any, seconds: float) -> Usage:
    """What the server counted; the most that it can be where it does not count."""
    said = reply.get("usage") or {}
    if "prompt_tokens" not in said:
        tokens_in, tokens_out = most_tokens(request)
        return Usage(tokens_in, tokens_out, seconds=seconds)
    cached = int((said.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    whole, written = int(said["prompt_tokens"]), int(said.get("completion_tokens") or 0)
    return Usage(max(0, whole - cached), written, min(cached, whole), seconds=seconds)


def _thought(reply: Json) -> bool:
    details = (reply.get("usage") or {}).get("completion_tokens_details") or {}
    return bool(details.get("reasoning_tokens"))


def _nats(choice: Mapping[str, Any]) -> float | None:
    told = choice.get("logprobs") or {}
    if told.get("content"):
        return float(sum(token["logprob"] for token in told["content"]))
    if told.get("token_logprobs"):
        return float(sum(nats for nats in told["token_logprobs"] if nats is not None))
    return None
