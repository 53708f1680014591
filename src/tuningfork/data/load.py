"""Rows to Examples, as a task's columns say.

Values become text here: truth values and numbers as JSON writes them, objects as JSON. A list in the target column
is several acceptable texts. Rows without an input or a target are left out and counted; characters that no encoding
can write (unpaired surrogates) are replaced. What was done to the rows stands in `Dataset.notes`. Nothing is dropped
in silence, and nothing is judged here: that is `check`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..errors import DataError, UnknownName
from ..task import Columns, Example, Kind, Target, Task, plain_text
from .cells import SURROGATE, as_text, clean
from .documents import read_documents
from .duplicates import clusters
from .formats import is_chat, plain
from .label_sets import SEPARATORS, flags_in, labels_in, separator_of
from .read import Row, columns_of, read_rows


@dataclass(frozen=True)
class Dataset:
    """All examples of a task, before they are dealt out. `test` is None where the task names no test file.

    `labels`: the labels there are: those of the task, or those of the train rows in sorted order; none for free text.
    `notes`: sentences on what was left out or mended.
    """

    train: tuple[Example, ...]
    test: tuple[Example, ...] | None = None
    unlabelled: tuple[Example, ...] = ()
    documents: tuple[Example, ...] = ()
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def near(self) -> tuple[int, ...]:
        """The near-duplicate cluster of every train row, then of every test row. Found once, on first use."""
        return tuple(clusters([text_of(example) for example in (*self.train, *(self.test or ()))]))


def text_of(example: Example) -> str:
    """The words of an example's inputs, a line for each column."""
    return "\n".join(plain_text(content) for content in example.inputs.values())


def load(task: Task) -> Dataset:
    """Read all files of a task. Raises UnknownName for a missing file or column, DataError for what can't be used."""
    notes: list[str] = []
    if task.kind == "multilabel" and not task.columns.flags and not task.columns.separator:
        task = task.with_(columns=replace(task.columns, separator=_separator(task)))
    train = _examples(task, task.data.train, "train", notes)
    test = _examples(task, task.data.test, "test", notes) if task.data.test is not None else None
    if test is not None:
        train, test = _apart(train, test, notes)
    unlabelled: tuple[Example, ...] = ()
    documents: tuple[Example, ...] = ()
    if task.data.unlabelled is not None:
        unlabelled = _examples(task, task.data.unlabelled, "unlabelled", notes)
    if task.data.documents is not None:
        documents = read_documents(task, task.data.documents, notes)
    labels: tuple[str, ...] = ()
    if task.kind == "classification":
        labels = task.labels or tuple(sorted({example.answer for example in train}))
    if task.kind == "multilabel":
        labels = task.labels or task.columns.flags or tuple(sorted({label for e in train for label in labels_of(e)}))
    return Dataset(train, test, unlabelled, documents, labels, tuple(notes))


def labels_of(example: Example) -> frozenset[str]:
    """The labels that an example has: of a classification the one."""
    return example.target if isinstance(example.target, frozenset) else frozenset({example.answer})


def examples_of(
    rows: Sequence[Row], columns: Columns, kind: Kind, part: str, where: str, notes: list[str]
) -> tuple[Example, ...]:
    """The labelled rows as Examples. `part` begins the ids of rows without one; `notes` grows."""
    return _Reader(columns, part, where, True, kind, notes).read(rows)


def inputs_of(row: Mapping[str, Any], columns: Columns, where: str = "") -> dict[str, str]:
    """The input texts of one row, for prediction. Raises UnknownName when an input column is missing."""
    flat = plain(row)
    for column in columns.input:
        if column not in flat:
            raise UnknownName("column", column, map(str, flat), where)
    return {column: clean(as_text(flat[column])) for column in columns.input}


def target_of(value: Any, label: bool) -> str | tuple[str, ...]:
    """A target cell: one text, or several acceptable ones. Labels lose the spaces around them. Empty: ''."""
    if isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value):
        texts = tuple(dict.fromkeys(entry for entry in value if entry.strip()))
        if label and len(texts) > 1:
            raise DataError(
                f"A row has {len(texts)} labels ({', '.join(texts[:4])}), and a classification has one. Where several"
                " may hold, write kind: multilabel."
            )
        return texts if len(texts) > 1 else (texts[0] if texts else "")
    text = as_text(value)
    return text.strip() if label or not text.strip() else text


@dataclass
class _Reader:
    """Makes the examples of one file."""

    columns: Columns
    part: str
    where: str
    labelled: bool
    kind: Kind
    notes: list[str]

    def read(self, rows: Sequence[Row]) -> tuple[Example, ...]:
        flat = [plain(row) for row in rows]
        self._has_columns(flat, chats=any(map(is_chat, rows[:20])))
        made, no_input, no_target, ids = [], 0, 0, _Ids(self.where, self.columns.id, self.part)
        mended = 0
        for number, row in enumerate(flat, 1):
            inputs = {column: as_text(row.get(column)) for column in self.columns.input}
            target = self._target(row, number) if self.labelled else None
            name = ids.of(row, number)
            if not any(text.strip() for text in inputs.values()):
                no_input += 1
            elif target == "":
                no_target += 1
            else:
                example = Example(name, inputs, target, self._mark(row, "group"), self._mark(row, "cluster"))
                whole = _mended(example)
                mended += whole is not example
                made.append(whole)
        self._note(no_input, no_target, mended, len(rows))
        if without := sum(example.target == frozenset() for example in made):
            self.notes.append(f"{self.where}: {without} of {len(rows)} rows have no label: none of them applies.")
        if not made and self.labelled:
            raise DataError(
                f"{self.where} has {len(rows)} rows, and none has both an input"
                f" ({', '.join(self.columns.input)}) and a target"
                f" ({self.columns.target}). Are these the right columns? There are: {', '.join(columns_of(flat))}."
            )
        return tuple(made)

    def _has_columns(self, rows: Sequence[Row], chats: bool) -> None:
        known = columns_of(rows)
        targets = self.columns.flags or (self.columns.target,)
        wanted = [*self.columns.input, *(targets if self.labelled else ())]
        if self.part != "unlabelled":
            wanted += [name for name in (self.columns.id, self.columns.group, self.columns.cluster) if name]
        for column in wanted:
            if column not in known:
                where = self.where + (" (a chat gives these columns)" if chats else "")
                raise UnknownName("column", column, known, where)

    def _target(self, row: Row, number: int) -> Target:
        columns = self.columns
        try:
            if self.kind != "multilabel":
                return target_of(row.get(columns.target), self.kind == "classification")
            if columns.flags:
                return flags_in(row, columns.flags)
            found = labels_in(row.get(columns.target), columns.separator or SEPARATORS[0])
            return "" if found is None else found
        except DataError as error:
            raise DataError(f"{self.where}, row {number}: {error}") from error

    def _mark(self, row: Row, which: str) -> str | None:
        column = getattr(self.columns, which)
        return (as_text(row.get(column)).strip() or None) if column else None

    def _note(self, no_input: int, no_target: int, mended: int, rows: int) -> None:
        if no_input:
            self.notes.append(f"{self.where}: {no_input} of {rows} rows have an empty input and were left out.")
        if no_target:
            self.notes.append(f"{self.where}: {no_target} of {rows} rows have an empty target and were left out.")
        if mended:
            self.notes.append(
                f"{self.where}: {mended} rows hold characters that no file can hold (halves of an emoji, as"
                " cutting a text"
                " leaves them); each was replaced by \N{REPLACEMENT CHARACTER}."
            )


@dataclass
class _Ids:
    """The id of each row: its own, or its position in its file."""

    where: str
    column: str | None
    part: str

    def __post_init__(self) -> None:
        self.seen: dict[str, int] = {}

    def of(self, row: Row, number: int) -> str:
        name = clean(as_text(row.get(self.column)).strip()) if self.column else ""
        if not name:
            return f"{self.part}-row-{number:05d}"
        if name in self.seen:
            raise DataError(
                f"{self.where}: rows {self.seen[name]} and {number} have the same {self.column} {name!r}. Give"
                " every row an id of"
                " its own, or take `id` out of the task's columns: rows are then numbered."
            )
        self.seen[name] = number
        return name


def _examples(task: Task, source: str, part: str, notes: list[str]) -> tuple[Example, ...]:
    rows = read_rows(source, task.folder, task.data.encoding)
    labelled = part != "unlabelled"
    return _Reader(task.columns, part, source, labelled, task.kind, notes).read(rows)


def _separator(task: Task) -> str:
    """What stands between labels in the train file; the test file is read by the same sign."""
    rows = read_rows(task.data.train, task.folder, task.data.encoding)
    return separator_of([row.get(task.columns.target) for row in rows])


def _apart(
    train: tuple[Example, ...], test: tuple[Example, ...], notes: list[str]
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Ids that differ between the files: many number their rows from 0 in each."""
    both = {example.id for example in train} & {example.id for example in test}
    if not both:
        return train, test
    notes.append(
        f"{len(both)} ids, such as {min(both)!r}, stand in both files, so ids were given the name of their file."
    )
    return _prefixed(train, "train"), _prefixed(test, "test")


def _prefixed(examples: Sequence[Example], part: str) -> tuple[Example, ...]:
    return tuple(Example(f"{part}-{e.id}", e.inputs, e.target, e.group, e.cluster) for e in examples)


def _mended(example: Example) -> Example:
    """The example without unpaired surrogates; itself when it has none."""
    target = example.target
    texts = [plain_text(content) for content in example.inputs.values()]
    marks = [mark for mark in (example.group, example.cluster) if mark]
    targets = [target] if isinstance(target, str) else list(target or ())
    if not any(SURROGATE.search(text) for text in (*texts, *marks, *targets)):
        return example
    return Example(
        example.id,
        {column: clean(plain_text(content)) for column, content in example.inputs.items()},
        clean(target) if isinstance(target, str) else None if target is None else type(target)(map(clean, targets)),
        clean(example.group) if example.group else None,
        clean(example.cluster) if example.cluster else None,
    )
