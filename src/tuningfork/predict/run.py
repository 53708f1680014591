"""candidate x models x inputs -> predictions, streamed.

Inputs are taken a chunk at a time and answered in order; nothing is kept, so they may be a million rows. What failed
comes back as a Prediction with its failure. Which part of a candidate answers is read from the candidate itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from ..candidate import Candidate, Constant, Function, Prediction, Single
from ..model import Model
from ..task import Inputs
from . import constant, function, generate, head, score
from .shots import model_of


def predict(
    candidate: Candidate, models: Mapping[str, Model], inputs: Iterable[Inputs], chunk: int = 256
) -> Iterator[Prediction]:
    """One Prediction for each input, in order, `chunk` asked at a time; `seconds` is an item's share of its chunk.

    Raises UnknownName when the prompt asks for a column that an input lacks, or a model was not opened. What models
    raise (BudgetSpent) passes through.
    """
    answer = _answerer(candidate, models)
    rows = iter(inputs)
    while block := list(islice(rows, chunk)):
        begin = time.perf_counter()
        predictions = answer(block)
        seconds = (time.perf_counter() - begin) / len(block)
        for prediction in predictions:
            yield replace(prediction, seconds=seconds)


def adapted(candidate: Single, models: Mapping[str, Model]) -> Model:
    """The candidate's model, its adapter on where it has one."""
    model = model_of(models, candidate.model)
    return model.adapted(candidate.adapter) if candidate.adapter else model


def _answerer(candidate: Candidate, models: Mapping[str, Model]) -> Callable[[Sequence[Inputs]], list[Prediction]]:
    if isinstance(candidate, Constant):
        return constant.answerer(candidate)
    if isinstance(candidate, Function):
        return function.answerer(candidate)
    model = adapted(candidate, models)
    if candidate.answer_by == "score":
        return score.answerer(candidate, model, models)
    if candidate.answer_by == "generate":
        return generate.answerer(candidate, model, models)
    return head.answerer(candidate, model, models)
