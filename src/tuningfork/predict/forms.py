"""Which form of answer a prompt asks for, by its words: as JSON, in one word, as a list.

These patterns know English only. A form counts where the prompt asks for it ("reply with JSON", "in one word"), not
where it speaks of it ("the input is XML").
"""

from __future__ import annotations

import re

ASKS = r"\b(?:answer|reply|respond|return|output|write|give|produce|format)\w*\b[^.\n]{0,80}?\b"
BY = r"\b(?:in|with|as|using|only|just|exactly|write|give)\s+(?:exactly |only |just )?"
CONTAINERS = {name: re.compile(rf"{ASKS}{name}\b", re.IGNORECASE) for name in ("JSON", "XML", "YAML", "CSV")}
SHAPES = {
    "one word": re.compile(rf"{BY}(?:one|a single) word\b", re.IGNORECASE),
    "a sentence": re.compile(rf"{BY}(?:one|a single|a full|two|three|full) sentences?\b", re.IGNORECASE),
    "a list": re.compile(rf"{BY}(?:a )?(?:bullet(?:ed)?|numbered)[ -](?:list|points?)\b", re.IGNORECASE),
    "a number": re.compile(rf"{BY}(?:one|a single|a) (?:number|digit|integer)\b", re.IGNORECASE),
}
NARROW = re.compile(r"\b(?:exactly|only|just|one of|nothing else|short|brief\w*|concise\w*)\b", re.IGNORECASE)
"""Words that say that the answer is to be narrow, whatever its form."""


def asks_for_a_form(said: str) -> bool:
    """Whether a prompt says anything about the form of its answer."""
    return bool(NARROW.search(said)) or any(p.search(said) for forms in (CONTAINERS, SHAPES) for p in forms.values())
