"""Choosing among prompts within a share: on which examples, how many prompts can be afforded, and what it showed.

`hold` alone is small: of 128 rows it has 19, on which two prompts that differ by ten points are told apart little
better than by a coin. A prompting method learns nothing from the train examples that it does not show, so these choose
too. They are asked by sequential halving (`Bench.scores`): most questions go to the prompts that may be best.

Costs are planned, not found out half-way: a few items are asked once, and from then on tokens are counted by
characters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from statistics import mean, median, stdev

from ..candidate import Nearest, Single
from ..errors import BudgetSpent
from ..method import Bench, leader
from ..predict import predict
from ..predict.prompt import plain_input
from ..task import Example, plain_text
from .draws import length, unshown

MOST = 200
"""Examples to choose on: with more, the share is better spent on more prompts."""
FEWEST = 8
"""Examples that each prompt is asked at least; with fewer the first round of halving is a lottery."""
TURN = 12
"""Characters that the marks of a turn count for."""
MEASURED = 4
"""Items by which reading is measured."""


@dataclass(frozen=True)
class Choice:
    """The prompt that was chosen; and of all that were asked, in the order given, what each scored item by item, the
    first rounds of all on the same items."""

    best: Single
    asked: tuple[Single, ...]
    scores: tuple[tuple[float, ...], ...]

    @property
    def items(self) -> int:
        """How many examples the last ones left were asked about."""
        return max(map(len, self.scores), default=0)

    @property
    def spread(self) -> float:
        """How far apart the best and the worst lie on the items that all had; 0 where fewer than two were asked."""
        common = min(map(len, self.scores), default=0)
        means = [mean(each[:common]) for each in self.scores] if common else [0.0]
        return max(means) - min(means)


def choose(
    bench: Bench,
    prompts: Sequence[Single],
    part: float = 0.8,
    incumbent: bool = False,
    penalty: float = 0.0,
    cost: Cost | None = None,
) -> Choice:
    """The best of several by halving, on hold and the train examples that none of them shows, for at most this part
    of what is left of the share. Without a hold nothing is chosen: the first is taken. Later prompts are left out
    where not all can be afforded; where not even two can, the first is taken as it is. An `incumbent`, the first,
    gives way only to one that `beats` it. The longest prompt has `penalty` taken off each score at the end, shorter
    ones less. `cost` saves measuring it on the first."""
    if not bench.hold:
        return Choice(prompts[0], (), ())
    items, kept, block = _affordable(bench, list(prompts), part, cost)
    asked = len(kept) > 1
    scores = replace(bench, hold=items).race(kept, block, halving=True, stay=int(incumbent)) if asked else []
    if not any(scores):
        return Choice(prompts[0], (), ())
    longest = max(map(_characters, kept))
    worth = [[s - penalty * _characters(p) / longest for s in each] for p, each in zip(kept, scores, strict=True)]
    best = leader(worth)
    if incumbent and not beats(worth[best], worth[0]):
        best = 0
    return Choice(kept[best], tuple(kept), tuple(scores))


def tell(bench: Bench, name: str, what: str, choice: Choice) -> None:
    """Note how many of what a method chose among, how far apart they lay, and on how many examples it chose."""
    if choice.asked:
        bench.note(f"{name}.{what}", len(choice.asked))
        bench.note(f"{name}.spread_over_{what}", round(choice.spread, 4))
        bench.note(f"{name}.chosen_on", choice.items)


def beats(better: Sequence[float], worse: Sequence[float]) -> bool:
    """Whether the mean of the first lies above that of the second by more than the standard error of their difference,
    on the items that both had."""
    gaps = [a - b for a, b in zip(better, worse, strict=False)]
    return len(gaps) > 1 and mean(gaps) > stdev(gaps) / math.sqrt(len(gaps)) + 1e-9  # one item alone never does


def unshown_by_all(bench: Bench, prompts: Sequence[Single]) -> tuple[Example, ...]:
    """Hold, and train examples that stand in none of these prompts, in an order by seed; MOST at most.

    Train examples are no fair question to a prompt that picks its demonstrations from them, so there hold is all.
    """
    if any(isinstance(prompt.shots, Nearest) for prompt in prompts):
        return bench.hold[:MOST]
    left = bench.train
    for prompt in prompts:
        left = tuple(unshown(prompt, left))
    return (*bench.hold, *Random(f"choose {bench.seed}").sample(left, len(left)))[:MOST]


@dataclass(frozen=True)
class Cost:
    """What reading a prompt costs here: `rate` tokens a character, `item` characters an input with its labels. What
    all questions of a block share is read once (`again` 0), or with every question (1), as behind most APIs."""

    rate: float
    item: float
    again: float

    def fixed(self, prompt: Single) -> float:
        """Tokens that all questions of a block share."""
        return self.rate * _characters(prompt)

    def shot(self, characters: float) -> float:
        """Tokens of a demonstration of so many characters."""
        return self.rate * (characters + 2 * TURN)

    def own(self, prompt: Single) -> float:
        """Tokens of each question by itself."""
        near = prompt.shots
        picked = near.k * self.shot(median(map(length, near.pool))) if isinstance(near, Nearest) and near.pool else 0.0
        return self.rate * self.item + picked + self.again * self.fixed(prompt)


def cost_of(bench: Bench, prompt: Single, items: Sequence[Example]) -> Cost:
    """What reading costs, by a first look at a few items. Raises BudgetSpent when there is nothing left for that."""
    labels = sum(len(word) + 2 for word in prompt.words)
    texts = [len(plain_input(example.inputs)) + 2 * TURN + labels for example in items]
    one, more = items[:1], items[1 : 1 + MEASURED]
    alone, together = (_tokens(bench, prompt, some) for some in (one, more))
    plain = Cost(1.0, texts[0], 0.0)
    fixed = plain.fixed(prompt)
    rate = alone / (fixed + plain.own(prompt))
    if not more or not rate:
        return Cost(rate, mean(texts), 0.0)
    own = sum(replace(plain, item=text).own(prompt) for text in texts[1 : 1 + MEASURED])
    read = (together / rate - own) / fixed  # how many times what they share was read
    return Cost(rate, mean(texts), float(read > (1 + len(more)) / 2))


def _tokens(bench: Bench, prompt: Single, items: Sequence[Example]) -> float:
    """What asking about these takes off the share."""
    before = bench.share.tokens
    list(predict(prompt, bench.models, [example.inputs for example in items]))
    return before - bench.share.tokens


def _affordable(
    bench: Bench, prompts: list[Single], part: float, cost: Cost | None
) -> tuple[tuple[Example, ...], list[Single], int]:
    """The items, the first so many prompts, and the first block's length.

    Each of log2(K) rounds of halving asks as many questions as the first one, and together they reach block *
    (2^rounds - 1) items; what a block shares is read 2 K times in all.
    """
    items = unshown_by_all(bench, prompts)
    if len(prompts) < 2 or not items:
        return items, prompts[:1], 0
    try:
        cost = cost or cost_of(bench, prompts[0], items)
    except BudgetSpent:
        return items, prompts[:1], 0
    tokens = bench.share.tokens * part
    while len(prompts) > 1:
        items = unshown_by_all(bench, prompts)
        rounds = math.ceil(math.log2(len(prompts)))
        fixed = 2 * sum(map(cost.fixed, prompts))
        question = rounds * sum(map(cost.own, prompts))
        enough = math.ceil(len(items) / (2**rounds - 1))
        block = min(enough, int((tokens - fixed) / question)) if question else enough
        if block >= FEWEST or (len(prompts) == 2 and block >= min(enough, FEWEST)):
            return items, prompts, block
        prompts = prompts[:-1]
    return items, prompts, 0


def _characters(prompt: Single) -> int:
    """Of all that stands in the prompt whatever the input: its template and fixed demonstrations."""
    messages = prompt.prompt.messages if prompt.prompt else ()
    shots = prompt.shots if isinstance(prompt.shots, tuple) else ()
    template = sum(len(plain_text(message.content)) + TURN for message in messages)
    return max(1, template + sum(length(shot) + 2 * TURN for shot in shots))
