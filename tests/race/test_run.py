"""Whole races on the fake models: who reaches the final, what a method may see, what a kill costs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tuningfork.candidate import Candidate, Constant
from tuningfork.decide import decide
from tuningfork.errors import BudgetSpent, DataError, MethodError, TaskError
from tuningfork.log import Born, Ended, Event, Finalists, Left, Measured, Noted, Probed, RunLog, Started, Trained
from tuningfork.log import TestOpened as Opened
from tuningfork.method import Bench
from tuningfork.model import Failure
from tuningfork.models.fake import FakeModel
from tuningfork.race.plan import Plan
from tuningfork.task import Example, Split

Tracks = Callable[..., Any]
FEW = ("majority", "zero_shot", "few_shot+calibrate", "few_shot", "head", "lora")


class Scripted:
    """A method that does what a test wants: `does(bench)` gives the candidate, or raises."""

    uses: frozenset[Any] = frozenset()
    kinds: frozenset[Any] = frozenset({"classification"})

    def __init__(self, name: str, does: Any, family: str = "yours", needs: frozenset[Any] = frozenset()) -> None:
        self.name, self.does, self.family, self.needs = name, does, family, needs

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        return self.does(bench)


def constant(bench: Bench) -> Candidate:
    return Constant("bugs", bench.task.labels)


def event_of(log: RunLog, kind: type, trial: str) -> list[Any]:
    return [event for event in log.of(kind) if event.trial == trial]


# From beginning to end


def test_a_race_ends_with_a_tested_best_of_each_road(track: Tracks) -> None:
    seen: list[Event] = []
    log = track().run(FEW, watch=seen.append)
    assert [type(e) for e in seen] == [type(e) for e in log.events]
    assert isinstance(seen[0], Started) and isinstance(seen[-1], Ended) and seen[-1] == log.events[-1]
    families = {event_of(log, Born, trial)[0].family for trial in log.of(Finalists)[0].trials}
    assert families == {"baseline", "prompt", "tune"}
    verdict = decide(log).to_dict()
    assert verdict["best"] and verdict["answers"]["prompt_or_tune"]["n"] == 40
    tested = {row["candidate"]: row["test"]["n"] for row in verdict["leaderboard"] if row["test"]}
    assert tested == dict.fromkeys(log.of(Finalists)[0].trials, 40)
    assert verdict["budget"]["spent_tokens"] > 0 and len(log.of(Opened)) == 1
    skipped = {event.trial: event.why for event in log.of(Left) if event.status == "skipped"}
    assert "zero_shot@fake-encoder" in skipped and "score or generate" in skipped["zero_shot@fake-encoder"]


def test_the_same_seed_and_plan_give_the_same_verdict_twice(track: Tracks) -> None:
    one, other = track("one"), track("other")
    assert one.timeless(one.run(FEW)) == other.timeless(other.run(FEW))
    assert decide(RunLog.read(one.folder)).to_dict() == decide(RunLog.read(one.folder)).to_dict()


def test_a_plan_is_made_by_probing_and_can_be_repeated(track: Tracks) -> None:
    first = track("first").run(("majority", "zero_shot", "lora"), plan=None)
    plan = Plan.from_dict(json.loads(json.dumps(first.started.plan)))
    assert set(plan.rates) == {"fake", "fake-encoder"} and plan.trials[0] == "majority"
    again = track("again").run(("majority", "zero_shot", "lora"), plan=plan)
    assert json.dumps(again.started.plan) == json.dumps(first.started.plan)
    assert track("first").timeless(first) == track("again").timeless(again)


def test_every_event_tells_what_it_cost(track: Tracks) -> None:
    log = track().run(FEW)
    for event in [*log.of(Born), *log.of(Measured)]:
        assert event.usage["wall"] >= 0 and event.usage["planned"] >= 0
    used = [e.usage for e in log.events if isinstance(e, Born | Measured | Left)]
    assert log.of(Ended)[0].usage["tokens_in"] == sum(u.get("tokens_in", 0) for u in used)
    lora = event_of(log, Born, "lora@fake")[0]
    assert lora.usage["tokens_trained"] > 0 and event_of(log, Trained, "lora@fake")


def test_a_chain_starts_from_its_first_part_where_that_has_run(track: Tracks) -> None:
    calls: list[int] = []

    def count(bench: Bench) -> Candidate:
        calls.append(bench.rung)
        return constant(bench)

    from tuningfork.method import chain

    first = Scripted("first", count, "prompt", frozenset({"score"}))
    both = chain(first, Scripted("second", constant, "prompt", frozenset({"score"})))
    log = track().run([first, both, "majority"])
    assert calls.count(0) == 1, "once in the race, though two trials need it"
    assert event_of(log, Born, "first+second@fake")


# What a method may see


def test_no_method_sees_test_ever_nor_dev_before_the_final(track: Tracks) -> None:
    seen: list[tuple[int, Bench]] = []

    def spy(bench: Bench) -> Candidate:
        seen.append((bench.rung, bench))
        return constant(bench)

    here = track()
    here.run([Scripted("spy", spy), "majority", "zero_shot"])
    assert [rung for rung, _ in seen] == [0, 1]
    ids = {part: {e.id for e in getattr(here.split, part)} for part in ("train", "hold", "dev", "test")}

    def reachable(bench: Bench) -> set[str]:
        parts = (bench.train, bench.hold, bench.unlabelled, bench.documents)
        return {example.id for part in parts for example in part}

    race, final = (reachable(bench) for _, bench in seen)
    assert race == ids["train"] | ids["hold"] and final == race | ids["dev"]
    assert not any(isinstance(value, Split) for _, bench in seen for value in vars(bench).values())
    assert {e.id for e in seen[1][1].hold} == ids["hold"], "what a method chooses on stays out of train"


def test_later_methods_know_the_earlier_ones_best_first(track: Tracks) -> None:
    known: list[list[tuple[str, float]]] = []

    def look(bench: Bench) -> Candidate:
        known.append([(k.trial, k.value) for k in bench.known])
        return constant(bench)

    track().run(["majority", "zero_shot", "few_shot", Scripted("look", look, "tune", frozenset({"tune"}))])
    names, values = zip(*known[0], strict=True)
    assert set(names) >= {"majority", "zero_shot@fake", "few_shot@fake"} and list(values) == sorted(
        values, reverse=True
    )


def test_a_metered_model_refuses_past_the_share(track: Tracks) -> None:
    spent: list[int] = []

    def greedy(bench: Bench) -> Candidate:
        from tuningfork.model import EmbedRequest

        while True:
            spent.append(bench.models["fake"].embed([EmbedRequest("a word or two")])[0].usage.tokens_in)
            assert bench.share.tokens >= 0

    plan = replace(track().plan, race_seconds=1.0)
    log = track().run([Scripted("greedy", greedy, "prompt"), "majority"], plan=plan)
    (left,) = event_of(log, Left, "greedy")
    assert left.status == "failed" and "used up" in left.why
    assert 0 < sum(spent) <= 10_000 and left.usage["tokens_in"] == sum(spent)
    assert decide(log).to_dict()["budget"]["spent_tokens"] >= sum(spent), "also what failed was paid for"


def test_what_a_failed_one_spent_is_gone_for_those_after_it(track: Tracks) -> None:
    shares: dict[str, int] = {}

    def spend(name: str) -> Any:
        def does(bench: Bench) -> Candidate:
            from tuningfork.model import EmbedRequest

            shares[name] = bench.share.tokens
            while True:
                bench.models["fake"].embed([EmbedRequest("a word or two")] * 50)

        return Scripted(name, does, "tune", frozenset({"tune"}))

    plan = replace(track().plan, race_seconds=3.0)
    here = track(models={"fake": FakeModel("fake")})
    here.run([spend("a"), spend("b"), spend("c"), "majority"], plan=plan)
    assert sum(shares.values()) <= 3.0 * 10_000 * 1.02, "no more than the race has, whoever fails"


# What goes wrong


@pytest.mark.parametrize(
    "error", [MethodError("no luck"), BudgetSpent("all gone"), ZeroDivisionError("a bug"), OSError()]
)
def test_a_method_that_raises_fails_alone(track: Tracks, error: Exception) -> None:
    def crash(bench: Bench) -> Candidate:
        raise error

    log = track().run([Scripted("crash", crash), "majority", "zero_shot"])
    (left,) = event_of(log, Left, "crash")
    assert left.status == "failed" and str(error) in left.why
    assert ("Traceback" in left.detail) == isinstance(error, ZeroDivisionError | OSError)
    assert "crash" not in log.of(Finalists)[0].trials and decide(log).best


def test_one_that_can_not_be_adapted_again_goes_on_as_it_was(track: Tracks) -> None:
    def once(bench: Bench) -> Candidate:
        if bench.rung:
            raise MethodError("not twice")
        return constant(bench)

    log = track().run([Scripted("once", once), "majority"])
    race, final = event_of(log, Born, "once")
    assert race.candidate == final.candidate and any("not twice" in note.text for note in log.of(Noted))
    assert len(log.results("test")["once"]) == 40


def test_settings_that_are_no_json_are_logged_as_text(track: Tracks) -> None:
    @dataclass(frozen=True)
    class Odd:
        how: Any = len
        which: frozenset[str] = frozenset({"b", "a"})
        name: ClassVar[str] = "odd"
        family: ClassVar[str] = "baseline"
        needs: ClassVar[frozenset[Any]] = frozenset()
        uses: ClassVar[frozenset[Any]] = frozenset()
        kinds: ClassVar[frozenset[Any]] = frozenset({"classification"})

        def __call__(self, start: Candidate, bench: Bench) -> Candidate:
            return constant(bench)

    log = track().run([Odd()])
    assert event_of(log, Born, "odd")[0].settings == {"how": repr(len), "which": ["a", "b"]}


def test_a_contender_that_raises_is_counted_item_by_item(track: Tracks, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def answer(row):\n    raise ValueError('no idea')\n")
    from tuningfork.methods.contender import YourFunction

    log = track().run([YourFunction("yours:mine", "mine:answer", str(tmp_path)), "majority", "zero_shot"])
    rows = log.results("test")["yours:mine"]
    assert len(rows) == 40 and all(r.score is None and "no idea" in (r.failure or "") for r in rows.values())
    verdict = decide(log)
    assert verdict.best and verdict.best != "yours:mine"
    assert next(r for r in verdict.leaderboard if r["candidate"] == "yours:mine")["failed_items"] == 40


def test_a_model_that_breaks_down_on_the_test_fails_what_uses_it(track: Tracks) -> None:
    models = {"fake": FakeModel("fake", raise_on="test1"), "fake-encoder": FakeModel("fake-encoder", kind="encoder")}
    log = track(models=models).run(("zero_shot", "majority", "head"))
    left = event_of(log, Left, "zero_shot@fake")[-1]
    assert left.status == "failed" and "wall" in left.usage
    verdict = decide(log)
    assert verdict.best == "head@fake-encoder" and "It broke down on test" in next(
        r["why"] for r in verdict.leaderboard if r["candidate"] == "zero_shot@fake"
    )


def test_items_that_fail_are_no_zeros_and_count_against_a_place_in_the_final(track: Tracks) -> None:
    class Half:
        name, range, higher_is_better = "accuracy", (0.0, 1.0), True

        def item(self, example: Example, prediction: Any) -> float:
            return float(prediction.answer == example.target)

    models = {"fake": FakeModel("fake", fail_on=lambda text: "seats" in text)}
    log = track(models=models).run(("zero_shot", "majority"), metrics=[Half()])
    rows = log.results("dev")["zero_shot@fake"].values()
    assert {r.score for r in rows} == {None, 0.0, 1.0}
    assert event_of(log, Measured, "zero_shot@fake")[0].failed > 0


def test_a_metric_out_of_its_range_is_no_result(track: Tracks) -> None:
    class Wild:
        name, range, higher_is_better = "accuracy", (0.0, 1.0), True

        def item(self, example: Example, prediction: Any) -> float:
            return float("nan")

    log = track().run(("majority",), metrics=[Wild()])
    assert "outside its range" in event_of(log, Left, "majority")[0].why
    assert not log.of(Opened), "nobody is left to ask the test"
    assert decide(log).best is None


def test_a_budget_that_is_gone_pauses_what_had_no_turn(track: Tracks) -> None:
    task = track().task
    broke = task.with_(budget=replace(task.budget, seconds=0.0))
    log = track().run(("majority", "zero_shot"), task=broke)
    assert {event.status for event in log.of(Left) if event.trial in ("majority", "zero_shot@fake")} == {"paused"}
    assert isinstance(log.events[-1], Ended) and not log.of(Opened)


def test_a_share_of_nothing_fails_what_needs_a_model_and_leaves_the_rest(track: Tracks) -> None:
    log = track().run(("majority", "lora"), plan=replace(track().plan, race_seconds=0.0))
    assert {t.status for t in [*event_of(log, Left, "lora@fake"), *event_of(log, Left, "lora@fake-encoder")]} == {
        "failed"
    }
    assert log.of(Finalists)[0].trials == ("majority",)


def test_a_test_that_does_not_fit_is_drawn_by_seed_the_same_for_all(track: Tracks) -> None:
    here = track("one")
    many = tuple(replace_id(e, f"t{i}") for i in range(25) for e in here.split.test)[:1000]
    split = replace(here.split, test=many)
    plan = replace(here.plan, seconds=2.0, race_seconds=1.0, final_seconds=1.0)
    log = here.run(("majority", "zero_shot", "head"), split=split, plan=plan)
    (opened,) = log.of(Opened)
    assert 50 <= opened.items < opened.of == 1000
    assert any("were drawn by seed" in note.text and f"{opened.items} " in note.text for note in log.of(Noted))
    asked = [tuple(rows) for rows in log.results("test").values()]
    assert len(asked) > 1 and len(set(asked)) == 1 and len(asked[0]) == opened.items
    again = track("again").run(("majority", "zero_shot", "head"), split=split, plan=plan)
    assert [tuple(rows) for rows in again.results("test").values()] == asked


def replace_id(example: Example, prefix: str) -> Example:
    return replace(example, id=f"{prefix}-{example.id}")


# The users' own


def test_what_the_user_brought_is_tested_however_far_behind(track: Tracks) -> None:
    def wrong(bench: Bench) -> Candidate:
        return Constant("none of them", bench.task.labels)

    log = track().run([Scripted("yours:bad", wrong), Scripted("yours:good", constant), *FEW])
    dropped = {event.trial for event in log.of(Left) if event.status == "dropped"}
    assert "yours:bad" in dropped and "yours:bad" in log.of(Finalists)[0].trials
    verdict = decide(log)
    assert {c["b"] for c in verdict.comparisons} >= {"yours:bad", "yours:good"}
    assert next(r for r in verdict.leaderboard if r["candidate"] == "yours:bad")["test"]["value"] == 0


def test_two_trials_with_the_very_same_candidate_are_both_measured_and_probed(track: Tracks) -> None:
    class Half:
        name = "half"

        def __call__(self, candidate: Any, models: Any, examples: Any, metric: Any) -> dict[str, float]:
            assert metric.name == "accuracy" and all(example.target for example in examples)
            return {"n": float(len(examples))}

    twins = [Scripted("yours:a", constant), Scripted("yours:b", constant)]
    log = track().run([*twins, "majority"], probes=[Half()])
    for trial in ("yours:a", "yours:b"):
        assert len(log.results("dev")[trial]) == 48 and len(log.results("test")[trial]) == 40
        assert event_of(log, Probed, trial)[0].values == {"n": 4.0}


def test_a_probe_that_raises_costs_a_note(track: Tracks) -> None:
    class Broken:
        name = "broken"

        def __call__(self, candidate: Any, models: Any, examples: Any, metric: Any) -> dict[str, float]:
            raise KeyError("nothing there")

    log = track().run(("majority",), probes=[Broken()])
    assert any("broken could not measure majority" in note.text for note in log.of(Noted))


# What is refused before anything is spent


def test_two_roads_of_one_name_are_refused(track: Tracks) -> None:
    with pytest.raises(TaskError, match="both called 'majority'"):
        track().run(("majority", "majority"))


def test_what_a_model_says_about_itself_is_noted_once(track: Tracks) -> None:
    it = track()
    it.models["fake"].notes = ("every prompt is read whole",)  # type: ignore[attr-defined]
    log = it.run(["zero_shot", "few_shot"])
    assert [note.text for note in log.of(Noted) if "whole" in note.text] == ["fake: every prompt is read whole"]


def test_a_race_of_nothing_is_refused_with_the_reasons(track: Tracks) -> None:
    with pytest.raises(DataError, match="zero_shot@fake-encoder: zero_shot needs"):
        track(models={"fake-encoder": FakeModel("fake-encoder", kind="encoder")}).run(("zero_shot",))


def test_a_plan_of_other_models_is_refused(track: Tracks) -> None:
    plan = replace(track().plan, rates={"fake-encoder": track().plan.rates["fake-encoder"]})
    with pytest.raises(DataError, match="made for fake-encoder, not for fake"):
        track().run(("zero_shot",), plan=plan)


# Stopped, and gone on with

QUICK = ("majority", "zero_shot", "few_shot+calibrate", "few_shot", "lora")


class Stop:
    """A watcher that stops the race after its k-th event, as Ctrl-C would."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.last: Event | None = None

    def __call__(self, event: Event) -> None:
        self.last = event
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_after_any_event_it_goes_on_to_the_same_verdict(track: Tracks, every: int) -> None:
    """After the first of each kind of event, and after every sixth or every single one."""
    whole = track("whole")
    log = whole.run(QUICK)
    wanted, tunes, count = whole.timeless(log), whole.tunes, len(log.events)
    born = [(e.trial, e.stage, e.candidate) for e in log.of(Born)]
    kinds = [type(event) for event in log.events[: count - 1]]
    for k in sorted({*range(0, count - 1, every), *map(kinds.index, set(kinds))}):
        here, stop = track(f"killed-{k}"), Stop(k)
        with pytest.raises(KeyboardInterrupt):
            here.run(QUICK, watch=stop)
        resumed = here.run(QUICK, resume=True)
        assert here.timeless(resumed) == wanted, f"killed after event {k}, a {type(stop.last).__name__}"
        assert [(e.trial, e.stage, e.candidate) for e in resumed.of(Born)] == born, "no finished work is done again"
        assert here.tunes == tunes + isinstance(stop.last, Trained), "only a tuning that came to no candidate is lost"
        assert len(resumed.of(Opened)) == len(resumed.of(Finalists)) == 1
        blocks = [(e.trial, e.split, e.block) for e in resumed.of(Measured)]
        assert len(blocks) == len(set(blocks))


def test_killed_again_and_again(track: Tracks) -> None:
    whole, here = track("whole"), track("often")
    wanted, runs = whole.timeless(whole.run(QUICK)), 0
    while True:
        runs += 1
        try:
            log = here.run(QUICK, resume=runs > 1, watch=Stop(4))
            break
        except KeyboardInterrupt:
            assert runs < 60
    assert here.timeless(log) == wanted and here.tunes <= whole.tunes * 2


@pytest.mark.slow
def test_killed_in_the_middle_of_dropping(track: Tracks) -> None:
    """Several are sent out after the same block; on what those who went on had answered nothing depends."""

    def wrong(bench: Bench) -> Candidate:
        return Constant("none of them", bench.task.labels)

    methods = [*(Scripted(f"bad{i}", wrong, "prompt") for i in range(4)), *QUICK]
    whole = track("whole")
    log = whole.run(methods)
    drops = [k for k, e in enumerate(log.events) if isinstance(e, Left) and e.status == "dropped"]
    assert len(drops) >= 4 and drops[1] == drops[0] + 1
    for k in range(drops[0] - 2, drops[-1] + 2):
        here = track(f"killed-{k}")
        with pytest.raises(KeyboardInterrupt):
            here.run(methods, watch=Stop(k))
        assert here.timeless(here.run(methods, resume=True)) == whole.timeless(log)


def test_a_line_torn_by_a_power_loss_is_done_again(track: Tracks) -> None:
    whole, here = track("whole"), track("torn")
    wanted = whole.timeless(whole.run(QUICK))
    with pytest.raises(KeyboardInterrupt):
        here.run(QUICK, watch=Stop(20))
    for name in ("log.jsonl", "predictions.jsonl"):
        path = here.folder / name
        whole_line = path.read_bytes().splitlines(keepends=True)[-1]
        path.write_bytes(path.read_bytes() + whole_line[:25])
    assert here.timeless(here.run(QUICK, resume=True)) == wanted


def test_racing_that_the_clock_ended_is_not_taken_up_again_after_the_finalists(
    track: Tracks, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, late = track(), []

    def watch(event: Event) -> None:
        if isinstance(event, Measured) and event.block:
            late.append(event)
        if isinstance(event, Finalists):
            raise KeyboardInterrupt

    monkeypatch.setattr("tuningfork.race.state.Race.late", property(lambda it: bool(late)))
    with pytest.raises(KeyboardInterrupt):
        here.run(QUICK, watch=watch)
    late.clear()
    log = here.run(QUICK, resume=True)
    assert {event.block for event in log.of(Measured) if event.split == "dev"} == {0, 1}
    assert any("Racing stopped by the clock after 32 of 48" in note.text for note in log.of(Noted))


def test_a_race_can_not_go_on_as_another(track: Tracks) -> None:
    here = track()
    with pytest.raises(KeyboardInterrupt):
        here.run(QUICK, watch=Stop(10))
    with pytest.raises(DataError, match=r"has changed since this race began \(seed\)"):
        here.run(QUICK, task=here.task.with_(seed=99), resume=True)


def test_a_resumed_race_counts_the_time_before(track: Tracks) -> None:
    here = track()
    with pytest.raises(KeyboardInterrupt):
        here.run(("majority", "lora"), watch=Stop(8))
    before = sum(e.usage["wall"] for e in RunLog.read(here.folder).events if isinstance(e, Born | Measured))
    log = here.run(("majority", "lora"), resume=True)
    assert log.of(Ended)[0].seconds >= before


def test_failures_are_kept_with_their_reason(track: Tracks) -> None:
    models = {"fake": FakeModel("fake", fail_on="crashes")}
    log = track(models=models).run(("zero_shot",))
    failures = {row.failure for row in log.rows if row.failure}
    assert failures == {
        f"{f.kind}: {f.message}" for f in [Failure("scripted", "The fake model was told to fail on this text.")]
    }


def test_what_a_method_notes_stands_beside_its_candidate(track: Any) -> None:
    log = track().run(["few_shot", "few_shot+calibrate"])
    born = log.born("few_shot@fake", "race")
    assert born and born.notes["few_shot.draws"] >= 2 and 0 <= born.notes["few_shot.spread_over_draws"] <= 1
    chained = log.born("few_shot+calibrate@fake", "race")
    assert chained and set(chained.notes) == {
        "calibrate.how",
        "calibrate.chosen_on",
    }
