"""The verdict's answers under the questions that people come with, the same in the terminal and on the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from . import words
from .words import Scale

QUESTIONS: Mapping[str, tuple[str, ...]] = {
    "The answer": ("prompt_or_tune", "anything_cheaper"),
    "How sure is that?": ("which", "people"),
    "What does it cost?": ("cost", "limits"),
    "What would change it?": ("what_would_change_it", "more_data", "advised"),
    "Why?": ("why",),
}
"""The questions that people come with, in the order of every report -> the verdict's answers to each."""


def told(verdict: Mapping[str, Any], question: str) -> list[str]:
    """The sentences that answer one of the QUESTIONS."""
    answers = verdict.get("answers", {})
    return [sentence for key in QUESTIONS[question] for sentence in sentences(answers.get(key))]


def others(verdict: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Answers of parts that this report does not know: their keys as words, and their sentences."""
    known = {key for keys in QUESTIONS.values() for key in keys}
    found = [(key, sentences(answer)) for key, answer in verdict.get("answers", {}).items() if key not in known]
    return [(key.replace("_", " ").capitalize(), said) for key, said in found if said]


def sentences(answer: Any) -> list[str]:
    """An answer's sentences: it is a mapping with a `sentence`, a text or a list of texts."""
    said = answer.get("sentence", "") if isinstance(answer, Mapping) else answer
    several = [said] if isinstance(said, str) else [str(sentence) for sentence in said or ()]
    return [sentence for sentence in several if sentence]


def power(verdict: Mapping[str, Any], scale: Scale) -> str:
    """The smallest difference that this test could reliably see, as a sentence; empty where it is unknown."""
    least = verdict.get("minimum_detectable_difference")
    if not least or not math.isfinite(least):
        return ""
    return f"With this many test items, differences under {scale.difference(least).lstrip('+')} are hard to see."


def noise(verdict: Mapping[str, Any], scale: Scale) -> str:
    """How far one road, taught twice, is from itself; empty where that was not measured."""
    floor = verdict.get("noise_floor")
    if not floor:
        return ""
    far = f"{scale.difference(floor['difference'])}, 95% between {scale.number(floor['low'])} and"
    return (
        f"Noise: {floor['candidate']}, taught twice, differs from itself by {far} {scale.number(floor['high'])}"
        f" ({words.count(floor['n'], 'item')}). A gap of that size may be luck."
    )
