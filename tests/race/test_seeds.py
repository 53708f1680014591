"""Rungs, the noise floor and further seeds: what is logged, what the verdict makes of it; a kill costs nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tuningfork.candidate import Candidate, Constant
from tuningfork.decide import decide
from tuningfork.errors import MethodError
from tuningfork.log import Born, Event, Finalists, Measured, Noted, Rung, RunLog, Twins
from tuningfork.method import Bench
from tuningfork.race.plan import Plan
from tuningfork.stats.intervals import mean_interval

from .conftest import LABELS, PLAN

Tracks = Callable[..., Any]
FULL = replace(PLAN, rungs=(0.25, 0.5), rung_seconds=20.0, seeds=3, seed_seconds=20.0)


class Lucky:
    """A road whose candidate hangs on the seed and on nothing else."""

    name, family = "lucky", "tune"
    needs: frozenset[Any] = frozenset()
    uses: frozenset[Any] = frozenset()
    kinds: frozenset[Any] = frozenset({"classification"})

    def __init__(self, fails: tuple[int, ...] = ()) -> None:
        self.fails = fails

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        if bench.seed in self.fails:
            raise MethodError("not under this seed")
        return Constant(LABELS[bench.seed % 3], LABELS)


QUICK = ("majority", "few_shot", Lucky())


class Stop:
    """A watcher that stops the race after its k-th event."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, event: Event) -> None:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1


def test_finalists_run_under_three_seeds_and_the_first_is_shipped(track: Tracks) -> None:
    log = track().run([Lucky(), "majority", "few_shot"], plan=FULL)
    final = [e for e in log.of(Born) if e.trial == "lucky" and e.stage == "final"]
    assert [e.seed for e in final] == [3, 4, 5] and len({e.candidate for e in final}) == 3
    assert log.born("lucky") == final[0], "the first seed is shipped"
    assert {row.candidate for row in log.results("test")["lucky"].values()} == {final[0].candidate}
    assert [len(rows) for rows in log.seeds("test")["lucky"]] == [40, 40, 40]
    verdict = decide(log).to_dict()
    row = next(r for r in verdict["leaderboard"] if r["candidate"] == "lucky")
    by_seed = [sum(r.score or 0 for r in rows.values()) / 40 for rows in log.seeds("test")["lucky"]]
    assert row["seeds"] == 3 and row["test"]["value"] == pytest.approx(sum(by_seed) / 3, abs=1e-6)
    rows = log.seeds("test")["lucky"]
    items = mean_interval([sum(r[i].score or 0 for r in rows) / 3 for i in rows[0]])
    assert row["test"]["high"] - row["test"]["low"] > items.high - items.low, "seeds are luck, too"


def test_a_road_that_does_not_hang_on_the_seed_is_asked_once(track: Tracks) -> None:
    log = track().run(("majority", "zero_shot"), plan=FULL)
    assert [e.seed for e in log.of(Born) if e.trial == "zero_shot@fake" and e.stage == "final"] == [3, 4, 5]
    assert [e.seed for e in log.of(Measured) if e.trial == "zero_shot@fake" and e.split == "test"] == [3]
    row = next(r for r in decide(log).leaderboard if r["candidate"] == "zero_shot@fake")
    assert row["seeds"] == 3


def test_a_seed_that_fails_is_noted_and_the_others_count(track: Tracks) -> None:
    log = track().run([Lucky(fails=(4,)), "majority"], plan=FULL)
    assert [e.seed for e in log.of(Born) if e.trial == "lucky" and e.stage == "final"] == [3, 5]
    assert any("could not be adapted under seed 4 (not under this seed)" in note.text for note in log.of(Noted))
    assert next(r for r in decide(log).leaderboard if r["candidate"] == "lucky")["seeds"] == 2


def test_without_room_there_is_one_seed(track: Tracks) -> None:
    log = track().run(("majority", "few_shot"), plan=replace(FULL, seconds=0.001))
    assert {e.seed for e in log.of(Born) if e.trial == "few_shot@fake"} == {3}


def test_what_learns_climbs_and_prompts_do_not(track: Tracks) -> None:
    log = track().run(("majority", "few_shot", "head"), plan=FULL)
    climbed = [(r.examples, r.seed) for r in log.of(Rung) if r.trial == "head@fake"]
    assert climbed == [(14, 3), (14, 4), (14, 5)], "of 30 examples a quarter is too few"
    assert not [r for r in log.of(Rung) if r.trial in ("few_shot@fake", "majority")]
    assert all(0 <= r.value <= 1 and r.items == 48 and r.usage["planned"] >= 0 for r in log.of(Rung))


def test_a_light_plan_measures_only_rungs_that_cost_next_to_nothing(track: Tracks) -> None:
    log = track().run(("majority", "head", Lucky()), plan=replace(FULL, rung_seconds=0.0, seeds=1))
    cost: dict[str, float] = {}
    for rung in log.of(Rung):
        cost[rung.trial] = cost.get(rung.trial, 0.0) + rung.usage["planned"]
    assert cost and all(seconds <= 0.01 * FULL.seconds * 1.3 for seconds in cost.values())


def test_the_noise_floor_is_measured_and_stands_in_the_verdict(track: Tracks) -> None:
    log = track().run(("majority", Lucky(), "few_shot"), plan=FULL)
    (twins,) = log.of(Twins)
    assert twins.items > 0 and twins.low <= twins.difference <= twins.high and len(twins.seeds) == 2
    floor = decide(log).to_dict()["noise_floor"]
    assert floor["candidate"] == twins.trial and floor["low"] == pytest.approx(twins.low, abs=1e-6)
    assert floor["n"] == twins.items


def test_no_plan_for_it_no_noise_floor(track: Tracks) -> None:
    log = track().run(("majority", "head"))
    assert not log.of(Twins) and not log.of(Rung) and decide(log).to_dict()["noise_floor"] is None


def test_the_same_seed_and_plan_give_the_same_verdict(track: Tracks) -> None:
    one, other = track("one"), track("other")
    first, second = one.run(QUICK, plan=FULL), other.run(QUICK, plan=FULL)
    assert one.timeless(first) == other.timeless(second)
    assert Plan.from_dict(json.loads(json.dumps(first.started.plan))) == replace(
        FULL, trials=tuple(first.started.plan["trials"]), skipped=first.started.plan["skipped"]
    )


@pytest.mark.parametrize("every", [20, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_after_any_event_it_goes_on_to_the_same_verdict(track: Tracks, every: int) -> None:
    whole = track("whole")
    log = whole.run(QUICK, plan=FULL)
    wanted, count = whole.timeless(log), len(log.events)
    kinds = [type(event) for event in log.events[: count - 1]]
    again = [k for k, e in enumerate(log.events) if isinstance(e, Born) and e.seed != 3]
    for k in sorted({*range(0, count - 1, every), *map(kinds.index, {Rung, Twins, Finalists}), *again[:2]}):
        here = track(f"killed-{k}")
        with pytest.raises(KeyboardInterrupt):
            here.run(QUICK, plan=FULL, watch=Stop(k))
        resumed = here.run(QUICK, plan=FULL, resume=True)
        assert here.timeless(resumed) == wanted, f"killed after event {k}"
        for kind in (Born, Rung, Twins):
            assert [timeless(e) for e in resumed.of(kind)] == [timeless(e) for e in log.of(kind)]


def timeless(event: Any) -> Any:
    data = dict(vars(event))
    data.pop("seconds")
    data["usage"] = {k: v for k, v in event.usage.items() if k not in ("wall", "seconds")}
    return data


def test_a_log_can_be_read_again_and_says_the_same(track: Tracks) -> None:
    here = track()
    here.run(QUICK, plan=FULL)
    assert decide(RunLog.read(here.folder)).to_dict() == decide(RunLog.read(here.folder)).to_dict()
