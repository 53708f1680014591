"""The user's own `module:function`, asked one input at a time: it gives a label, a text, or a list of labels where
several may hold.

An exception, or a return value that is no answer, fails that one item with the reason and leaves its neighbours alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..candidate import Function, Prediction
from ..functions import load_function, on_path
from ..model import Failure
from ..task import Inputs, plain_text, set_of, set_text


def answerer(candidate: Function) -> Callable[[Sequence[Inputs]], list[Prediction]]:
    """How a Function answers a block. Raises UserError when its module or function can't be had."""
    call = load_function(candidate.path, candidate.folder)

    def answer(block: Sequence[Inputs]) -> list[Prediction]:
        with on_path(candidate.folder):
            return [_answer(call, inputs, candidate) for inputs in block]

    return answer


def _answer(call: Callable[[dict[str, str]], Any], inputs: Inputs, candidate: Function) -> Prediction:
    try:
        reply = call({name: plain_text(content) for name, content in inputs.items()})
    except (Exception, SystemExit) as error:
        return _failed("raised", f"{candidate.path} raised {type(error).__name__}: {error}")
    said = reply if isinstance(reply, dict) else {"answer": reply}
    answer, confidence = said.get("answer"), said.get("confidence")
    if not candidate.exclusive:
        answer = _set(answer)
    if not isinstance(answer, str):
        return _failed("no answer", f"{candidate.path} returned {reply!r:.80}, not a str or a dict with `answer`.")
    unknown = sorted((set_of(answer) if not candidate.exclusive else {answer}) - set(candidate.labels))
    if candidate.labels and unknown:
        return _failed("unknown label", f"{candidate.path} answered {unknown[0]!r:.80}, which is no label of the task.")
    try:
        sure = None if confidence is None else float(confidence)
    except (TypeError, ValueError):
        return _failed("no answer", f"{candidate.path} returned the confidence {confidence!r:.80}, which is no number.")
    return Prediction(answer, confidence=sure)


def _set(answer: Any) -> Any:
    """A list of labels, or a text that stands for one, as the text that stands for it everywhere; else as it is."""
    if isinstance(answer, list | tuple | set | frozenset) and all(isinstance(label, str) for label in answer):
        return set_text(answer)
    return set_text(set_of(answer)) if isinstance(answer, str) else answer


def _failed(kind: str, message: str) -> Prediction:
    return Prediction("", failure=Failure(kind, message))
