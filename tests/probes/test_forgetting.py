"""What tuning unlearnt: nothing where nothing moved, and more the further it went."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tuningfork.candidate import Cascade, Constant, Single, Vote
from tuningfork.metrics import open_metric
from tuningfork.model import Failure, Recipe, ScoreRequest, Scores, TuneItem
from tuningfork.models.fake import FakeModel
from tuningfork.probes import open_probe
from tuningfork.probes.forgetting import QUESTIONS, TEXTS
from tuningfork.task import Message, Prompt

ACCURACY = open_metric("accuracy")


class Told(FakeModel):
    """Says how likely texts are; with an adapter half a nat a token less, and another answer to every question."""

    worn = False

    def score(self, requests: Any) -> list[Any]:
        return [self._told(request) for request in requests]

    def _told(self, request: ScoreRequest) -> Scores | Failure:
        tokens = tuple(len(choice.split()) for choice in request.choices)
        if len(tokens) == 1:
            return Scores((-(2.0 + 0.5 * self.worn) * tokens[0],), tokens)
        return Scores((-1.0, -2.0 + 2 * self.worn, -3.0, -4.0), tokens)

    def adapted(self, adapter: Any) -> Told:
        other = super().adapted(adapter)
        other.worn = True
        return other  # type: ignore[return-value]


def tuned(model: FakeModel) -> Single:
    items = [TuneItem(Prompt((Message("user", text),)), label, ("a", "b")) for text, label in (("x", "a"), ("y", "b"))]
    made = model.tune(Recipe(max_steps=2), items, [])
    return Single(model.id, ("a", "b"), ("a", "b"), adapter=made.adapter)


def test_it_is_the_change_in_nats_a_token_and_the_share_of_equal_answers() -> None:
    model = Told("fake")
    found = open_probe("forgetting")(tuned(model), {"fake": model}, [], ACCURACY)
    assert found == {"nats_a_token": pytest.approx(0.5), "agreement": 0.0}


def test_what_did_not_move_forgot_nothing() -> None:
    model = FakeModel("fake")
    probe = open_probe("forgetting")
    assert probe(replace(tuned(model), adapter=None), {"fake": model}, [], ACCURACY) == {}
    assert probe(Constant("a"), {}, [], ACCURACY) == {}


def test_an_encoders_vectors_are_compared() -> None:
    model = FakeModel("fake", kind="encoder")
    found = open_probe("forgetting")(tuned(model), {"fake": model}, [], ACCURACY)
    assert 0.2 < found["cosine"] <= 1.0


def test_texts_that_cannot_be_read_are_an_error() -> None:
    model = FakeModel("fake", fail_on="Which of these")
    with pytest.raises(ValueError, match="neutral texts"):
        open_probe("forgetting")(tuned(model), {"fake": model}, [], ACCURACY)


def test_the_neutral_texts_are_of_a_length_and_the_questions_have_four_answers() -> None:
    assert all(30 <= len(text.split()) <= 60 for text in TEXTS) and len(set(TEXTS)) == len(TEXTS) == 10
    assert all(len(set(choices)) == 4 for _, choices in QUESTIONS) and len(QUESTIONS) == 20


def test_size_counts_what_moved() -> None:
    model = FakeModel("fake")
    one = tuned(model)
    found = open_probe("size")(one, {"fake": model}, [], ACCURACY)
    assert one.adapter and found["moved_bytes"] == one.adapter.bytes == found["bytes"]
    assert open_probe("size")(Constant("a"), {}, [], ACCURACY) == {"bytes": 0.0, "moved_bytes": 0.0}


def test_of_several_adapters_the_worst_counts_and_each_once() -> None:
    models: dict[str, Any] = {"fake": Told("fake"), "other": FakeModel("other")}
    one, other = tuned(models["fake"]), tuned(models["other"])
    probe, size = open_probe("forgetting"), open_probe("size")
    first, second = probe(one, models, [], ACCURACY), probe(other, models, [], ACCURACY)
    assert probe(Vote((one, Cascade((one, Constant("a")), (0.5,)))), models, [], ACCURACY) == first != second
    both = probe(Vote((other, one)), models, [], ACCURACY)
    assert both["nats_a_token"] == max(first["nats_a_token"], second["nats_a_token"])
    assert both["agreement"] == min(first["agreement"], second["agreement"])
    assert one.adapter and other.adapter
    assert size(Vote((one, one)), models, [], ACCURACY)["moved_bytes"] == one.adapter.bytes
    assert size(Vote((one, other)), models, [], ACCURACY)["moved_bytes"] <= one.adapter.bytes + other.adapter.bytes
