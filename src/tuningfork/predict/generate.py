"""Answer by generating: the model writes, and for a classification its text is read as a label.

For free text the answer is what was written, without the white space around it. A label is read by the surest reading
that fits: the text is a label or its words; it begins with one; it names exactly one. Anything else is a Failure
`unparsed`, never a guess.

With several samples the most common answer wins and its share is the confidence (self-consistency, Wang et al. 2022,
arXiv 2203.11171); a sample that fails has no vote, and texts are the same where their every character is.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ..candidate import Decoding, Prediction, Single
from ..errors import ModelError
from ..model import Answer, Failure, GenerateRequest, Model, Usage
from ..task import Inputs, Prompt, plain_text
from .shots import Rendered, answered, prompter
from .vote import together


def answerer(
    candidate: Single, model: Model, models: Mapping[str, Model]
) -> Callable[[Sequence[Inputs]], list[Prediction]]:
    """How `candidate` answers a block of inputs by writing. Raises ModelError for several samples that would all be the
    same."""
    prompts = prompter(candidate, models)
    how = candidate.decoding
    _check_samples(how, candidate.model)

    def ask(block: list[Prompt]) -> Sequence[Answer | Failure]:
        return model.generate([_request(prompt, how, index % how.samples) for index, prompt in enumerate(block)])

    def read(reply: Answer) -> Prediction:
        confidence = None if reply.nats is None else math.exp(min(reply.nats, 0.0))
        if not candidate.labels:
            return Prediction(reply.text.strip(), confidence=confidence, usage=reply.usage)
        label = read_label(reply.text, candidate.labels, candidate.words)
        if label is None:
            message = f"The model wrote {reply.text[:80]!r}, which is none of the labels, or more than one."
            return Prediction("", failure=Failure("unparsed", message), usage=reply.usage)
        return Prediction(label, confidence=confidence, usage=reply.usage, trace={"text": reply.text})

    def answer(block: Sequence[Inputs]) -> list[Prediction]:
        rendered = [copy for item in prompts(block) for copy in _copies(item, how.samples)]
        said = answered(rendered, ask, read)
        if how.samples == 1:
            return said
        alike = (1.0,) * how.samples
        groups = (said[begin : begin + how.samples] for begin in range(0, len(said), how.samples))
        return [together(group, alike, candidate.labels, "answer") for group in groups]

    return answer


def _check_samples(how: Decoding, model: str) -> None:
    if how.samples < 1:
        raise ModelError(f"{model} was asked for {how.samples} samples of each answer. Ask for at least one.")
    if how.samples > 1 and how.temperature <= 0:
        raise ModelError(
            f"{how.samples} samples of {model} at temperature {how.temperature:g} would all be the same. Give a "
            "temperature above 0, or ask for one sample."
        )


def _copies(item: Rendered, samples: int) -> list[Rendered]:
    """The same prompt for every sample; choosing its demonstrations was paid for once."""
    return [item, *[replace(item, usage=Usage())] * (samples - 1)]


def _request(prompt: Prompt, how: Decoding, sample: int) -> GenerateRequest:
    return GenerateRequest(
        prompt,
        max_tokens=how.max_tokens,
        stop=how.stop,
        temperature=how.temperature,
        top_p=how.top_p,
        seed=_seed(prompt, how.first_sample + sample) if how.temperature > 0 else 0,
        constraint=how.constraint,
    )


def _seed(prompt: Prompt, sample: int) -> int:
    """Another one for each prompt and sample, and the same whatever else is asked with it: equal noise would make the
    answers to different inputs go together."""
    text = "\x1e".join(f"{m.role}\x1f{plain_text(m.content)}" for m in prompt.messages)
    return zlib.crc32((f"{text}\x1d{sample}" if sample else text).encode(errors="replace"))


def read_label(text: str, labels: Sequence[str], words: Sequence[str] = ()) -> str | None:
    """The one label that a text means, or None. Case, punctuation and underscores don't matter."""
    bare = text.strip().casefold()
    for label, word in zip(labels, words or labels, strict=True):
        if bare in (label.casefold(), word.casefold()):
            return label
    said = _normalised(text)
    names: dict[str, set[str]] = {}
    for label, word in zip(labels, words or labels, strict=True):
        for name in {_normalised(label), _normalised(word)} - {""}:
            names.setdefault(name, set()).add(label)
    for found in (_exact, _first, _mentioned):
        if meant := found(said, names):
            return meant.pop() if len(meant) == 1 else None
    return None


def _exact(said: str, names: Mapping[str, set[str]]) -> set[str]:
    return set(names.get(said, ()))


def _first(said: str, names: Mapping[str, set[str]]) -> set[str]:
    starts = [name for name in names if f"{said} ".startswith(f"{name} ")]
    return set(names[max(starts, key=len)]) if starts else set()


def _mentioned(said: str, names: Mapping[str, set[str]]) -> set[str]:
    """Labels named anywhere; longer names are looked for first, so that `late refund` does not also name `refund`."""
    rest, meant = f" {said} ", set()
    for name in sorted(names, key=len, reverse=True):
        if f" {name} " in rest:
            rest = rest.replace(f" {name} ", "  ")
            meant |= names[name]
    return meant


def _normalised(text: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split())
