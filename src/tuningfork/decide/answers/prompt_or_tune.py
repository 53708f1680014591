"""Prompt, or fine-tune? Both roads' best, their tested difference, and which it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..words import FEW_TO_TELL, better_worse, count, of_range, value

if TYPE_CHECKING:
    from ..rule import Case


def prompt_or_tune(case: Case) -> dict[str, Any] | None:
    """Both roads' best, their difference, and which it is."""
    prompt, tune = case.families.get("prompt"), case.families.get("tune")
    raced = {e.family for e in case.entries.values() if e.status != "skipped"}
    if not {"prompt", "tune"} & raced:
        return None
    answer: dict[str, Any] = {"prompt": prompt, "tune": tune}
    if prompt is None or tune is None:
        missing = "prompt" if prompt is None else "fine-tuned candidate"
        return {**answer, "sentence": f"Not answered: no {missing} was measured on {case.claim.split} to the end."}
    first, second = sorted((prompt, tune), key=case.ranked.index)
    c = case.compare(first, second)
    if c is None:
        return {**answer, "sentence": "Not answered: the two roads have no item in common that both answered."}
    if c.found.n < FEW_TO_TELL:
        return {**answer, "sentence": f"Not answered: {count(c.found.n, 'item')} can't tell the two roads apart."}
    road = {prompt: "prompt", tune: "fine-tune"}
    numbers = f"{first} has {value(case, first)}, {second} {value(case, second)}"
    if c.found.low > 0 and c.found.p < 0.05:
        said = f"{road[first].capitalize()}: {numbers}, {of_range(case, c.found.low, c.found.high)} worse."
    else:
        far = better_worse(case, c.found.low, c.found.high)
        said = f"Not told apart: {numbers}; the {road[first]} is {far}."
    return {**answer, **c.to_dict(), "sentence": said}
