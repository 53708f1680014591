"""Roads that are made of other roads' candidates: when they run, what they choose on, and what the final gives them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from tuningfork.candidate import Candidate, Cascade, Constant, Guarantee, parts_of
from tuningfork.decide import decide
from tuningfork.log import Born, Finalists, Measured, Noted, RunLog
from tuningfork.method import Bench
from tuningfork.probes import open_probe
from tuningfork.race.aside import EVERY, kept_aside
from tuningfork.race.plan import Trial, trials
from tuningfork.task import Split

Tracks = Callable[..., Any]


class Spied:
    """A method that lets a test see its bench before another one does the work."""

    uses: ClassVar[frozenset[Any]] = frozenset()
    kinds: ClassVar[frozenset[Any]] = frozenset({"classification"})

    def __init__(self, name: str, does: Callable[[Bench], Candidate], needs: frozenset[Any]) -> None:
        self.name, self.does, self.needs, self.family = name, does, needs, "hybrid"
        self.seen: list[Bench] = []

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        self.seen.append(bench)
        return self.does(bench)


def two_best(bench: Bench) -> Candidate:
    if isinstance(bench.mine, Cascade):
        known = {k.trial: k for k in bench.known}
        return replace(bench.mine, parts=(known["zero_shot@fake"].candidate, known["few_shot@fake"].candidate))
    known = {k.trial: k.candidate for k in bench.known}
    shown = Guarantee(0.01, 0.1, len(bench.hold), 0.5, 0.7)
    return Cascade((known["zero_shot@fake"], known["few_shot@fake"]), (0.9,), shown)


def ids(examples: Any) -> set[str]:
    return {example.id for example in examples}


def test_it_comes_last_and_chooses_on_what_nobody_has_seen(track: Tracks) -> None:
    made = Spied("made", two_best, frozenset({"known"}))
    other = Spied("other", lambda bench: Constant("bugs", bench.task.labels), frozenset())
    here = track()
    log: RunLog = here.run([made, "zero_shot", "few_shot", "lora", other])
    born = [event.trial for event in log.of(Born) if event.stage == "race"]
    assert born[-1] == "made" and set(born) >= {"zero_shot@fake", "few_shot@fake", "lora@fake"}
    (race, final), seen = made.seen, other.seen[0]
    aside = ids(race.hold)
    assert len(aside) == -(-30 // EVERY) and aside <= ids(here.split.train)
    assert not aside & ids(race.train) and not aside & (ids(seen.train) | ids(seen.hold))
    assert ids(seen.hold) == ids(here.split.hold)
    assert ids(final.train) == ids(here.split.train) | ids(here.split.dev)
    notes = [event.text for event in log.of(Noted) if "kept from all others" in event.text]
    assert notes == ["8 train examples were kept from all others until the final: made chose on them."]


def test_in_the_final_it_comes_last_too_and_is_given_the_newest(track: Tracks) -> None:
    made = Spied("made", two_best, frozenset({"known"}))
    log: RunLog = track().run([made, "zero_shot", "few_shot", "lora"], probes=[open_probe("size")])
    finalists = log.of(Finalists)[0].trials
    assert [event.trial for event in log.of(Born) if event.stage == "final"][-1] == "made"
    known = {k.trial: k for k in made.seen[1].known}
    for trial in set(finalists) - {"made"}:
        newest = next(e for e in log.of(Born) if e.trial == trial and e.stage == "final")
        assert known[trial].candidate == log.candidate(newest)
        assert known[trial].before is not None
    assert all(k.before is None for k in made.seen[0].known)
    tested = [event for event in log.of(Measured) if event.trial == "made" and event.split == "test"]
    assert sum(event.items for event in tested) == 40
    rows = {row["candidate"]: row for row in decide(log).to_dict()["leaderboard"]}
    assert rows["made"]["family"] == "hybrid" and rows["made"]["test"]["n"] == 40
    candidate = log.candidate([e for e in log.of(Born) if e.trial == "made"][-1])
    assert isinstance(candidate, Cascade) and candidate.guarantee and len(list(parts_of(candidate))) == 2


def test_nothing_is_kept_aside_without_such_a_road(track: Tracks) -> None:
    here = track()
    running, _ = trials(here.task, [], {"fake": frozenset()})
    assert kept_aside(here.split.train, running) == ()


def test_rows_that_belong_together_stay_in_train(track: Tracks) -> None:
    here = track()
    paired = tuple(replace(e, cluster="near") if i % 2 else e for i, e in enumerate(here.split.train))
    split = Split(paired, here.split.hold, here.split.dev, here.split.test)
    waiting = Trial("made", Spied("made", two_best, frozenset({"known"})), None, Constant("bugs"))  # type: ignore[arg-type]
    aside = kept_aside(split.train, [waiting])
    assert aside and all(e.cluster is None for e in aside)
    many = Split(tuple(replace(e, id=f"{n}") for n in range(200) for e in here.split.train), (), (), ())
    assert len(kept_aside(many.train, [waiting])) == 500


def test_the_methods_of_the_menu_race_and_are_named_right(track: Tracks) -> None:
    log: RunLog = track().run(
        ["zero_shot", "few_shot", "lora+few_shot", "few_shot+lora+few_shot", "cascade(epsilon=0.95)"]
    )
    rows = {row["candidate"]: row for row in decide(log).to_dict()["leaderboard"]}
    for name in ("lora+few_shot@fake", "few_shot+lora+few_shot@fake"):
        assert rows[name]["family"] == "hybrid" and rows[name]["method"] == name.partition("@")[0]
    cascade = rows["cascade(epsilon=0.95)"]
    assert cascade["family"] == "hybrid" and cascade["dev"]["n"] == 48
    born = next(event for event in log.of(Born) if event.trial == "cascade(epsilon=0.95)")
    assert born.data["guarantee"]["items"] == 8 and born.data["guarantee"]["epsilon"] == 0.95
