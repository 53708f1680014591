"""A task from a bare data file: which column is what, what kind of task it is, and what to say about it.

Names are looked at first (`text`, `label`, ...), then shapes: the answer is a column of few values that repeat, the
input the one with the longest texts. A task is multilabel when its answers are sets of short values that repeat, in one
column or as several 0/1 columns; classification when they are single ones; otherwise generation. Where two columns
could be it, nothing is guessed: the letter shows the columns and the flags to give.
All that was understood is said in sentences, so that a wrong guess is seen before a race and not after it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import DataError, UnknownName
from ..task import Columns, Example, Kind, Sources, Task
from .formats import Format, plain, recognise
from .label_sets import is_flag, labels_in, looks_like_sets
from .load import examples_of
from .profile import CLUSTERS, GROUPS, INPUTS, TARGETS, Profile, profile, words_of
from .read import ENDINGS, HUB, columns_of, read_rows

Metrics = Callable[[Kind, Sequence[Example]], tuple[str, ...]]

FEWEST_FLAGS = 3
HEADS = {"subject", "title", "headline"}
BODIES = {
    "body",
    "text",
    "message",
    "content",
    "description",
    "article",
    "abstract",
    "email",
    "review",
    "comment",
    "post",
}
TOGETHER = (
    {"question", "context"},
    {"question", "passage"},
    {"question", "choices"},
    {"question", "document"},
    {"question", "answer"},
    {"query", "document"},
    {"query", "passage"},
    {"premise", "hypothesis"},
    {"sentence1", "sentence2"},
    {"question1", "question2"},
    {"text1", "text2"},
    {"text_a", "text_b"},
)
"""Columns that are one input together, beside a head with its body."""
PLAIN_TARGETS = {
    "label",
    "labels",
    "target",
    "class",
    "category",
    "y",
    "gold",
    "output",
    "completion",
    "assistant",
    "expected",
    "is",
    "has",
}
PLAIN_FILES = re.compile(r"(train|test|valid|validation|dev|data|dataset|examples|rows)([_.-].*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Sniffed:
    """A task, and what was understood, a sentence each."""

    task: Task
    said: tuple[str, ...]


def sniff(
    path: Path | str,
    input: str | Sequence[str] | None = None,
    target: str | None = None,
    metrics: Metrics | None = None,
) -> Sniffed:
    """The task that a file of examples seems to hold. `input` and `target` are columns that are known already.

    `metrics` says which metrics a task of a kind with such examples has (`tuningfork.metrics.defaults_for`); without
    it the task names none. Raises DataError when the columns can't be told, UnknownName for a column that is not
    there, and what `read_rows` raises.
    """
    source, folder = _place(path)
    raw = read_rows(source, folder)
    format = recognise(raw)
    rows = [plain(row) for row in raw]
    known = columns_of(rows)
    profiles = {name: profile(name, rows) for name in known}
    _refuse_lost_header(source, known, profiles)
    given = (input,) if isinstance(input, str) else tuple(input or ())
    for name in (*given, *([target] if target else ())):
        if name not in known:
            raise UnknownName("column", name, known, source)
    said = [f"Read {len(rows)} rows from {source}, with the columns {', '.join(known)}."]
    chooser = _Chooser(source, profiles, format, said)
    flags = () if target else _flags(rows, profiles, given, said)
    wanted = "" if flags else target or chooser.target(given)
    read = given or chooser.input(wanted)
    separator = None if flags else looks_like_sets([row.get(wanted) for row in rows])
    kind = "multilabel" if flags or separator else _kind(profiles[wanted])
    columns = _with_marks(Columns(read, wanted, separator=separator, flags=flags), profiles, said)
    labels = _labels(rows, columns) if kind == "multilabel" else sorted(set(profiles[wanted].values))
    said.insert(1, _what(kind, columns, profiles, labels, format if format and format.target == wanted else None))
    test = _sibling(source, folder, columns, said)
    named: tuple[str, ...] = ()
    if metrics is not None:
        named = metrics(kind, examples_of(rows, columns, kind, "train", source, []))
        said.append(f"Scored by {named[0]}" + (f", and {', '.join(named[1:])} beside it." if named[1:] else "."))
    unused = [name for name in known if name not in _used(columns) and profiles[name].distinct > 1]
    if unused:
        said.append(f"Not used: {', '.join(unused)}.")
    instruction = format.instruction if format and format.target == wanted else ""
    task = Task(
        name=_task_name(source, folder),
        kind=kind,
        data=Sources(source, test),
        columns=columns,
        instruction=instruction or _instruction(kind, columns, profiles.get(wanted)),
        metrics=named,
        folder=folder,
    )
    return Sniffed(task, tuple(said))


@dataclass(frozen=True)
class _Chooser:
    """Chooses the columns that were not given."""

    source: str
    profiles: Mapping[str, Profile]
    format: Format | None
    said: list[str]

    def target(self, given: tuple[str, ...]) -> str:
        """The column of the answer. Raises DataError when it can't be told."""
        open_ = {name: found for name, found in self.profiles.items() if name not in given}
        if self.format and self.format.target in open_:
            return self._in_words(self.format.target)
        named = [
            found for found in open_.values() if found.filled and found.rank(TARGETS) < 10_000 and not _is_id(found)
        ]
        if named:
            best, *others = sorted(named, key=lambda found: (found.rank(TARGETS), not found.labelish))
            rivals = [found.name for found in others if found.labelish and found.rank(TARGETS) < 1000]
            if rivals:
                rest = ", ".join(map(repr, rivals))
                self.said.append(f"The answer could also be {rest}; if so, give --target.")
            return self._in_words(best.name)
        return self._by_shape(given, open_)

    def _by_shape(self, given: tuple[str, ...], open_: Mapping[str, Profile]) -> str:
        useful = [found for found in open_.values() if not found.odd and not found.id_like]
        few = [found for found in useful if found.labelish]
        if len(few) > 1:
            few = [found for found in few if found.rank(GROUPS) == 10_000]
        if len(few) > 1:
            few = [found for found in few if not found.numeric]
        if len(few) == 1 and (given or len(useful) > 1):
            return few[0].name
        texts = [found for found in useful if found.texty or found.json]
        asked = [found for found in texts if found.rank(INPUTS) < 10_000] if not given else []
        others = [found for found in texts if found not in asked]
        if not few and len(asked) == 1 and len(others) == 1:
            return others[0].name
        if not few and len(texts) == (1 if given else 2):
            self.said.append(
                f"Took {texts[-1].name!r} as the answer because it comes last; if it is the input, give --target."
            )
            return texts[-1].name
        raise DataError(self._letter("the answer", few or texts or list(open_.values())))

    def input(self, target: str) -> tuple[str, ...]:
        """The column, or the columns, of the input. Raises DataError when there is none."""
        if self.format and self.format.target == target and len(self.format.input) > 1:
            return self.format.input
        open_ = [found for name, found in self.profiles.items() if name != target and not name.startswith(f"{target}_")]
        usable = [found for found in open_ if found.texty]
        media = [found.name for found in open_ if found.media >= 0.9]
        if media and not usable:
            raise DataError(
                f"{self.source}: {media[0]!r} holds names of files. Only text is raced so far, no images or sound."
            )
        usable = usable or [f for f in open_ if not f.odd and not _is_id(f) and not f.numeric]
        if not usable:
            raise DataError(self._letter("the input", open_))
        if self.format and self.format.target == target and self.format.input[0] in (f.name for f in open_):
            main = self.profiles[self.format.input[0]]
        else:
            main = min(usable, key=lambda found: (found.rank(INPUTS) == 10_000, -found.chars))
            alike = [found for found in usable if found.chars > 0.5 * main.chars and found.words >= 3]
            if main.rank(INPUTS) == 10_000 and len(alike) > 1:
                raise DataError(self._letter("the input", alike))
        return tuple(found.name for found in open_ if found is main or (found in usable and _belong(found, main)))

    def _in_words(self, name: str) -> str:
        """Where the answer is a number and another column says the same in words, that one."""
        chosen = self.profiles[name]
        if not (chosen.numeric and chosen.labelish):
            return name
        for other in self.profiles.values():
            stem = words_of(name)[:1]
            same = (
                other.distinct == chosen.distinct and other.filled == chosen.filled == chosen.rows and not other.numeric
            )
            if other.name != name and same and words_of(other.name)[:1] == stem:
                pairs = set(zip(chosen.values, other.values, strict=True))
                if len(pairs) == chosen.distinct:
                    self.said.append(
                        f"{other.name!r} says in words what {name!r} says in numbers, so it is the answer."
                    )
                    return other.name
        return name

    def _letter(self, what: str, candidates: Sequence[Profile]) -> str:
        shown = "; ".join(
            f"{found.name} ({found.distinct} values, such as {found.values[0][:40] if found.values else ''!r})"
            for found in self.profiles.values()
        )
        maybe = (
            f" It may be {' or '.join(repr(found.name) for found in candidates)}." if 1 < len(candidates) < 5 else ""
        )
        return (
            f"{self.source}: can't tell which column is {what}.{maybe} The columns: {shown}. Say it with"
            " --input COLUMN --target"
            " COLUMN, or in a task file with the line: columns: {input: COLUMN, target: COLUMN}"
        )


def _is_id(found: Profile) -> bool:
    return words_of(found.name)[-1:] in (["id"], ["uuid"], ["guid"], ["index"])


def _belong(found: Profile, main: Profile) -> bool:
    """Whether two columns are one input together, by their names."""
    a, b = found.name.lower(), main.name.lower()
    return {a, b} in TOGETHER or (a in HEADS and b in BODIES) or (a in BODIES and b in HEADS)


def _kind(target: Profile) -> Kind:
    one_value = target.distinct == 1 and target.filled > 1 and target.longest_words <= 12 and not target.json
    return "classification" if target.labelish or one_value else "generation"


def _flags(
    rows: Sequence[Mapping[str, Any]], profiles: Mapping[str, Profile], given: tuple[str, ...], said: list[str]
) -> tuple[str, ...]:
    """The 0/1 columns that are a label each: three or more, and no other column that is named like an answer."""
    found = tuple(n for n in profiles if n not in given and is_flag([row.get(n) for row in rows]))
    named = [name for name, p in profiles.items() if p.rank(TARGETS) < 1000 and name not in found and not _is_id(p)]
    if len(found) < FEWEST_FLAGS or any(profiles[name].filled and not profiles[name].texty for name in named):
        return ()
    said.append(f"{', '.join(found)} hold 0 and 1: each is a label. If one of them is the answer, give --target.")
    return found


def _labels(rows: Sequence[Mapping[str, Any]], columns: Columns) -> list[str]:
    """All labels of a task where several may hold."""
    if columns.flags:
        return list(columns.flags)
    found = [labels_in(row.get(columns.target), columns.separator or "") or () for row in rows]
    return sorted({label for labels in found for label in labels})


def _with_marks(columns: Columns, profiles: Mapping[str, Profile], said: list[str]) -> Columns:
    """The columns with id, group and cluster, where a name and its values say so."""
    free = [found for found in profiles.values() if found.name not in (*columns.input, columns.target, *columns.flags)]
    ids = [f for f in free if _is_id(f) and f.unique and f.filled == f.rows]
    groups = [f for f in free if f.rank(GROUPS) < 10_000 and f.labelish and f.distinct <= 30]
    many = [f for f in free if f not in groups and f.rank(CLUSTERS) < 10_000 and not f.unique and f.repeated > 0]
    clusters = [f for f in many if f.distinct >= 20 and f.largest <= 0.1 * f.rows and f.filled == f.rows]
    id, group, cluster = (
        min(found, key=lambda f: len(f.name)).name if found else None for found in (ids, groups, clusters)
    )
    repeated = [f.name for f in free if _is_id(f) and len(words_of(f.name)) == 1 and f.repeated > 0]
    if repeated and id is None and repeated[0] != cluster:
        said.append(
            f"{repeated[0]!r} holds the same value in several rows, so it is not used as the id: rows are numbered."
        )
    if group:
        said.append(f"{group!r} has {profiles[group].distinct} values: the report will show quality for each.")
    if cluster:
        said.append(f"Rows with the same {cluster!r} are kept on one side of every cut.")
    return replace(columns, id=id, group=group, cluster=cluster)


def _what(
    kind: Kind, columns: Columns, profiles: Mapping[str, Profile], labels: Sequence[str], format: Format | None
) -> str:
    read = " and ".join(map(repr, columns.input))
    words = sum(profiles[name].words for name in columns.input)
    if kind != "generation":
        shown = ", ".join(labels[:6]) + (", ..." if len(labels) > 6 else "")
        count = f"{len(labels)} label{'s' if len(labels) > 1 else ''}"
        target = repr(columns.target) if columns.target else f"{len(columns.flags)} columns"
        several = ", any number of which may apply" if kind == "multilabel" else ""
        task = f"A {kind} task: {read} (about {words:.0f} words) to {target}, {count}{several}: {shown}."
    else:
        answer = profiles[columns.target]
        shape = "JSON" if answer.json else f"about {answer.words:.0f} words"
        task = f"A generation task: {read} (about {words:.0f} words) to {columns.target!r} ({shape})."
    return f"Recognised {format.name}. {task}" if format else task


def _instruction(kind: Kind, columns: Columns, target: Profile | None) -> str:
    """A plain instruction, for the user to better: names of columns stand in it where they say something."""
    usual = [name.lower() for name in columns.input if name.lower() in INPUTS]
    thing = " and the ".join(usual) if len(usual) == len(columns.input) and "input" not in usual else "text"
    name = " ".join(words_of(columns.target))
    telling = not PLAIN_TARGETS & {*words_of(columns.target)} and len(name) > 2 and not re.search(r"\d", name)
    if kind == "classification":
        return f"Classify the {thing} by {name}." if telling else f"Classify the {thing}."
    if kind == "multilabel":
        return f"Say which {name} the {thing} has." if telling else f"Say which labels apply to the {thing}."
    if target and target.json:
        return f"Read the {thing} and write its {name} as JSON." if telling else f"Read the {thing} and answer in JSON."
    if name in ("answer", "response", "reply", "assistant"):
        return f"Answer the {next((word for word in usual if word in ('question', 'email', 'query')), 'message')}."
    return f"Read the {thing} and write its {name}." if telling else f"Read the {thing} and write what belongs to it."


# Files


def _place(path: Path | str) -> tuple[str, str]:
    """What to read, and the folder that it is named from. In a folder with a file `train.*`, that file."""
    if str(path).startswith(HUB):
        return str(path), "."
    path = Path(path)
    if path.is_dir():
        inside = [path / f"train{ending}" for ending in ENDINGS if (path / f"train{ending}").is_file()]
        path = inside[0] if inside else path
    return path.name, str(path.parent)


def _task_name(source: str, folder: str) -> str:
    stem = Path(source.removeprefix(HUB).partition(":")[0]).stem
    if PLAIN_FILES.fullmatch(stem):
        stem = Path(folder).resolve().name or stem
    return re.sub(r"[^\w.+-]+", "-", stem).strip("-.+") or "task"


def _sibling(source: str, folder: str, columns: Columns, said: list[str]) -> str | None:
    """The test file beside the data file, if there is one with the same columns."""
    stem, ending = Path(source).stem, Path(source).suffix
    if source.startswith(HUB) or not ending or re.search(r"(^|[_.-])test$", stem, re.IGNORECASE):
        return None
    base = re.sub(r"[_.-]?train.*$", "", stem, flags=re.IGNORECASE)
    stems = [f"{base}{mark}test" for mark in "_-."] if base else []
    if stem.lower().startswith("train"):
        stems = ["test" + stem[5:], "test"]
    names = [s + e for s in dict.fromkeys(stems) for e in dict.fromkeys([ending, *ENDINGS])]
    for name in names:
        if name != source and Path(folder, name).is_file():
            found = columns_of([plain(row) for row in read_rows(name, folder)])
            lacks = [name for name in (*columns.input, columns.target, *columns.flags) if name and name not in found]
            if not lacks:
                said.append(f"{name} beside it is the test, used as it is.")
                return name
            said.append(f"{name} beside it lacks the column {lacks[0]!r}, so it is not used as the test.")
    said.append("No test file: a part of the rows will be kept apart as the test.")
    return None


def _refuse_lost_header(source: str, known: Sequence[str], profiles: Mapping[str, Profile]) -> None:
    """A table whose first line is a row: a name is a whole text, or one of the values under it."""
    if not source.lower().endswith((".csv", ".tsv")):
        return
    as_value = [name for name in known if name in profiles[name].values[:5000] and profiles[name].labelish]
    as_text = [name for name in known if len(name) > 60 or len(name.split()) > 7]
    if as_value or as_text:
        shown = " | ".join(name[:40] for name in known)
        names = ",".join(["text", "label", *(f"column{i}" for i in range(3, len(known) + 1))][: len(known)])
        raise DataError(
            f"The first line of {source} looks like a row and not like names of columns: {shown!r}. Put a line"
            " with names above"
            f" it, such as: {names}"
        )


def _used(columns: Columns) -> set[str]:
    rest: tuple[Any, ...] = (columns.target, columns.id, columns.group, columns.cluster)
    read = {"references"} if columns.target == "output" else set()
    return {*columns.input, *columns.flags, *(name for name in rest if name), *read}
