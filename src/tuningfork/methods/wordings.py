"""The bank of wordings: ways to lay out one task's prompt, as data, and the template that each gives.

A wording is four choices: a line before the instruction, how the labels are named, how the input stands in the user's
turn, and how a label is written. The user's own instruction is never rewritten or translated; what is added is
punctuation, the names of the columns, the labels' own words and words that are typical of a label's train examples. The
few English lines are kept apart (`LEADS`), and the plain prompt has one of them already. Sclar et al. (ICLR 2024, arXiv
2310.11324) show how far such choices move a model: 7 points in the median, 76 at most.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from ..candidate import Nearest, Shot, Single, Template
from ..method import Bench
from ..predict.prompt import words_of
from ..predict.ranking import words_in
from ..task import Example, Message, Task

LEADS: Mapping[str, str] = {
    "none": "",
    "expert": "You are an expert at this task.",
    "careful": "Read the text carefully before you answer.",
    "only": "Answer with the answer alone, without any explanation.",
}
LABELS: Mapping[str, str] = {
    "sentence": "Answer with exactly one of: {comma}.",
    "quoted": "Answer with exactly one of: {quoted}.",
    "lines": "{lines}",
    "slashes": "({slashes})",
    "keywords": "{keywords}",
    "none": "",
}
INPUTS: Mapping[str, str] = {
    "plain": "{plain}",
    "fields": "{named}\n{target}:",
    "quotes": '"{plain}"',
    "fenced": "###\n{plain}\n###",
    "arrow": "{plain} =>",
}
SPELLINGS: Mapping[str, Callable[[str], str]] = {
    "given": str,
    "Capital": lambda word: word[:1].upper() + word[1:],
    "lower": str.lower,
    "UPPER": str.upper,
}
KEYWORDS = 3
"""Typical words a label."""


@dataclass(frozen=True)
class Wording:
    """One entry of each part of the bank, by name."""

    lead: str = "none"
    labels: str = "sentence"
    inputs: str = "plain"
    spelling: str = "given"


PLAIN = Wording()
"""The prompt that a task has by itself."""
PARTS: Mapping[str, tuple[str, ...]] = {
    "labels": tuple(LABELS),
    "inputs": tuple(INPUTS),
    "lead": tuple(LEADS),
    "spelling": tuple(SPELLINGS),
}
"""What there is to choose, the part that moves answers most first."""
EXPLICIT = (
    Wording(labels="none"),
    Wording(inputs="fields"),
    Wording(labels="lines", inputs="fields"),
    Wording(labels="keywords"),
    Wording(lead="only", inputs="quotes"),
)
"""A handful that lie far apart: what the test for headroom asks."""


def parts_for(task: Task) -> dict[str, tuple[str, ...]]:
    """The parts of the bank that there is something to choose in: labels only where the task has some."""
    return {name: values for name, values in PARTS.items() if task.labels or name in ("inputs", "lead")}


def worded(start: Single, bench: Bench, wording: Wording) -> Single:
    """The start asked in this wording. Its demonstrations stay; where labels are spelt anew, so are they there."""
    words = _spelt(start.labels, wording.spelling)
    template = template_of(bench.task, wording, words, _read(bench))
    if start.passages:
        from .retrieve import with_place

        template = with_place(template)
    return in_words_of(start, replace(start, prompt=template, words=words))


def sparing_read(bench: Bench) -> Bench:
    """The bench without the train examples whose words may stand in a prompt: they are no fair question to it."""
    read = {example.id for example in _read(bench)}
    return replace(bench, train=tuple(example for example in bench.train if example.id not in read))


def _read(bench: Bench) -> list[Example]:
    """A third of train, by seed: its typical words may stand in a prompt."""
    return Random(f"keywords {bench.seed}").sample(bench.train, len(bench.train) // 3)


def in_words_of(prompt: Single, other: Single) -> Single:
    """The prompt with another's template and spelling of labels; its demonstrations follow."""
    said = dict(zip(prompt.words, other.words, strict=True))
    return replace(prompt, prompt=other.prompt, words=other.words, shots=_respelt(prompt.shots, said))


def template_of(task: Task, wording: Wording, words: Sequence[str], train: Sequence[Example]) -> Template:
    """The chat messages of a wording. `words`: what the model says for each label of the task."""
    listed = {
        "comma": ", ".join(words),
        "quoted": ", ".join(f'"{word}"' for word in words),
        "lines": "\n".join(f"- {word}" for word in words),
        "slashes": " / ".join(words),
        "keywords": _described(task, words, train) if wording.labels == "keywords" else "",
    }
    labels = LABELS[wording.labels].format_map(listed) if words else ""
    system = "\n".join(filter(None, (LEADS[wording.lead], task.instruction, labels)))
    columns = task.columns.input
    named = "\n".join(f"{name}: {{{{{name}}}}}" for name in columns)
    plain = f"{{{{{columns[0]}}}}}" if len(columns) == 1 else named
    user = INPUTS[wording.inputs].format_map({"plain": plain, "named": named, "target": task.columns.target})
    before = (Message("system", system),) if system else ()
    return Template((*before, Message("user", user)))


def _described(task: Task, words: Sequence[str], train: Sequence[Example]) -> str:
    """A line a label: its words, and words that its train examples have more often than others have."""
    typical = keywords(task.labels, train)
    return "\n".join(
        f"- {word}: {', '.join(typical[label])}" if typical[label] else f"- {word}"
        for label, word in zip(task.labels, words, strict=True)
    )


def keywords(labels: Sequence[str], train: Sequence[Example]) -> dict[str, list[str]]:
    """KEYWORDS words of each label: those that most more of its examples than of the others have, in any language."""
    seen: dict[str, Counter[str]] = {label: Counter() for label in labels}
    count = Counter(example.answer for example in train)
    for example in train:
        texts = " ".join(value if isinstance(value, str) else "" for value in example.inputs.values())
        seen[example.answer].update({word for word in words_in(texts) if not re.search(r"\d", word)})
    total = sum(seen.values(), Counter[str]())
    found = {}
    for label, words in seen.items():
        inside, outside = count[label] or 1, (len(train) - count[label]) or 1
        gap = {word: n / inside - (total[word] - n) / outside for word, n in words.items() if n > 1}
        found[label] = sorted((word for word in gap if gap[word] > 0), key=lambda word: (-gap[word], word))[:KEYWORDS]
    return found


def _spelt(labels: Sequence[str], spelling: str) -> tuple[str, ...]:
    """What the model says for each label. A spelling that makes two labels one is not taken."""
    plain = words_of(labels)
    words = tuple(SPELLINGS[spelling](word) for word in plain)
    return words if len(set(words)) == len(words) else plain


def _respelt(shots: tuple[Shot, ...] | Nearest, said: Mapping[str, str]) -> tuple[Shot, ...] | Nearest:
    if isinstance(shots, Nearest):
        return replace(
            shots, pool=tuple(replace(shot, answer=said.get(shot.answer, shot.answer)) for shot in shots.pool)
        )
    return tuple(replace(shot, answer=said.get(shot.answer, shot.answer)) for shot in shots)
