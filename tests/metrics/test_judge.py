"""A judge on the fake model: grades in range, what is no grade counted, its cost apart."""

from __future__ import annotations

import pytest

from tuningfork.candidate import Prediction
from tuningfork.errors import TaskError, UnknownName
from tuningfork.metrics import Asking, open_metric, scores
from tuningfork.metrics.judge import Judge
from tuningfork.model import Failure
from tuningfork.models.fake import FakeModel
from tuningfork.task import Example

ONE = Example("e1", {"text": "How are you?"}, "Fine.")


def judge(model: FakeModel, **settings: object) -> Judge:
    return Judge("fake", **settings).with_model(model)  # type: ignore[arg-type]


def test_a_model_that_scores_gives_the_mean_of_its_grades() -> None:
    liked = judge(FakeModel(answers=lambda text: "5" if "Very well" in text else "1"))
    good, bad = scores(liked, [ONE, ONE], [Prediction("Very well, thanks!"), Prediction("No.")])
    assert isinstance(good, float) and isinstance(bad, float)
    assert 4.99 < good <= 5.0 and 1.0 <= bad < 1.01
    unsure = scores(judge(FakeModel()), [ONE], [Prediction("No.")])[0]
    assert isinstance(unsure, float) and 1.0 < unsure < 5.0 and unsure % 1


def test_it_is_asked_once_for_a_block_and_never_for_what_failed() -> None:
    model = FakeModel()
    failed = Prediction("", failure=Failure("x", "y"))
    found = scores(judge(model), [ONE] * 3, [Prediction("a"), failed, Prediction("b")])
    assert model.calls["score"] == 1 and model.requests["score"] == 2 and found[1] == failed.failure


@pytest.mark.parametrize(
    ("wrote", "grade"),
    [("4", 4.0), ("Grade: 3/5.", 3.0), ("2 out of 5", 2.0), ("5!", 5.0)],
)
def test_a_model_that_only_writes_is_read(wrote: str, grade: float) -> None:
    writer = FakeModel(answers=lambda text: wrote, capabilities=["generate"])
    assert scores(judge(writer), [ONE], [Prediction("a")]) == [grade]


@pytest.mark.parametrize("wrote", ["good", "6", "4.5", "3 or 4", "10", ""])
def test_what_is_no_grade_is_a_failure_with_what_it_wrote(wrote: str) -> None:
    writer = FakeModel(answers=lambda text: wrote, capabilities=["generate"])
    (found,) = scores(judge(writer), [ONE], [Prediction("a")])
    assert isinstance(found, Failure) and found.kind == "no grade" and repr(wrote) in found.message


def test_a_judge_that_fails_is_named_as_the_one_who_did() -> None:
    (found,) = scores(judge(FakeModel(fail_on="How are you")), [ONE], [Prediction("a")])
    assert isinstance(found, Failure) and found.kind == "judge" and "gave no grade" in found.message


def test_the_prompt_shows_input_reference_answer_and_question() -> None:
    shown: list[str] = []
    spy = FakeModel(answers=lambda text: shown.append(text))  # type: ignore[func-returns-value]
    scores(judge(spy, question="Is it polite?"), [ONE], [Prediction("No.")])
    scores(judge(spy, reference=False), [ONE], [Prediction("No.")])
    assert all(part in shown[0] for part in ("How are you?", "Fine.", "No.", "Is it polite?"))
    assert "Fine." not in shown[-1]


def test_it_is_opened_by_its_settings() -> None:
    made = open_metric('judge(model=fake, question="Polite, and short?", reference=false)')
    assert isinstance(made, Asking) and (made.model, made.question, made.reference) == (  # type: ignore[attr-defined]
        "fake",
        "Polite, and short?",
        False,
    )
    with pytest.raises(TaskError, match="needs a model to ask"):
        scores(open_metric("judge"), [ONE], [Prediction("a")])
    with pytest.raises(UnknownName, match="setting 'asks'"):
        open_metric("judge(asks=fake)")
