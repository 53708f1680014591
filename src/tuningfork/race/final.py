"""The final: choose who goes, adapt them again with dev joined to train, open the test once, repeat both under further
seeds, probe.

What is shipped is the candidate of the first seed; the others tell how much of its value is luck. Which trials get
further seeds is decided on the planned clock: what costs next to nothing always does, others where there is room.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict

from ..errors import is_disk_full
from ..log import Finalists, Probed, TestOpened
from ..model import Model
from ..task import Example
from . import money
from .adapt import LAST_BEGIN, adapt, adapt_again
from .finalists import choose
from .measure import measure
from .meter import Meter, Metered
from .plan import Trial
from .state import Race, Take

FEWEST_TEST_ITEMS = 50
TEST_UNTIL, PROBE_UNTIL, LAST_PROBE = 0.85, 0.93, 0.98
"""Of the budget on the wall: the test should be done by the first, no probe but the first kind is begun after the
second, and none at all after the third."""
TEST_BLOCKS = 8
"""A block of the test is this many times one of dev: nobody is dropped in between."""


def choose_finalists(it: Race) -> list[Trial]:
    """Who goes to the final, chosen once."""
    if it.standing.finalists is None:
        born = [t for t in it.trials if it.is_born(t, "race")]
        chosen = choose(it.standing, born, it.metric, it.plan.finalists)
        it.standing.write(Finalists(tuple(chosen), chosen))
    by_name = {trial.name: trial for trial in it.trials}
    return [by_name[name] for name in it.standing.finalists or ()]


def final(it: Race, finalists: Sequence[Trial], looks: int) -> None:
    """Adapt the finalists again, open the test once, do both under further seeds, and probe. Without finalists the test
    stays closed."""
    if not finalists:
        return
    adapt_again(it, finalists)
    test = _test_items(it, finalists)
    if test and it.standing.test_items is None:
        it.standing.write(TestOpened(len(test), len(it.split.test), looks))
    _ask(it, finalists, Take("final", it.task.seed), test)
    _under_further_seeds(it, finalists, test)
    probe_all(it, finalists)


def probe_all(it: Race, finalists: Sequence[Trial]) -> None:
    """Measure beside quality whoever did not break down."""
    for trial in finalists:
        if not _failed(it, trial):
            _probe(it, trial)


def _ask(it: Race, trials: Sequence[Trial], take: Take, test: Sequence[Example]) -> None:
    """The test, block by block."""
    size = it.plan.block_items * TEST_BLOCKS
    for block, begin in enumerate(range(0, len(test), size)):
        for trial in trials:
            if not _failed(it, trial):
                measure(it, trial, take, "test", block, test[begin : begin + size])


def _under_further_seeds(it: Race, finalists: Sequence[Trial], test: Sequence[Example]) -> None:
    """Adapt and test again, seed by seed, the cheapest first, whoever there is room for."""
    by_cost = sorted(finalists, key=lambda t: (_cost_of_a_seed(it, t), t.name))
    for seed in range(it.task.seed + 1, it.task.seed + it.plan.seeds):
        for trial in by_cost:
            take = Take("final", seed)
            if trial.waits:
                continue  # its parts are not all made anew under this seed, so it would be the same once more
            if not it.is_born(trial, take):
                if _failed(it, trial) or not _fits(it, trial):
                    continue
                adapt(it, trial, take, 1.5 * max(1.0, _adapting(it, trial)))
            if it.is_born(trial, take):
                _ask(it, [trial], take, test)


def _fits(it: Race, trial: Trial) -> bool:
    """Whether the plan has room for one more seed, and the clock has time."""
    cost = _cost_of_a_seed(it, trial)
    if it.plan.usd is not None and trial.model in it.plan.prices:
        return False  # what it would cost is better spent on more test items
    if not it.is_small(cost) and (_was_cut(it) or it.standing.planned + cost > it.plan.seconds):
        return False
    if it.spent_share >= LAST_BEGIN:
        it.standing.note("By the clock there was no time to run finalists under all further seeds of the plan.")
        return False
    return True


def _was_cut(it: Race) -> bool:
    """Whether not all test items fitted: then time is better spent on these."""
    return (it.standing.test_items or 0) < len(it.split.test)


def _cost_of_a_seed(it: Race, trial: Trial) -> float:
    """Planned seconds, as the first seed took."""
    asked = it.standing.planned_measuring.get(it.standing.where(trial.name, "final", "test"), 0.0)
    return _adapting(it, trial) + asked


def _adapting(it: Race, trial: Trial) -> float:
    return it.standing.born[trial.name, "final"].usage.get("planned", 0.0)


def _failed(it: Race, trial: Trial) -> bool:
    """Whether it broke down. One that was dropped on dev may be a finalist, as the best of its family."""
    left = it.standing.left.get(trial.name)
    return left is not None and left.status == "failed"


def _test_items(it: Race, finalists: Sequence[Trial]) -> list[Example]:
    """All test items, or as many, drawn by seed, as the planned clock has room for. The same for every finalist."""
    test = list(it.split.test)
    fits = it.standing.test_items
    if fits is None:
        an_item = sum(_planned_an_item(it, t) for t in finalists)
        room = max(it.plan.final_seconds * 0.4, it.plan.seconds - it.standing.planned - it.plan.seed_seconds)
        most = len(test) if an_item * len(test) <= room else max(FEWEST_TEST_ITEMS, int(room / an_item))
        most = min(most, max(FEWEST_TEST_ITEMS, _by_the_clock(it, an_item)))
        fits = min(len(test), most, money.test_items(it, finalists, len(test)))
        if fits < len(test):
            it.standing.note(
                f"The whole test split ({len(test)} items) did not fit the budget: {fits} were drawn by seed. "
                "A larger --budget runs all."
            )
    return [test[index] for index in sorted(random.Random(it.task.seed).sample(range(len(test)), fits))]


def _by_the_clock(it: Race, an_item: float) -> int:
    """How many items there is time for on the wall, where this race has been slower than planned so far; such a race
    is no longer the one that the plan would repeat, and a note says what was drawn."""
    if it.task.budget.seconds is None or not it.standing.planned or not an_item:
        return len(it.split.test)
    slower = max(1.0, it.standing.seconds / it.standing.planned)
    left = it.task.budget.seconds * max(0.0, TEST_UNTIL - it.spent_share)
    return int(left / (an_item * slower))


def _planned_an_item(it: Race, trial: Trial) -> float:
    """Planned seconds an item, as measured on dev."""
    where = it.standing.where(trial.name, "race", "dev")
    items = len(it.standing.scores.get(where, {}))
    return it.standing.planned_measuring.get(where, 0.0) / items if items else 0.0


def _probe(it: Race, trial: Trial) -> None:
    candidate = it.standing.candidate(trial.name, "final")
    name = it.standing.identity(trial.name, "final")
    examples = (it.split.dev or it.split.train)[: it.plan.latency_requests]
    for probe in it.probes:
        if candidate is None or (trial.name, name, probe.name) in it.standing.probed:
            continue
        if it.spent_share > (LAST_PROBE if probe is it.probes[0] else PROBE_UNTIL):
            it.standing.note(f"By the clock there was no time to measure {probe.name} of every finalist.")
            continue
        it.doing(f"{trial.name}: measuring {probe.name}")
        meter = money.free_meter(it, "final")
        open_model = it.open_bare if getattr(probe, "takes_time", False) else it.open_model
        models = {model: _paid(it, model, open_model(model), meter) for model in it.capabilities}
        try:
            values = probe(candidate, models, examples, it.metric_asking(meter))
        except Exception as error:  # a probe may be anybody's code, and no verdict hangs on one
            if is_disk_full(error):
                raise
            cost = asdict(meter.usage) if meter.usage.usd else {}
            it.standing.note(f"The probe {probe.name} could not measure {trial.name}: {error}", cost)
            continue
        cost = asdict(meter.usage) if meter.usage.usd else {}
        it.standing.write(Probed(trial.name, name, probe.name, dict(values), cost))


def _paid(it: Race, name: str, model: Model, meter: Meter) -> Model:
    """The model itself; before one that costs, the meter, which hardly takes time."""
    return Metered(model, name, meter) if name in it.plan.prices else model
