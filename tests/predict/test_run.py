"""Streaming, order, chunks, and each part of a candidate through the one door, on a model whose replies are known."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.candidate import Calibration, Constant, Nearest, Shot, Single, Template
from tuningfork.errors import ModelError, UnknownName
from tuningfork.model import Adapter, EmbedRequest, Failure, ScoreRequest, Scores, Usage, Vector
from tuningfork.predict import predict
from tuningfork.predict.head import head_of
from tuningfork.predict.shots import nearest_of, prompter
from tuningfork.task import Inputs, Message

PROMPT = Template((Message("system", "Pick."), Message("user", "{{text}}")))
ASKED = Single("m", ("a", "b"), ("a", "b"), PROMPT)


class Known:
    """Scores `x<number>` as logits (number, 0), embeds it as the unit vector at `number` degrees; `fail` fails."""

    def __init__(self, worn: str = "") -> None:
        self.calls: list[int] = []
        self.asked: list[ScoreRequest] = []
        self.embedded: list[object] = []
        self.worn = worn

    def adapted(self, adapter: Adapter) -> Known:
        return Known(adapter.base)

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores | Failure]:
        self.calls.append(len(requests))
        self.asked += requests
        return [self._score(str(request.prompt.messages[-1].content)) for request in requests]

    def _score(self, text: str) -> Scores | Failure:
        if text == "fail":
            return Failure("broken", "this one fails")
        if self.worn:
            return Scores((0.0, 9.0), (1, 1))
        return Scores((float(text[1:]), 0.0), (1, 1), usage=Usage(tokens_in=3))

    def embed(self, requests: Sequence[EmbedRequest]) -> list[Vector | Failure]:
        self.embedded += [request.content for request in requests]
        return [self._embed(request.content) for request in requests]

    def _embed(self, content: object) -> Vector | Failure:
        text = content if isinstance(content, str) else str(content.messages[-1].content)  # type: ignore[attr-defined]
        if text == "fail":
            return Failure("broken", "this one fails")
        angle = math.radians(float(text[1:]))
        return Vector(np.array([math.cos(angle), math.sin(angle)], np.float32), Usage(tokens_in=2))


def rows(*numbers: float) -> list[Inputs]:
    return [{"text": f"x{number}"} for number in numbers]


def test_inputs_are_taken_a_chunk_at_a_time() -> None:
    taken: list[int] = []

    def endless() -> Iterator[Inputs]:
        for number in itertools.count():
            taken.append(number)
            yield {"text": f"x{number}"}

    model = Known()
    found = list(itertools.islice(predict(ASKED, {"m": model}, endless(), chunk=3), 4))  # type: ignore[dict-item]
    assert len(found) == 4 and taken == list(range(6)) and model.calls == [3, 3]


@given(st.lists(st.integers(-20, 20), max_size=12), st.integers(1, 5))
def test_order_and_answers_do_not_depend_on_the_chunk(numbers: list[int], chunk: int) -> None:
    whole = [replace(p, seconds=0.0) for p in predict(ASKED, {"m": Known()}, rows(*numbers))]  # type: ignore[dict-item]
    cut = [replace(p, seconds=0.0) for p in predict(ASKED, {"m": Known()}, rows(*numbers), chunk)]  # type: ignore[dict-item]
    assert whole == cut and [p.answer for p in whole] == ["a" if n >= 0 else "b" for n in numbers]


def test_scores_are_normalised_and_the_calibration_is_taken_off_first() -> None:
    (plain,) = predict(ASKED, {"m": Known()}, rows(1))  # type: ignore[dict-item]
    assert plain.confidence == pytest.approx(1 / (1 + math.exp(-1)))
    assert sum(map(math.exp, plain.nats)) == pytest.approx(1) and plain.usage.tokens_in == 3 and plain.seconds > 0
    candidate = replace(ASKED, calibration=Calibration((3.0, 0.0)))
    (calibrated,) = predict(candidate, {"m": Known()}, rows(1))  # type: ignore[dict-item]
    assert calibrated.answer == "b" and calibrated.nats[0] - calibrated.nats[1] == pytest.approx(-2)


def test_a_failure_keeps_its_place() -> None:
    good, bad, last = predict(ASKED, {"m": Known()}, [*rows(1), {"text": "fail"}, *rows(-1)])  # type: ignore[dict-item]
    assert (good.answer, last.answer) == ("a", "b")
    assert bad.failure == Failure("broken", "this one fails") and bad.answer == "" and bad.nats is None


def test_an_adapter_is_put_on() -> None:
    (worn,) = predict(replace(ASKED, adapter=Adapter("theirs", {})), {"m": Known()}, rows(5))  # type: ignore[dict-item]
    assert worn.answer == "b"


def test_what_was_not_opened_and_what_is_not_in_the_inputs() -> None:
    with pytest.raises(UnknownName, match="'m'"):
        next(predict(ASKED, {"n": Known()}, rows(1)))  # type: ignore[dict-item]
    with pytest.raises(UnknownName, match=r"'text'.*Known: body"):
        next(predict(ASKED, {"m": Known()}, [{"body": "x"}]))  # type: ignore[dict-item]


def nearest(k: int, *pool: float) -> Nearest:
    vectors = [Known()._embed(f"x{number}").values for number in pool]  # type: ignore[union-attr]
    return nearest_of("e", [Shot((("text", f"x{number}"),), "a") for number in pool], vectors, k)


def shown(model: Known) -> list[str]:
    return [str(m.content) for m in model.asked[-1].prompt.messages if m.role == "user"]


def test_the_nearest_demonstration_comes_last() -> None:
    model, encoder = Known(), Known()
    candidate = replace(ASKED, shots=nearest(2, 80, 10, 30, 10))
    (one,) = predict(candidate, {"m": model, "e": encoder}, rows(12))  # type: ignore[dict-item]
    assert shown(model) == ["x10", "x10", "x12"]
    assert one.usage.tokens_in == 3 + 2  # choosing the demonstrations is paid for too
    list(predict(candidate, {"m": model, "e": encoder}, rows(40)))  # type: ignore[dict-item]
    assert shown(model) == ["x10", "x30", "x40"]


def test_an_example_is_not_shown_to_itself_where_others_are_asked_for() -> None:
    candidate = replace(ASKED, shots=nearest(2, 10, 20, 50))
    models = {"m": Known(), "e": Known()}
    (own,) = prompter(candidate, models)(rows(20))  # type: ignore[arg-type]
    (others,) = prompter(candidate, models, others_only=True)(rows(20))  # type: ignore[arg-type]
    assert [m.content for m in own.prompt.messages[1::2]] == ["x10", "x20", "x20"]
    assert [m.content for m in others.prompt.messages[1::2]] == ["x50", "x10", "x20"]


class Fixed(Known):
    """Reads any text, and embeds all alike."""

    def _score(self, text: str) -> Scores | Failure:
        return Scores((1.0, 0.0), (1, 1), usage=Usage(tokens_in=3))

    def _embed(self, content: object) -> Vector | Failure:
        return Vector(np.array([1.0, 0.0], np.float32))


def by_words(k: int, *pool: str, **about: Any) -> Nearest:
    return nearest_of("", [Shot((("text", text),), "a") for text in pool], [], k, "bm25", **about)


def test_demonstrations_are_found_by_words_without_a_model_or_vectors() -> None:
    near = by_words(2, "the cat sat", "a dog ran", "the cat ran", "the cat sat")
    assert (near.model, near.vectors) == ("", None)
    model = Fixed()
    (one,) = predict(replace(ASKED, shots=near), {"m": model}, [{"text": "CAT sat"}])  # type: ignore[dict-item]
    assert shown(model) == ["the cat sat", "the cat sat", "CAT sat"] and one.usage.tokens_in == 3
    (others,) = prompter(replace(ASKED, shots=near), {}, others_only=True)([{"text": "the cat sat"}])
    assert [m.content for m in others.prompt.messages[1::2]] == ["a dog ran", "the cat ran", "the cat sat"]  # type: ignore[union-attr]


def test_diverse_demonstrations_are_unlike_each_other() -> None:
    pool = ("the cat sat here", "the cat sat there", "dogs ran")
    model = Fixed()
    for diversity, first in ((0.0, "the cat sat there"), (0.6, "dogs ran")):
        candidate = replace(ASKED, shots=by_words(2, *pool, diversity=diversity))
        list(predict(candidate, {"m": model}, [{"text": "the cat sat here"}]))  # type: ignore[dict-item]
        assert shown(model)[:2] == [first, "the cat sat here"]
    vectors = [np.array(v, dtype=np.float32) for v in ([1.0, 0.0], [0.999, 0.04], [0.7, 0.714])]
    shots = [Shot((("text", f"p{number}"),), "a") for number in range(3)]
    near = nearest_of("e", shots, vectors, 2, diversity=0.6)
    (rendered,) = prompter(replace(ASKED, shots=near), {"e": Fixed()})(rows(1))  # type: ignore[dict-item]
    assert [m.content for m in rendered.prompt.messages[1::2]] == ["p2", "p0", "x1"]  # type: ignore[union-attr]


def test_vectors_and_words_together_go_by_both_orders() -> None:
    angles = [math.radians(degrees) for degrees in (0, 10, 20, 30, 40)]
    vectors = [np.array([math.cos(angle), math.sin(angle)], dtype=np.float32) for angle in angles]
    shots = [Shot((("text", text),), "a") for text in ("far", "x1 near", "x1 a b", "x1 a b c", "x1")]
    found = {}
    for by in ("embedding", "bm25", "both"):
        near = nearest_of("e", shots, vectors, 1, by)  # type: ignore[arg-type]
        (rendered,) = prompter(replace(ASKED, shots=near), {"e": Fixed()})(rows(1))  # type: ignore[dict-item]
        found[by] = rendered.prompt.messages[1].content  # type: ignore[union-attr]
    assert found == {"embedding": "far", "bm25": "x1", "both": "x1 near"}


def test_an_input_that_cannot_be_embedded_fails_alone() -> None:
    candidate = replace(ASKED, shots=nearest(1, 10, 20))
    model = Known()
    bad, good = predict(candidate, {"m": model, "e": Known()}, [{"text": "fail"}, *rows(1)])  # type: ignore[dict-item]
    assert bad.failure and bad.failure.kind == "broken" and good.answer == "a" and model.calls == [1]


def test_a_head_reads_the_plain_input_or_the_prompt() -> None:
    head = head_of(np.array([[10.0, 0.0], [0.0, 10.0]]), np.array([0.0, 1.0]))
    model = Known()
    encoder = Single("m", ("a", "b"), ("a", "b"), head=head, answer_by="head")
    first, second = predict(encoder, {"m": model}, rows(0, 90))  # type: ignore[dict-item]
    assert (first.answer, second.answer) == ("a", "b") and model.embedded == ["x0", "x90"]
    assert first.nats[0] - first.nats[1] == pytest.approx(9.0)
    list(predict(replace(encoder, prompt=PROMPT), {"m": model}, rows(7)))  # type: ignore[dict-item]
    assert model.embedded[-1].shared == 1 and model.embedded[-1].messages[-1].content == "x7"  # type: ignore[attr-defined]


def test_a_head_must_fit_its_labels() -> None:
    head = head_of(np.eye(2), np.zeros(2))
    with pytest.raises(ModelError, match="2 rows"):
        next(predict(Single("m", ("a",), ("a",), head=head, answer_by="head"), {"m": Known()}, rows(1)))  # type: ignore[dict-item]
    with pytest.raises(ModelError, match="has none"):
        next(predict(Single("m", ("a",), ("a",), answer_by="head"), {"m": Known()}, rows(1)))  # type: ignore[dict-item]


def test_a_constant() -> None:
    (one,) = predict(Constant("b", ("a", "b"), (0.25, 0.75)), {}, rows(1))
    assert one.answer == "b" and one.confidence == 0.75 and one.nats == pytest.approx((math.log(0.25), math.log(0.75)))
    (bare,) = predict(Constant("b", ("a", "b"), (0.0, 1.0)), {}, rows(1))
    assert bare.nats is None and bare.confidence == 1.0  # never an infinity
    (text,) = predict(Constant("hello"), {}, rows(1))
    assert text.answer == "hello" and text.confidence is None
