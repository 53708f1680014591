"""`Bench.pick`: the best on hold, by a paired race, within the share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tuningfork.candidate import Constant, Prediction
from tuningfork.errors import BudgetSpent
from tuningfork.method import Bench, Share, chain, leader, needs_met
from tuningfork.methods import open_method
from tuningfork.model import Failure
from tuningfork.task import Columns, Example, Sources, Task


@dataclass(frozen=True)
class Distance:
    """How far an answer is from the target, 0 to 10: lower is better."""

    name: str = "distance"
    range: tuple[float, float] = (0.0, 10.0)
    higher_is_better: bool = False

    def item(self, example: Example, prediction: Prediction) -> float:
        return abs(float(prediction.answer) - float(example.answer))


def bench(*targets: float, metric: Any = None) -> Bench:
    hold = tuple(Example(str(i), {"text": "t"}, str(target)) for i, target in enumerate(targets))
    task = Task("t", "generation", Sources("x"), Columns(("text",), "y"))
    return Bench(task, (), hold, {}, metric or Distance(), lambda: Share(1, 1, 1.0))


def constants(*numbers: float) -> list[Constant]:
    return [Constant(str(number)) for number in numbers]


def test_the_best_is_picked_and_ties_go_to_the_earlier() -> None:
    bad, good, same = constants(9, 4, 6)
    assert bench(*[5.0] * 40).pick([bad, good, same]) is good
    assert bench(*[5.0] * 40).pick([bad, same, good]) is same


def test_without_hold_the_first_is_kept_and_without_candidates_it_is_a_bug() -> None:
    first, second = constants(9, 5)
    assert bench().pick([first, second]) is first
    with pytest.raises(ValueError, match="at least one"):
        bench(5.0).pick([])


def test_a_share_spent_half_way_leaves_the_blocks_that_all_had(monkeypatch: pytest.MonkeyPatch) -> None:
    at = bench(*[5.0] * 16, *[9.0] * 16)  # `good` is better on the first block, `bad` on the second
    bad, good = constants(9, 5)
    whole = Bench._item_scores
    asked: list[int] = []

    def until_spent(self: Bench, candidate: Any, items: Sequence[Example]) -> list[float]:
        asked.append(len(items))
        if len(asked) == 4:
            raise BudgetSpent("nothing left")
        return whole(self, candidate, items)

    monkeypatch.setattr(Bench, "_item_scores", until_spent)
    assert at.pick([bad, good], alpha=1e-12) is good and len(asked) == 4


def test_one_shown_worse_is_asked_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    at = bench(*[5.0] * 400)
    whole = Bench._item_scores
    asked = {"0": 0, "5": 0, "5.5": 0}

    def counted(self: Bench, candidate: Any, items: Sequence[Example]) -> list[float]:
        asked[candidate.answer] += len(items)
        return whole(self, candidate, items)

    monkeypatch.setattr(Bench, "_item_scores", counted)
    worst, best, near = (replace(c, answer=a) for c, a in zip(constants(0, 5, 5.5), asked, strict=True))
    assert at.pick([worst, best, near]) is best
    assert asked["0"] < asked["5"]


def test_scores_to_choose_by_are_higher_is_better_and_a_failure_is_the_worst() -> None:
    at = bench(5.0, 7.0, 1.0)
    said = [Prediction("5"), Prediction("4"), Prediction("", failure=Failure("odd", "It failed."))]
    assert at.scores(at.hold, said) == [0.0, -3.0, -10.0]


def test_a_method_made_of_others_needs_no_model() -> None:
    vote = open_method("vote")
    assert vote.needs == {"known"}
    assert needs_met(vote, "classification", frozenset()) is needs_met(vote, "generation", frozenset()) is None
    both = chain(open_method("zero_shot"), vote)
    assert "score or generate" in str(needs_met(both, "classification", frozenset({"embed"})))


def test_halving_asks_those_that_may_be_best_the_most() -> None:
    targets = [5.0] * 15
    candidates = constants(9, 8, 5, 6)
    scores = bench(*targets).race(candidates, block=4, alpha=1e-12, halving=True)
    assert [len(each) for each in scores] == [4, 4, 12, 12] and leader(scores) == 2
    kept = bench(*targets).race(candidates, block=4, halving=True, stay=1)
    assert len(kept[0]) == max(map(len, kept)) == 15 and leader(kept) == 2


def test_what_is_noted_goes_to_who_listens() -> None:
    notes: dict[str, Any] = {}
    replace(bench(), note=notes.__setitem__).note("few_shot.draws", 3)
    bench().note("few_shot.draws", 4)
    assert notes == {"few_shot.draws": 3}
