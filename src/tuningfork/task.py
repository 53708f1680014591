"""The task, its examples and its split: frozen data that every other room speaks about.

A Task says what is wanted (kind, instruction, metric, limits) and where the examples lie; reading them is the work of
`data/`. An Example is one row: named inputs, what was wanted, and two optional marks, `group` (a slice that reports
show) and `cluster` (rows that belong together, such as near-duplicates: a split never parts them). A Split is the
examples dealt out once, by seed. Nothing here reads a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

Kind = Literal["classification", "multilabel", "generation"]
Role = Literal["system", "user", "assistant"]
Overlong = Literal["fail", "keep_start", "keep_end"]
"""What becomes of a prompt that a model can't read whole: it fails, or its input is cut, and that is counted."""


@dataclass(frozen=True)
class Text:
    """The one kind of content part that there is today."""

    text: str


Part = Text
Content = str | tuple[Part, ...]


def plain_text(content: Content) -> str:
    """The words of a content, its parts joined by line breaks."""
    return content if isinstance(content, str) else "\n".join(part.text for part in content)


@dataclass(frozen=True)
class Message:
    """One turn of a chat."""

    role: Role
    content: Content


@dataclass(frozen=True)
class Prompt:
    """A rendered chat, ready for a model.

    `shared` is a hint: how many leading messages other prompts of the same batch are likely to share. The engine finds
    what is really shared on the token ids of the whole prompt. `overlong` says what becomes of it where it is longer
    than the model's context; only the characters `loose` (from, to) of the last message may be cut.
    """

    messages: tuple[Message, ...]
    shared: int = 0
    overlong: Overlong = "fail"
    loose: tuple[int, int] = (0, 0)


Inputs = Mapping[str, Content]
Target = str | frozenset[str] | tuple[str, ...]
"""A label or a text, a set of labels (multilabel), or several acceptable texts."""


def set_text(labels: Iterable[str]) -> str:
    """A set of labels as the one text that stands for it everywhere: sorted and joined by `; `, empty for none. Where a
    label would not survive that (it holds a semicolon), a JSON list. `set_of` reads it back."""
    names = sorted(set(labels))
    plain = all(name and name == name.strip() and ";" not in name and not name.startswith("[") for name in names)
    return "; ".join(names) if plain else json.dumps(names, ensure_ascii=False)


def set_of(text: str) -> frozenset[str]:
    """The set of labels that a `set_text` stands for."""
    if text.startswith("["):
        with suppress(ValueError, RecursionError):
            found = json.loads(text)
            if isinstance(found, list) and all(isinstance(name, str) for name in found):
                return frozenset(found)
    return frozenset(filter(None, (part.strip() for part in text.split(";"))))


@dataclass(frozen=True)
class Example:
    """One labelled (or, with `target=None`, unlabelled) row."""

    id: str
    inputs: Inputs
    target: Target | None = None
    group: str | None = None
    cluster: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", MappingProxyType(dict(self.inputs)))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Example, (self.id, dict(self.inputs), self.target, self.group, self.cluster))

    @property
    def answer(self) -> str:
        """The target as one text: the label, the text, the first of several acceptable texts, a set by `set_text`."""
        if isinstance(self.target, str):
            return self.target
        if isinstance(self.target, frozenset):
            return set_text(self.target)
        if isinstance(self.target, tuple) and self.target:
            return self.target[0]
        raise TypeError(f"example {self.id!r} has no single answer: its target is {self.target!r}")


@dataclass(frozen=True)
class Sources:
    """Where the examples lie: paths or `hub:ID`, as the task file says them."""

    train: str
    test: str | None = None
    unlabelled: str | None = None
    documents: str | None = None
    encoding: str = "utf-8"


@dataclass(frozen=True)
class Columns:
    """Which column is what. `input` may name several; `id`, `group` and `cluster` are optional. Where several labels
    may hold, `separator` stands between them in the target, or `flags` are 0/1 columns, a label each, in its place."""

    input: tuple[str, ...]
    target: str
    id: str | None = None
    group: str | None = None
    cluster: str | None = None
    separator: str | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Budget:
    """What a race may spend. None means no limit of that kind."""

    seconds: float | None = 300.0
    tokens: int | None = None
    usd: float | None = None
    name: str = "light"


BUDGETS: Mapping[str, Budget] = MappingProxyType(
    {
        "light": Budget(300.0, name="light"),
        "medium": Budget(1200.0, name="medium"),
        "heavy": Budget(5400.0, name="heavy"),
    }
)


@dataclass(frozen=True)
class Task:
    """A task, as its file says it. `folder` is where relative paths start from."""

    name: str
    kind: Kind
    data: Sources
    columns: Columns
    instruction: str = ""
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    models: tuple[str, ...] = ("smollm2-135m", "minilm-l6")
    methods: tuple[str, ...] = ()
    contenders: tuple[str, ...] = ()
    budget: Budget = BUDGETS["light"]
    overlong: Overlong = "fail"
    tolerance: float = 0.01
    limits: Mapping[str, Any] = field(default_factory=dict)
    prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    traffic: Mapping[str, Any] = field(default_factory=dict)
    costs: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    folder: str = "."

    @property
    def metric(self) -> str:
        """The metric that decides: the first one named."""
        return self.metrics[0]

    def with_(self, **changes: Any) -> Task:
        """A copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Fold:
    """One part of the examples to be answered, by candidates that saw `train` and `hold` only."""

    train: tuple[Example, ...]
    hold: tuple[Example, ...]
    test: tuple[Example, ...]


@dataclass(frozen=True)
class Split:
    """Examples dealt out once. No example, and no near-duplicate of one, is in two parts.

    `train` is what methods learn from, `hold` what they choose on, `dev` what the race compares on, `test` what the one
    final claim is made on. `notes` are sentences for the report: what was cut, sampled, left out, and why.

    Where examples are too few for that there are `folds`, dealt anew in each repeat: then `test` holds every example,
    `train` and `hold` the same ones for the candidate that is shipped, and `dev` none.
    """

    train: tuple[Example, ...]
    hold: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    unlabelled: tuple[Example, ...] = ()
    documents: tuple[Example, ...] = ()
    notes: tuple[str, ...] = ()
    folds: tuple[tuple[Fold, ...], ...] = ()
