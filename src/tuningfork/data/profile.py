"""What one column of a table looks like: how long, how varied, what its name suggests.

`sniff` chooses columns by these facts. A name counts as a hint when it, or one of its words (`ticket_category`,
`gold-label`, `reviewText`), is on a list below; a shape is a fact about the values alone.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .load import target_of


def _names(text: str) -> list[str]:
    return text.split()


TARGETS = _names(
    "label labels target class category intent sentiment output completion answer response emotion topic team "
    "department queue tag stance spam toxic toxicity gold y reply summary translation expected result rating "
    "stars priority severity type status tags categories topics genres emotions"
)
"""Names of what is wanted, most telling first."""
INPUTS = _names(
    "text message body review question input content sentence tweet comment description prompt email utterance "
    "query document article post headline title subject abstract transcript request passage complaint feedback "
    "sms source instruction premise hypothesis sentence1 sentence2 note dialogue conversation"
)
GROUPS = _names(
    "channel language lang locale country region source domain product segment platform gender group split_by market"
)
CLUSTERS = _names("cluster thread conversation session user customer author speaker document doc patient account")
DATE = re.compile(r"\d{4}-\d\d?-\d\d?([T ].*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}( .*)?|\d{1,2}:\d\d(:\d\d)?")
NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?([eE][-+]?\d+)?%?")
CODE = re.compile(r"(?=.*\d)[!-~]+")
MEDIA = re.compile(r"\S+\.(png|jpe?g|gif|webp|bmp|wav|mp3|flac|ogg|mp4)", re.IGNORECASE)

MOST_LABEL_WORDS = 12


@dataclass(frozen=True)
class Profile:
    """The facts about a column. Shares are of its filled cells."""

    name: str
    rows: int
    filled: int
    distinct: int
    words: float
    chars: float
    longest_words: int
    repeated: float
    numbers: float
    dates: float
    media: float
    largest: int
    json: bool
    lists: bool
    values: tuple[str, ...]

    @property
    def unique(self) -> bool:
        """No value stands there twice, and few are missing."""
        return self.distinct == self.filled >= max(2, 0.95 * self.rows)

    @property
    def labelish(self) -> bool:
        """Few short values that repeat: nine rows of ten hold one that stands there at least twice."""
        return (
            self.distinct >= 2
            and not (self.json or self.lists)
            and self.dates < 0.9
            and self.longest_words <= MOST_LABEL_WORDS
            and self.repeated >= 0.9
            and self.filled >= 2 * self.distinct
        )

    @property
    def odd(self) -> bool:
        """Dates, file names, nothing at all, or one value throughout: neither input nor answer by shape."""
        return self.filled == 0 or self.distinct < 2 or self.dates >= 0.9 or self.media >= 0.9

    @property
    def numeric(self) -> bool:
        return self.numbers >= 0.9

    @property
    def id_like(self) -> bool:
        """A name or a shape that says: this only tells rows apart."""
        if words_of(self.name)[-1:] in (["id"], ["uuid"], ["guid"], ["index"], ["key"]) or self.name.lower().endswith(
            "_id"
        ):
            return True
        codes = self.unique and self.words < 1.1 and self.chars <= 40
        return codes and (self.numeric or all(CODE.fullmatch(value) for value in self.values[:50]))

    @property
    def texty(self) -> bool:
        """Something that people wrote: words, mostly different from row to row."""
        return not (self.odd or self.numeric or self.id_like) and (self.words >= 3 or self.distinct > 0.5 * self.filled)

    def rank(self, names: Sequence[str]) -> int:
        """How well the name fits a list: its place there, 1000 + place for one of its words, 10,000 for neither."""
        whole = self.name.lower().strip().replace(" ", "_")
        if whole in names:
            return names.index(whole)
        return min((1000 + names.index(word) for word in words_of(self.name) if word in names), default=10_000)


def words_of(name: str) -> list[str]:
    """The words of a column's name: `reviewText` and `review_text` are both `review`, `text`."""
    return re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def profile(name: str, rows: Sequence[Mapping[str, Any]]) -> Profile:
    """The facts about one column of plain rows."""
    cells = [row.get(name) for row in rows]
    lists = any(isinstance(cell, list | tuple) for cell in cells)
    texts = [_one(cell) for cell in cells]
    values = [text.strip() for text in texts if text.strip()]
    counts = Counter(values)
    n = len(values) or 1
    lengths = [len(value.split()) for value in values]
    return Profile(
        name=name,
        rows=len(rows),
        filled=len(values),
        distinct=len(counts),
        words=sum(lengths) / n,
        chars=sum(map(len, values)) / n,
        longest_words=max(lengths, default=0),
        repeated=sum(count for count in counts.values() if count > 1) / n,
        numbers=sum(bool(NUMBER.fullmatch(value)) for value in values) / n,
        dates=sum(bool(DATE.fullmatch(value)) for value in values) / n,
        media=sum(bool(MEDIA.fullmatch(value)) for value in values) / n,
        largest=max(counts.values(), default=0),
        json=bool(values) and all(map(_is_json, values[:200])),
        lists=lists,
        values=tuple(values),
    )


def _one(cell: Any) -> str:
    found = target_of(cell, label=False)
    return found if isinstance(found, str) else found[0]


def _is_json(value: str) -> bool:
    if not value.startswith(("{", "[")):
        return False
    try:
        json.loads(value)
    except ValueError:
        return False
    return True
