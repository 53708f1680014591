"""The verdict in words. What is said here is the rule's own result; nothing is decided in this file.

A number stands with its interval or not at all, and "no significant difference" is never called "equal".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..log import Ended, TestOpened
from .words import (
    better_worse,
    count,
    enumerated,
    gap,
    measured,
    of_range,
    size,
    unfinished,
    value,
)

if TYPE_CHECKING:
    from .rule import Case

LARGE = 1e9
"""Parameters from which a prompt is worth something."""


def sentence(case: Case) -> str:
    """What to do, on what evidence, and how sure that is."""
    return " ".join(filter(None, [_claim(case), _where(case)]))


def scope(case: Case) -> str:
    """What the verdict holds for: the models, the items, the seeds; and what it says little about."""
    models = _environment(case)
    named = [f"{name} ({size(p)})" if (p := about.get("parameters")) else name for name, about in models.items()]
    raced = sum(e.status != "skipped" for e in case.entries.values())
    parts = [
        f"Raced: {count(raced, 'candidate')}" + (f" on {enumerated(named)}" if named else "") + ".",
        f"Measured on {count(_items(case), f'{case.claim.split} item')} of {case.log.started.task['name']}.",
    ]
    looks = max((event.looks for event in case.log.of(TestOpened)), default=0)
    if looks > 1:
        parts.append(f"The test items have been looked at {looks} times, so they flatter what was chosen on them.")
    seeds = {case.entries[t].seeds for t in case.ranked}
    if seeds == {1}:
        parts.append("Each was adapted with one seed; what another seed would change was not measured.")
    parts += [_caution(case, models), _unchecked(case)]
    return " ".join(filter(None, parts))


def _claim(case: Case) -> str:
    if not case.contestants:
        return _nothing(case)
    if case.best is None:
        rows, failed = case.claim.rows, case.claim.failed
        worst = enumerated([f"{t} on {failed(t)} of {len(rows[t])}" for t in case.contestants[:3]])
        said = f"No candidate answered reliably: each failed on more than 5% of the items ({worst})."
        return f"{said} Nothing can be recommended."
    best = f"{case.best}: {measured(case, case.best)}"
    if case.recommended is None:
        broken = enumerated([f"{t} breaks {case.broken(t)[0]}" for t in case.ranked[:3]])
        return f"No candidate meets the limits: {broken}. Without them, the best is {best}."
    if not case.comparisons:
        return f"There was nothing to compare with: the only candidate that was measured is {best}."
    floor = case.families.get("baseline")
    if case.outcome == "none" and floor is not None:
        return _not_over(case, floor)
    return f"Use {case.recommended}: {measured(case, case.recommended)}{_evidence(case)}"


def _nothing(case: Case) -> str:
    ended = [e for e in case.entries.values() if e.status in ("failed", "skipped")]
    first = next((e for e in ended if e.status == "failed"), ended[0] if ended else None)
    reason = f" {first.trial}: {first.why}" if first else ""
    return f"No candidate reached an answer ({len(ended)} failed or could not run).{reason} Nothing can be recommended."


def _not_over(case: Case, floor: str) -> str:
    """Nothing is shown to beat a baseline."""
    others = [t for t in case.ranked if case.entries[t].family != "baseline"]
    said = f"Nothing is shown to beat the baseline {floor}: {measured(case, floor)}"
    if not others:
        return f"{said}. No other family was measured."
    best = case.compare(others[0], floor)
    against = f", {better_worse(case, best.found.low, best.found.high)} than it" if best else ""
    return f"{said}. The best other, {others[0]}, has {value(case, others[0])}{against}."


def _evidence(case: Case) -> str:
    """Why the recommended one, in the second half of a sentence."""
    assert case.best is not None and case.recommended is not None
    broken, best = case.broken(case.best), f"{case.best} ({value(case, case.best)})"
    if case.recommended != case.best and case.recommended in case.shown_good_enough:
        within = f", the cheapest shown to be within {gap(case, case.tolerance)} of the best, {best}"
        return f"{within}, which breaks the limit {broken[0]}." if broken else f"{within}."
    if case.recommended != case.best:
        c = case.against_best(case.recommended)
        cost = f"; it is {better_worse(case, -c.found.high, -c.found.low)} than that" if c else ""
        return f", the best within the limits. {best} breaks {broken[0]}{cost}."
    if case.outcome != "clear":
        return f". {_not_apart(case)}"
    whom = "the best of every other family" if len(case.families) > 1 else "every other candidate"
    nearest = case.comparisons[0]
    far = of_range(case, nearest.found.low, nearest.found.high)
    more = f"The nearest, {nearest.b}, is {far} worse." if nearest.shown else _not_apart(case)
    return f", shown better than {whom}. {more}"


def _not_apart(case: Case) -> str:
    names = case.indistinguishable
    if not names:
        return "That is too little data to call it clear."
    rest = f" and {count(len(names) - 2, 'other')}" if len(names) > 3 else ""
    shown = [f"{t} ({value(case, t)})" for t in (names[:2] if rest else names)]
    return f"These are not told apart from it: {enumerated(shown) if not rest else ', '.join(shown) + rest}."


def _where(case: Case) -> str:
    """What must be said of the evidence itself."""
    if not case.contestants:
        return ""
    parts = []
    if case.claim.split == "dev":
        parts.append("On dev only: the test was not opened.")
    elif case.test.rows and (short := unfinished(case)):
        parts.append(f"The test is not finished: {short} of {case.log.of(TestOpened)[-1].items} items were answered.")
    if not case.log.of(Ended):
        parts.append("The race has not ended.")
    return " ".join([*parts, *filter(None, [case.claim.grading])])


def _caution(case: Case, models: dict[str, dict[str, Any]]) -> str:
    """That small models say little about prompts."""
    able = {n: m for n, m in models.items() if {"score", "generate"} & set(m.get("capabilities", ("score",)))}
    sizes = [m.get("parameters") for m in able.values()]
    if not able:
        return "No model of this race can be prompted: add one to ask whether a prompt would do."
    known = [float(size) for size in sizes if size]
    if len(known) < len(sizes) or max(known) >= LARGE:
        return ""
    return (
        f"Prompts given to a {size(max(known))} model say little about prompts given to a large one: add a larger"
        " model or an endpoint to test prompting fairly."
    )


def _unchecked(case: Case) -> str:
    told = {"quality", "skill", "days"}  # by `answers.limits`
    names = sorted({name for t in case.ranked for name in case.entries[t].unchecked} - told)
    return f"Not checked, because it was not measured everywhere: {enumerated(names)}." if names else ""


def _environment(case: Case) -> dict[str, dict[str, Any]]:
    models = case.log.started.environment.get("models") or {}
    named = {e.model for e in case.entries.values() if e.model} or set(models)
    found = {name: dict(about) for name, about in models.items()}
    return found or {name: {"capabilities": ["score"]} for name in sorted(named)}


def _items(case: Case) -> int:
    return max((len(case.claim.rows[t]) for t in case.contestants), default=0)
