"""What is wrong with a task's data, told before any model is opened.

`error`: a race makes no sense on this. `warning`: it would, but look at this first. `note`: good to know. Each
finding says what was found, with examples, and what to do. Nothing is changed here.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from ..task import Example, Task
from .duplicates import normalise
from .label_sets import looks_like_sets
from .load import Dataset, labels_of, text_of

Level = Literal["error", "warning", "note"]
LEAST_PER_LABEL = 2
LEAST_PER_SET = 5
"""Rows of a label that may stand beside others, under which there is little to learn from."""
LEAST_ROWS: dict[str, int] = {"classification": 20, "multilabel": 20, "generation": 10}
SMALL_TEST = 100
DISCORDANCE = 0.2
"""The share of items on which two good candidates usually differ; what `smallest_difference` is worked out for."""
LONG_WORDS = 1500
QUOTED = 32
"""Characters, without punctuation, from which on a text that stands in a document is no chance."""
IMBALANCE = 10


@dataclass(frozen=True)
class Finding:
    """One thing found. `about` names the kind of finding, for programs."""

    level: Level
    text: str
    about: str = ""


def check(task: Task, dataset: Dataset) -> tuple[Finding, ...]:
    """All findings, errors first."""
    found: list[Finding] = [*_enough(task, dataset)]
    if task.kind == "classification":
        found += chain(_one_label(dataset), _alike(dataset), _hidden_sets(dataset), _imbalance(dataset))
    if task.kind == "multilabel":
        found += chain(_several_labels(dataset), _alike(dataset))
    if task.kind != "generation":
        found += chain(_unknown_labels(task, dataset), _contradictions(task, dataset))
    found += chain(_repeats(dataset), _shared_clusters(dataset), _in_documents(dataset), _long(dataset))
    found += _test_size(dataset)
    found += [Finding("note", note, "rows") for note in dataset.notes]
    order = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(found, key=lambda finding: order[finding.level]))


def smallest_difference(n: int) -> float:
    """The difference between two candidates that `n` shared test items show with 80% power at 5%: 2.8 standard
    errors of a paired difference when they disagree on a fifth of the items (Miller 2024, "Adding Error Bars to
    Evals", power analysis)."""
    return 2.8 * math.sqrt(DISCORDANCE / n)


def _enough(task: Task, dataset: Dataset) -> Iterator[Finding]:
    n, least = len(dataset.train), LEAST_ROWS.get(task.kind, 20)
    where = "rows" if dataset.test is None else "train rows"
    if dataset.test is None and n < least:
        yield Finding(
            "error", f"There are {n} {where} and at least {least} are needed to cut a test from. Add more.", "few"
        )
    elif dataset.test is not None and n < 4:
        yield Finding("error", f"There are {n} {where} and at least 4 are needed. Add more.", "few")
    if task.kind != "classification":
        return
    counts = Counter(example.answer for example in dataset.train)
    few = [label for label in dataset.labels if counts[label] < LEAST_PER_LABEL]
    if few and len(dataset.labels) > 1:
        shown = _shown(f"{label!r} has {counts[label]}" for label in few)
        text = (
            f"Every label needs at least {LEAST_PER_LABEL} {where}, and {len(few)} of {len(dataset.labels)}"
            f" have fewer: {shown}."
        )
        yield Finding("error", f"{text} Add rows for them, or take these labels out.", "few-per-label")


def _one_label(dataset: Dataset) -> Iterator[Finding]:
    if len(dataset.labels) < 2:
        text = f"All rows have the same label, {_shown(map(repr, dataset.labels))}, so there is nothing to tell apart."
        yield Finding("error", f"{text} Check that `columns: target` names the right column.", "one-label")


def _several_labels(dataset: Dataset) -> Iterator[Finding]:
    """What a task with sets of labels lacks: labels, rows for some of them, or sets of more than one."""
    counts = Counter(label for row in dataset.train for label in labels_of(row))
    if not counts:
        text = "No row has a label. Check `columns: target`, or name the 0/1 columns under `columns: flags`."
        yield Finding("error", text, "one-label")
        return
    few = [label for label in dataset.labels if counts[label] < LEAST_PER_SET]
    if few:
        shown = _shown(f"{label!r} has {counts[label]}" for label in few)
        text = f"Labels with fewer than {LEAST_PER_SET} train rows: {len(few)} of {len(dataset.labels)}: {shown}."
        yield Finding("warning", f"{text} Little can be learnt of them, or told about them.", "few-per-label")
    if all(len(labels_of(row)) == 1 for row in dataset.train):
        text = "Every row has exactly one label. If that is so always, kind: classification is easier and more exact."
        yield Finding("warning", text, "single-labels")


def _hidden_sets(dataset: Dataset) -> Iterator[Finding]:
    """Labels of a classification that seem to be several in one."""
    separator = looks_like_sets([row.answer for row in dataset.train])
    if separator:
        joined = [label for label in dataset.labels if separator in label]
        text = f"Labels that look like several in one, with {separator!r} between them: {_shown(joined, most=3)}."
        yield Finding("warning", f"{text} If several labels may hold, write kind: multilabel.", "hidden-sets")


def _alike(dataset: Dataset) -> Iterator[Finding]:
    alike: dict[str, list[str]] = defaultdict(list)
    for label in dataset.labels:
        alike[re.sub(r"[\W_]+", " ", label.casefold()).strip() or label].append(label)
    same = [labels for labels in alike.values() if len(labels) > 1]
    if same:
        shown = _shown(" and ".join(map(repr, labels)) for labels in same)
        yield Finding(
            "warning",
            f"Labels that differ only in case, spaces or punctuation: {shown}. Write each in one way.",
            "alike",
        )


def _unknown_labels(task: Task, dataset: Dataset) -> Iterator[Finding]:
    known = set(dataset.labels)
    parts: list[tuple[str, Sequence[Example]]] = [("the test", dataset.test or ())]
    if task.labels:
        parts.append(("train", dataset.train))
    for name, rows in parts:
        odd = Counter(label for row in rows for label in labels_of(row) if label not in known)
        if odd:
            shown = _shown(f"{label!r} ({count} rows)" for label, count in odd.most_common())
            lack = "the task's `labels` do not name" if task.labels else "train lacks"
            yield Finding(
                "error",
                f"Labels of {name} that {lack}: {shown}. Move some of these rows into train, or take them out"
                + ("; or add them under `labels`." if task.labels else "."),
                "unknown-labels",
            )


def _contradictions(task: Task, dataset: Dataset) -> Iterator[Finding]:
    """The same text under different labels."""
    targets: dict[str, dict[str, str]] = defaultdict(dict)
    for row in (*dataset.train, *(dataset.test or ())):
        text = text_of(row)
        targets[normalise(text)].setdefault(row.answer, text)
    torn = [labels for labels in targets.values() if len(labels) > 1]
    if torn:
        shown = _shown((f"{_start(next(iter(t.values())))} is {' and '.join(map(repr, t))}" for t in torn), most=3)
        text = f"The same text under different labels, {_times(len(torn))}: {shown}. No answer is right for both rows."
        yield Finding("warning", text, "contradictions")


def _imbalance(dataset: Dataset) -> Iterator[Finding]:
    counts = Counter(example.answer for example in dataset.train).most_common()
    if len(counts) > 1 and counts[0][1] >= IMBALANCE * counts[-1][1]:
        (most, n), (least, m) = counts[0], counts[-1]
        text = (
            f"The labels are uneven: {most!r} has {n} rows and {least!r} {m}. Always answering {most!r}"
            " would be right in"
        )
        text += f" {n / len(dataset.train):.0%}; look at macro_f1 beside accuracy."
        yield Finding("note", text, "uneven")


def _repeats(dataset: Dataset) -> Iterator[Finding]:
    """Near-duplicates: inside train, inside the test, and across."""
    n = len(dataset.train)
    rows = (*dataset.train, *(dataset.test or ()))
    for name, part in (("train", range(n)), ("the test", range(n, len(rows)))):
        name = "the data" if dataset.test is None else name
        sizes = Counter(dataset.near[i] for i in part)
        extra = sum(size - 1 for size in sizes.values())
        if extra:
            largest = max(sizes, key=lambda number: sizes[number])
            text = _start(text_of(rows[next(i for i in part if dataset.near[i] == largest)]))
            kept = " They are kept on one side of every cut." if part.start == 0 else ""
            yield Finding(
                "warning",
                f"Rows of {name} that nearly repeat another one: {extra} of {len(part)}; the most repeated,"
                f" {text}, is there"
                f" {_times(sizes[largest])}.{kept}",
                "near-duplicates",
            )
    first = {dataset.near[i]: i for i in reversed(range(n))}
    across = [i for i in range(n, len(rows)) if dataset.near[i] in first]
    if across:
        shown = _shown(
            (f"{rows[i].id} {_start(text_of(rows[i]))} and {rows[first[dataset.near[i]]].id}" for i in across), most=3
        )
        yield Finding(
            "warning",
            f"Rows of the test that nearly repeat a train row: {len(across)} of {len(rows) - n}: {shown}. These"
            " train rows are"
            " left out of the race, so that the test stays honest.",
            "leaks",
        )


def _shared_clusters(dataset: Dataset) -> Iterator[Finding]:
    mine = {row.cluster for row in dataset.train if row.cluster}
    both = sorted({row.cluster for row in dataset.test or () if row.cluster} & mine)
    if both:
        text = f"Clusters in both train and the test file: {_shown(map(repr, both), most=3)}."
        yield Finding(
            "warning", f"{text} The test file is used as it is; quality may come out too high.", "shared-clusters"
        )


def _in_documents(dataset: Dataset) -> Iterator[Finding]:
    """Rows of the test that stand in a document word for word. Case, punctuation and spaces don't count; short texts
    may stand anywhere by chance and are not looked for."""
    rows = dataset.train if dataset.test is None else dataset.test
    wanted: dict[str, list[tuple[Example, str]]] = defaultdict(list)
    for row in rows:
        text = normalise(text_of(row))
        if len(text) >= QUOTED:
            wanted[text[:QUOTED]].append((row, text))
    found: dict[str, str] = {}
    for document in dataset.documents if wanted else ():
        said = normalise(text_of(document))
        for at in range(len(said) - QUOTED + 1):
            for row, text in wanted.get(said[at : at + QUOTED], ()):
                if said.startswith(text, at):
                    found.setdefault(row.id, f"{row.id} in {document.id}")
    if found:
        which = "the data, of which the test is cut," if dataset.test is None else "the test"
        yield Finding(
            "warning",
            f"Rows of {which} whose text stands word for word in a document: {len(found)} of {len(rows)}:"
            f" {_shown(found.values())}. A road that looks things up may read their answers there, and new inputs"
            " will have none such. Take these rows out of the test, or the passages out of the documents.",
            "in-documents",
        )


def _long(dataset: Dataset) -> Iterator[Finding]:
    rows = (*dataset.train, *(dataset.test or ()))
    words = {row.id: len(text_of(row).split()) for row in rows}
    long = [name for name, count in words.items() if count > LONG_WORDS]
    if long:
        top = max(long, key=lambda name: words[name])
        text = f"Inputs of more than {LONG_WORDS} words: {len(long)} (the longest, {top}, {words[top]})."
        yield Finding("note", f"{text} Small models may have to cut them, and every road takes longer on them.", "long")


def _test_size(dataset: Dataset) -> Iterator[Finding]:
    if dataset.test is not None and len(dataset.test) < SMALL_TEST:
        n = len(dataset.test)
        text = (
            f"The test has {n} rows: it can show a difference of {100 * smallest_difference(n):.0f} points"
            " or more between two"
        )
        yield Finding("note", f"{text} candidates, and smaller ones will stay open.", "small-test")


def _shown(entries: Iterable[str], most: int = 5) -> str:
    found = list(entries)
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _start(text: str, most: int = 50) -> str:
    one_line = " ".join(text.split())
    return repr(one_line if len(one_line) <= most else one_line[: most - 1] + "…")
