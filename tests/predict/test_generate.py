from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.candidate import Decoding, Single, Template
from tuningfork.model import Answer, Failure, GenerateRequest, OneOf
from tuningfork.predict.generate import answerer, read_label
from tuningfork.task import Message

LABELS = ("refund", "late_refund", "bug")
WORDS = ("refund", "late refund", "bug")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("refund", "refund"),
        (" Refund.\n", "refund"),
        ("LATE_REFUND", "late_refund"),
        ("late refund: because the money has not come", "late_refund"),
        ("refund or bug", "refund"),  # it begins with one
        ("This is a late refund, surely.", "late_refund"),  # and not also `refund`
        ("The team is **bug**", "bug"),
        ("either a refund, or a bug", None),
        ("refunds", None),
        ("debugging", None),
        ("", None),
        ("nothing of that", None),
    ],
)
def test_reading_a_label(text: str, label: str | None) -> None:
    assert read_label(text, LABELS, WORDS) == label


def test_labels_of_punctuation_and_look_alikes() -> None:
    assert read_label(" + ", ("+", "-")) == "+"
    assert read_label("well +", ("+", "-")) is None
    assert read_label("C++", ("C", "C++")) == "C++"
    assert read_label("c!", ("C", "C++")) is None  # both read as `c`


@given(st.sampled_from(LABELS), st.sampled_from(["", " ", "\n", ".", "!", '"']), st.booleans())
def test_every_label_reads_as_itself(label: str, around: str, loud: bool) -> None:
    assert read_label(around + (label.upper() if loud else label) + around, LABELS, WORDS) == label


class Writer:
    """Writes what its script says, whatever the prompt."""

    def __init__(self, *script: Answer | Failure) -> None:
        self.script = list(script)

    def generate(self, requests: list[GenerateRequest], on_text: object = None) -> list[Answer | Failure]:
        self.asked = requests
        return self.script


def ask(candidate: Single, *script: Answer | Failure) -> list:  # type: ignore[type-arg]
    return answerer(candidate, Writer(*script), {})([{"text": "a"}] * len(script))  # type: ignore[arg-type]


PROMPT = Template((Message("user", "{{text}}"),))


def test_free_text_is_stripped_and_its_probability_is_the_confidence() -> None:
    (one,) = ask(Single("m", prompt=PROMPT, answer_by="generate"), Answer(' {"a": 1}\n', nats=math.log(0.25)))
    assert one.answer == '{"a": 1}' and one.confidence == pytest.approx(0.25)


def test_all_of_the_decoding_reaches_the_model() -> None:
    how = Decoding(7, 0.5, ("\n",), 0.9, OneOf(("a", "b")))
    writer = Writer(Answer("a"))
    candidate = Single("m", prompt=PROMPT, decoding=how, answer_by="generate")
    answerer(candidate, writer, {})([{"text": "a"}])  # type: ignore[arg-type]
    (asked,) = writer.asked
    assert Decoding(asked.max_tokens, asked.temperature, asked.stop, asked.top_p, asked.constraint) == how


def test_what_names_no_label_is_a_failure_and_model_failures_pass() -> None:
    candidate = Single("m", LABELS, WORDS, PROMPT, answer_by="generate")
    good, unread, failed = ask(candidate, Answer("Bug!"), Answer("dunno"), Failure("too long", "9,000 tokens"))
    assert good.answer == "bug" and good.trace == {"text": "Bug!"} and good.failure is None
    assert unread.failure.kind == "unparsed" and "'dunno'" in unread.failure.message and unread.answer == ""
    assert failed.failure == Failure("too long", "9,000 tokens")
