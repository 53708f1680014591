from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.candidate import Shot, Single, Template
from tuningfork.errors import UnknownName
from tuningfork.predict.prompt import (
    check_columns,
    columns_of,
    default_template,
    plain_input,
    prompt_for,
    render,
    words_of,
)
from tuningfork.task import Columns, Message, Sources, Task, Text


def task(kind: str = "classification", columns: tuple[str, ...] = ("text",), instruction: str = "Which team?") -> Task:
    labels = ("billing_team", "bugs") if kind == "classification" else ()
    return Task("t", kind, Sources("x"), Columns(columns, "label"), instruction, labels)  # type: ignore[arg-type]


def template(*texts: str) -> Template:
    return Template((*(Message("system", text) for text in texts[:-1]), Message("user", texts[-1])))


def texts(prompt: object) -> list[tuple[str, str]]:
    return [(m.role, m.content) for m in prompt.messages]  # type: ignore[attr-defined]


def test_places_are_filled_and_shots_lie_before_the_question() -> None:
    shots = (Shot((("text", "one"),), "yes"), Shot((("text", "two"),), "no"))
    prompt = render(template("Decide.", "Q: {{ text }}"), {"text": "three"}, shots)
    assert texts(prompt) == [
        ("system", "Decide."),
        ("user", "Q: one"),
        ("assistant", "yes"),
        ("user", "Q: two"),
        ("assistant", "no"),
        ("user", "Q: three"),
    ]
    assert prompt.shared == 5


def test_a_leading_message_that_depends_on_the_input_ends_what_is_shared() -> None:
    three = template("Fixed.", "About {{topic}}.", "{{text}}")
    shots = (Shot((("text", "a"), ("topic", "b")), "c"),)
    assert render(three, {"text": "x", "topic": "y"}, shots).shared == 1


@given(st.text(max_size=40), st.sampled_from(["{{text}}", "{{other}}", "{{", "}}", "\\1", "\\g<0>", "%s", "{0}"]))
def test_braces_in_data_are_never_filled(noise: str, nasty: str) -> None:
    value = noise + nasty + noise
    assert render(template("{{text}}|{{text}}"), {"text": value}).messages[-1].content == f"{value}|{value}"


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(UnknownName, match=r"'txt'.*Did you mean 'text'\?.*Known: channel, text"):
        render(template("{{txt}}"), {"text": "a", "channel": "b"})
    with pytest.raises(UnknownName, match=r"in p\.yaml"):
        check_columns(template("{{txt}}"), ("text",), "p.yaml")


def test_columns_are_listed_once_in_order() -> None:
    assert columns_of(template("{{ b }} {{a}}", "{{b}} {{ c d }}")) == ("b", "a", "c d")


def test_the_default_prompt_of_a_classification_names_the_labels() -> None:
    system, user = default_template(task()).messages
    assert system.content == "Which team?\nAnswer with exactly one of: billing team, bugs."
    assert user == Message("user", "{{text}}")


def test_the_default_prompt_of_several_columns_names_them() -> None:
    made = default_template(task("generation", ("title", "body"), ""))
    assert render(made, {"title": "T", "body": "B"}).messages[-1].content == "title: T\nbody: B"
    assert "{{" not in str(made.messages[0].content) and made.messages[0].content


def test_plain_input() -> None:
    assert plain_input({"text": (Text("a"), Text("b"))}) == "a\nb"
    assert plain_input({"title": "T", "body": "B"}) == "title: T\nbody: B"


def test_without_a_template_the_plain_input_is_asked() -> None:
    assert texts(prompt_for(Single("m"), {"text": "hello"})) == [("user", "hello")]


def test_words_never_make_two_labels_one() -> None:
    assert words_of(["late_refund", "bugs"]) == ("late refund", "bugs")
    assert words_of(["late_refund", "late refund"]) == ("late_refund", "late refund")
