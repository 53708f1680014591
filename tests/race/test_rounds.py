"""Who is sent out on dev, who goes to the final: on item scores made by hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tuningfork.candidate import Constant
from tuningfork.log import LogWriter, born_event
from tuningfork.metrics import open_metric
from tuningfork.race import adapt, rounds
from tuningfork.race.finalists import choose
from tuningfork.race.plan import Trial
from tuningfork.race.rounds import race_on_dev
from tuningfork.race.state import Race, Standing

Scores = Sequence[float | None]
Stand = Callable[[Mapping[str, tuple[str, Scores]]], Race]


@pytest.fixture
def stand(tmp_path: Path, track: Any) -> Stand:
    """A race in which these trials (name -> family, scores on dev, block after block) have been measured."""

    def made(trials: Mapping[str, tuple[str, Scores]]) -> Race:
        here = track()
        standing = Standing(LogWriter(tmp_path / "made"), lambda event: None)
        for name, (family, scores) in trials.items():
            about = {"method": name, "model": "", "family": family, "settings": {}, "stage": "race", "seed": 0}
            more = {"parents": (), "examples_used": 1, "examples_chosen_on": 1, "seconds": 0.0, "usage": {}}
            standing.add_born(born_event(name, Constant("same"), **about, **more), Constant("same"))
            where = standing.where(name, "race", "dev")
            standing.scores[where] = {f"dev{i}": score for i, score in enumerate(scores)}
            standing.measured[where] = set(range(len(scores) // 16))
        running = [
            Trial(n, SimpleNamespace(name=n, family=f, needs=frozenset()), None, Constant(""))
            for n, (f, _) in trials.items()
        ]  # type: ignore[arg-type]
        rest: dict[str, Any] = {"open_model": None, "capabilities": {}, "plan": here.plan, "standing": standing}
        return Race(
            here.task,
            here.split,
            running,
            [open_metric("accuracy")],
            [],
            **rest,
            doing=str,
            began=time.perf_counter(),
            open_bare=str,  # type: ignore[arg-type]
        )

    return made


RIGHT, WRONG = [1.0] * 16, [0.0] * 16


def test_who_is_shown_worse_goes_but_for_the_best_of_its_family(stand: Stand) -> None:
    it = stand(
        {
            "a": ("tune", RIGHT * 3),
            "b": ("tune", WRONG * 3),
            "c": ("prompt", [0.0, 1.0] * 24),
            "d": ("prompt", WRONG * 3),
            "e": ("tune", [1.0] * 45 + [0.0] * 3),
        }
    )
    race_on_dev(it)
    assert {name: left.status for name, left in it.standing.left.items()} == {"b": "dropped", "d": "dropped"}
    assert it.standing.left["b"].why == "Shown worse than a by about 1.000 after 48 dev items."


def test_rounds_that_a_race_had_gone_beyond_are_over(stand: Stand) -> None:
    """At first glance `b` would go, over all items it would not; only the last round is asked again."""
    it = stand({"a": ("tune", RIGHT + WRONG + RIGHT), "b": ("tune", WRONG + RIGHT + RIGHT)})
    race_on_dev(it)
    assert not it.standing.left


def test_a_round_counts_no_items_beyond_it(stand: Stand) -> None:
    """As after a stop in the middle of a block, which some had answered and others not yet."""
    it = stand({"a": ("tune", RIGHT), "b": ("tune", WRONG)})
    it.standing.scores[it.standing.where("b", "race", "dev")].update({f"dev{i}": 1.0 for i in range(16, 48)})
    rounds._drop(it, it.split.dev[:16])
    assert it.standing.left["b"].why.startswith("Shown worse than a by about 1.000 after 16 dev items.")


def test_those_who_have_left_still_count_in_the_evidence(stand: Stand) -> None:
    """Seven wins of seven are enough between two, not among twenty that were tried."""
    close = [1.0] * 9 + [0.0] * 7
    two = {"a": ("tune", RIGHT), "b": ("tune", close)}
    few = stand(two)
    race_on_dev(few)
    many = stand({**two, **{f"gone{i}": ("tune", WRONG) for i in range(18)}})
    for i in range(18):
        many.leave(many.trials[2 + i], "dropped", "before")
    race_on_dev(many)
    assert "b" in few.standing.left and "b" not in many.standing.left


def test_failed_items_count_as_wrong_when_finalists_are_chosen(stand: Stand) -> None:
    it = stand({"half": ("prompt", [1.0, None] * 24), "sound": ("prompt", [1.0] * 40 + [0.0] * 8)})
    assert list(choose(it.standing, it.trials, it.metric, 1)) == ["sound"]


def test_the_final_takes_the_best_of_each_family_and_fills_up_with_those_still_in(stand: Stand) -> None:
    it = stand(
        {
            "a": ("tune", [1.0] * 48),
            "b": ("tune", [1.0] * 40 + [0.0] * 8),
            "c": ("tune", [1.0] * 30 + [0.0] * 18),
            "d": ("prompt", WRONG * 3),
            "e": ("baseline", [1.0] * 47 + [0.0]),
            "f": ("baseline", [1.0] * 46 + [0.0] * 2),
            "g": ("yours", WRONG * 3),
            "h": ("yours", [0.0] * 47 + [1.0]),
        }
    )
    it.leave(it.trials[1], "failed", "It broke down.")
    it.leave(it.trials[6], "dropped", "Shown worse.")
    chosen = choose(it.standing, it.trials, it.metric, 6)
    assert list(chosen) == ["a", "e", "c", "h", "d", "g"], "best first, what was dropped last"
    assert chosen["c"] == "still in after the race on dev" and chosen["d"] == "best of family prompt"
    assert chosen["g"] == chosen["h"] == "yours, raced unchanged"


def test_measuring_that_took_long_leaves_the_next_road_a_share() -> None:
    """Writing thirty answers may take more than what roads that only read have among them."""
    reads, trains = SimpleNamespace(trains=False), SimpleNamespace(trains=True)
    plan = SimpleNamespace(race_seconds=100.0)
    race: Any = SimpleNamespace(plan=plan, standing=SimpleNamespace(planned=60.0))
    rest: Any = [reads, trains]
    assert adapt.race_share(race, rest[0], rest) == pytest.approx(4.0)
    assert adapt.race_share(race, rest[1], rest[1:]) == pytest.approx(40.0)
