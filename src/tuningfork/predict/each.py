"""Answer by asking about each label by itself, where any number of them may hold: does it apply, yes or no?

An input costs as many questions as there are labels. They differ at their end only (`{{asked label}}` comes last), so
that what comes before is read once. A label is said where `yes` is likelier than `no` by more than the label's offset;
a model that gives no log-probabilities writes its yes or no. One question without an answer fails the input: a set with
a label unasked is no answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from ..candidate import Calibration, Prediction, Single
from ..model import Answer, Failure, GenerateRequest, Model, ScoreRequest, Scores, Usage
from ..task import Inputs, Prompt, set_text
from .generate import read_label
from .prompt import ASKED_LABEL
from .shots import asked, prompter

YES_NO = ("yes", "no")
Logits = tuple[list[float] | Failure, Usage]
"""For every label, yes over no in nats."""


def answerer(
    candidate: Single, model: Model, models: Mapping[str, Model]
) -> Callable[[Sequence[Inputs]], list[Prediction]]:
    """How `candidate` answers a block of inputs by asking about each label."""
    ask = asker(candidate, model, models)
    return lambda block: [_read(candidate, logits, usage) for logits, usage in ask(block)]


def asker(
    candidate: Single, model: Model, models: Mapping[str, Model], others_only: bool = False
) -> Callable[[Sequence[Inputs]], list[Logits]]:
    """The logits of a block of inputs, before a calibration. `others_only`: see `shots`."""
    prompts, size = prompter(candidate, models, others_only), len(candidate.labels)

    def score(block: list[Prompt]) -> Sequence[Scores | Failure]:
        return model.score([ScoreRequest(prompt, YES_NO) for prompt in block])

    def write(block: list[Prompt]) -> Sequence[Answer | Failure]:
        return model.generate([GenerateRequest(prompt, max_tokens=4) for prompt in block])

    def answer(block: Sequence[Inputs]) -> list[Logits]:
        rendered = prompts([question(inputs, word) for inputs in block for word in candidate.words])
        replies: Sequence[Scores | Answer | Failure]
        replies = asked(rendered, score) if candidate.answer_by == "score" else asked(rendered, write)
        return [_together(replies[at : at + size]) for at in range(0, len(replies), size)]

    return answer


def question(inputs: Inputs, word: str) -> Inputs:
    """The inputs with the label that is asked about."""
    return {**inputs, ASKED_LABEL: word}


def chosen(labels: Sequence[str], logits: Sequence[float], calibration: Calibration | None, usage: Usage) -> Prediction:
    """The Prediction of one row of logits: every label above 0, after its calibration. `nats` are each label's own,
    and confidence the probability of the whole set, labels taken as independent."""
    offset, scale = (calibration.offset_nats, calibration.scale) if calibration else ((), ())
    moved = [(scale[i] if scale else 1.0) * logit - (offset[i] if offset else 0.0) for i, logit in enumerate(logits)]
    said = set_text(label for label, logit in zip(labels, moved, strict=True) if logit > 0)
    sure = math.exp(sum(_log_sigmoid(abs(logit)) for logit in moved))
    return Prediction(said, tuple(map(_log_sigmoid, moved)), sure, usage=usage)


def _read(candidate: Single, logits: list[float] | Failure, usage: Usage) -> Prediction:
    if isinstance(logits, Failure):
        return Prediction("", failure=logits, usage=usage)
    if candidate.answer_by == "score":
        return chosen(candidate.labels, logits, candidate.calibration, usage)
    said = (label for label, logit in zip(candidate.labels, logits, strict=True) if logit > 0)
    return Prediction(set_text(said), usage=usage)


def _together(replies: Sequence[Scores | Answer | Failure]) -> Logits:
    usage = sum((reply.usage for reply in replies if not isinstance(reply, Failure)), Usage())
    logits = [_logit(reply) for reply in replies]
    failed = next((logit for logit in logits if isinstance(logit, Failure)), None)
    return failed or [logit for logit in logits if not isinstance(logit, Failure)], usage


def _logit(reply: Scores | Answer | Failure) -> float | Failure:
    """Yes over no; of what was written only the sign is known."""
    if isinstance(reply, Failure):
        return reply
    if isinstance(reply, Scores):
        return reply.nats[0] - reply.nats[1]
    said = read_label(reply.text, YES_NO)
    if said is None:
        return Failure("unparsed", f"The model wrote {reply.text[:80]!r}, which is neither yes nor no.")
    return 1.0 if said == "yes" else -1.0


def _log_sigmoid(logit: float) -> float:
    return min(logit, 0.0) - math.log1p(math.exp(-abs(logit)))
