"""Our side of the gepa library: prompts as its candidates, the metered models as its evaluator, a model as its writer.

gepa calls nobody but these two, and what it may not see (dev, test) is not in the bench. What was scored is kept here
too, so that it is not lost where the share ends in the middle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..candidate import Prediction, Single, Template
from ..errors import MethodError
from ..method import Bench
from ..model import Answer, GenerateRequest, Model, Usage
from ..predict import predict
from ..predict.prompt import columns_of, plain_input
from ..task import Example, Message, Prompt, plain_text

TEXT = "instruction"
"""The one component that is rewritten: the system message."""


def helper_of(name: str, bench: Bench) -> Model:
    """The helper: metered where it is a model of the race."""
    if not name:
        raise MethodError(
            "reflect needs a strong helper model to write with. Name one: reflect(helper=openai:MODEL@URL), or a model "
            "of the race."
        )
    if name in bench.models:
        found = bench.models[name]
    else:
        from ..models import open_model

        found = open_model(name)
        price = getattr(found, "price", None)
        if price is not None and (price.read or price.write):
            raise MethodError(f"{name} costs money. Name it under `models:` too, so that what it costs is counted.")
    if "generate" not in found.capabilities:
        raise MethodError(f"{name} can't generate, so it can't rewrite an instruction. Name a helper that can.")
    return found


@dataclass
class Writer:
    """The helper as gepa calls it: a text in, a text out. gepa goes on where a call fails, so `failure` keeps why."""

    model: Model
    proposals: int
    max_tokens: int
    asked: int = 0
    failure: str = ""
    usage: Usage = Usage()

    def __call__(self, prompt: str | list[dict[str, Any]]) -> str:
        text = prompt if isinstance(prompt, str) else "\n\n".join(str(turn.get("content", "")) for turn in prompt)
        self.asked += 1
        request = GenerateRequest(Prompt((Message("user", text),)), max_tokens=self.max_tokens)
        (answer,) = self.model.generate([request])
        self.usage += answer.usage
        if not isinstance(answer, Answer):
            self.failure = f"The helper could not write: {answer.message}"
            raise MethodError(self.failure)
        return answer.text


@dataclass
class Adapter:
    """Our side of gepa: candidates are instructions, scores are the task's metric on a scale where 1 is best."""

    start: Single
    bench: Bench
    scores: dict[str, list[float]] = field(default_factory=dict)
    """What each instruction scored, in the order in which they came."""
    propose_new_texts: None = None

    def evaluate(self, batch: list[Example], candidate: dict[str, str], capture_traces: bool = False) -> Any:
        """What this instruction makes of some examples. BudgetSpent passes through."""
        from gepa.core.adapter import EvaluationBatch

        prompt = with_text(self.start, candidate[TEXT], self.bench.task.columns.input)
        inputs = [example.inputs for example in batch]
        found = list(predict(prompt, self.bench.models, inputs)) if prompt else [Prediction("")] * len(batch)
        scores = [self._score(example, p) for example, p in zip(batch, found, strict=True)]
        self.scores.setdefault(candidate[TEXT], []).extend(scores)
        return EvaluationBatch(found, scores, list(zip(batch, found, scores, strict=True)) if capture_traces else None)

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """What the helper reads: inputs, what was said, what was wanted."""
        rows = []
        for example, said, score in eval_batch.trajectories:
            right = f"Right (score {score:.2f})." if score == 1 else f"Wrong (score {score:.2f})."
            answer = said.failure.message if said.failure else said.answer
            feedback = f"{right} Wanted: {example.answer}"
            rows.append({"Inputs": plain_input(example.inputs), "Generated Outputs": answer, "Feedback": feedback})
        return {TEXT: rows}

    def _score(self, example: Example, said: Prediction) -> float:
        metric = self.bench.metric
        low, high = metric.range
        if said.failure or not said.answer:
            return 0.0
        value = metric.item(example, said)
        if not math.isfinite(high - low):
            return value if metric.higher_is_better else -value
        share = (value - low) / (high - low)
        return share if metric.higher_is_better else 1.0 - share


class Silent:
    """gepa tells its progress; the race tells its own."""

    def log(self, message: str) -> None:
        """Nothing."""


def text_of(prompt: Single) -> str:
    """The system message, which is what is rewritten; empty where there is none."""
    messages = prompt.prompt.messages if prompt.prompt else ()
    return next((plain_text(message.content) for message in messages if message.role == "system"), "")


def with_text(prompt: Single, text: str, columns: Sequence[str]) -> Single | None:
    """The prompt with another system message; None where that asks for a column that inputs don't have."""
    messages = prompt.prompt.messages if prompt.prompt else ()
    template = Template((Message("system", text), *(m for m in messages if m.role != "system")))
    known = set(columns) | set(columns_of(prompt.prompt) if prompt.prompt else ())
    return replace(prompt, prompt=template) if set(columns_of(template)) <= known else None
