"""Few examples: every row is answered by candidates that never saw it, and the verdict stays modest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tuningfork.candidate import Candidate, Constant
from tuningfork.data.folds import FOLDS, deal_out
from tuningfork.data.load import Dataset
from tuningfork.decide import decide
from tuningfork.log import Born, Event, Finalists, Left, Measured, RunLog
from tuningfork.log import TestOpened as Opened
from tuningfork.method import Bench
from tuningfork.task import Example

from .conftest import LABELS, PLAN, TASK, examples

Tracks = Callable[..., Any]
PLAN_OF_FOLDS = replace(PLAN, folds=FOLDS, race_seconds=75.0, seeds=2, dev_items=0, test_items=50)
DATA = Dataset(examples("row", 50), labels=LABELS)
QUICK = ("majority", "zero_shot", "few_shot")


class Spy:
    """A road that remembers what it was shown, and answers with the label seen most."""

    name, family = "spy", "tune"
    needs: frozenset[Any] = frozenset()
    uses: frozenset[Any] = frozenset()
    kinds: frozenset[Any] = frozenset({"classification"})

    def __init__(self) -> None:
        self.seen: list[tuple[int, set[str]]] = []

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        self.seen.append((bench.rung, {e.id for e in (*bench.train, *bench.hold)}))
        return Constant(Counter(e.answer for e in bench.train).most_common(1)[0][0], LABELS)


class Stop:
    """A watcher that stops the race after its k-th event."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, event: Event) -> None:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1


def test_every_row_is_in_one_fold_of_each_repeat_and_clusters_stay_whole() -> None:
    rows = tuple(replace(e, cluster=f"c{i // 3}" if i < 12 else None) for i, e in enumerate(DATA.train))
    split = deal_out(TASK, Dataset(rows, labels=LABELS))
    assert deal_out(TASK, Dataset(rows, labels=LABELS)) == split and len(split.folds) == 3
    ids = {e.id for e in rows}
    for folds in split.folds:
        assert len(folds) == FOLDS and sorted(e.id for f in folds for e in f.test) == sorted(ids)
        for fold in folds:
            assert {e.id for e in (*fold.train, *fold.hold, *fold.test)} == ids
            assert len(fold.train) + len(fold.hold) + len(fold.test) == len(ids)
            outside = {e.cluster for e in (*fold.train, *fold.hold)} - {None}
            assert not outside & {e.cluster for e in fold.test}
            assert {e.answer for e in fold.train} == {e.answer for e in rows}
            assert 8 <= len(fold.test) <= 12 and fold.hold
    assert split.folds[0] != split.folds[1], "dealt anew"
    assert {e.id for e in split.test} == ids and not split.dev and "cross-fitting" in split.notes[-1]


@pytest.mark.parametrize(("rows", "test"), [(500, 0), (50, 30)])
def test_with_rows_enough_or_a_test_file_nothing_is_folded(rows: int, test: int) -> None:
    plain = [
        tuple(Example(f"{p}{i}", {"text": f"{p} {i}"}, LABELS[i % 3]) for i in range(n))
        for p, n in (("r", rows), ("t", test))
    ]
    split = deal_out(TASK, Dataset(plain[0], plain[1] or None, labels=LABELS))
    assert not split.folds and split.dev


def test_nobody_answers_what_it_saw(track: Tracks) -> None:
    split, spy = deal_out(TASK, DATA), Spy()
    log = track().run([spy, *QUICK], split=split, plan=PLAN_OF_FOLDS)
    folds = [seen for rung, seen in spy.seen if not rung]
    asked = [{e.id for e in fold.test} for repeat in split.folds[:2] for fold in repeat]
    assert len(folds) == 2 * FOLDS and all(not seen & items for seen, items in zip(folds, asked, strict=True))
    assert [seen for rung, seen in spy.seen if rung] == [{e.id for e in DATA.train}], "what is shipped saw all"
    born = {(e.trial, e.seed, e.fold): e for e in log.of(Born) if e.stage == "fold"}
    for row in log.rows:
        block = next(
            e for e in log.of(Measured) if (e.trial, e.candidate, e.block) == (row.trial, row.candidate, row.block)
        )
        fold = block.block % FOLDS
        assert born[row.trial, block.seed, fold].candidate == row.candidate
        assert row.item in {e.id for e in split.folds[block.seed - TASK.seed][fold].test}


def test_the_verdict_stands_on_all_rows_and_is_modest(track: Tracks) -> None:
    log = track().run([Spy(), *QUICK], split=deal_out(TASK, DATA), plan=PLAN_OF_FOLDS)
    assert len(log.of(Opened)) == 1 and log.of(Opened)[0].items == 50
    assert set(log.of(Finalists)[0].trials) == {"spy", "majority", "zero_shot@fake", "few_shot@fake"}
    verdict = decide(log).to_dict()
    tested = {row["candidate"]: row for row in verdict["leaderboard"] if row["test"]}
    assert {row["test"]["n"] for row in tested.values()} == {50} and tested["spy"]["seeds"] == 2
    plain = decide(
        RunLog(log.folder, (replace(log.started, plan={**log.started.plan, "folds": 0}), *log.events[1:]), log.rows)
    )
    narrow = {row["candidate"]: row["test"] for row in plain.to_dict()["leaderboard"] if row["test"]}
    for name, row in tested.items():
        assert row["test"]["high"] - row["test"]["low"] > narrow[name]["high"] - narrow[name]["low"]
    assert log.candidate(log.born("few_shot@fake")) and log.born("few_shot@fake").stage == "final"
    assert verdict["sentence"].count("test items") >= 1


def test_one_that_is_too_dear_is_paused_after_its_first_fold(track: Tracks) -> None:
    plan = replace(PLAN_OF_FOLDS, race_seconds=0.02)
    log = track().run(QUICK, split=deal_out(TASK, DATA), plan=plan)
    why = [e.why for e in log.of(Left) if e.status == "paused"]
    assert why and all("Too dear for this budget" in said for said in why)
    assert log.of(Finalists)[0].trials == ("majority",) and decide(log).best == "majority"


def test_the_same_again_and_a_kill_costs_nothing(track: Tracks) -> None:
    split, whole = deal_out(TASK, DATA), track("whole")
    log = whole.run(QUICK, split=split, plan=PLAN_OF_FOLDS)
    wanted, count = whole.timeless(log), len(log.events)
    for k in (*range(1, count - 1, 13), count - 2):
        here = track(f"killed-{k}")
        with pytest.raises(KeyboardInterrupt):
            here.run(QUICK, split=split, plan=PLAN_OF_FOLDS, watch=Stop(k))
        resumed = here.run(QUICK, split=split, plan=PLAN_OF_FOLDS, resume=True)
        assert here.timeless(resumed) == wanted, f"killed after event {k}"
        assert [e.candidate for e in resumed.of(Born)] == [e.candidate for e in log.of(Born)]
        assert len(resumed.of(Opened)) == 1


def test_fifty_long_texts_get_a_verdict(track: Tracks) -> None:
    long = tuple(
        Example(e.id, {"text": " ".join([str(e.inputs["text"]), *["and so on"] * 230])}, e.target) for e in DATA.train
    )
    log = track().run(("majority", "zero_shot"), split=deal_out(TASK, Dataset(long, labels=LABELS)), plan=PLAN_OF_FOLDS)
    assert decide(log).best and len(log.results("test")["zero_shot@fake"]) == 50
