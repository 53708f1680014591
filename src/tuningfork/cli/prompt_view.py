"""A prompt looked at: what the model reads for one input, what it counts, what all inputs share, and the hints.

For a model on this machine the prompt goes through its own chat template and tokenizer, as scoring and writing do; for
any other it is shown as the messages that are sent, counted in characters, and said to be so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ..candidate import Single
from ..errors import UserError
from ..model import Failure
from ..predict.lint import Hint, Looked, lint
from ..predict.prompt import plain_input
from ..predict.shots import prompter
from ..task import Example, Message, Prompt, plain_text
from .prompt_subject import Subject

if TYPE_CHECKING:
    from ..engine.reader import Reader

LOOKED_AT = 32
"""Train inputs whose prompts are rendered, to see what they share and how long they get."""


@dataclass(frozen=True)
class View:
    """One prompt. `text` is what the model reads, None where only its messages are known, for the reason `why_not`.

    `parts` counts instruction, demonstrations, input and chat template; `total` and `shared` (what the prompts of
    `looked_at` inputs begin with in common) and `longest` of these prompts; all in `unit`. `shared_characters` of
    `text` are the same in all of them.
    """

    candidate: Single
    example: Example
    messages: tuple[Message, ...]
    text: str | None
    why_not: str
    unit: str
    parts: dict[str, int]
    total: int
    shared: int
    shared_characters: int
    longest: int
    looked_at: int
    context: int | None
    hints: tuple[Hint, ...]

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "model": self.candidate.model,
            "example": self.example.id,
            "messages": [{"role": m.role, "content": plain_text(m.content)} for m in self.messages],
            "text": self.text,
            "why_messages": self.why_not or None,
            "unit": self.unit,
            "counts": {**self.parts, "total": self.total, "shared": self.shared, "longest": self.longest},
            "looked_at": self.looked_at,
            "context_tokens": self.context,
        }


def look(subject: Subject, candidate: Single) -> View:
    """The prompt of the first train inputs. Raises UserError where none can be rendered."""
    from ..models.reading import open_reader

    shown = {text for text, _ in Looked(candidate, subject.task).shown}
    examples = [example for example in subject.split.train if plain_input(example.inputs) not in shown][:LOOKED_AT]
    rendered = prompter(candidate, subject.models, others_only=True)([example.inputs for example in examples])
    pairs = [(e, r.prompt) for e, r in zip(examples, rendered, strict=True) if isinstance(r.prompt, Prompt)]
    if not pairs:
        told = next((r.prompt.message for r in rendered if isinstance(r.prompt, Failure)), "There are no train rows.")
        raise UserError(f"No prompt of {subject.name} can be shown: {told}")
    example, prompt = pairs[0]
    reader = open_reader(candidate.model)
    known, why_not = (None, reader) if isinstance(reader, str) else (reader, "")
    texts = [_read(known, p) for _, p in pairs]
    lengths, shared = known.lengths(texts) if known else ([len(text) for text in texts], _in_common(texts))
    parts = _parts(prompt, known)
    parts["chat template"] = lengths[0] - sum(parts.values())
    return View(
        candidate=candidate,
        example=example,
        messages=prompt.messages,
        text=texts[0] if known else None,
        why_not=why_not,
        unit="tokens" if known else "characters",
        parts={name: count for name, count in parts.items() if count},
        total=lengths[0],
        shared=shared if len(texts) > 1 else 0,
        shared_characters=_in_common(texts) if len(texts) > 1 else 0,
        longest=max(lengths),
        looked_at=len(texts),
        context=known.context_tokens if known else None,
        hints=_hints(subject, candidate, max(lengths), known),
    )


def _hints(subject: Subject, candidate: Single, longest: int, reader: Reader | None) -> tuple[Hint, ...]:
    """What the rules find; the longest prompt counts with the room for its answer."""
    room = candidate.decoding.max_tokens if candidate.answer_by == "generate" else 0
    tokens, context = (longest + room, reader.context_tokens) if reader else (None, None)
    return lint(Looked(candidate, subject.task, subject.split.train, subject.kept, tokens, context))


def _read(reader: Reader | None, prompt: Prompt) -> str:
    """The whole prompt as one text; without a reader, its messages one after the other."""
    if reader is None:
        return "".join(plain_text(message.content) for message in prompt.messages)
    text = reader.read(prompt)
    if isinstance(text, Failure):
        raise UserError(f"The model can't be asked like this: {text.message}")
    return text


def _parts(prompt: Prompt, reader: Reader | None) -> dict[str, int]:
    """What instruction, demonstrations and input take, each message by itself."""
    counts = {"instruction": 0, "demonstrations": 0, "input": 0}
    for message, name in zip(prompt.messages, part_names(prompt.messages), strict=True):
        text = plain_text(message.content)
        counts[name] += reader.count(text) if reader else len(text)
    return counts


def _in_common(texts: Sequence[str]) -> int:
    """Characters that all of them begin with."""
    low, high = min(texts), max(texts)
    return next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high)))


def part_names(messages: Sequence[Message]) -> list[str]:
    """What each message is: the last one holds the input, an answered user's turn and its answer demonstrate."""
    names = ["instruction"] * len(messages)
    for at, (asked, answered) in enumerate(pairwise(messages)):
        if (asked.role, answered.role) == ("user", "assistant"):
            names[at] = names[at + 1] = "demonstrations"
    return [*names[:-1], "input"]
