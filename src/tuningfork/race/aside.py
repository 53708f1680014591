"""Who learns from which examples.

A road that is made of others' candidates (a vote, a cascade) must choose on examples that none of these has learnt from
or was chosen on: a head that was fitted on hold is never wrong there. So where such a road races, a quarter of train is
kept from all others until the final and is what it chooses on. Rows that belong together with others stay in train: a
near-duplicate of what was learnt is not unseen.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..task import Example
from .plan import Trial

EVERY, MOST = 4, 500
Examples = tuple[Example, ...]


def dealt(train: Examples, hold: Examples, trial: Trial, trials: Sequence[Trial]) -> tuple[Examples, Examples]:
    """What a trial learns from and what it chooses on, before the final; there nothing is kept from anybody."""
    aside = kept_aside(train, trials)
    kept = {example.id for example in aside}
    rest = tuple(example for example in train if example.id not in kept)
    return rest, aside if trial.waits else hold


def kept_aside(train: Examples, trials: Sequence[Trial]) -> Examples:
    """The train examples that only roads made of others' candidates see before the final; none where there is no such
    road."""
    if not any(trial.waits for trial in trials):
        return ()
    alone = [example for example in train if example.cluster is None]
    return tuple(alone[:: max(EVERY, -(-len(alone) // MOST))])
