from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.log import Measured
from tuningfork.report import questions, words
from tuningfork.report.words import Scale

ACCURACY = Scale("accuracy", 0.0, 1.0, True)
LOSS = Scale("loss", 0.0, math.inf, False)


def test_a_share_is_shown_in_percent_and_its_differences_in_points() -> None:
    assert ACCURACY.value(0.912) == "91.2%"
    assert ACCURACY.interval({"value": 0.912, "low": 0.88, "high": 0.936}) == "91.2 [88.0, 93.6]"
    assert ACCURACY.between({"difference": 0.031, "low": 0.012, "high": 0.05}) == "+3.1 points, 95% between 1.2 and 5.0"
    assert ACCURACY.difference(0.01) == "+1.0 point"


def test_another_metric_is_shown_as_it_is() -> None:
    assert LOSS.value(1.23456) == "1.235"
    assert LOSS.difference(-0.5) == "-0.500"
    assert LOSS.goodness(0.0) == "right"


def test_no_value_is_shown_as_minus_zero() -> None:
    assert ACCURACY.number(-0.0001, sign=True) == "0.0"
    assert LOSS.number(-0.00001) == "0.000"


def test_what_is_no_number_is_called_unknown() -> None:
    assert ACCURACY.value(math.nan) == "unknown"
    assert (
        ACCURACY.between({"difference": None, "low": None, "high": None}) == "unknown, 95% between unknown and unknown"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.41, "0.4 s"), (48, "48 s"), (59.7, "1 min"), (200, "3 min 20 s"), (3900, "1 h 5 min"), (None, "")],
)
def test_seconds(value: float | None, shown: str) -> None:
    assert words.seconds(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(0, "-"), (812, "812 B"), (3_565_158, "3.4 MiB"), (2**34, "16.0 GiB")])
def test_sizes(value: int, shown: str) -> None:
    assert words.size(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(0.001, "<0.1 ms"), (0.4, "0.4 ms"), (12.3, "12 ms"), (3400, "3.4 s")])
def test_milliseconds(value: float, shown: str) -> None:
    assert words.milliseconds(value) == shown


@given(st.text(max_size=2000))
def test_cutting_loses_nothing_and_keeps_the_beginning_short(text: str) -> None:
    head, rest = words.cut(text, words=10, characters=60)
    assert head + rest == text
    assert len(head) <= 60
    assert len(head.split(" ")) <= 10


def test_model_names_are_shortened_only_while_they_stay_different() -> None:
    assert words.short_models(["org/big", "openai:gpt@http://host:1/v1"]) == {
        "org/big": "big",
        "openai:gpt@http://host:1/v1": "openai:gpt",
    }
    assert words.short_models(["a/big", "b/big"]) == {"a/big": "a/big", "b/big": "b/big"}


def test_answers_are_read_in_all_their_forms_under_the_question_they_answer() -> None:
    answers = {
        "what_would_change_it": "About 600 more test examples.",
        "prompt_or_tune": {"sentence": "Fine-tune.", "low": 0.1},
        "anything_cheaper": ["a is cheaper.", "b is cheaper."],
        "of_another_part": {"sentence": "Fair."},
        "of_nothing": [],
    }
    verdict = {"answers": answers}
    assert questions.told(verdict, "The answer") == ["Fine-tune.", "a is cheaper.", "b is cheaper."]
    assert questions.told(verdict, "What would change it?") == ["About 600 more test examples."]
    assert questions.told(verdict, "Why?") == []
    assert questions.others(verdict) == [("Of another part", ["Fair."])]


def test_the_power_of_the_test_is_a_sentence() -> None:
    said = questions.power({"minimum_detectable_difference": 0.031}, ACCURACY)
    assert said == "With this many test items, differences under 3.1 points are hard to see."
    assert questions.power({"minimum_detectable_difference": None}, ACCURACY) == ""


@pytest.mark.parametrize(("value", "shown"), [(1234.0, "1,200 USD"), (0.414, "0.41 USD"), (0.0, "0 USD"), (None, "")])
def test_money(value: float | None, shown: str) -> None:
    assert words.usd(value) == shown


def test_not_told_apart_is_never_called_equal() -> None:
    verdict = {"indistinguishable": ["b"]}
    assert words.told_apart({"b": "b"}, verdict) == "not told apart"
    assert words.told_apart({"b": "c"}, verdict) == "shown to differ"


def test_what_was_cut_of_inputs_is_said() -> None:
    def measured(trial: str, cut: int) -> Measured:
        return Measured(trial, "c", "dev", 0, 8, 0, 1.0, 0.1, {"tokens_in": 10, "tokens_cut": cut}, 0)

    events = [measured("head@e", 1200), measured("head@e", 34), measured("lora@m", 0)]
    log = SimpleNamespace(started=SimpleNamespace(notes=("A sample.",)), of=lambda kind: events * (kind is Measured))
    sampled, cut = words.notes(log)
    assert sampled == "A sample."
    assert cut.startswith("head@e:") and "16 answers" in cut and "1,234 tokens" in cut


def test_how_rewordings_fare_and_whether_enough_were_tried() -> None:
    values = {"worst": 0.6875, "flips": 0.25, "formats": 8.0}
    assert words.reworded(values, ACCURACY) == "worst 68.8%, 25% flip"
    assert words.reworded({**values, "formats": 3.0}, ACCURACY) == "worst 68.8%, 25% flip (3 forms only)"
    assert words.reworded({}, ACCURACY) == words.reworded({"flips": 1.0, "formats": 9.0}, ACCURACY) == ""
