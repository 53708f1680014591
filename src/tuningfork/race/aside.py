"""Who learns from which examples.

A road that is made of others' candidates (a vote, a cascade) must choose on examples that none of these has learnt from
or was chosen on: a head that was fitted on hold is never wrong there. So where such a road races, a quarter of train is
kept from all others until the final and is what it chooses on. Rows that belong together with others stay in train: a
near-duplicate of what was learnt is not unseen.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..log import Stage
from ..task import Example, Split
from .plan import Trial

EVERY, MOST = 4, 500
Examples = tuple[Example, ...]


def dealt(split: Split, trial: Trial, trials: Sequence[Trial], stage: Stage) -> tuple[Examples, Examples]:
    """What a trial learns from and what it chooses on. In the final, dev has done its work of choosing and joins train;
    nothing is kept from anybody."""
    if stage == "final":
        return (*split.train, *split.dev), split.hold
    aside = kept_aside(split, trials)
    kept = {example.id for example in aside}
    train = tuple(example for example in split.train if example.id not in kept)
    return train, aside if trial.waits else split.hold


def kept_aside(split: Split, trials: Sequence[Trial]) -> Examples:
    """The train examples that only roads made of others' candidates see in the race; none where there is no such
    road."""
    if not any(trial.waits for trial in trials):
        return ()
    alone = [example for example in split.train if example.cluster is None]
    return tuple(alone[:: max(EVERY, -(-len(alone) // MOST))])
