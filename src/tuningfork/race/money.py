"""Each step's part of the money. Where no model costs any, all of these are without limit.

A part of the limit is kept for the final, as of the seconds. What is spent stands in the log (an answer from the cache
at what it cost the first time, so that a repetition goes alike). A meter refuses before the limit could be overrun;
what is here sees to it that a race ends in good order before that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..log import Stage
from .meter import Meter
from .plan import FINAL_SHARE, Trial
from .state import Race

ADAPT_SHARE = 0.5
"""Of what is left for racing: what methods may spend on adapting; the rest pays for measuring."""
ADAPT_AGAIN_SHARE = 0.25
"""The same of what is left for the final."""
TEST_SHARE = 0.8
"""Of what is left after that: the test. The rest is for probes, and for requests that turn out dearer."""
MARGIN = 2.0
"""A block is begun when so many times its likely cost is left."""


def left_usd(it: Race, stage: Stage) -> float:
    """What may still be spent, in the race or in all."""
    if it.plan.usd is None:
        return math.inf
    most = it.plan.usd * (1.0 if stage == "final" else 1 - FINAL_SHARE)
    return max(0.0, most - it.standing.usage.usd)


def adapting_usd(it: Race, stage: Stage, waiting: int) -> float:
    """A trial's share for adapting, `waiting` of them still to come, itself included."""
    part = ADAPT_AGAIN_SHARE if stage == "final" else ADAPT_SHARE
    return left_usd(it, stage) * part / max(1, waiting)


def waiting(it: Race, trials: Sequence[Trial], trial: Trial) -> int:
    """How many of these trials may still spend: those on models with a price, and this one."""
    return sum(t is trial or t.model in it.plan.prices for t in trials)


def free_meter(it: Race, stage: Stage) -> Meter:
    """A meter for measuring: without limit in seconds, and with all the money that is left."""
    return Meter(it.plan.rates, math.inf, math.inf, usd=left_usd(it, stage), prices=it.plan.prices)


def block_is_paid(it: Race, trials: Sequence[Trial], items: int) -> bool:
    """Whether what is left for racing pays for so many items more of each of these trials."""
    an_item = sum(usd_an_item(it, trial) for trial in trials)
    return an_item * items * MARGIN <= left_usd(it, "race")


def test_items(it: Race, trials: Sequence[Trial], all_items: int) -> int:
    """How many test items what is left pays for, as items cost on dev."""
    an_item = sum(usd_an_item(it, trial) for trial in trials)
    room = left_usd(it, "final") * TEST_SHARE
    return all_items if an_item * all_items <= room else int(room / an_item)


def usd_an_item(it: Race, trial: Trial) -> float:
    """What an item cost on dev."""
    where = it.standing.where(trial.name, "race", "dev")
    items = len(it.standing.scores.get(where, {}))
    return it.standing.usd_measuring.get(where, 0.0) / items if items else 0.0
