"""Each label asked about by itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.candidate import Calibration, Function, Single, from_dict, identity, to_dict
from tuningfork.model import Usage
from tuningfork.models.fake import FakeModel
from tuningfork.predict import predict
from tuningfork.predict.each import chosen
from tuningfork.predict.head import head_of
from tuningfork.predict.prompt import default_template
from tuningfork.task import Columns, Sources, Task, set_of

LABELS = ("damage", "late_delivery", "refund")
TASK = Task("t", "multilabel", Sources("x"), Columns(("text",), "labels"), "Which apply?", LABELS)
WORDS = ("damage", "late delivery", "refund")


def says(text: str) -> str:
    """Yes where the question names a word of the message."""
    message, _, question = text.partition("\n\n")
    return "yes" if question.split('"')[1].split()[0] in message else "no"


def one(**about: Any) -> Single:
    about = {"prompt": default_template(TASK), **about}
    return Single("fake", LABELS, WORDS, exclusive=False, **about)


def answers(candidate: Any, *texts: str, **model: Any) -> list[Any]:
    models = {"fake": FakeModel("fake", **{"answers": says, **model})}
    return list(predict(candidate, models, [{"text": text} for text in texts]))


@pytest.mark.parametrize("by", ["score", "generate"])
def test_a_set_is_what_gets_a_yes(by: str) -> None:
    both, none = answers(one(answer_by=by), "refund for damage", "hello")
    assert set_of(both.answer) == {"damage", "refund"} and none.answer == "" and none.failure is None
    assert (both.nats is None) == (by == "generate")


def test_it_costs_a_question_a_label_in_one_call() -> None:
    model = FakeModel("fake", answers=says)
    found = list(predict(one(), {"fake": model}, [{"text": "refund"}, {"text": "late"}]))
    assert model.requests["score"] == 6 and model.calls["score"] == 1
    assert all(p.usage.tokens_in > 3 * 10 for p in found)


def test_one_question_without_an_answer_fails_the_input() -> None:
    bad, good = answers(one(), "refund XX", "refund", fail_on=lambda text: "XX" in text and "late" in text)
    assert bad.failure.kind == "scripted" and bad.answer == "" and good.answer == "refund"
    (unread,) = answers(one(answer_by="generate"), "refund", answers=lambda text: "maybe")
    assert unread.failure.kind == "unparsed" and "neither yes nor no" in unread.failure.message


def test_an_offset_makes_a_label_harder_to_say() -> None:
    logits = [2.0, -1.0, 0.5]
    assert set_of(chosen(LABELS, logits, None, Usage()).answer) == {"damage", "refund"}
    moved = chosen(LABELS, logits, Calibration((1.0, -2.0, 1.0)), Usage())
    assert set_of(moved.answer) == {"damage", "late_delivery"}


@given(st.lists(st.floats(-800, 800), min_size=3, max_size=3))
def test_nats_are_each_labels_own_and_confidence_that_of_the_set(logits: list[float]) -> None:
    found = chosen(LABELS, logits, None, Usage())
    assert found.nats is not None and found.confidence is not None
    shares = [1 / (1 + math.exp(-z)) if z > -700 else 0.0 for z in logits]
    assert [math.exp(n) for n in found.nats] == pytest.approx(shares)
    assert found.confidence == pytest.approx(math.prod(max(p, 1 - p) for p in shares))


def test_a_head_says_every_label_above_its_offset() -> None:
    head = head_of(np.zeros((3, 64)), np.array([1.0, -1.0, 0.3]))
    (found,) = answers(one(prompt=None, head=head, answer_by="head"), "x")
    assert set_of(found.answer) == {"damage", "refund"}
    (moved,) = answers(one(prompt=None, head=head, answer_by="head", calibration=Calibration((0.5, 0.5, 0.5))), "x")
    assert moved.answer == "damage"


def test_it_is_kept_and_older_candidates_keep_their_names() -> None:
    assert from_dict(to_dict(one()), lambda sha: head_of(np.zeros((1, 1)), np.zeros(1)).weights) == one()
    plain = Single("fake", LABELS, WORDS)
    assert "exclusive" not in to_dict(plain) and identity(one()) != identity(plain)


def test_a_function_may_give_a_list(tmp_path: Any) -> None:
    code = "def answer(row): return row['text'].split()\ndef one(row): return {'answer': (), 'confidence': 0.5}\n"
    (tmp_path / "ours.py").write_text(code)
    good, bad = answers(Function("ours:answer", str(tmp_path), LABELS, False), "refund damage", "refund rubbish")
    assert (
        good.answer == "damage; refund" and bad.failure.kind == "unknown label" and "'rubbish'" in bad.failure.message
    )
    (empty,) = answers(Function("ours:one", str(tmp_path), LABELS, False), "x")
    assert (empty.answer, empty.failure, empty.confidence) == ("", None, 0.5)
