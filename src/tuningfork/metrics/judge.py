"""A model that grades answers from 1 to 5 by a question of yours: for what no comparison with a reference can tell.

The judge sees the input, the reference (where there is one and `reference` says so) and the answer, one answer at a
time. A model that scores gives the mean of the five grades, each as likely as it finds it (G-Eval, Liu et al. 2023,
arXiv 2303.16634): finer than a grade, and the same every time. Another writes its grade; what is no grade counts as a
failed item, with what it wrote. What judging costs is metered, and told apart from what answering costs.

A judge is no person. It likes long answers and those of its own kind (Zheng et al. 2023, arXiv 2306.05685): let no
judge grade answers of its own model, and put people's grades of some answers into the run's `grades.jsonl`. The verdict
then stands on prediction-powered inference (`stats/ppi.py`): true to people's grades, and as narrow as the judge agrees
with them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp
from typing import ClassVar

from ..candidate import Prediction
from ..errors import NoScore, TaskError
from ..model import Answer, Failure, GenerateRequest, Model, ScoreRequest, Scores
from ..task import Example, Kind, Message, Prompt, plain_text

GRADES = ("1", "2", "3", "4", "5")
SYSTEM = (
    "You grade answers. Grade from 1 (of no use) to 5 (as good as it can be). "
    "Say the grade alone, one of: 1, 2, 3, 4, 5."
)


@dataclass(frozen=True)
class Judge:
    """A model's grade of the answer, 1 to 5, by your question: `judge(model=NAME, question="Is it polite?")`."""

    model: str = ""
    question: str = "How good is the answer?"
    reference: bool = True
    asks: Model | None = None

    name: ClassVar[str] = "judge"
    range: ClassVar[tuple[float, float]] = (1.0, 5.0)
    higher_is_better: ClassVar[bool] = True
    kinds: ClassVar[frozenset[Kind]] = frozenset({"generation"})

    def with_model(self, model: Model) -> Judge:
        """The same judge with its model, as the race opened and metered it."""
        return replace(self, asks=model)

    def item(self, example: Example, prediction: Prediction) -> float:
        found = self.items([example], [prediction])[0]
        if isinstance(found, Failure):
            raise NoScore(found.kind, found.message)
        return found

    def items(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[float | Failure]:
        """A grade for each, or why there is none."""
        if self.asks is None:
            raise TaskError('judge needs a model to ask: write judge(model=NAME, question="...").')
        pairs = zip(examples, predictions, strict=True)
        prompts = [self._prompt(example, prediction.answer) for example, prediction in pairs]
        if "score" in self.asks.capabilities:
            return [_mean(reply) for reply in self.asks.score([ScoreRequest(prompt, GRADES) for prompt in prompts])]
        written = self.asks.generate([GenerateRequest(prompt, max_tokens=8) for prompt in prompts])
        return [_read(reply) for reply in written]

    def _prompt(self, example: Example, answer: str) -> Prompt:
        said = [f"{name}:\n{plain_text(content)}" for name, content in example.inputs.items()]
        if self.reference and example.target is not None:
            said.append(f"A right answer:\n{example.answer}")
        said += [f"The answer to grade:\n{answer}", f"{self.question} Grade it from 1 to 5."]
        return Prompt((Message("system", SYSTEM), Message("user", "\n\n".join(said))), shared=1)


def _mean(reply: Scores | Failure) -> float | Failure:
    if isinstance(reply, Failure):
        return _failed(reply)
    weights = [exp(nats - max(reply.nats)) for nats in reply.nats]
    return sum(grade * weight for grade, weight in zip(range(1, 6), weights, strict=True)) / sum(weights)


def _read(reply: Answer | Failure) -> float | Failure:
    """The one grade in a text; of several none was meant."""
    if isinstance(reply, Failure):
        return _failed(reply)
    found = set(re.findall(r"(?<![\d.])[1-5](?![\d]|\.\d)", reply.text.replace("/5", "").replace("out of 5", "")))
    if len(found) == 1:
        return float(found.pop())
    return Failure("no grade", f"The judge wrote {reply.text[:80]!r}, which is no grade from 1 to 5.")


def _failed(reply: Failure) -> Failure:
    return Failure("judge", f"The judge gave no grade ({reply.kind}: {reply.message})")
