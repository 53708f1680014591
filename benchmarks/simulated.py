"""Races on synthetic scores, judged by the product's own code: `still_in` for the race, the rule of `decide` for the
claim, its intervals for coverage. Whatever is right by construction here is what a verdict must say.

Scores are right or wrong. The best candidate is right on four items of five; every other differs from it on a share
`discordance` of the items, by chance alone, and is worse by `gap` on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist, mean, median

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, ttest_rel

from tuningfork.decide.entries import entries
from tuningfork.decide.results import Results
from tuningfork.decide.rule import Case
from tuningfork.log import Born, Finalists, Measured, Row, RunLog, Started, TestOpened
from tuningfork.race.rounds import DROP_ALPHA
from tuningfork.stats.crossed import Ends, over_folds, over_seeds
from tuningfork.stats.intervals import total_interval, wilson
from tuningfork.stats.paired import difference, tango
from tuningfork.stats.sequential import still_in

BLOCK = 32
FINALISTS = 5
RIGHT = 0.8
Scores = NDArray[np.float64]
Number = float | int | list[float]


@dataclass(frozen=True)
class Outcome:
    """What one simulated race came to. `shown`: best and all not told apart from it; `used`: item scores asked of all
    there are."""

    clear: bool
    best: int
    shown: frozenset[int]
    recommended: int | None
    used: float


def draw(rng: np.random.Generator, candidates: int, items: int, gap: float, discordance: float) -> Scores:
    """Scores of shape (candidates, items); candidate 0 is the best by `gap`."""
    best = rng.random(items) < RIGHT
    lost, won = (discordance + gap) / 2 / RIGHT, (discordance - gap) / 2 / (1 - RIGHT)
    luck = rng.random((candidates - 1, items))
    others = np.where(best, luck >= lost, luck < won)
    return np.vstack([best, others]).astype(float)


def equal(rng: np.random.Generator, candidates: int, items: int) -> Scores:
    """Candidates of which none is better, hanging together as answers to the same items do."""
    hard = rng.random(items) < 0.5
    chance = np.where(hard, 0.6, 1.0)
    return (rng.random((candidates, items)) < chance).astype(float)


def run(dev: Scores, test: Scores, costs: Sequence[float] = (), tolerance: float = 0.01) -> Outcome:
    """A race on dev, looked at after every block, then one claim on the test by those still in, five at most."""
    alive, used = [True] * len(dev), 0
    for end in range(BLOCK, dev.shape[1] + BLOCK, BLOCK):
        used += sum(alive) * (min(end, dev.shape[1]) - (end - BLOCK))
        scores = [row[:end].tolist() if living else [] for row, living in zip(dev, alive, strict=True)]
        alive = still_in(scores, alive, (0.0, 1.0), DROP_ALPHA)
        if sum(alive) == 1:
            break
    left = sorted((k for k in range(len(dev)) if alive[k]), key=lambda k: -float(dev[k].mean()))[:FINALISTS]
    case = case_of({f"c{k}": test[k] for k in left}, {f"c{k}": costs[k] if costs else 1.0 for k in left}, tolerance)
    number = {f"c{k}": k for k in left}
    assert case.best is not None
    shown = frozenset(number[name] for name in (case.best, *case.indistinguishable))
    recommended = number[case.recommended] if case.recommended else None
    return Outcome(case.outcome == "clear" or len(left) == 1, number[case.best], shown, recommended, used / dev.size)


def case_of(test: dict[str, Scores], costs: dict[str, float], tolerance: float) -> Case:
    """The rule's case for finalists with these scores: a log as a race writes it, in memory."""
    items = [f"t{i}" for i in range(len(next(iter(test.values()))))]
    about = ({"id": i, "split": "test", "target": "a", "group": None, "cluster": None} for i in items)
    measure = ({"name": "accuracy", "range": [0, 1], "higher_is_better": True},)
    task = {"name": "simulated", "kind": "classification", "tolerance": tolerance}
    events: list[object] = [Started(1, task, tuple(about), (), {}, {}, {}, measure, "")]
    rows: list[Row] = []
    for name, scores in test.items():
        data = {"type": "single"}
        events.append(Born(name, name, data, (), name, "m", name, {}, "final", 0, 1, 1, 0.0, {}, 0))
        usage = {"planned": costs[name] * len(items)}
        events.append(Measured(name, name, "test", 0, len(items), 0, 0.0, 0.0, usage))
        rows += [
            Row(name, name, "test", 0, i, "a", s, None, None, 0.0) for i, s in zip(items, scores.tolist(), strict=True)
        ]
    events += [Finalists(tuple(test), dict.fromkeys(test, "")), TestOpened(len(items), len(items), 1)]
    log = RunLog(Path(), tuple(events), tuple(rows))  # type: ignore[arg-type]
    return Case(log, entries(log), Results.read(log, "dev"), Results.read(log, "test"))


def null(races: int, items: int, test_items: int, seed: int = 0) -> dict[str, Number]:
    """Eight equal candidates: how often a winner is called clear, and how often by an ordinary test at every block."""
    rng, clear, dropped, ordinary = np.random.default_rng(seed), 0, 0, 0
    for _ in range(races):
        dev, test = equal(rng, 8, items), equal(rng, 8, test_items)
        found = run(dev, test)
        clear, dropped = clear + found.clear, dropped + (found.used < 1)
        ordinary += _ordinary_loser(dev)
    shares = {
        "clear": clear / races,
        "any_dropped": dropped / races,
        "any_dropped_by_an_ordinary_test": ordinary / races,
    }
    return {"races": races, **shares, "highest_mean_names_a_winner": 1.0}


def _ordinary_loser(dev: Scores) -> bool:
    """Whether an ordinary paired t-test of the highest mean against the lowest is under 5% after some block."""
    for end in range(BLOCK, dev.shape[1] + 1, BLOCK):
        first, *_, second = np.argsort(-dev[:, :end].mean(axis=1), kind="stable")
        if (dev[first, :end] != dev[second, :end]).any() and ttest_rel(
            dev[first, :end], dev[second, :end]
        ).pvalue < 0.05:
            return True
    return False


def planted(races: int, items: int, gap: float, discordance: float = 0.2, seed: int = 0) -> dict[str, Number]:
    """Eight candidates, one better by `gap`: is it in the reported set, how large is that, what was asked for it."""
    rng = np.random.default_rng(seed)
    found = [run(*(draw(rng, 8, items, gap, discordance) for _ in range(2))) for _ in range(races)]
    return {
        "races": races,
        "best_in_set": mean(0 in f.shown for f in found),
        "best_named": mean(f.best == 0 for f in found),
        "median_set": median(len(f.shown) for f in found),
        "median_used": median(f.used for f in found),
    }


def non_inferiority(
    races: int, items: int, tolerance: float, discordance: float = 0.2, seed: int = 0
) -> dict[str, Number]:
    """A cheap candidate that is worse by exactly the tolerance. `wrongly`: recommended as shown good enough, though
    it is not; `by_luck`: it had the highest value on these items, so that it was the best there."""
    rng, wrongly, luck = np.random.default_rng(seed), 0, 0
    for _ in range(races):
        dear, cheap = draw(rng, 2, items, tolerance, discordance)
        case = case_of({"dear": dear, "cheap": cheap}, {"dear": 40.0, "cheap": 1.0}, tolerance)
        wrongly += case.recommended == "cheap" and case.best == "dear"
        luck += case.best == "cheap"
    return {"races": races, "wrongly": wrongly / races, "by_luck": luck / races}


def coverage_of_accuracy(sizes: Sequence[int], rates: Sequence[float]) -> dict[str, Number]:
    """Exactly, by adding up: how often the interval of a share holds it."""
    cells = {}
    for n in sizes:
        for p in rates:
            counts = np.arange(n + 1)
            inside = [(i := wilson(int(k), n)).low <= p <= i.high for k in counts]
            cells[n, p] = float(binom.pmf(counts, n, p) @ np.array(inside, dtype=float))
    return _summary(cells)


def coverage_of_difference(
    draws: int, sizes: Sequence[int], rates: Sequence[float], seed: int = 0
) -> dict[str, Number]:
    """Of a paired difference of 0.02, where discordant items are a share of `rates`."""
    rng, cells = np.random.default_rng(seed), {}
    for n in sizes:
        for p in (p for p in rates if 0.02 < p <= 0.5):
            found = rng.multinomial(n, [(p + 0.02) / 2, (p - 0.02) / 2, 1 - p], size=draws)
            ends = [tango(int(w), int(lost), n) for w, lost, _ in found]
            cells[n, p] = mean(low <= 0.02 <= high for low, high in ends)
    return _summary(cells)


def coverage_of_macro_f1(draws: int, sizes: Sequence[int], rates: Sequence[float], seed: int = 0) -> dict[str, Number]:
    """Of macro F1 over three labels of 50, 30 and 20%, each answered right at the rate."""
    rng, cells, shares = np.random.default_rng(seed), {}, np.array([0.5, 0.3, 0.2])
    for p in rates:
        table = shares[:, None] * (np.eye(3) * p + (1 - np.eye(3)) * (1 - p) / 2)
        true = _macro_f1(table * 1e9)
        for n in sizes:
            held = 0
            for number in range(draws):
                drawn = rng.choice(9, size=n, p=table.ravel())
                found = total_interval(lambda at, d=drawn: _macro_f1(np.bincount(d[at], minlength=9)), n, seed=number)
                held += found.low <= true <= found.high
            cells[n, p] = held / draws
    return _summary(cells)


def _macro_f1(table: NDArray[np.float64] | NDArray[np.intp]) -> float:
    counts = np.asarray(table, dtype=float).reshape(3, 3)
    both = counts.sum(0) + counts.sum(1)
    return float((2 * np.diag(counts)[both > 0] / both[both > 0]).mean())


def _summary(cells: dict[tuple[int, float], float]) -> dict[str, Number]:
    """Mean and least coverage over the cells with five items of the rarer kind; what has fewer says `too little`."""
    enough = {key: value for key, value in cells.items() if key[0] * min(key[1], 1 - key[1]) >= 5}
    return {"cells": len(enough), "mean": mean(enough.values()), "least": min(enough.values())}


def coverage_over_seeds(draws: int, items: int, seeds: int, spread: float, seed: int = 0) -> dict[str, Number]:
    """Of the difference of two equal roads whose seeds spread so much (standard deviation): crossed, and by items."""
    rng, crossed, alone = np.random.default_rng(seed), 0, 0
    for _ in range(draws):
        hard = rng.normal(0, 0.25, items)
        rates = RIGHT + rng.normal(0, spread, (2, seeds))
        chance = np.clip(rates[:, :, None] + hard, 0, 1)
        # Items are centred so that clipping moves both roads alike; the true difference is 0.
        scores = (rng.random((2, seeds, items)) < chance).astype(float)
        found = difference(scores[0].mean(axis=0).tolist(), scores[1].mean(axis=0).tolist())
        alone += found.low <= 0 <= found.high
        sides = [scores[side].mean(axis=1).tolist() for side in (0, 1)]
        ends = over_seeds(found.value, Ends(found.low, found.high, found.p), items, sides, (-1.0, 1.0))
        crossed += ends.low <= 0 <= ends.high
    return {"draws": draws, "crossed": crossed / draws, "items_alone": alone / draws}


def coverage_over_folds(draws: int, items: int, repeats: int, seed: int = 0) -> dict[str, Number]:
    """Cross-fitting on `items` rows of two labels in ten dimensions, answered by the nearer centre: does the interval
    hold the accuracy that the folds' candidates have on new rows, and that of the one that is `shipped`?"""
    rng, folds = np.random.default_rng(seed), 5
    corrected, plain, shipped = 0, 0, 0
    for _ in range(draws):
        x, y = _rows_of_two(rng, items)
        scores, truth = np.zeros((repeats, items)), []
        for repeat in range(repeats):
            home = rng.permutation(items) % folds
            for fold in range(folds):
                centres = [x[(home != fold) & (y == label)].mean(axis=0) for label in (0, 1)]
                scores[repeat, home == fold] = _nearer(x[home == fold], centres) == y[home == fold]
                truth.append(_true_rate(centres))
        found = wilson(float(scores.mean(axis=0).sum()), items)
        ends = over_folds(found.value, Ends(found.low, found.high, 1.0), folds, repeats, (0.0, 1.0))
        true, last = mean(truth), _true_rate([x[y == label].mean(axis=0) for label in (0, 1)])
        corrected += ends.low <= true <= ends.high
        shipped += ends.low <= last <= ends.high
        plain += found.low <= true <= found.high
    shares = {"corrected": corrected / draws, "shipped": shipped / draws, "as_independent": plain / draws}
    return {"draws": draws, **shares}


SHIFT = np.full(10, 0.25)


def _rows_of_two(rng: np.random.Generator, items: int) -> tuple[Scores, NDArray[np.intp]]:
    y = rng.permutation(items) % 2
    return rng.normal(0, 1, (items, 10)) + np.where(y[:, None] == 1, SHIFT, -SHIFT), y


def _nearer(x: Scores, centres: Sequence[Scores]) -> NDArray[np.intp]:
    gaps = np.stack([np.square(x - centre).sum(axis=1) for centre in centres])
    return np.argmin(gaps, axis=0)


def _true_rate(centres: Sequence[Scores]) -> float:
    """The exact accuracy of the nearer centre on new rows of both labels."""
    way, middle = centres[1] - centres[0], (centres[0] + centres[1]) / 2
    length = float(np.linalg.norm(way))
    normal = NormalDist()
    return mean(normal.cdf(sign * float((sign * SHIFT - middle) @ way) / length) for sign in (1, -1))
