"""Candidates that are made of others: steps, cascades and votes."""

from __future__ import annotations

import math

import pytest

from tuningfork.candidate import Cascade, Constant, Single, Stage, Steps, Template, Vote
from tuningfork.models.fake import FakeModel
from tuningfork.predict import predict
from tuningfork.predict.ranking import Words, best, diverse, joined, word_vectors
from tuningfork.task import Message

LABELS = ("a", "b")


def sure(label: str, confidence: float) -> Constant:
    other = 1 - confidence
    return Constant(label, LABELS, (confidence, other) if label == "a" else (other, confidence))


def test_a_stage_is_a_column_of_the_next() -> None:
    asks = Single("fake", prompt=Template((Message("user", "{{text}} because {{why}}"),)), answer_by="generate")
    steps = Steps((Stage("why", Constant("it rains")), Stage("answer", asks)))
    (found,) = predict(steps, {"fake": FakeModel("fake")}, [{"text": "wet"}])
    (alone,) = predict(asks, {"fake": FakeModel("fake")}, [{"text": "wet", "why": "it rains"}])
    assert found.answer == alone.answer
    assert found.trace["why"] == "it rains" and found.usage.tokens_in == alone.usage.tokens_in


def test_the_cheap_one_answers_when_it_is_sure() -> None:
    inputs = [{"text": "x"}]
    (first,) = predict(Cascade((sure("a", 0.9), sure("b", 0.6)), (0.9,)), {}, inputs)
    assert (first.answer, first.trace["answered"]) == ("a", 0)
    (second,) = predict(Cascade((sure("a", 0.89), sure("b", 0.6)), (0.9,)), {}, inputs)
    assert (second.answer, second.trace["answered"]) == ("b", 1)
    (silent,) = predict(Cascade((Constant("a"), sure("b", 0.6)), (0.0,)), {}, inputs)
    assert silent.answer == "b"  # without a confidence it is not sure


def test_a_vote_is_by_mean_probability_or_by_most_answers() -> None:
    parts = (sure("a", 0.9), sure("b", 0.6), sure("b", 0.6))
    (mean,) = predict(Vote(parts), {}, [{"text": "x"}])
    assert mean.answer == "a" and mean.nats is not None
    assert math.exp(mean.nats[0]) == pytest.approx((0.9 + 0.4 + 0.4) / 3)
    (most,) = predict(Vote(parts, "answer"), {}, [{"text": "x"}])
    assert (most.answer, most.confidence) == ("b", pytest.approx(2 / 3))
    (heavy,) = predict(Vote(parts, "answer", (3, 1, 1)), {}, [{"text": "x"}])
    assert heavy.answer == "a"
    (none,) = predict(Vote((Constant("a", LABELS), sure("b", 0.6))), {}, [{"text": "x"}])
    assert none.failure is not None and none.failure.kind == "no probabilities"


def test_texts_are_ranked_by_words_by_both_and_with_diversity() -> None:
    import numpy as np

    words = Words(["the cat sat", "a dog ran", "the cat ran far", ""])
    assert best(words.likeness("CAT sat"), 2) == [0, 2]
    assert list(words.likeness("zebra")) == [0, 0, 0, 0] == [*Words(["", "."]).likeness("x"), 0, 0]
    assert best(joined([np.array([3.0, 2.0, 1.0]), np.array([0.0, 2.0, 1.0])]), 3) == [1, 0, 2]
    vectors = np.array([[1.0, 0.0], [0.999, 0.04], [0.7, 0.714]])
    near = vectors @ np.array([1.0, 0.0])
    assert diverse(near, vectors, 2, 0.0) == [0, 1]
    assert diverse(near, vectors, 2, 0.6) == [0, 2]


def test_texts_share_what_words_they_share() -> None:
    import numpy as np

    rows = word_vectors(["the cat", "The cat sat", "суп", ""])
    alike = rows @ rows.T
    assert alike[0, 1] == pytest.approx(2 / math.sqrt(6)) and alike[0, 2] == 0 == alike[3].max()
    np.testing.assert_allclose(alike.diagonal()[:3], 1.0)


def test_a_vote_keeps_the_sources_of_its_parts() -> None:
    from dataclasses import replace

    from tuningfork.candidate import Prediction
    from tuningfork.predict.vote import together

    said = [Prediction("a", (-0.1, -2.4), 0.9), Prediction("b", (-0.9, -0.5), 0.6)]
    cited = [replace(one, citations=(source, "both")) for one, source in zip(said, ("x", "y"), strict=True)]
    assert together(cited, (1.0, 1.0), LABELS, "probability").citations == ("x", "both", "y")
