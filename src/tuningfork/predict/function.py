"""The user's own `module:function`, asked one input at a time. A list of labels is an answer of several.

An exception, or a return value that is no answer, fails that one item with the reason and leaves its neighbours alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..candidate import Function, Prediction
from ..functions import load_function, on_path
from ..model import Failure
from ..task import Inputs, plain_text, set_text


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
    if isinstance(answer, list | tuple | set | frozenset) and all(isinstance(label, str) for label in answer):
        unknown, answer = sorted(set(answer) - set(candidate.labels)), set_text(answer)
    else:
        unknown = [answer] if candidate.labels and answer not in candidate.labels else []
    if not isinstance(answer, str):
        return _failed("no answer", f"{candidate.path} returned {reply!r:.80}, not a str or a dict with `answer`.")
    if unknown:
        return _failed("unknown label", f"{candidate.path} answered {unknown[0]!r:.80}, which is no label of the task.")
    try:
        sure = None if confidence is None else float(confidence)
    except (TypeError, ValueError):
        return _failed("no answer", f"{candidate.path} returned the confidence {confidence!r:.80}, which is no number.")
    return Prediction(answer, confidence=sure)


def _failed(kind: str, message: str) -> Prediction:
    return Prediction("", failure=Failure(kind, message))
