"""Answer by score: the label whose words are likeliest as the whole answer.

Every label's words are one choice; the model says how likely each is, in nats, all its tokens counted. A calibration,
if there is one, is taken off first; then the nats are normalised over the labels, so that confidence is a probability
among them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from ..candidate import Calibration, Prediction, Single
from ..model import Failure, Model, ScoreRequest, Scores, Usage
from ..task import Inputs, Prompt
from .shots import answered, prompter


def answerer(
    candidate: Single, model: Model, models: Mapping[str, Model], others_only: bool = False
) -> Callable[[Sequence[Inputs]], list[Prediction]]:
    """How `candidate` answers a block of inputs by scoring its labels. `others_only`: see `shots`."""
    prompts = prompter(candidate, models, others_only)
    calibration = candidate.calibration or Calibration((0.0,) * len(candidate.labels))
    offset, scale = calibration.offset_nats, calibration.scale or (1.0,) * len(candidate.labels)

    def ask(block: list[Prompt]) -> Sequence[Scores | Failure]:
        return model.score([ScoreRequest(prompt, candidate.words) for prompt in block])

    def read(scores: Scores) -> Prediction:
        if not scores.exclusive:
            message = "The model scores each label by itself, and one label for an input was asked for."
            return Prediction("", failure=Failure("not exclusive", message), usage=scores.usage)
        logits = [times * nats - off for nats, off, times in zip(scores.nats, offset, scale, strict=True)]
        return decided(candidate.labels, logits, scores.usage)

    return lambda block: answered(prompts(block), ask, read)


def decided(labels: Sequence[str], logits: Sequence[float], usage: Usage) -> Prediction:
    """The Prediction of one row of logits (nats up to a constant): the largest wins, ties go to the earlier label."""
    nats = log_softmax(logits)
    best = max(range(len(nats)), key=lambda i: (nats[i], -i))
    return Prediction(labels[best], nats, math.exp(nats[best]), usage=usage)


def log_softmax(logits: Sequence[float]) -> tuple[float, ...]:
    """Log-probabilities in nats that sum to 1 as probabilities."""
    top = max(logits)
    total = top + math.log(sum(math.exp(value - top) for value in logits))
    return tuple(value - total for value in logits)
