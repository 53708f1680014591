"""A model without weights: deterministic, scriptable, tunable, and it counts its calls.

For tests (ours and yours), documentation and trials of a task file in seconds. It behaves like a small model where that
matters to a race: demonstrations help, near ones help more; it favours some answers, which calibration mends; tuning
makes it better on texts near the training items; the same question always gets the same answer, in any batch, process
and order. Its time is virtual: it reports seconds and never waits.

    model = FakeModel(answers={"refund": "billing"}, fail_on="garbage")
    model.generate([...]); model.calls["generate"]     # 1

It says nothing about how good a method is on a real model.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

from ..engine.request import fault
from ..errors import MethodError, ModelError
from ..model import (
    Adapter,
    Answer,
    Capability,
    Constraint,
    EmbedRequest,
    Failure,
    GenerateRequest,
    OneOf,
    Recipe,
    ScoreRequest,
    Scores,
    Tuned,
    TuneItem,
    Usage,
    Vector,
)
from ..store.blobs import Blob
from ..task import Content, Prompt, plain_text
from .architecture import CAPABILITIES, Architecture
from .fake_tuning import Learned, Rows, answers_of, learn, pack, target_of, unmoved, unpack
from .fake_words import DIMENSIONS, dice, digest_of, direction, unit, vector

Script = Mapping[str, str] | Callable[[str], str | None]
Matches = str | Callable[[str], bool]

# What moves an answer, in nats. Chosen so that on short texts demonstrations beat none, near ones beat any, calibration
# helps.
FAVOUR = 1.2  # a liking for some answers, whatever is asked
MOOD = 0.5  # luck with this question
MEANING = 3.0  # the question and the answer share words
EXAMPLE = 6.0  # a demonstration is near
SCRIPTED = 25.0
NAMED_CHOICES = re.compile(r"one of: (.+?)\.?$", re.MULTILINE)


class FakeModel:
    """A Model for tests.

    `answers`: what to say when a text holds a key, or a function of the text (None: no script for it); a scripted
    answer also wins when choices are scored. `fail_on`: a text that holds it (or for which the function is true) gives
    a `Failure`. `raise_on`: the same, but the call raises RuntimeError, as a bug would. The text is that of the last
    message. `seconds`: the virtual time that each request, and each training step, takes. `capabilities`: fewer than
    the kind has. `calls` and `requests` count, by the name of the call; adapted models share them.
    """

    def __init__(
        self,
        id: str = "fake",
        *,
        kind: Architecture = "causal",
        answers: Script | None = None,
        fail_on: Matches | None = None,
        raise_on: Matches | None = None,
        seed: int = 0,
        seconds: float = 0.001,
        capabilities: Iterable[Capability] | None = None,
    ) -> None:
        self.id = id
        self.cacheable = False  # its answers take no time, and tests count its calls
        self.kind: Architecture = kind
        self.seed = seed
        self.seconds = seconds
        self.calls = {"score": 0, "generate": 0, "embed": 0, "tune": 0, "adapted": 0}
        self.requests = {"score": 0, "generate": 0, "embed": 0, "tune": 0}
        self._answers, self._fail_on, self._raise_on = answers, fail_on, raise_on
        self._can = CAPABILITIES[kind] if capabilities is None else CAPABILITIES[kind] & frozenset(capabilities)
        self._learned: Learned | None = None
        self._adapter: Adapter | None = None

    @property
    def base(self) -> str:
        """What adapters of this model name as theirs: a hash of its kind, seed and script."""
        script = [_named(part) for part in (self._answers, self._fail_on, self._raise_on)]
        return digest_of(self.id, self.kind, self.seed, *script)

    @property
    def identity(self) -> str:
        """A hash of the base and of the adapter that is on."""
        worn = self._adapter.identity if self._adapter else ""
        return digest_of(self.base, *worn)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """`score`, `generate`, `embed`, `tune` for the causal kind; `embed`, `tune` for the encoder."""
        return self._can

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores | Failure]:
        """Nats of every choice. The choices together hold half of the probability, whatever they are."""
        self._enter("score", len(requests))
        return [self._scored(request) for request in requests]

    def generate(
        self, requests: Sequence[GenerateRequest], on_text: Callable[[int, str], None] | None = None
    ) -> list[Answer | Failure]:
        """The scripted answer; else the likeliest of those it knows (tuned, shown, or named in the prompt as `one of:
        a, b`); else the last message, word by word."""
        self._enter("generate", len(requests))
        found = [self._written(request) for request in requests]
        for index, answer in enumerate(found):
            if on_text is not None and isinstance(answer, Answer):
                for piece in re.findall(r"\s*\S+\s*$|\s*\S+", answer.text):
                    on_text(index, piece)
        return found

    def embed(self, requests: Sequence[EmbedRequest]) -> list[Vector | Failure]:
        """Vectors of 64 values, near where texts share words; of a prompt, that of its last message. `layer` and
        `pooling` change nothing."""
        self._enter("embed", len(requests))
        return [self._embedded(request) for request in requests]

    def tune(
        self, recipe: Recipe, items: Sequence[TuneItem], hold: Sequence[TuneItem], start: Adapter | None = None
    ) -> Tuned:
        """Learn the items' answers by the recipe; an encoder gives its layer over answers back as the head.

        Raises MethodError when there is nothing to learn from, ModelError when `start` belongs to another base.
        """
        self._enter("tune", len(items))
        kept = [item for item in items if self._read(item.prompt) is not None]
        if not kept:
            raise MethodError("There is no example to learn from.")
        begun = unpack(start, self.base, self.id) if start is not None else None
        notes = {"left_out": float(len(items) - len(kept))}
        answers = answers_of(kept)
        if not answers:
            tokens = min(recipe.max_tokens or 10**9, sum(_prompt_tokens(item.prompt) for item in kept))
            adapter = pack(begun or unmoved(), self.base, self.id, with_answers=True)
            return Tuned(adapter, usage=Usage(tokens_trained=tokens, seconds=self.seconds), notes=notes)
        watched = [item for item in hold if target_of(item) in answers and self._read(item.prompt) is not None]
        lesson = learn(recipe, _rows(kept, answers), _rows(watched, answers), begun, answers, self.seconds)
        causal = self.kind == "causal"
        head = None if causal or recipe.pairs else _head(lesson.learned)
        usage = Usage(tokens_trained=lesson.tokens, seconds=lesson.done_steps * self.seconds)
        adapter = pack(lesson.learned, self.base, self.id, with_answers=causal)
        return Tuned(adapter, head, lesson.curve, usage, lesson.why_stopped, notes)

    def adapted(self, adapter: Adapter) -> FakeModel:
        """This model with an adapter on; it shares script and counters. Raises ModelError for another base's
        adapter."""
        self.calls["adapted"] += 1
        other = copy.copy(self)
        other._learned, other._adapter = unpack(adapter, self.base, self.id), adapter
        return other

    def _enter(self, call: Capability, requests: int) -> None:
        if call not in self._can:
            raise ModelError(
                f"The model {self.id!r} can't {call}: it can {', '.join(sorted(self._can)) or 'do nothing'}."
            )
        self.calls[call] += 1
        self.requests[call] += requests

    def _read(self, content: Content | Prompt) -> str | None:
        """The text that a request is about, or None where the script says that it fails."""
        text = _last(content) if isinstance(content, Prompt) else plain_text(content)
        if self._raise_on is not None and _matches(self._raise_on, text):
            raise RuntimeError(f"the fake model {self.id!r} was told to raise on {text[:60]!r}")
        return None if self._fail_on is not None and _matches(self._fail_on, text) else text

    def _scored(self, request: ScoreRequest) -> Scores | Failure:
        if not request.choices or not all(choice.strip() for choice in request.choices):
            return Failure("empty_choice", f"A choice is empty: {list(request.choices)!r}.")
        if len(set(request.choices)) < len(request.choices):
            return Failure("same_choice", f"Two choices are the same: {sorted(request.choices)!r}.")
        text = self._read(request.prompt)
        if text is None or not request.prompt.messages:
            return _failure(text)
        logits = self._logits(request.prompt, text, request.choices)
        total = math.log(sum(math.exp(value - max(logits)) for value in logits)) + max(logits)
        nats = tuple(value - total - math.log(2.0) for value in logits)
        tokens = tuple(_tokens(choice) for choice in request.choices)
        return Scores(nats, tokens, usage=self._usage(_prompt_tokens(request.prompt) + sum(tokens)))

    def _written(self, request: GenerateRequest) -> Answer | Failure:
        text = self._read(request.prompt)
        if text is None or not request.prompt.messages:
            return _failure(text)
        if found := fault(request) or _too_much(request.constraint):
            return found
        known = request.constraint.texts if isinstance(request.constraint, OneOf) else self._known(request.prompt)
        said, nats = self._script(text), -0.5
        if request.constraint is not None or (said is None and known):
            logits = self._logits(request.prompt, text, known)
            if request.temperature > 0:  # Gumbel's trick: the largest of logit + T * noise is a sample at temperature T
                noise = [_gumbel(request.seed, text, answer) for answer in known]
                logits = [a + request.temperature * b for a, b in zip(logits, noise, strict=True)]
            said = known[max(range(len(known)), key=lambda i: (logits[i], -i))]
        text_out, why = _cut(said if said is not None else text, request)
        tokens = _tokens(text_out)
        usage = self._usage(_prompt_tokens(request.prompt)) + Usage(tokens_out=tokens)
        return Answer(text_out, nats * tokens, why, usage)

    def _embedded(self, request: EmbedRequest) -> Vector | Failure:
        import numpy as np

        text = self._read(request.content)
        empty = isinstance(request.content, Prompt) and not request.content.messages
        if text is None or empty or (self.kind == "causal" and not text and not isinstance(request.content, Prompt)):
            return _failure(text)
        values = vector(text)
        if self._learned is not None:
            values = self._learned.seen(values)
        tokens = _prompt_tokens(request.content) if isinstance(request.content, Prompt) else _tokens(text)
        return Vector((unit(values) if request.normalise else values).astype(np.float32), self._usage(tokens))

    def _logits(self, prompt: Prompt, text: str, choices: Sequence[str]) -> list[float]:
        """Nats up to a constant: liking, luck, shared words, near demonstrations, what was tuned, what is scripted."""
        own = direction(text)
        shown = [(answer, max(0.0, float(own @ direction(asked)))) for asked, answer in _demonstrations(prompt)]
        tuned = self._learned.logits(own) if self._learned is not None else {}
        scripted = self._script(text)
        return [
            FAVOUR * dice(self.seed, "favour", choice)
            + MOOD * dice(self.seed, "mood", text, choice)
            + MEANING * float(own @ direction(choice))
            + EXAMPLE * max((near for answer, near in shown if answer == choice), default=0.0)
            + tuned.get(choice, 0.0)
            + SCRIPTED * (choice == scripted)
            for choice in choices
        ]

    def _known(self, prompt: Prompt) -> tuple[str, ...]:
        tuned = self._learned.answers if self._learned is not None else ()
        shown = [answer for _, answer in _demonstrations(prompt)]
        named = [
            choice
            for message in prompt.messages[:-1]
            for found in NAMED_CHOICES.findall(plain_text(message.content))
            for choice in found.split(", ")
        ]
        return tuple(dict.fromkeys((*tuned, *shown, *named)))

    def _script(self, text: str) -> str | None:
        if self._answers is None or callable(self._answers):
            return self._answers(text) if self._answers is not None else None
        return next((answer for key, answer in self._answers.items() if key in text), None)

    def _usage(self, tokens_in: int) -> Usage:
        return Usage(tokens_in=tokens_in, seconds=self.seconds)


def _last(prompt: Prompt) -> str:
    return plain_text(prompt.messages[-1].content) if prompt.messages else ""


def _demonstrations(prompt: Prompt) -> list[tuple[str, str]]:
    """(asked, answered) for every assistant turn right after a user turn."""
    turns = [(message.role, plain_text(message.content)) for message in prompt.messages]
    return [
        (asked, answered)
        for (role, asked), (next_role, answered) in pairwise(turns)
        if (role, next_role) == ("user", "assistant")
    ]


def _matches(what: Matches, text: str) -> bool:
    return what(text) if callable(what) else what in text


def _named(part: Script | Matches | None) -> str:
    """A script's name in a hash: its text, or the name of the function."""
    if callable(part):
        return f"{part.__module__}:{getattr(part, '__qualname__', type(part).__qualname__)}"
    return json.dumps(dict(part) if isinstance(part, Mapping) else part, sort_keys=True)


def _failure(text: str | None) -> Failure:
    if text is None:
        return Failure("scripted", "The fake model was told to fail on this text.")
    return Failure("empty_prompt", "The prompt is empty.")


def _too_much(constraint: Constraint | None) -> Failure | None:
    if isinstance(constraint, OneOf):
        return None if constraint.texts else Failure("constraint", "The list of allowed answers is empty.")
    if constraint is None:
        return None
    kind = type(constraint).__name__
    return Failure("constraint", f"The fake model can keep to a list of answers (OneOf), and to no {kind}.")


def _cut(text: str, request: GenerateRequest) -> tuple[str, str]:
    """The text up to the first stop string or `max_tokens` words, and why it ended."""
    ends = [text.index(stop) for stop in request.stop if stop in text]
    kept, why = (text[: min(ends)], "stop") if ends else (text, "end")
    words = list(re.finditer(r"\S+", kept))
    if len(words) > request.max_tokens:
        return kept[: words[request.max_tokens - 1].end()], "length"
    return kept, why


def _gumbel(*parts: object) -> float:
    share = min(max((dice("gumbel", *parts) + 1.0) / 2.0, 1e-9), 1.0 - 1e-9)
    return -math.log(-math.log(share))


def _rows(items: Sequence[TuneItem], answers: tuple[str, ...]) -> Rows:
    import numpy as np

    vectors = [direction(_last(item.prompt)) for item in items]
    return Rows(
        np.array(vectors, dtype=np.float64).reshape(len(items), DIMENSIONS),
        np.array([_shares(item, answers) for item in items], dtype=np.float64).reshape(len(items), len(answers)),
        np.array([item.weight for item in items], dtype=np.float64),
        sum(_prompt_tokens(item.prompt) for item in items),
        all(item.exclusive for item in items),
    )


def _shares(item: TuneItem, answers: tuple[str, ...]) -> list[float]:
    """How much of each answer an item is: of answers that exclude each other the likeliest alone."""
    if item.exclusive:
        return [float(answer == target_of(item)) for answer in answers]
    return [item.shares[item.choices.index(answer)] for answer in answers]


def _head(learned: Learned) -> Blob:
    import numpy as np

    return Blob.of_arrays({"weight": learned.weight.astype(np.float32), "bias": learned.bias.astype(np.float32)})


def _tokens(text: str) -> int:
    return max(1, len(text.split()))


def _prompt_tokens(prompt: Prompt) -> int:
    return sum(_tokens(plain_text(message.content)) for message in prompt.messages)
