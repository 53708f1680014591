"""What is wrong with a prompt, told before it is asked.

A rule is a small function that looks at a candidate with its task and gives hints: what was found, what to do and,
where the mending is mechanical, the mended candidate, so that its worth can be measured. RULES is the table of them.
Pure: no model is asked and no file is read.

Rules about places, columns, labels and demonstrations know no language. Those that read what form of answer a prompt
asks for ("in one word", "as JSON") know English only: in another language `missing-format` may warn of a form that is
asked for.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from itertools import pairwise
from statistics import median
from typing import Literal

from ..candidate import Shot, Single, Template
from ..task import Example, Message, Task, plain_text
from .forms import CONTAINERS, SHAPES, asks_for_a_form
from .prompt import PLACE, columns_of, plain_input, shot_of

Level = Literal["error", "warning"]
LEAST_QUOTED = 20
"""Characters from which on a row's text in a prompt is no chance."""
SHORT_ANSWER = 3
"""Words up to which an answer is short."""

ONE_BRACE = re.compile(r"(?<!\{)\{\s*([^\W\d][\w .-]*?)\s*\}(?!\})")


@dataclass(frozen=True)
class Hint:
    """One thing found by the rule `about`: what it is and what to do. `mended`: the candidate with it done."""

    level: Level
    about: str
    text: str
    mended: Single | None = None


@dataclass(frozen=True)
class Looked:
    """What the rules look at. `kept` are rows that no prompt may hold, by the name of their part (dev, test); `tokens`
    is the longest prompt seen and its answer's room, `context` what the model reads, both None where unknown."""

    candidate: Single
    task: Task
    train: Sequence[Example] = ()
    kept: Mapping[str, Sequence[Example]] = field(default_factory=dict)
    tokens: int | None = None
    context: int | None = None

    @property
    def template(self) -> Template:
        return self.candidate.prompt or Template(())

    @property
    def said(self) -> str:
        """What the prompt says itself: its messages but for the assistant's, places taken out."""
        spoken = (plain_text(m.content) for m in self.template.messages if m.role != "assistant")
        return PLACE.sub("", "\n".join(spoken))

    @property
    def shown(self) -> list[tuple[str, str]]:
        """Fixed demonstrations, asked and answered: those of the candidate and those written into the template."""
        written = [
            (plain_text(asked.content), plain_text(answered.content))
            for asked, answered in pairwise(self.template.messages)
            if (asked.role, answered.role) == ("user", "assistant")
        ]
        shots = self.candidate.shots if isinstance(self.candidate.shots, tuple) else ()
        return written + [(plain_input(dict(shot.inputs)), shot.answer) for shot in shots]

    @property
    def answers(self) -> list[str]:
        """What train rows are answered by."""
        return [example.answer for example in self.train if example.target is not None]

    @property
    def demonstrates(self) -> bool:
        """Whether any demonstration is shown, fixed or picked."""
        return bool(self.shown or self.candidate.shots)


def lint(looked: Looked) -> tuple[Hint, ...]:
    """All hints, errors first. A candidate without a template has nothing to hint at but its length."""
    rules = RULES.values() if looked.candidate.prompt else (too_long,)
    found = [hint for rule in rules for hint in rule(looked)]
    return tuple(sorted(found, key=lambda hint: hint.level != "error"))


def unfilled(looked: Looked) -> Iterator[Hint]:
    """`{text}` where `{{text}}` was meant."""
    columns = looked.task.columns.input
    for message in looked.template.messages:
        for name in dict.fromkeys(ONE_BRACE.findall(plain_text(message.content))):
            near = get_close_matches(name.lower(), {column.lower(): column for column in columns}, n=1, cutoff=0.6)
            if near:
                column = next(column for column in columns if column.lower() == near[0])
                yield Hint(
                    "error",
                    "unfilled",
                    f"{{{name}}} stands in single braces and is never filled. Write {{{{{column}}}}}.",
                    _rewritten(
                        looked.candidate,
                        re.compile(rf"(?<!\{{)\{{\s*{re.escape(name)}\s*\}}(?!\}})"),
                        f"{{{{{column}}}}}",
                    ),
                )


def unused_column(looked: Looked) -> Iterator[Hint]:
    """An input column that no place names."""
    used = columns_of(looked.template)
    for column in looked.task.columns.input:
        if column not in used:
            *leading, turn = looked.template.messages
            told = Message(turn.role, f"{plain_text(turn.content)}\n{column}: {{{{{column}}}}}")
            yield Hint(
                "warning",
                "unused-column",
                f"The input column {column!r} is never used. Add {{{{{column}}}}}, or take it out of `columns: input`.",
                replace(looked.candidate, prompt=Template((*leading, told))),
            )


def labels_not_named(looked: Looked) -> Iterator[Hint]:
    """A label that the model is to answer with and has never read."""
    candidate = looked.candidate
    said = f"{looked.said}\n" + "\n".join(answer for _, answer in looked.shown)
    missing = [
        label
        for label, word in zip(candidate.labels, candidate.words or candidate.labels, strict=True)
        if not any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said, re.IGNORECASE) for name in (label, word))
    ]
    if missing and candidate.answer_by != "head":
        whole = f"Answer with exactly one of: {', '.join(candidate.words or candidate.labels)}."
        yield Hint(
            "warning",
            "labels-not-named",
            f"The prompt never names {_some(missing)}, {len(missing)} of {len(candidate.labels)} labels. Add: {whole}",
            _told(candidate, whole),
        )


def missing_format(looked: Looked) -> Iterator[Hint]:
    """An answer of one form wanted, and the prompt neither says nor shows which."""
    candidate, said = looked.candidate, looked.said
    if looked.demonstrates or candidate.answer_by != "generate" or asks_for_a_form(said):
        return
    if candidate.labels:
        yield Hint(
            "warning",
            "missing-format",
            "The answer is read as a label, and the prompt does not say to write nothing else. Say so.",
            _told(candidate, "Answer with exactly one of these labels and nothing else."),
        )
        return
    answers = looked.answers
    if answers and all(map(_is_json, answers)):
        fields = ", ".join(dict.fromkeys(key for answer in answers for key in json.loads(answer)))
        sentence = f"Answer with a JSON object with the fields {fields}, and nothing else."
        text = f"Every train answer is a JSON object, and the prompt does not ask for one. Add: {sentence}"
        yield Hint("warning", "missing-format", text, _told(candidate, sentence))
    elif answers and median(len(answer.split()) for answer in answers) <= SHORT_ANSWER:
        sentence = "Answer as briefly as you can, with the answer only."
        text = f"Train answers have {SHORT_ANSWER} words or fewer, and the prompt asks for no form. Add: {sentence}"
        yield Hint("warning", "missing-format", text, _told(candidate, sentence))


def two_formats(looked: Looked) -> Iterator[Hint]:
    """Two forms of answer that can't both be."""
    for forms in (CONTAINERS, SHAPES):
        asked = [name for name, pattern in forms.items() if pattern.search(looked.said)]
        if len(asked) > 1:
            text = f"The prompt asks for {' and for '.join(asked)}, which can't both be. Keep one of them."
            yield Hint("warning", "two-formats", text)


def one_word(looked: Looked) -> Iterator[Hint]:
    """One word asked for, and labels of several."""
    long = [word for word in looked.candidate.words or looked.candidate.labels if len(word.split()) > 1]
    if long and SHAPES["one word"].search(looked.said):
        text = (
            f"The prompt asks for one word, and labels have several: {_some(long)}. Ask for a label as it is written."
        )
        pattern = re.compile(r"\b(?:one|a single) word\b", re.IGNORECASE)
        yield Hint("warning", "one-word", text, _rewritten(looked.candidate, pattern, "one label, as it is written"))


def other_format(looked: Looked) -> Iterator[Hint]:
    """A container asked for, where labels or plain texts are wanted."""
    asked = [name for name, pattern in CONTAINERS.items() if pattern.search(looked.said)]
    if not asked:
        return
    if looked.candidate.labels:
        bare = _rewritten(looked.candidate, re.compile(rf"[^.\n]*{CONTAINERS[asked[0]].pattern}[^.\n]*\.?", re.I), "")
        sentence = f"Answer with exactly one of: {', '.join(looked.candidate.words or looked.candidate.labels)}."
        text = f"The prompt asks for {asked[0]}, and a bare label is expected. Ask for the label alone."
        yield Hint("warning", "other-format", text, _told(bare, sentence))
        return
    answers = looked.answers
    if asked == ["JSON"] and answers and not any(map(_is_json, answers)):
        text = "The prompt asks for JSON, and no train answer is JSON. Ask for the form that the answers have."
        yield Hint("warning", "other-format", text)


def odd_answers(looked: Looked) -> Iterator[Hint]:
    """A demonstration that is answered by no label."""
    names = {name.casefold() for name in (*looked.candidate.labels, *looked.candidate.words)}
    odd = [answer for _, answer in looked.shown if names and answer.strip().casefold() not in names]
    if odd:
        text = f"Demonstrations are answered by {_some(odd)}, which is no label. Answer them as the model should."
        yield Hint("error", "odd-answers", text)


def uneven(looked: Looked) -> Iterator[Hint]:
    """Demonstrations that show one label far more often than another: models then favour it (Zhao et al. 2021)."""
    candidate = looked.candidate
    words = dict(zip(candidate.labels, candidate.words or candidate.labels, strict=True))
    counts = Counter(dict.fromkeys(words.values(), 0))
    counts.update(word for _, answer in looked.shown for word in [words.get(answer, answer)] if word in counts)
    if len(words) < 2 or not looked.shown:
        return
    most, least = max(counts, key=lambda word: counts[word]), min(counts, key=lambda word: counts[word])
    if counts[most] >= 2 * max(1, counts[least]):
        shows = f"{most!r} {counts[most]} times and {least!r} {counts[least]} times"
        text = f"The demonstrations show {shows}. Show each label about as often."
        yield Hint("warning", "uneven", text, _evened(looked, words, counts))


def leaking(looked: Looked) -> Iterator[Hint]:
    """A row of dev or test in the prompt: its answer is then read off, not found."""
    asked = {_bare(text) for text, _ in looked.shown}
    whole = _bare(" ".join([looked.said, *asked]))
    for name, rows in looked.kept.items():
        texts = {row.id: _bare(plain_input(row.inputs)) for row in rows}
        found = [row for row, text in texts.items() if text in asked or (len(text) >= LEAST_QUOTED and text in whole)]
        if found:
            told = f"The prompt holds rows of {name}: {_some(found)}. Take them out: their score says nothing."
            shots = looked.candidate.shots if isinstance(looked.candidate.shots, tuple) else ()
            kept = tuple(s for s in shots if _bare(plain_input(dict(s.inputs))) not in texts.values())
            mended = replace(looked.candidate, shots=kept) if len(kept) < len(shots) else None
            yield Hint("error", "leaking", told, mended)


def too_long(looked: Looked) -> Iterator[Hint]:
    """More than the model reads."""
    if looked.tokens and looked.context and looked.tokens > looked.context:
        text = f"The longest prompt has {looked.tokens:,} tokens with its answer; the model reads {looked.context:,}."
        if looked.candidate.overlong == "fail":
            todo = "Show fewer demonstrations, or set `overlong: keep_start` in the task file."
            yield Hint("error", "too-long", f"{text} {todo}")
        else:
            todo = f"`overlong: {looked.candidate.overlong}` cuts such inputs; show fewer demonstrations to keep them."
            yield Hint("warning", "too-long", f"{text} {todo}")


RULES: Mapping[str, Callable[[Looked], Iterator[Hint]]] = {
    "unfilled": unfilled,
    "unused-column": unused_column,
    "labels-not-named": labels_not_named,
    "missing-format": missing_format,
    "two-formats": two_formats,
    "one-word": one_word,
    "other-format": other_format,
    "odd-answers": odd_answers,
    "uneven": uneven,
    "leaking": leaking,
    "too-long": too_long,
}


def _told(candidate: Single, sentence: str) -> Single:
    """The candidate whose instruction ends with one sentence more."""
    messages = candidate.prompt.messages if candidate.prompt else ()
    if messages and messages[0].role == "system":
        first = Message("system", f"{plain_text(messages[0].content).rstrip()}\n{sentence}".lstrip())
        return replace(candidate, prompt=Template((first, *messages[1:])))
    return replace(candidate, prompt=Template((Message("system", sentence), *messages)))


def _rewritten(candidate: Single, pattern: re.Pattern[str], text: str) -> Single:
    messages = candidate.prompt.messages if candidate.prompt else ()
    new = tuple(Message(m.role, pattern.sub(lambda _: text, plain_text(m.content))) for m in messages)
    return replace(candidate, prompt=Template(new))


def _evened(looked: Looked, words: Mapping[str, str], counts: Mapping[str, int]) -> Single | None:
    """As many demonstrations of each label, those there are first, then train examples; None where they are written
    into the template, or train has too few."""
    shots = looked.candidate.shots
    if not isinstance(shots, tuple) or sum(counts.values()) > len(shots):
        return None
    each = max(1, len(shots) // len(words))
    kept: list[Shot] = []
    for label, word in words.items():
        more = [shot_of(e.inputs, word) for e in looked.train if e.target == label]
        mine = list(dict.fromkeys([*(shot for shot in shots if shot.answer in (word, label)), *more]))[:each]
        if len(mine) < each:
            return None
        kept += mine
    by_turns = [shot for turn in range(each) for shot in kept[turn::each]]
    return replace(looked.candidate, shots=tuple(by_turns))


def _bare(text: str) -> str:
    """A text without case and runs of spaces."""
    return " ".join(text.casefold().split())


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def _some(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
