"""What a verdict says of too little, of nothing, and of what was tampered with: a plain sentence, never a confident
number."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tuningfork.candidate import Candidate, Constant
from tuningfork.decide import decide
from tuningfork.errors import DataError, MethodError
from tuningfork.log import Left, RunLog
from tuningfork.method import Bench
from tuningfork.task import Example

from .conftest import LABELS

Tracks = Callable[..., Any]
OLD = Path(__file__).parent / "old_run"


class Says:
    """A road that always gives the same answer, or fails."""

    uses: ClassVar[frozenset[Any]] = frozenset()
    needs: ClassVar[frozenset[Any]] = frozenset()
    kinds: ClassVar[frozenset[Any]] = frozenset({"classification"})

    def __init__(self, name: str, answer: str | None, family: str = "tune") -> None:
        self.name, self.answer, self.family = name, answer, family

    def __call__(self, start: Candidate, bench: Bench) -> Candidate:
        if self.answer is None:
            raise MethodError("nothing worked")
        return Constant(self.answer, LABELS)


def test_ten_test_items_claim_nothing(track: Tracks) -> None:
    here = track()
    log = here.run(("majority", "zero_shot", "few_shot"), split=replace(here.split, test=here.split.test[:10]))
    verdict = decide(log)
    assert verdict.outcome != "clear" and "too little data" in verdict.sentence
    for row in verdict.leaderboard:
        if row["test"]:
            assert row["test"]["n"] == 10 and row["test"]["high"] - row["test"]["low"] > 0.25


def test_a_label_that_the_test_lacks_stops_nothing(track: Tracks) -> None:
    here = track()
    test = tuple(e for e in here.split.test if e.target != "ideas")
    verdict = decide(here.run(("majority", "zero_shot"), split=replace(here.split, test=test)))
    assert verdict.best and {row["test"]["n"] for row in verdict.leaderboard if row["test"]} == {len(test)}


@pytest.mark.parametrize("score", [float("nan"), 1.5, -0.1, float("inf")])
def test_a_metric_that_gives_no_score_ends_what_it_measures(track: Tracks, score: float) -> None:
    class Odd:
        name, range, higher_is_better = "accuracy", (0.0, 1.0), True

        def item(self, example: Example, prediction: Any) -> float:
            return score

    log = track().run(("majority", "zero_shot"), metrics=[Odd()])
    why = [e.why for e in log.of(Left) if e.status == "failed"]
    assert all(f"gave {score} for example" in said and "outside its range of 0 to 1" in said for said in why)
    verdict = decide(log)
    assert verdict.best is None and "Nothing can be recommended" in verdict.sentence
    assert verdict.minimum_detectable_difference is None


def test_all_equal_claims_nothing_and_takes_the_first_of_the_cheapest(track: Tracks) -> None:
    verdict = decide(track().run([Says(name, "bugs") for name in ("c", "a", "b")]))
    assert verdict.outcome == "close" and verdict.best == verdict.recommended == "a"
    assert set(verdict.indistinguishable) == {"b", "c"} and "not told apart" in verdict.sentence


def test_all_failing_leaves_nothing_to_recommend(track: Tracks) -> None:
    verdict = decide(track().run([Says("a", None), Says("b", None)]))
    assert (verdict.best, verdict.recommended, verdict.outcome) == (None, None, "none")
    assert "2 failed" in verdict.sentence and "nothing worked" in verdict.sentence


def test_one_candidate_alone_is_compared_with_nothing(track: Tracks) -> None:
    verdict = decide(track().run([Says("a", "bugs")]))
    assert verdict.outcome == "none" and "nothing to compare with" in verdict.sentence


def test_a_log_that_was_cut_is_read_as_far_as_it_goes(track: Tracks) -> None:
    here = track()
    here.run(("majority", "zero_shot"))
    path = here.folder / "log.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-4]) + lines[-4][:30])
    said = decide(RunLog.read(here.folder)).sentence
    assert "The race has not ended" in said


@pytest.mark.parametrize("number", [2, 5])
def test_an_edited_line_is_refused_by_its_number(track: Tracks, number: int) -> None:
    here = track()
    here.run(("majority", "zero_shot"))
    path = here.folder / "log.jsonl"
    lines = path.read_text().splitlines()
    lines[number - 1] = lines[number - 1][:-5]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=rf"line {number}, is damaged"):
        RunLog.read(here.folder)


def test_a_log_from_before_seeds_and_rungs_gives_the_verdict_it_gave(tmp_path: Path) -> None:
    shutil.copytree(OLD, tmp_path / "run")
    found = decide(RunLog.read(tmp_path / "run")).to_dict()
    then = json.loads((OLD / "verdict.json").read_text())
    said, before = found["answers"], then.pop("answers")
    assert {key: value for key, value in found.items() if key in then} == then
    assert set(before) <= set(said) and said["prompt_or_tune"] == before["prompt_or_tune"]
    assert found == decide(RunLog.read(tmp_path / "run")).to_dict(), "same log, same verdict"
