"""The questions that people come with, each answered from the log alone: one file a question.

An answer is plain data with a `sentence`; the numbers behind it stand beside it. One that the log can't give says so in
its sentence and names what would let it: it never makes a number up. Keys are public (`answers` in verdict.json).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import advised, change, cheaper, cost, limits, more_data, people, prompt_or_tune, which, why

if TYPE_CHECKING:
    from ..rule import Case

__all__ = ["answers"]


def answers(case: Case) -> dict[str, dict[str, Any]]:
    """Question -> answer, of those that this run gives rise to."""
    found = {
        "which": which.which(case),
        "prompt_or_tune": prompt_or_tune.prompt_or_tune(case),
        "anything_cheaper": cheaper.anything_cheaper(case),
        "cost": cost.cost(case),
        "limits": limits.limits(case),
        "what_would_change_it": change.what_would_change_it(case),
        "more_data": more_data.more_data(case),
        "why": why.why(case),
        "people": people.people(case),
        "advised": advised.advised(case),
    }
    return {question: answer for question, answer in found.items() if answer}
