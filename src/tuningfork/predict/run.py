"""candidate x models x inputs -> predictions, streamed.

Inputs are taken a chunk at a time and answered in order; nothing is kept, so they may be a million rows. What failed
comes back as a Prediction with its failure. Which part of a candidate answers is read from the candidate itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ..candidate import Candidate, Cascade, Constant, Function, Prediction, Single, Steps, Vote
from ..model import Model
from ..task import Inputs
from . import cascade, constant, each, function, generate, head, score, steps, vote
from .blocks import in_blocks
from .shots import model_of


def predict(
    candidate: Candidate, models: Mapping[str, Model], inputs: Iterable[Inputs], chunk: int = 256
) -> Iterator[Prediction]:
    """One Prediction for each input, in order, `chunk` asked at a time; `seconds` is an item's share of its chunk.

    Raises UnknownName when the prompt asks for a column that an input lacks, or a model was not opened. What models
    raise (BudgetSpent) passes through, and so does what `inputs` raises, after the answers to what came before.
    """
    answer = answerer(candidate, models)
    for block in in_blocks(inputs, chunk):
        yield from answer(block)


def answerer(candidate: Candidate, models: Mapping[str, Model]) -> Callable[[Sequence[Inputs]], list[Prediction]]:
    """How `candidate` answers one block; see `predict`, which is this for block after block."""
    ask = _answerer(candidate, models)

    def answer(block: Sequence[Inputs]) -> list[Prediction]:
        begin = time.perf_counter()
        predictions = ask(block)
        seconds = (time.perf_counter() - begin) / len(block)
        return [replace(prediction, seconds=seconds) for prediction in predictions]

    return answer


def adapted(candidate: Single, models: Mapping[str, Model]) -> Model:
    """The candidate's model, its adapter on where it has one."""
    model = model_of(models, candidate.model)
    return model.adapted(candidate.adapter) if candidate.adapter else model


def _answerer(candidate: Candidate, models: Mapping[str, Model]) -> Callable[[Sequence[Inputs]], list[Prediction]]:
    match candidate:
        case Constant():
            return constant.answerer(candidate)
        case Function():
            return function.answerer(candidate)
        case Single():
            return _single(candidate, models)
        case Steps():
            return steps.answerer(candidate, [_answerer(stage.candidate, models) for stage in candidate.parts])
        case Cascade():
            return cascade.answerer(candidate, [_answerer(part, models) for part in candidate.parts])
        case Vote():
            return vote.answerer(candidate, [_answerer(part, models) for part in candidate.parts])


def _single(candidate: Single, models: Mapping[str, Model]) -> Callable[[Sequence[Inputs]], list[Prediction]]:
    model = adapted(candidate, models)
    if not candidate.exclusive and candidate.answer_by != "head":
        return each.answerer(candidate, model, models)
    match candidate.answer_by:
        case "score":
            return score.answerer(candidate, model, models)
        case "generate":
            return generate.answerer(candidate, model, models)
        case "head":
            return head.answerer(candidate, model, models)
