"""Examples dealt into train, hold, dev and test, once, by the task's seed.

How much goes where:

- A test file is used as it is, and train rows that nearly repeat one of its rows are left out. Without one (and
  with rows enough: see `folds`) 30% of the rows become the test: at least 50 and at most 2,000 of them, but never more
  than 40% of the rows.
- Of the other rows, 25% (at most 500) become dev, which the race compares on, and 15% (at most 300) hold, which methods
  choose on. What is left, never fewer than half of them, is train.

For classification every share is taken from every label, to within one row, and every label keeps a row in train before
any other part gets one; where rows have several labels, that is said of the rarest label of each. Rows that belong
together (a `cluster` column, near-duplicates) stay on one side; that comes before the exact shares, which hold for rows
that stand alone. dev and hold come in a random order, so that any first part of them is a fair sample.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ..errors import DataError
from ..task import Example, Split, Task
from .load import Dataset, labels_of

TEST_SHARE, TEST_LEAST, TEST_MOST, TEST_MOST_SHARE = 0.30, 50, 2000, 0.40
DEV_SHARE, DEV_MOST = 0.25, 500
HOLD_SHARE, HOLD_MOST = 0.15, 300

Bundle = tuple[int, ...]
"""Positions of rows that must stay together."""


def deal(task: Task, dataset: Dataset) -> Split:
    """The examples dealt out. Same task, same data, same split. Raises DataError when there are too few to deal."""
    rng = random.Random(f"deal {task.seed}")
    rows = clustered(dataset)
    train, notes = rows[: len(dataset.train)], list(dataset.notes)
    strata = strata_of(task, train)
    if dataset.test is not None:
        test = rows[len(dataset.train) :]
        train = _without_repeats(dataset, train, strata, notes)
    else:
        train, test = _cut_test(train, strata, rng, notes)
    kept, hold, dev = _cut_dev_and_hold(train, strata, rng, notes)
    return Split(kept, hold, dev, tuple(test), dataset.unlabelled, dataset.documents, tuple(notes))


def strata_of(task: Task, rows: Sequence[Example]) -> Callable[[Example], str]:
    """What every share is taken from: the label; of several labels the rarest, so that the rare ones, which chance
    would part badly, come to every side (what iterative stratification begins with: Sechidis et al. 2011)."""
    if task.kind == "classification":
        return lambda example: example.answer
    if task.kind == "generation":
        return lambda _: ""
    counts = Counter(label for row in rows for label in labels_of(row))
    return lambda example: min(labels_of(example), key=lambda label: (counts[label], label), default="")


def clustered(dataset: Dataset) -> tuple[Example, ...]:
    """All rows, train then test; near-duplicates without a cluster of their own get one, called `near-N`."""
    rows = (*dataset.train, *(dataset.test or ()))
    size = Counter(dataset.near)
    return tuple(
        replace(row, cluster=f"near-{number}") if row.cluster is None and size[number] > 1 else row
        for row, number in zip(rows, dataset.near, strict=True)
    )


def _without_repeats(
    dataset: Dataset, train: Sequence[Example], strata: Callable[[Example], str], notes: list[str]
) -> tuple[Example, ...]:
    """The train rows that are not near-duplicates of a test row."""
    in_test = set(dataset.near[len(dataset.train) :])
    kept = tuple(row for row, number in zip(train, dataset.near, strict=False) if number not in in_test)
    if len(kept) < len(train):
        notes.append(
            f"Train rows that nearly repeat a row of the test file were left out: {len(train) - len(kept)} of"
            f" {len(train)}."
        )
    lost = sorted({strata(row) for row in train} - {strata(row) for row in kept})
    if lost:
        raise DataError(
            f"Every train row {'of label ' + repr(lost[0]) if lost[0] else ''} nearly repeats a row of the test"
            " file, so nothing"
            " is left to learn from. Take these rows out of the test, or add others to train."
        )
    return kept


def _cut_test(
    rows: Sequence[Example], strata: Callable[[Example], str], rng: random.Random, notes: list[str]
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    total = min(max(round(TEST_SHARE * len(rows)), TEST_LEAST), TEST_MOST, int(TEST_MOST_SHARE * len(rows)))
    counts = Counter(map(strata, rows))
    share = total / len(rows) if rows else 0.0
    # A label of three rows or more has one in test, so that its recall can be told at all.
    quota = _rounded({s: share * n for s, n in counts.items()}, total, {s: n - 1 for s, n in counts.items()})
    quota = {s: max(n, min(1, counts[s] // 3)) for s, n in quota.items()}
    parts = assign(rows, strata, {"test": quota}, rng)
    test = tuple(row for row, part in zip(rows, parts, strict=True) if part == "test")
    notes.append(f"There is no test file, so {len(test)} of {len(rows)} rows were kept apart as the test, by seed.")
    return tuple(row for row, part in zip(rows, parts, strict=True) if part != "test"), test


def _cut_dev_and_hold(
    rows: Sequence[Example], strata: Callable[[Example], str], rng: random.Random, notes: list[str]
) -> tuple[tuple[Example, ...], tuple[Example, ...], tuple[Example, ...]]:
    """train, hold, dev."""
    counts = Counter(map(strata, rows))
    n_dev = min(DEV_SHARE * len(rows), DEV_MOST)
    n_both = n_dev + min(HOLD_SHARE * len(rows), HOLD_MOST)
    least = round(n_dev) + 1  # a row for hold, however few there are
    per_row = 1 / len(rows) if rows else 0.0
    most = {s: n // 2 for s, n in counts.items()}
    # Both together first, then dev's part of it: so train, too, is within one row of its share.
    both = _rounded({s: n_both * per_row * n for s, n in counts.items()}, max(round(n_both), least), most)
    n_dev = min(n_dev, sum(both.values()) - 1)
    dev = _rounded({s: n_dev * per_row * n for s, n in counts.items()}, round(n_dev), both)
    hold = {s: both[s] - dev[s] for s in counts}
    parts = assign(rows, strata, {"dev": dev, "hold": hold}, rng)
    dealt = {
        name: [row for row, part in zip(rows, parts, strict=True) if part == name] for name in ("train", "hold", "dev")
    }
    short = [name for name in ("train", "hold", "dev") if not dealt[name]]
    if short:
        alone = len(bundles(rows))
        together = f" (which come in {alone} clusters that stay whole)" if alone < len(rows) else ""
        raise DataError(
            f"{len(rows)} rows{together} are too few to cut train, hold and dev from: nothing is left for"
            f" {' and '.join(short)}. Three that may be parted are the fewest,"
            f" one for each. Add rows{', or take `cluster` out of the columns' if together else ''}."
        )
    lacking = sorted(set(counts) - set(map(strata, dealt["dev"])))
    if lacking and len(counts) > 1:
        shown = ", ".join(lacking[:5]) + (" ..." if len(lacking) > 5 else "")
        notes.append(f"Labels with too few rows for one in dev: {len(lacking)} ({shown}).")
    rng.shuffle(dealt["dev"])
    rng.shuffle(dealt["hold"])
    return tuple(dealt["train"]), tuple(dealt["hold"]), tuple(dealt["dev"])


def _rounded(exact: Mapping[str, float], total: int, most: Mapping[str, int]) -> dict[str, int]:
    """Whole numbers within one of `exact` that add up to `total` where `most` lets them (largest remainders)."""
    found = {name: min(int(value), most[name]) for name, value in exact.items()}
    by_rest = sorted(exact, key=lambda name: (int(exact[name]) - exact[name], name))
    for name in by_rest:
        if sum(found.values()) >= total:
            break
        if found[name] < most[name] and found[name] < exact[name]:
            found[name] += 1
    return found


def bundles(rows: Sequence[Example]) -> list[Bundle]:
    """Rows that must stay together, in order of their first row."""
    home: dict[str, list[int]] = defaultdict(list)
    for position, row in enumerate(rows):
        home[f"c{row.cluster}" if row.cluster is not None else f"r{position}"].append(position)
    return [tuple(bundle) for bundle in home.values()]


def assign(
    rows: Sequence[Example],
    strata: Callable[[Example], str],
    quotas: Mapping[str, Mapping[str, int]],
    rng: random.Random,
) -> list[str]:
    """The part of every row: one of `quotas`, or `train`. No part gets the last row of a label.

    Bundles are taken in a random order. A bundle goes to the first part that still lacks as many rows of each of its
    labels; those left over, to one that lacks as many rows of whatever label; and a part that got nothing, because
    every bundle is larger than it should be, gets the smallest one.
    """
    found = bundles(rows)
    rng.shuffle(found)
    needs = {bundle: Counter(strata(rows[position]) for position in bundle) for bundle in found}
    left = {name: Counter(quota) for name, quota in quotas.items()}
    spare = Counter(map(strata, rows))
    home: dict[Bundle, str] = {}

    def give(bundle: Bundle, name: str) -> None:
        home[bundle] = name
        left[name].subtract(needs[bundle])
        spare.subtract(needs[bundle])

    def free() -> list[Bundle]:
        return [b for b in found if b not in home and all(spare[s] > n for s, n in needs[b].items())]

    for bundle in free():
        for name, quota in left.items():
            if all(quota[s] >= n and spare[s] > n for s, n in needs[bundle].items()):
                give(bundle, name)
                break
    for name, quota in left.items():
        for bundle in free() if quota.total() else ():
            if quota.total() >= len(bundle) and all(spare[s] > n for s, n in needs[bundle].items()):
                give(bundle, name)
    for name in quotas:
        if name not in home.values() and any(quotas[name].values()) and (bundle := min(free(), key=len, default=())):
            give(bundle, name)
    parts = ["train"] * len(rows)
    for bundle, name in home.items():
        for position in bundle:
            parts[position] = name
    return parts
