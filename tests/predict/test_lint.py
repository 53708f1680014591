"""Each rule finds what it is for, says what to do, and is silent otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tuningfork.candidate import Decoding, Shot, Single, Template
from tuningfork.predict.lint import RULES, Hint, Looked, lint
from tuningfork.predict.prompt import columns_of, default_template
from tuningfork.task import Columns, Example, Message, Sources, Task, plain_text

LABELS = ("late_refund", "bugs")
WORDS = ("late refund", "bugs")
TASK = Task("t", "classification", Sources("x"), Columns(("text",), "label"), "Which team?", LABELS)
WRITING = Task("t", "generation", Sources("x"), Columns(("text",), "answer"), "Write.")


def template(system: str, *turns: str) -> Template:
    """A system message, then turns of user and assistant, the user's last; `{{text}}` without any."""
    turns = turns or ("{{text}}",)
    roles = ("user", "assistant") * len(turns)
    said = [Message(role, text) for role, text in zip(roles, turns, strict=False)]  # type: ignore[arg-type]
    return Template((Message("system", system), *said))


def looked(prompt: Template | None, task: Task = TASK, **about: Any) -> Looked:
    labels = (LABELS, WORDS) if task is TASK else ((), ())
    by = about.pop("by", "score" if task is TASK else "generate")
    single = Single("fake", *labels, prompt, answer_by=by, shots=about.pop("shots", ()))
    return Looked(single, task, **about)


def hints(at: Looked) -> dict[str, Hint]:
    found = lint(at)
    assert len({hint.about for hint in found}) == len(found)
    return {hint.about: hint for hint in found}


def system(candidate: Single | None) -> str:
    assert candidate and candidate.prompt
    return plain_text(candidate.prompt.messages[0].content)


def rows(*answers: str) -> tuple[Example, ...]:
    return tuple(Example(f"r{n}", {"text": f"a message of some length, number {n}"}, a) for n, a in enumerate(answers))


NAMED = "Answer with exactly one of: late refund, bugs."


@pytest.mark.parametrize("task", [TASK, replace(WRITING, instruction="Write one short sentence.")])
def test_the_plain_prompt_is_clean(task: Task) -> None:
    assert lint(looked(default_template(task), task, train=rows("a long enough answer, with some more words"))) == ()


def test_single_braces() -> None:
    hint = hints(looked(template(NAMED, 'Text: {text} {{text}} {"a": 1} {other}')))["unfilled"]
    assert hint.level == "error" and hint.text == "{text} stands in single braces and is never filled. Write {{text}}."
    assert hint.mended and hint.mended.prompt
    assert plain_text(hint.mended.prompt.messages[-1].content) == 'Text: {{text}} {{text}} {"a": 1} {other}'
    near = hints(looked(template(NAMED, "{Txt} {{text}}")))["unfilled"]
    assert "{Txt} stands" in near.text and "{{text}}" in near.text


def test_a_column_that_is_never_used() -> None:
    task = TASK.with_(columns=Columns(("title", "text"), "label"))
    found = hints(replace(looked(template(NAMED)), task=task))
    assert found.keys() == {"unused-column"} and "'title'" in found["unused-column"].text
    mended = found["unused-column"].mended
    assert mended and mended.prompt and columns_of(mended.prompt) == ("text", "title")


def test_labels_that_are_not_named() -> None:
    hint = hints(looked(template("Which team?")))["labels-not-named"]
    assert "2 of 2 labels" in hint.text and system(hint.mended) == f"Which team?\n{NAMED}"
    (hint,) = lint(looked(template("Is it late_refund or something else?")))
    assert "'bugs', 1 of 2" in hint.text
    assert "labels-not-named" not in hints(looked(template("LATE REFUND or Bugs?")))
    shown = (Shot((("text", "a"),), "bugs"), Shot((("text", "b"),), "late refund"))
    assert lint(looked(template("Which?"), shots=shown)) == ()
    assert "labels-not-named" in hints(looked(template("debugs, late refunds")))
    bare = hints(looked(Template((Message("user", "{{text}}"),))))["labels-not-named"].mended
    assert bare and bare.prompt and [m.role for m in bare.prompt.messages] == ["system", "user"]
    assert lint(looked(template("Which team?"), by="head")) == ()


def test_a_label_that_is_written_needs_to_stand_alone() -> None:
    loose = template("Is this late refund or bugs?")
    assert hints(looked(loose, by="generate")).keys() == {"missing-format"} and lint(looked(loose)) == ()
    assert lint(looked(default_template(TASK), by="generate")) == ()


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (('{"a": 1, "b": 2}', '{"c": 3}'), "JSON object with the fields a, b, c"),
        (("yes", "forty two", "no"), "as briefly as you can"),
        (("a whole sentence that needs no form", "and another one of these"), ""),
        ((), ""),
    ],
)
def test_a_form_that_is_wanted_and_not_said(answers: tuple[str, ...], told: str) -> None:
    at = looked(template("Write what belongs there."), WRITING, train=rows(*answers))
    found = hints(at)
    assert found.keys() == ({"missing-format"} if told else set())
    if told:
        assert told in system(found["missing-format"].mended)
        assert lint(replace(at, candidate=found["missing-format"].mended)) == ()
    shots = (Shot((("text", "a"),), "x"),)
    assert lint(replace(at, candidate=replace(at.candidate, shots=shots))) == ()


def test_two_forms_that_cannot_both_be() -> None:
    both = template("Reply in JSON. Return valid XML. Answer in one word, or with a bulleted list.")
    found = lint(looked(both, WRITING))
    texts = [hint.text for hint in found if hint.about == "two-formats"]
    assert len(texts) == 2 and "JSON and for XML" in texts[0] and "one word and for a list" in texts[1]
    fine = template("The input is XML from JSON files. Answer in one word, and only one word.")
    assert "two-formats" not in hints(looked(fine, WRITING))


def test_one_word_for_labels_of_several() -> None:
    hint = hints(looked(template(f"Answer in one word. {NAMED}")))["one-word"]
    assert "labels have several: 'late refund'" in hint.text
    assert system(hint.mended).startswith("Answer in one label, as it is written.")
    short = replace(looked(template("Answer in one word: a or b.")).candidate, labels=("a", "b"), words=("a", "b"))
    assert lint(Looked(short, TASK)) == ()


def test_json_where_something_else_is_wanted() -> None:
    hint = hints(looked(template("Which team?\nReply with a JSON object. Be kind.\nlate refund or bugs")))[
        "other-format"
    ]
    assert "a bare label is expected" in hint.text
    assert "JSON" not in system(hint.mended) and "Be kind." in system(hint.mended)
    plain = looked(template("Return JSON."), WRITING, train=rows("plain", "text"))
    assert "no train answer is JSON" in hints(plain)["other-format"].text
    assert lint(replace(plain, train=rows('{"a": 1}'))) == ()


def test_demonstrations_answered_by_no_label() -> None:
    found = hints(looked(template(NAMED, "x", "bug", "{{text}}")))
    assert found["odd-answers"].level == "error" and "'bug'" in found["odd-answers"].text


def test_uneven_demonstrations_are_evened_from_train() -> None:
    shots = tuple(Shot((("text", f"s{n}"),), "bugs") for n in range(4))
    at = looked(default_template(TASK), shots=shots, train=rows("late_refund", "bugs", "late_refund"))
    hint = hints(at)["uneven"]
    assert "'bugs' 4 times and 'late refund' 0 times" in hint.text and hint.mended
    assert [shot.answer for shot in hint.mended.shots] == ["late refund", "bugs"] * 2  # type: ignore[union-attr]
    assert hints(replace(at, train=()))["uneven"].mended is None
    written = looked(template(NAMED, "x", "bugs", "y", "bugs", "{{text}}"))
    assert hints(written)["uneven"].mended is None
    even = (Shot((("text", "a"),), "bugs"), Shot((("text", "b"),), "late refund"))
    assert lint(looked(default_template(TASK), shots=even)) == ()


def test_rows_that_no_prompt_may_hold() -> None:
    test = rows("bugs", "bugs")
    shots = (Shot((("text", "A message of SOME length,  number 0"),), "bugs"), Shot((("text", "b"),), "late refund"))
    at = looked(default_template(TASK), shots=shots, kept={"dev": rows("bugs")[:0], "test": test})
    hint = hints(at)["leaking"]
    assert hint.level == "error" and "rows of test: 'r0'." in hint.text
    assert hint.mended and hint.mended.shots == shots[1:]
    written = template(
        f"{NAMED} Such as: a message of some length, number 1", "a message of some length, number 0", "bugs", "{{text}}"
    )
    assert "'r0', 'r1'" in hints(looked(written, kept={"test": test}))["leaking"].text
    short = (Example("s", {"text": "one of"}, "bugs"),)
    assert "leaking" not in hints(looked(template(NAMED), kept={"test": short}))


def test_longer_than_the_model_reads() -> None:
    assert "2,100 tokens" in hints(looked(template(NAMED), tokens=2100, context=2048))["too-long"].text
    at = looked(template(NAMED), tokens=2100, context=2048)
    cut = hints(replace(at, candidate=replace(at.candidate, overlong="keep_end")))["too-long"]
    assert cut.level == "warning" and "keep_end" in cut.text
    assert lint(looked(template(NAMED), tokens=2048, context=2048)) == lint(looked(template(NAMED), tokens=9)) == ()


def test_without_a_template_only_the_length_counts() -> None:
    assert hints(looked(None, tokens=600, context=512)).keys() == {"too-long"} and lint(looked(None)) == ()


def test_errors_come_first_and_every_rule_is_named_by_what_it_says() -> None:
    found = lint(looked(template("Answer in one word.", "{text} {{text}}"), by="generate"))
    assert [hint.level for hint in found] == sorted((hint.level for hint in found), key=lambda level: level != "error")
    assert {hint.about for hint in found} <= set(RULES)
    assert Decoding() == found[0].mended.decoding  # type: ignore[union-attr]
