"""Several samples of an answer, of which the most common counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tuningfork.candidate import Decoding, Single, Template
from tuningfork.errors import ModelError
from tuningfork.model import Answer, Failure, GenerateRequest, Usage
from tuningfork.models.fake import FakeModel
from tuningfork.predict import predict
from tuningfork.predict.generate import read_label
from tuningfork.task import Message

LABELS = ("bugs", "ideas", "billing")
PROMPT = Template((Message("system", "Answer with exactly one of: bugs, ideas, billing."), Message("user", "{{text}}")))
WRITES = Single("fake", LABELS, LABELS, PROMPT, decoding=Decoding(temperature=1.0, samples=9), answer_by="generate")
INPUTS = [{"text": f"the page {word} crashed"} for word in "abcdef"]


class Watched(FakeModel):
    """The fake, remembering what it was asked to write."""

    def generate(self, requests: Sequence[GenerateRequest], on_text: Any = None) -> list[Answer | Failure]:
        self.asked = list(requests)
        self.said = super().generate(requests, on_text)
        return self.said


@pytest.mark.parametrize("labels", [LABELS, ()], ids=["labels", "free text"])
def test_the_most_common_answer_wins_with_its_share_and_the_cost_of_all(labels: tuple[str, ...]) -> None:
    model = Watched("fake")
    candidate = replace(WRITES, labels=labels, words=labels)
    found = list(predict(candidate, {"fake": model}, INPUTS))
    assert len(model.asked) == 9 * len(INPUTS)
    for index, prediction in enumerate(found):
        said = [a for a in model.said[9 * index : 9 * index + 9] if isinstance(a, Answer)]
        texts = [(read_label(a.text, labels) if labels else a.text.strip()) for a in said]
        count = Counter(texts).most_common(1)[0][1]
        assert texts.count(prediction.answer) == count and prediction.confidence == pytest.approx(count / 9)
        assert prediction.usage == sum((a.usage for a in said), Usage())
    assert len({p.confidence for p in found}) > 1


def test_every_sample_of_every_prompt_has_a_seed_of_its_own_in_any_batch() -> None:
    together, alone = Watched("fake"), Watched("fake")
    found = list(predict(WRITES, {"fake": together}, INPUTS))
    assert len({request.seed for request in together.asked}) == len(together.asked)
    (last,) = predict(WRITES, {"fake": alone}, INPUTS[-1:])
    assert alone.asked == together.asked[-9:]
    assert (last.answer, last.confidence) == (found[-1].answer, found[-1].confidence)


def test_the_first_sample_is_what_one_sample_would_be() -> None:
    one, nine = Watched("fake"), Watched("fake")
    list(predict(replace(WRITES, decoding=Decoding(temperature=1.0)), {"fake": one}, INPUTS))
    list(predict(WRITES, {"fake": nine}, INPUTS))
    assert one.asked == nine.asked[::9]


def test_a_sample_that_is_no_label_has_no_vote() -> None:
    class Odd(FakeModel):
        def generate(self, requests: Any, on_text: Any = None) -> list[Answer | Failure]:
            says = ("no idea", "bugs", "ideas", "ideas", "what?")
            return [Answer(says[i % 5], -1.0, usage=Usage(tokens_out=1)) for i, _ in enumerate(requests)]

    five = replace(WRITES, decoding=Decoding(temperature=1.0, samples=5))
    (found,) = predict(five, {"fake": Odd("fake")}, INPUTS[:1])
    assert (found.answer, found.confidence) == ("ideas", pytest.approx(2 / 3))
    assert found.usage.tokens_out == 5
    (failed,) = predict(five, {"fake": FakeModel(fail_on="crashed")}, INPUTS[:1])
    assert failed.failure is not None and failed.failure.kind == "scripted"


def test_samples_that_would_all_be_the_same_are_refused() -> None:
    same = replace(WRITES, decoding=Decoding(samples=3))
    with pytest.raises(ModelError, match="3 samples of fake at temperature 0 would all be the same"):
        list(predict(same, {"fake": FakeModel()}, INPUTS))
    with pytest.raises(ModelError, match="0 samples"):
        list(predict(replace(WRITES, decoding=Decoding(samples=0)), {"fake": FakeModel()}, INPUTS))
