"""The final: choose who goes, adapt them again with dev joined to train, open the test once, probe."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ..log import Finalists, Noted, Probed, TestOpened
from ..task import Example
from .adapt import adapt_again
from .finalists import choose
from .measure import measure
from .plan import Trial
from .state import Race

FEWEST_TEST_ITEMS = 50
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
    """Adapt the finalists again, open the test once, and probe. Without finalists the test stays closed."""
    if not finalists:
        return
    adapt_again(it, finalists)
    test = _test_items(it, finalists)
    if test and it.standing.test_items is None:
        it.standing.write(TestOpened(len(test), len(it.split.test), looks))
    size = it.plan.block_items * TEST_BLOCKS
    for block, begin in enumerate(range(0, len(test), size)):
        for trial in finalists:
            if not _failed(it, trial):
                measure(it, trial, "final", "test", block, test[begin : begin + size])
    for trial in finalists:
        if not _failed(it, trial):
            _probe(it, trial)


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
        room = max(it.plan.final_seconds * 0.4, it.plan.seconds - it.standing.planned)
        most = len(test) if an_item * len(test) <= room else max(FEWEST_TEST_ITEMS, int(room / an_item))
        fits = min(len(test), most)
        if fits < len(test):
            it.standing.write(
                Noted(
                    f"The whole test split ({len(test)} items) did not fit the budget: {fits} were drawn by seed. "
                    "A larger --budget runs all."
                )
            )
    return [test[index] for index in sorted(random.Random(it.task.seed).sample(range(len(test)), fits))]


def _planned_an_item(it: Race, trial: Trial) -> float:
    """Planned seconds an item, as measured on dev."""
    where = it.standing.where(trial.name, "race", "dev")
    items = len(it.standing.scores.get(where, {}))
    return it.standing.planned_measuring.get(where, 0.0) / items if items else 0.0


def _probe(it: Race, trial: Trial) -> None:
    candidate = it.standing.candidate(trial.name, "final")
    name = it.standing.identity(trial.name, "final")
    examples = (it.split.dev or it.split.train)[: it.plan.latency_requests]
    models = {model: it.open_bare(model) for model in it.capabilities}
    for probe in it.probes:
        if candidate is None or (trial.name, name, probe.name) in it.standing.probed:
            continue
        it.doing(f"{trial.name}: measuring {probe.name}")
        try:
            values = probe(candidate, models, examples, it.metric)
        except Exception as error:  # a probe may be anybody's code, and no verdict hangs on one
            it.standing.write(Noted(f"The probe {probe.name} could not measure {trial.name}: {error}"))
            continue
        it.standing.write(Probed(trial.name, name, probe.name, dict(values)))
