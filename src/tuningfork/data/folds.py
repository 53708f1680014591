"""Few examples and no test file: repeated cross-fitting, so that every example is a test item and none is wasted.

The rows are dealt into five folds, by label and with what belongs together on one side, and dealt anew for each repeat.
Every road is taken five times, each time on four fifths of the rows, and answers the fifth that it never saw. The
intervals that follow know that the five candidates learned from overlapping rows (`stats.crossed`).

With a test file, or with rows enough for a test of their own, nothing is folded: `data.split.deal`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from ..task import Example, Fold, Kind, Split, Task
from .load import Dataset
from .split import HOLD_SHARE, assign, bundles, clustered, deal, strata_of

FOLDS = 5
REPEATS = 3
FEW: Mapping[Kind, int] = {"classification": 400, "multilabel": 400, "generation": 100}
"""Under so many rows all of them are needed as test items. A written answer takes ten times as long as a chosen one, so
five times as many of them pay for fewer rows only."""
LEAST = 20
"""Under so many rows that stand alone not even folds say anything."""

Strata = Callable[[Example], str]


def deal_out(task: Task, dataset: Dataset) -> Split:
    """The examples dealt out: once, or in folds where they are few. Same task, same data, same split."""
    few = dataset.test is None and len(dataset.train) < FEW[task.kind]
    rows = clustered(dataset) if few else ()
    if not few or len(bundles(rows)) < LEAST:
        return deal(task, dataset)
    strata = strata_of(task, rows)
    note = (
        f"There is no test file and there are only {len(rows)} rows, so each of them is a test item: every road is"
        f" taken {FOLDS} times, and each row is answered by candidates that never saw it (cross-fitting)."
    )
    folds = tuple(_folds(rows, strata, random.Random(f"fold {task.seed} {repeat}")) for repeat in range(REPEATS))
    train, hold = _with_hold(rows, strata, random.Random(f"fold {task.seed}"))
    notes = (*dataset.notes, note)
    return Split(train, hold, (), rows, dataset.unlabelled, dataset.documents, notes, folds)


def _folds(rows: Sequence[Example], strata: Strata, rng: random.Random) -> tuple[Fold, ...]:
    parts = _parts(rows, strata, rng)
    made = []
    for part in range(FOLDS):
        rest = [row for row, home in zip(rows, parts, strict=True) if home != part]
        train, hold = _with_hold(rest, strata, rng)
        made.append(Fold(train, hold, tuple(row for row, home in zip(rows, parts, strict=True) if home == part)))
    return tuple(made)


def _parts(rows: Sequence[Example], strata: Strata, rng: random.Random) -> list[int]:
    """The fold of every row: bundles, the largest first, each to the fold that has fewest of its labels, then fewest
    rows."""
    found = bundles(rows)
    rng.shuffle(found)
    found.sort(key=len, reverse=True)
    of_label: list[Counter[str]] = [Counter() for _ in range(FOLDS)]
    parts = [0] * len(rows)
    for bundle in found:
        needs = Counter(strata(rows[position]) for position in bundle)
        order = rng.sample(range(FOLDS), FOLDS)
        home = min(order, key=lambda f: (sum(of_label[f][s] * n for s, n in needs.items()), of_label[f].total()))
        of_label[home].update(needs)
        for position in bundle:
            parts[position] = home
    return parts


def _with_hold(
    rows: Sequence[Example], strata: Strata, rng: random.Random
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """train and hold, hold by label and in a random order."""
    counts = Counter(map(strata, rows))
    quota = {label: max(round(HOLD_SHARE * n), int(n > 3)) for label, n in counts.items()}
    homes = assign(rows, strata, {"hold": quota}, rng)
    train = [row for row, home in zip(rows, homes, strict=True) if home == "train"]
    hold = [row for row, home in zip(rows, homes, strict=True) if home == "hold"]
    rng.shuffle(hold)
    return tuple(train), tuple(hold)
