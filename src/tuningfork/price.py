"""What a model behind an API costs, and the most that a request can cost before it is asked.

A hard limit on money needs the most, not the likely: a token is at least one byte, so a text has at most as many
tokens as it has UTF-8 bytes; an answer at most what the request allows; and an answer that was lost on the way may have
to be paid again, `ASKED_AGAIN` times.
"""

from __future__ import annotations

from dataclasses import dataclass

from .model import EmbedRequest, GenerateRequest, JsonSchema, OneOf, Regex, ScoreRequest, Usage
from .task import Content, Prompt, plain_text

MILLION = 1_000_000
ASKED_AGAIN = 2
"""How often a question may be asked again whose answer was lost, and paid for perhaps."""
MESSAGE_TOKENS = 16
"""The most that a chat template adds to a turn, its role and marks."""
AROUND_TOKENS = 64
"""The most that it adds to a chat: a date, a word on who answers."""
SCHEMA_TOKENS = 128
"""What stands round a list of allowed texts when it is written as a JSON schema."""

Request = ScoreRequest | GenerateRequest | EmbedRequest


@dataclass(frozen=True)
class Price:
    """USD for a million tokens: `read`, `write`, and `cached` for what the provider's prompt cache held.

    `hidden` tokens may be written before each answer, unseen, by a model that thinks first. `by_choice`: to score, the
    prompt is read once for each choice. `about` says where the price is from.
    """

    read: float
    write: float
    cached: float | None = None
    hidden: int = 0
    by_choice: bool = False
    about: str = ""

    def usd(self, usage: Usage) -> float:
        """What tokens cost: `tokens_in` were read, `tokens_reused` held by the provider's cache."""
        cached = self.read if self.cached is None else self.cached
        millionths = usage.tokens_in * self.read + usage.tokens_reused * cached + usage.tokens_out * self.write
        return millionths / MILLION

    def once_usd(self, request: Request) -> float:
        """The most that one answer to a request can cost."""
        tokens_in, tokens_out = most_tokens(request)
        times = len(request.choices) if self.by_choice and isinstance(request, ScoreRequest) else 1
        return (
            times * (tokens_in * max(self.read, self.cached or 0.0) + (tokens_out + self.hidden) * self.write) / MILLION
        )

    def most_usd(self, request: Request) -> float:
        """The most that a request can cost, answers included that may get lost."""
        return (1 + ASKED_AGAIN) * self.once_usd(request)


def most_tokens(request: Request) -> tuple[int, int]:
    """The most tokens that a request can read and write, but for what is thought unseen; of a request to score, with
    one of its choices."""
    if isinstance(request, EmbedRequest):
        return _content(request.content), 0
    prompt = _content(request.prompt)
    if isinstance(request, ScoreRequest):
        return prompt + max(map(_bytes, request.choices), default=0) + 1, 1
    match request.constraint:
        case OneOf(texts):
            prompt += SCHEMA_TOKENS + sum(_bytes(text) + MESSAGE_TOKENS for text in texts)
        case Regex(text) | JsonSchema(text):
            prompt += SCHEMA_TOKENS + _bytes(text)
        case None:
            pass
    return prompt, request.max_tokens + (SCHEMA_TOKENS if request.constraint else 0)


def _content(content: Content | Prompt) -> int:
    if isinstance(content, Prompt):
        return AROUND_TOKENS + sum(_bytes(plain_text(m.content)) + MESSAGE_TOKENS for m in content.messages)
    return AROUND_TOKENS + _bytes(plain_text(content))


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
