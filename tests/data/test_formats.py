"""Chats, alpaca and the usual pairs become plain columns."""

from __future__ import annotations

import pytest

from tuningfork.data.formats import plain, recognise
from tuningfork.errors import DataError


def chat(*turns: tuple[str, object]) -> dict[str, object]:
    return {"messages": [{"role": role, "content": content} for role, content in turns], "lang": "en"}


ONE = chat(("system", "Be brief."), ("user", "hello"), ("assistant", "hi"))


def test_openai_messages() -> None:
    assert plain(ONE) == {"lang": "en", "system": "Be brief.", "history": "", "user": "hello", "assistant": "hi"}
    found = recognise([ONE, ONE])
    assert found is not None
    assert (found.input, found.target, found.instruction) == (("user",), "assistant", "Be brief.")


def test_a_system_that_differs_is_an_input() -> None:
    found = recognise([ONE, chat(("system", "Be long."), ("user", "a"), ("assistant", "b"))])
    assert found is not None
    assert (found.input, found.instruction) == (("system", "user"), "")


def test_the_last_turns_count_and_the_rest_is_history() -> None:
    row = plain(chat(("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")))
    assert (row["history"], row["user"], row["assistant"]) == ("user: a\n\nassistant: b", "c", "d")


def test_a_chat_that_waits_for_its_answer() -> None:
    row = plain(chat(("user", "a"), ("assistant", "b"), ("user", "c")))
    assert (row["user"], row["assistant"], row["history"]) == ("c", None, "user: a\n\nassistant: b")


def test_text_parts_and_others() -> None:
    assert plain(chat(("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])))["user"] == "a\nb"
    with pytest.raises(DataError, match="image_url"):
        plain(chat(("user", [{"type": "image_url", "image_url": {}}])))


def test_sharegpt() -> None:
    row = {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}
    found = recognise([row])
    assert found is not None and "ShareGPT" in found.name
    assert (plain(row)["user"], plain(row)["assistant"]) == ("q", "a")


@pytest.mark.parametrize(
    ("rows", "source", "instruction"),
    [
        (
            [{"instruction": "i", "input": "a", "output": "b"}, {"instruction": "i", "input": "c", "output": "d"}],
            ("input",),
            "i",
        ),
        (
            [{"instruction": "i", "input": "a", "output": "b"}, {"instruction": "j", "input": "", "output": "d"}],
            ("instruction", "input"),
            "",
        ),
        (
            [{"instruction": "i", "input": "", "output": "b"}, {"instruction": "j", "input": "", "output": "d"}],
            ("instruction",),
            "",
        ),
    ],
)
def test_alpaca(rows: list[dict[str, str]], source: tuple[str, ...], instruction: str) -> None:
    found = recognise(rows)
    assert found is not None
    assert (found.input, found.target, found.instruction) == (source, "output", instruction)


@pytest.mark.parametrize(
    "pair", [("prompt", "completion"), ("text", "label"), ("input", "output"), ("Question", "Answer")]
)
def test_pairs(pair: tuple[str, str]) -> None:
    found = recognise([dict.fromkeys(pair, "x")])
    assert found is not None and (found.input, found.target) == ((pair[0],), pair[1])


def test_references_are_other_acceptable_outputs() -> None:
    assert plain({"input": "i", "output": "a", "references": ["a", "b"]})["output"] == ["a", "b"]


def test_other_rows_stay_as_they_are() -> None:
    row = {"messages": "not a chat", "x": 1}
    assert plain(row) == row and recognise([row]) is None and recognise([]) is None
