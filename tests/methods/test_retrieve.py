"""Looking things up."""

from __future__ import annotations

from dataclasses import replace

import pytest
from small_task import Watched, bench, start

from tuningfork.candidate import Single
from tuningfork.errors import MethodError
from tuningfork.method import Bench, Share, needs_met
from tuningfork.methods import open_method
from tuningfork.models.fake import FakeModel
from tuningfork.predict import predict
from tuningfork.predict.prompt import columns_of
from tuningfork.race.plan import trials
from tuningfork.task import Columns, Example, Sources

DOCUMENTS = (
    Example("topics.md", {"text": "# label 0\n\nCats and kittens.\n\n# label 1\n\nTrains on rails."}),
    Example("soup.txt", {"text": "Soup with bread is label 2."}),
)


def looked_up(at: Bench, spec: str = "retrieve") -> Single:
    made = open_method(spec)(start(at), at)
    assert isinstance(made, Single)
    return made


def test_the_prompt_has_a_place_and_answers_cite() -> None:
    at = bench(documents=DOCUMENTS)
    made = looked_up(at)
    assert made.prompt and columns_of(made.prompt) == ("passages", "text") and made.passages
    (said,) = predict(made, at.models, [{"text": "soup with bread"}])
    assert said.citations[0] == "soup.txt" and said.answer in at.task.labels


def test_without_an_encoder_it_goes_by_words() -> None:
    assert looked_up(bench(documents=DOCUMENTS)).passages.model in ("", "fake-encoder")  # type: ignore[union-attr]
    made = looked_up(bench(documents=DOCUMENTS, models={"fake": Watched("fake")}))
    assert made.passages and (made.passages.by, made.passages.model, made.passages.vectors) == ("bm25", "", None)


def test_a_small_share_goes_by_words_and_chooses_among_fewer() -> None:
    poor = bench(documents=DOCUMENTS, left=lambda: Share(40, 0, 10.0))
    made = looked_up(poor)
    assert made.passages and (made.passages.by, made.passages.k) == ("bm25", 3)
    assert all(model.calls["embed"] == model.calls["score"] == 0 for model in poor.models.values())  # type: ignore[attr-defined]


def test_how_and_how_many_is_chosen_on_hold() -> None:
    """A model that answers right when it is shown the one passage that helps, and wrong when shown more."""

    def told(text: str) -> str | None:
        return "label 2" if "[1] soup.txt" in text and "[2]" not in text else "label 0"

    hold = tuple(Example(f"h{n}", {"text": f"soup with bread {n}"}, "label_2") for n in range(32))
    models = {"fake": FakeModel("fake", answers=told), "fake-encoder": FakeModel("fake-encoder", kind="encoder")}
    made = looked_up(replace(bench(documents=DOCUMENTS, models=models), hold=hold))
    assert made.passages and made.passages.k == 1


def test_demonstrations_stay_and_a_later_rung_keeps_the_index() -> None:
    at = bench(documents=DOCUMENTS)
    made = looked_up(at, "few_shot+retrieve")
    assert made.shots and made.passages
    again = open_method("few_shot+retrieve")(start(at), replace(at, mine=made, rung=1))
    assert again == made


def test_without_documents_there_is_a_reason() -> None:
    at = bench()
    with pytest.raises(MethodError, match="no documents"):
        looked_up(at)
    method = open_method("retrieve+calibrate")
    reason = needs_met(method, "classification", at.capabilities["fake"], documents=False)
    assert reason and "this task has no documents" in reason and "data: documents:" in reason
    task = at.task.with_(data=Sources("x", documents="docs"))
    found, skipped = trials(at.task, [open_method("retrieve")], at.capabilities)
    assert not found and "no documents" in skipped["retrieve@fake"]
    found, skipped = trials(task, [open_method("retrieve")], at.capabilities)
    assert [trial.name for trial in found] == ["retrieve@fake"] and list(skipped) == ["retrieve@fake-encoder"]


def test_a_column_called_passages_is_refused() -> None:
    at = bench(documents=DOCUMENTS)
    with pytest.raises(MethodError, match="Rename"):
        looked_up(replace(at, task=at.task.with_(columns=Columns(("text", "passages"), "label"))))


def test_documents_that_no_encoder_reads_are_told() -> None:
    models = {"fake": Watched("fake"), "fake-encoder": FakeModel("fake-encoder", kind="encoder", fail_on="")}
    with pytest.raises(MethodError, match="could embed none of 3 passages"):
        looked_up(bench(documents=DOCUMENTS, models=models))
