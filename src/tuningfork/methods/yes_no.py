"""What roads have in common where several labels may hold, and a model is asked about each: demonstrations, items to
learn, and how much likelier than `no` a `yes` must be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from random import Random

from ..candidate import Calibration, Shot, Single
from ..errors import BudgetSpent, MethodError
from ..method import Bench
from ..model import Failure, TuneItem
from ..predict.each import YES_NO, asker, question
from ..predict.prompt import ASKED_LABEL, shot_of
from ..predict.run import adapted
from ..predict.shots import prompter
from ..task import Example, Prompt

CHUNK = 25


def shots(start: Single, examples: Sequence[Example], random: Random, most: int) -> list[Shot]:
    """At most `most` demonstrations, as many of yes as of no, over the labels in turn."""
    words = dict(zip(start.labels, start.words, strict=True))
    order = random.sample(list(words), len(words))
    pools = {label: random.sample(list(examples), len(examples)) for label in order}
    having = {label: iter([e for e in pool if label in sets(e)]) for label, pool in pools.items()}
    lacking = {label: iter([e for e in pool if label not in sets(e)]) for label, pool in pools.items()}
    shown: list[Shot] = []
    for _ in range(most):
        for label in order:
            pair = (next(having[label], None), next(lacking[label], None))
            if None not in pair:
                asked = zip(pair, YES_NO, strict=True)
                shown += [shot_of(question(e.inputs, words[label]), said) for e, said in asked if e]
    if not shown:
        raise MethodError("No label has both an example with it and one without it, so there is nothing to show.")
    return list(islice(shown, most))


def sets(example: Example) -> frozenset[str]:
    """The labels of an example."""
    return example.target if isinstance(example.target, frozenset) else frozenset()


def pairs(asked: Single, bench: Bench, examples: Sequence[Example]) -> list[tuple[Example, TuneItem]]:
    """A question about every label of every example, and its answer; what can't be asked is left out."""
    examples = _unshown(asked, examples)
    each = [(e, label, word) for e in examples for label, word in zip(asked.labels, asked.words, strict=True)]
    rendered = prompter(asked, bench.models)([question(e.inputs, word) for e, _, word in each]) if each else []
    return [
        (example, TuneItem(made.prompt, YES_NO[label not in sets(example)], YES_NO))
        for (example, label, _), made in zip(each, rendered, strict=True)
        if isinstance(made.prompt, Prompt)
    ]


def matched(one: Single, bench: Bench, inputs: int) -> Single:
    """The candidate with an offset for every label, by which it is said of as many train inputs as have it.

    A prompted model says yes too often, or too seldom, whatever it is asked; the order of its yes over no is worth more
    than their size. Raises MethodError where nothing could be asked.
    """
    others = _unshown(one, bench.train)
    sample = Random(f"calibrate {bench.seed}").sample(others, min(inputs, len(others)))
    ask = asker(one, adapted(one, bench.models), bench.models)
    found: list[tuple[Example, list[float]]] = []
    for begin in range(0, len(sample), CHUNK):
        block = sample[begin : begin + CHUNK]
        try:
            replies = ask([example.inputs for example in block])
        except BudgetSpent:
            if not found:
                raise
            break  # what was read will do
        found += [(e, logits) for e, (logits, _) in zip(block, replies, strict=True) if not isinstance(logits, Failure)]
    if not found:
        raise MethodError(f"None of {len(sample)} train inputs could be asked about.")
    offsets = []
    for i, label in enumerate(one.labels):
        logits = sorted((row[i] for _, row in found), reverse=True)
        have = sum(label in sets(example) for example, _ in found)
        above = logits[have - 1] if have else logits[0] + 2.0
        below = logits[have] if have < len(logits) else logits[-1] - 2.0
        offsets.append((above + below) / 2)
    return replace(one, calibration=Calibration(tuple(offsets)))


def _unshown(one: Single, examples: Sequence[Example]) -> list[Example]:
    """The examples that no demonstration is about: there, the answer would be read off."""
    known = one.shots if isinstance(one.shots, tuple) else ()
    shown = {tuple(pair for pair in shot.inputs if pair[0] != ASKED_LABEL) for shot in known}
    return [example for example in examples if shot_of(example.inputs, "").inputs not in shown]
