"""The usual shapes of training rows, and each of them as plain columns.

Chats are rows with a list in them: OpenAI's `messages` (role, content) and ShareGPT's `conversations` (from, value).
`plain` turns such a row into the columns `system`, `history`, `user` and `assistant`: the last assistant turn is
what is wanted, the last user turn before it is the input, what came before those is the history. It also puts
`references` (other acceptable texts) beside the `output` that they stand for. Any other row stays as it is, so that
`plain` may be called on every row, at training as at prediction. `recognise` says which shape the rows have and
which columns are what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DataError

ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "system": "system",
    "developer": "system",
}
CHATS = (
    ("messages", "role", "content", "OpenAI chat messages"),
    ("conversations", "from", "value", "ShareGPT conversations"),
)
PAIRS = (
    ("prompt", "completion"),
    ("text", "label"),
    ("input", "output"),
    ("question", "answer"),
)
"""Input and target of the usual pairs of columns, most telling first."""


@dataclass(frozen=True)
class Format:
    """A shape that rows have: its name, which columns are what, and an instruction that all rows share."""

    name: str
    input: tuple[str, ...]
    target: str
    instruction: str = ""


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """One row with plain columns. Raises DataError for a chat that holds something other than text."""
    for column, role, content, _ in CHATS:
        turns = row.get(column)
        if _is_chat(turns, role, content):
            assert isinstance(turns, list)
            rest = {key: value for key, value in row.items() if key != column}
            return {**rest, **_turns([(ROLES.get(str(t[role]), str(t[role])), _text(t.get(content))) for t in turns])}
    output, references = row.get("output"), row.get("references")
    if isinstance(output, str) and isinstance(references, list) and all(isinstance(r, str) for r in references):
        return {**row, "output": list(dict.fromkeys([output, *references]))}
    return dict(row)


def is_chat(row: Mapping[str, Any]) -> bool:
    """Whether a row holds a chat that `plain` takes apart."""
    return any(_is_chat(row.get(column), role, content) for column, role, content, _ in CHATS)


def recognise(rows: Sequence[Mapping[str, Any]]) -> Format | None:
    """The usual shape that these rows (as read, not yet plain) have, or None."""
    if not rows:
        return None
    for column, role, content, name in CHATS:
        if all(_is_chat(row.get(column), role, content) for row in rows):
            return _chat(name, [plain(row) for row in rows])
    columns = {column.lower(): column for row in rows for column in row}
    if {"instruction", "output"} <= set(columns):
        return _alpaca(rows, columns)
    for source, target in PAIRS:
        if {source, target} <= set(columns):
            return Format(f"{source}/{target} columns", (columns[source],), columns[target])
    return None


def _chat(name: str, rows: Sequence[Mapping[str, Any]]) -> Format:
    systems = {row.get("system") or "" for row in rows}
    constant = systems.pop() if len(systems) == 1 else ""
    varying = [column for column in ("system", "history") if any(row.get(column) for row in rows)]
    if constant:
        varying.remove("system")
    return Format(name, (*varying, "user"), "assistant", constant)


def _alpaca(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> Format:
    name, said, target = "alpaca columns", columns["instruction"], columns["output"]
    source = columns.get("input")
    if source is None or not any(row.get(source) for row in rows):
        return Format(name, (said,), target)
    instructions = {str(row.get(said) or "") for row in rows}
    if len(instructions) == 1:
        return Format(name, (source,), target, instructions.pop())
    return Format(name, (said, source), target)


def _is_chat(turns: object, role: str, content: str) -> bool:
    return (
        isinstance(turns, list)
        and bool(turns)
        and all(isinstance(turn, dict) and role in turn and (content in turn or "tool_calls" in turn) for turn in turns)
    )


def _turns(turns: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The columns of one chat. A chat that does not end with the assistant has no `assistant` text yet."""
    system = "\n\n".join(text for role, text in turns if role == "system")
    talk = [(role, text) for role, text in turns if role != "system"]
    answers = [i for i, (role, _) in enumerate(talk) if role == "assistant"]
    ends = bool(answers) and not any(role == "user" for role, _ in talk[answers[-1] + 1 :])
    before = talk[: answers[-1]] if ends else talk
    asked = max((i for i, (role, _) in enumerate(before) if role == "user"), default=-1)
    history = "\n\n".join(f"{role}: {text}" for i, (role, text) in enumerate(before) if i != asked)
    return {
        "system": system,
        "history": history,
        "user": before[asked][1] if asked >= 0 else "",
        "assistant": talk[answers[-1]][1] if ends else None,
    }


def _text(content: object) -> str:
    """The words of a turn: a text, or a list of text parts."""
    if content is None:
        return ""
    if isinstance(content, list):
        odd = [part.get("type") if isinstance(part, dict) else part for part in content if not _is_text_part(part)]
        if odd:
            raise DataError(f"A chat holds a part of type {odd[0]!r}. Only text is read so far: take such rows out.")
        return "\n".join(str(part["text"]) for part in content)
    return str(content)


def _is_text_part(part: object) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)
