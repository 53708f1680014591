"""The verdict in words. What is said here is the rule's own result; nothing is decided in this file.

A number stands with its interval or not at all, and "no significant difference" is never called "equal".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..log import Ended, TestOpened
from ..stats.power import items_needed
from .results import rounded

if TYPE_CHECKING:
    from ..stats.intervals import Interval
    from .rule import Case, Comparison

FEW_ITEMS = 10
FEW_OF_A_KIND = 5
"""Right or wrong answers that it takes before one number is given for a share."""
LARGE = 1e9
"""Parameters from which a prompt is worth something."""
SENSIBLE_TOLERANCE = 0.05
"""Of the metric's range; nobody wants to be told of a larger one."""


def sentence(case: Case) -> str:
    """What to do, on what evidence, and how sure that is."""
    return " ".join(filter(None, [_claim(case), _where(case)]))


def scope(case: Case) -> str:
    """What the verdict holds for: the models, the items, the seeds; and what it says little about."""
    models = _environment(case)
    named = [f"{name} ({_size(p)})" if (p := about.get("parameters")) else name for name, about in models.items()]
    raced = sum(e.status != "skipped" for e in case.entries.values())
    parts = [
        f"Raced: {_count(raced, 'candidate')}" + (f" on {_list(named)}" if named else "") + ".",
        f"Measured on {_count(_items(case), f'{case.claim.split} item')} of {case.log.started.task['name']}.",
    ]
    looks = max((event.looks for event in case.log.of(TestOpened)), default=0)
    if looks > 1:
        parts.append(f"The test items have been looked at {looks} times, so they flatter what was chosen on them.")
    seeds = {case.entries[t].seeds for t in case.ranked}
    if seeds == {1}:
        parts.append("Each was adapted with one seed; what another seed would change was not measured.")
    parts += [_caution(case, models), _unchecked(case)]
    return " ".join(filter(None, parts))


def answers(case: Case) -> dict[str, Any]:
    """Questions that a verdict answers beside its own: each with a sentence, and the numbers behind it."""
    found = {
        "prompt_or_tune": _prompt_or_tune(case),
        "anything_cheaper": _anything_cheaper(case),
        "what_would_change_it": _what_would_change_it(case),
    }
    return {question: answer for question, answer in found.items() if answer}


def _claim(case: Case) -> str:
    if not case.contestants:
        return _nothing(case)
    if case.best is None:
        rows, failed = case.claim.rows, case.claim.failed
        worst = _list([f"{t} on {failed(t)} of {len(rows[t])}" for t in case.contestants[:3]])
        said = f"No candidate answered reliably: each failed on more than 5% of the items ({worst})."
        return f"{said} Nothing can be recommended."
    best = f"{case.best}: {_measured(case, case.best)}"
    if case.recommended is None:
        broken = _list([f"{t} breaks {case.entries[t].broken[0]}" for t in case.ranked[:3]])
        return f"No candidate meets the limits: {broken}. Without them, the best is {best}."
    if not case.comparisons:
        return f"There was nothing to compare with: the only candidate that was measured is {best}."
    floor = case.families.get("baseline")
    if case.outcome == "none" and floor is not None:
        return _not_over(case, floor)
    return f"Use {case.recommended}: {_measured(case, case.recommended)}{_evidence(case)}"


def _nothing(case: Case) -> str:
    ended = [e for e in case.entries.values() if e.status in ("failed", "skipped")]
    first = next((e for e in ended if e.status == "failed"), ended[0] if ended else None)
    reason = f" {first.trial}: {first.why}" if first else ""
    return f"No candidate reached an answer ({len(ended)} failed or could not run).{reason} Nothing can be recommended."


def _not_over(case: Case, floor: str) -> str:
    """Nothing is shown to beat a baseline."""
    others = [t for t in case.ranked if case.entries[t].family != "baseline"]
    said = f"Nothing is shown to beat the baseline {floor}: {_measured(case, floor)}"
    if not others:
        return f"{said}. No other family was measured."
    best = case.compare(others[0], floor)
    against = f", {_better_worse(case, best.found.low, best.found.high)} than it" if best else ""
    return f"{said}. The best other, {others[0]}, has {_value(case, others[0])}{against}."


def _evidence(case: Case) -> str:
    """Why the recommended one, in the second half of a sentence."""
    assert case.best is not None and case.recommended is not None
    broken, best = case.entries[case.best].broken, f"{case.best} ({_value(case, case.best)})"
    if case.recommended != case.best and case.recommended in case.shown_good_enough:
        within = f", the cheapest shown to be within {_gap(case, case.tolerance)} of the best, {best}"
        return f"{within}, which breaks the limit {broken[0]}." if broken else f"{within}."
    if case.recommended != case.best:
        c = case.against_best(case.recommended)
        cost = f"; it is {_better_worse(case, -c.found.high, -c.found.low)} than that" if c else ""
        return f", the best within the limits. {best} breaks {broken[0]}{cost}."
    if case.outcome != "clear":
        return f". {_not_apart(case)}"
    whom = "the best of every other family" if len(case.families) > 1 else "every other candidate"
    nearest = case.comparisons[0]
    far = _range(case, nearest.found.low, nearest.found.high)
    more = f"The nearest, {nearest.b}, is {far} worse." if nearest.shown else _not_apart(case)
    return f", shown better than {whom}. {more}"


def _not_apart(case: Case) -> str:
    names = case.indistinguishable
    rest = f" and {_count(len(names) - 2, 'other')}" if len(names) > 3 else ""
    shown = [f"{t} ({_value(case, t)})" for t in (names[:2] if rest else names)]
    return f"These are not told apart from it: {_list(shown) if not rest else ', '.join(shown) + rest}."


def _where(case: Case) -> str:
    """What must be said of the evidence itself."""
    if not case.contestants:
        return ""
    parts = []
    if case.claim.split == "dev":
        parts.append("On dev only: the test was not opened.")
    elif case.test.rows and (short := _unfinished(case)):
        parts.append(f"The test is not finished: {short} of {case.log.of(TestOpened)[-1].items} items were answered.")
    if not case.log.of(Ended):
        parts.append("The race has not ended.")
    return " ".join([*parts, *filter(None, [case.claim.grading])])


def _unfinished(case: Case) -> int:
    """How many test items the last finalist has been asked, where that is not all of them; else 0."""
    asked = min((len(case.test.rows[t]) for t in case.contestants), default=0)
    return asked if asked < case.log.of(TestOpened)[-1].items else 0


def _measured(case: Case, trial: str) -> str:
    """`91.2% accuracy on 320 test items (95% between 88.0% and 93.8%)`, or only the interval where there is too little
    data for one number."""
    found = case.claim.interval(trial)
    if found is None:
        return "no answers"
    metric, where = case.claim.scale.metric, _count(found.n, f"{case.claim.split} item")
    between = f"between {_number(case, found.low)} and {_number(case, found.high)}"
    if little := _too_little(case, found):
        return f"{between} {metric} on {where} (too little data for one number: {little})"
    return f"{_number(case, found.value)} {metric} on {where} (95% {between})"


def _too_little(case: Case, found: Interval) -> str:
    if found.n < FEW_ITEMS:
        return f"only {_count(found.n, 'item')}"
    rarer = min(found.value, 1 - found.value) * found.n
    if case.claim.scale.percent and rarer < FEW_OF_A_KIND:
        kind = "errors" if found.value > 0.5 else "right answers"
        return f"fewer than {FEW_OF_A_KIND} {kind}"
    return ""


def _prompt_or_tune(case: Case) -> dict[str, Any] | None:
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
    road = {prompt: "prompt", tune: "fine-tune"}
    numbers = f"{first} has {_value(case, first)}, {second} {_value(case, second)}"
    if c.found.low > 0 and c.found.p < 0.05:
        said = f"{road[first].capitalize()}: {numbers}, {_range(case, c.found.low, c.found.high)} worse."
    else:
        far = _better_worse(case, c.found.low, c.found.high)
        said = f"Not told apart: {numbers}; the {road[first]} is {far}."
    return {**answer, **c.to_dict(), "sentence": said}


def _anything_cheaper(case: Case) -> dict[str, Any] | None:
    """Cheaper candidates that are not shown good enough, with what each could lose: those that may be as good as the
    best, and those that are worse by a sensible tolerance at most."""
    said, listed = [], []
    for c in [c for c in case.cheaper if c.found.low <= 0 or c in _near(case)][:3]:
        worse = _better_worse(case, -c.found.high, -c.found.low)
        times = _times(case.entries[case.recommended or c.a].cost, case.entries[c.b].cost)
        more = _more_items_for(case, c) if c.found.low <= 0 else 0
        would = f": about {_about(more)} more {case.claim.split} items would tell" if more else ""
        base = "" if c.a == case.recommended else f" than {c.a}"
        said.append(f"{c.b} is {times} and {worse}{base}{would}.")
        listed.append({"candidate": c.b, "low": rounded(-c.found.high), "high": rounded(-c.found.low), "items": more})
    return {"candidates": listed, "sentence": " ".join(said)} if said else None


def _near(case: Case) -> list[Comparison]:
    """Cheaper candidates that a sensible tolerance would let through."""
    scale = case.claim.scale
    return [c for c in case.cheaper if c.found.high < SENSIBLE_TOLERANCE * (scale.high - scale.low)]


def _what_would_change_it(case: Case) -> dict[str, Any] | None:
    """More items, and how many; another tolerance, and which; else another race."""
    if case.recommended is None:
        return None
    parts, items = [], None
    rival = next((c for c in case.comparisons if not c.shown), None)
    if rival is not None and rival.found.value > 1e-9:
        items = max(1, items_needed(rival.found.value, rival.found.discordance) - rival.found.n)
        gap = f"{rival.a} is better than {rival.b} by {_gap(case, rival.found.value)}, as seen"
        parts.append(f"If {gap}, about {_about(items)} more items would show it.")
    elif rival is not None:
        parts.append(f"{rival.a} and {rival.b} have the same value here; other items may tell which is better.")
    if loosest := min(_near(case), key=lambda c: c.found.high, default=None):
        tolerance = _gap(case, loosest.found.high, up=True)
        parts.append(f"With a tolerance of {tolerance}, {loosest.b} would be recommended.")
    if not parts:
        parts.append("More items will hardly change it; another model, more training data or other limits may.")
    return {"items": items, "sentence": " ".join(parts)}


def _more_items_for(case: Case, c: Comparison) -> int:
    """How many more items would show the cheaper one good enough, or worse, whichever is sooner, if it is as seen."""
    margin = max(case.tolerance - c.found.value, c.found.value)
    return max(1, items_needed(margin, c.found.discordance) - c.found.n) if margin > 1e-9 else 0


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
        f"Prompts given to a {_size(max(known))} model say little about prompts given to a large one: add a larger"
        " model or an endpoint to test prompting fairly."
    )


def _unchecked(case: Case) -> str:
    names = sorted({name for t in case.ranked for name in case.entries[t].unchecked})
    return f"Not checked, because it was not measured everywhere: {_list(names)}." if names else ""


def _environment(case: Case) -> dict[str, dict[str, Any]]:
    models = case.log.started.environment.get("models") or {}
    named = {e.model for e in case.entries.values() if e.model} or set(models)
    found = {name: dict(about) for name, about in models.items()}
    return found or {name: {"capabilities": ["score"]} for name in sorted(named)}


def _items(case: Case) -> int:
    return max((len(case.claim.rows[t]) for t in case.contestants), default=0)


def _value(case: Case, trial: str) -> str:
    found = case.claim.interval(trial)
    return _number(case, found.value) if found else "no value"


def _number(case: Case, value: float) -> str:
    return f"{100 * value:.1f}%" if case.claim.scale.percent else f"{value:.3g}"


def _gap(case: Case, size: float, up: bool = False) -> str:
    """A distance without sign: `3.1 points`; with `up` never rounded down."""
    if not case.claim.scale.percent:
        return f"{abs(size):.3g}"
    shown = f"{100 * abs(size) + (0.05 if up else 0.0):.1f}"
    return f"{shown} point" + ("" if shown == "1.0" else "s")


def _range(case: Case, low: float, high: float) -> str:
    """Both ends on one side of zero: `1.2 to 5.0 points`."""
    return f"{_gap(case, low).split()[0]} to {_gap(case, high)}"


def _better_worse(case: Case, low: float, high: float) -> str:
    """`between 3.9 points worse and 1.4 better`, of an interval of being better."""
    if low >= 0:
        return f"{_range(case, low, high)} better"
    if high <= 0:
        return f"{_range(case, high, low)} worse"
    return f"between {_gap(case, low)} worse and {_gap(case, high).split()[0]} better"


def _times(dear: float, cheap: float) -> str:
    """How much cheaper, to one figure: costs are not known better than that."""
    if not cheap or not 0 < dear / cheap < 1e6:
        return "cheaper"
    ratio = dear / cheap
    return f"about {float(f'{ratio:.1g}'):,.0f} times cheaper" if ratio >= 1.5 else "a little cheaper"


def _about(number: int) -> str:
    """To two figures: `640`, `7,100`."""
    return f"{float(f'{number:.2g}'):,.0f}"


def _size(parameters: float) -> str:
    """`135M`, `1.7B`."""
    if parameters >= 1e9:
        return f"{parameters / 1e9:.1f}B".replace(".0B", "B")
    return f"{parameters / 1e6:.0f}M" if parameters >= 1e6 else f"{parameters:,.0f} parameters"


def _count(number: int, one: str) -> str:
    return f"{number:,} {one if number == 1 else one + 's'}"


def _list(names: list[str]) -> str:
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"
