"""The prompts of a case: made and rendered by the code that races and predictions use, so that both sides read the very
text that a user's model would."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuningfork.models.bundled import folder_of
from tuningfork.predict.prompt import default_template, render, shot_of, words_of
from tuningfork.task import Columns, Kind, Prompt, Sources, Task


@dataclass(frozen=True)
class Case:
    """A case: its data, how it is asked, how many items, and what it has to reach."""

    data: str
    kind: Kind
    instruction: str
    columns: tuple[str, str]
    shots: int
    items: int
    bar: float
    goal: float
    peer_items: int | None = None
    checked_choices: int = 10


@dataclass(frozen=True)
class Asked:
    """The prompts of a case, the words to choose from (none where the model writes), and prompts to warm up with."""

    prompts: list[Prompt]
    words: tuple[str, ...]
    warm: list[Prompt]

    def jobs(self, prompts: Sequence[Prompt]) -> list[dict[str, Any]]:
        """Prompts as our side's process reads them."""
        return [
            {
                "messages": [[message.role, message.content] for message in prompt.messages],
                "shared": prompt.shared,
                "choices": self.words,
            }
            for prompt in prompts
        ]


def asked(case: Case, folder: Path, items: int, seed: int = 1) -> Asked:
    """`items` first rows of the test file, each after the same drawn demonstrations from the train file."""
    train, test = (read(folder / case.data / f"{name}.jsonl") for name in ("train", "test"))
    if len(test) < items:
        raise SystemExit(f"{case.data}/test.jsonl has {len(test)} rows; {items} are needed.")
    return _asked(case, train, test[:items], seed)


def lessons(case: Case, folder: Path, items: int) -> tuple[Asked, list[str]]:
    """Rows of the train file, drawn evenly by label, as prompts without demonstrations; and what should be said."""
    train = read(folder / case.data / "train.jsonl")
    _, target = case.columns
    labels = sorted({row[target] for row in train})
    drawn: list[dict[str, Any]] = []
    for label in labels:
        own = [row for row in train if row[target] == label]
        drawn += random.Random(f"train {label}").sample(own, items // len(labels))
    random.Random("order").shuffle(drawn)
    made = _asked(case, train, drawn, 1)
    said = dict(zip(labels, made.words, strict=True))
    return made, [said[row[target]] for row in drawn]


def right_answers(case: Case, folder: Path, items: int) -> list[int]:
    """Which of the words is right for each of the first test rows."""
    _, target = case.columns
    labels = sorted({row[target] for row in read(folder / case.data / "train.jsonl")})
    return [labels.index(row[target]) for row in read(folder / case.data / "test.jsonl")[:items]]


def _asked(case: Case, train: list[dict[str, Any]], rows: list[dict[str, Any]], seed: int) -> Asked:
    column, target = case.columns
    labels = tuple(sorted({row[target] for row in train})) if case.kind == "classification" else ()
    words = words_of(labels)
    said = dict(zip(labels, words, strict=True))
    task = Task(
        name=case.data,
        kind=case.kind,
        data=Sources(train="train.jsonl"),
        columns=Columns((column,), target),
        instruction=case.instruction,
        labels=labels,
    )
    template = default_template(task)
    drawn = random.Random(f"shots {seed}").sample(train, case.shots + 4)
    shots = [shot_of({column: row[column]}, said.get(row[target], row[target])) for row in drawn[4:]]
    prompts = [render(template, {column: row[column]}, shots) for row in rows]
    warm = [render(template, {column: row[column]}) for row in drawn[:4]]
    return Asked(prompts, words, warm)


class Reading:
    """Texts of prompts as our renderer makes them for one model, and their token ids as its tokenizer does."""

    def __init__(self, model: str) -> None:
        from transformers import AutoTokenizer

        from tuningfork.engine.render import Renderer

        self.folder = folder_of(model)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(self.folder)
        self._renderer = Renderer(self._tokenizer)
        self.end_ids = sorted(self._renderer.end_ids)

    def texts(self, prompts: Sequence[Prompt]) -> list[str]:
        """What the model reads, up to where its answer begins."""
        return [self._renderer.text(prompt) for prompt in prompts]

    @property
    def closing(self) -> str:
        """What ends an answer in this model's chats."""
        return str(self._tokenizer.decode([self._renderer.end_id]))

    def ids(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """The tokens of these texts."""
        return [self._ids(text) for text in self.texts(prompts)]

    def said(self, ids: Sequence[int]) -> str:
        """The text of written tokens."""
        text = self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)

    def choices(self, prompts: Sequence[Prompt], words: Sequence[str]) -> list[list[list[int]]]:
        """The tokens of every word after every prompt.

        A word that changed its prompt's last tokens, or whose tokens began another's, would need more than this
        benchmark counts; the chat template of its model rules both out for its words, and this says if it ever doesn't.
        """
        by_tail: dict[str, list[list[int]]] = {}
        found = []
        for text in self.texts(prompts):
            # No token reaches over a special one, so what stands before the last of them can't matter.
            tail = text[max(0, *(text.rfind(special) for special in self._tokenizer.all_special_tokens)) :]
            if tail not in by_tail:
                by_tail[tail] = self._after(tail, words)
            found.append(by_tail[tail])
        return found

    def _after(self, text: str, words: Sequence[str]) -> list[list[int]]:
        before = self._ids(text)
        whole = [self._ids(text + word) for word in words]
        if any(ids[: len(before)] != before for ids in whole):
            raise SystemExit(f"A choice changes the last tokens of its prompt, which ends with {text[-40:]!r}.")
        own = [ids[len(before) :] for ids in whole]
        if any(a != b and b[: len(a)] == a for a in own for b in own):
            raise SystemExit("The tokens of one choice begin those of another.")
        return own

    def _ids(self, text: str) -> list[int]:
        found: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return found


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSONL file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
