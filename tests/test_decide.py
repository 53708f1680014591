from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuningfork.candidate import Constant, Function, Single
from tuningfork.decide import Verdict, decide
from tuningfork.errors import DataError, NoScore, TaskError
from tuningfork.log import (
    Ended,
    Finalists,
    Left,
    LogWriter,
    Measured,
    Probed,
    Row,
    RunLog,
    Started,
    TestOpened,
    born_event,
)

FAMILIES = {"zero_shot": "prompt", "few_shot": "prompt", "lora": "tune", "head": "tune", "majority": "baseline"}
KEYS = {
    "version", "task", "metric", "higher_is_better", "outcome", "sentence", "scope", "best", "recommended", "budget",
    "indistinguishable", "comparisons", "leaderboard", "answers", "minimum_detectable_difference", "test_looks",
}  # fmt: skip
ROW_KEYS = {
    "candidate", "method", "model", "family", "settings", "seeds", "dev", "test", "failed_items", "adapt_seconds",
    "latency_ms", "tokens", "usd_per_1k", "bytes", "probes", "feasible", "status", "why",
}  # fmt: skip


@dataclass
class Trial:
    """One trial of a log made by hand: item scores by split (None: failed), and what it cost."""

    test: Sequence[float | None] = ()
    dev: Sequence[float | None] = ()
    left: str = ""
    why: str = ""
    ms: float | None = 10.0
    planned: float | None = None
    adapt: float = 1.0
    usd: float = 0.0
    family: str = ""
    candidate: Any = None
    answers: Sequence[str] = ()


def some(n: int, right: int, seed: int = 0) -> list[float]:
    """n scores, so many of them 1, the same ones for the same seed whatever n is."""
    order = random.Random(seed).sample(range(n), n)
    return [float(order[i] < right) for i in range(n)]


@dataclass
class Log:
    """Writes a run's folder through LogWriter and reads it back."""

    folder: Path
    task: dict[str, Any] = field(default_factory=dict)
    metric: dict[str, Any] = field(
        default_factory=lambda: {"name": "accuracy", "range": [0, 1], "higher_is_better": True}
    )
    plan: dict[str, Any] = field(default_factory=lambda: {"seconds": 300.0})
    models: dict[str, Any] = field(default_factory=dict)
    clusters: Sequence[str] = ()
    targets: Sequence[str] = ()
    ended: bool = True
    opened: bool = True
    finalists: Sequence[str] | None = None

    def decide(self, trials: Mapping[str, Trial]) -> Verdict:
        return decide(self.write(trials))

    def write(self, trials: Mapping[str, Trial]) -> RunLog:
        writer = LogWriter(self.folder)
        writer.write(self._started(trials))
        for name, trial in trials.items():
            self._race(writer, name, trial)
        final = [n for n, t in trials.items() if t.test] if self.finalists is None else list(self.finalists)
        if final:
            writer.write(Finalists(tuple(final), dict.fromkeys(final, "still in")))
        if self.opened and final:
            asked = max(len(t.test) for t in trials.values())
            writer.write(TestOpened(asked, asked, 1))
            for name, trial in trials.items():
                self._measure(writer, name, trial, "test", trial.test)
                if trial.test and trial.ms is not None:
                    latency = {"p50_ms": trial.ms, "p95_ms": 2 * trial.ms}
                    writer.write(Probed(name, self._identity(name, trial), "latency", latency))
        for name, trial in trials.items():
            if trial.left == "failed" and trial.test:
                writer.write(Left(name, "failed", trial.why))
        if self.ended:
            writer.write(Ended(12.5, {"tokens_in": 900, "tokens_out": 100, "usd": 0.5}, "finished", "now"))
        return RunLog.read(self.folder)

    def _started(self, trials: Mapping[str, Trial]) -> Started:
        items = []
        for split in ("dev", "test"):
            for i in range(max((len(getattr(t, split)) for t in trials.values()), default=0)):
                cluster = self.clusters[i] if i < len(self.clusters) else None
                target = self.targets[i] if i < len(self.targets) else "a"
                items.append({"id": f"{split}{i}", "split": split, "target": target, "group": None, "cluster": cluster})
        task = {"name": "tickets", "kind": "classification", "tolerance": 0.01, **self.task}
        metrics = (self.metric,)
        return Started(1, task, tuple(items), (), {"models": self.models}, {}, self.plan, metrics, "now")

    def _candidate(self, name: str, trial: Trial) -> Any:
        method, _, model = name.partition("@")
        return trial.candidate or (Single(model, labels=(method,)) if model else Constant("a"))

    def _identity(self, name: str, trial: Trial) -> str:
        return born_event(name, self._candidate(name, trial), **self._about(name, trial)).candidate

    def _about(self, name: str, trial: Trial) -> dict[str, Any]:
        method, _, model = name.partition("@")
        family = trial.family or FAMILIES.get(method, "yours")
        about = {"parents": (), "method": method, "model": model, "family": family, "settings": {}, "stage": "race"}
        return {**about, "seed": 0, "examples_used": 9, "examples_chosen_on": 3, "seconds": trial.adapt, "usage": {}}

    def _race(self, writer: LogWriter, name: str, trial: Trial) -> None:
        about = self._about(name, trial)
        if trial.left not in ("failed", "skipped") or trial.dev or trial.test:
            writer.write(born_event(name, self._candidate(name, trial), **about))
        self._measure(writer, name, trial, "dev", trial.dev)
        if trial.left and not (trial.left == "failed" and trial.test):
            named = {key: about[key] for key in ("method", "model", "family")}
            writer.write(Left(name, trial.left, trial.why, **named))

    def _measure(self, writer: LogWriter, name: str, trial: Trial, split: Any, scores: Sequence[float | None]) -> None:
        if not scores:
            return
        candidate = self._identity(name, trial)
        said = trial.answers or ["x"] * len(scores)
        rows = [
            Row(name, candidate, split, 0, f"{split}{i}", said[i], s, 0.9, "refused: no" if s is None else None, 0.01)
            for i, s in enumerate(scores)
        ]
        usage = {"tokens_in": 10 * len(rows), "tokens_out": 2, "usd": trial.usd * len(rows)}
        if trial.planned is not None:
            usage["planned"] = trial.planned * len(rows)
        failed = sum(s is None for s in scores)
        writer.rows(rows)
        writer.write(Measured(name, candidate, split, 0, len(rows), failed, 0.0, 0.01 * len(rows), usage))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "run")


def row(verdict: Verdict, trial: str) -> Mapping[str, Any]:
    return next(r for r in verdict.leaderboard if r["candidate"] == trial)


def test_a_clear_winner(log: Log) -> None:
    verdict = log.decide(
        {"zero_shot@m": Trial(some(300, 180, 1)), "lora@m": Trial(some(300, 280)), "majority": Trial(some(300, 60, 2))}
    )
    assert (verdict.outcome, verdict.best, verdict.recommended) == ("clear", "lora@m", "lora@m")
    assert verdict.indistinguishable == ()
    assert [c["b"] for c in verdict.comparisons] == ["zero_shot@m", "majority"]
    assert all(c["low"] > 0 and c["p_adjusted"] < 0.05 and c["n"] == 300 for c in verdict.comparisons)
    assert "Use lora@m: 93.3% accuracy on 300 test items (95% between" in verdict.sentence
    assert "shown better than the best of every other family. The nearest, zero_shot@m, is" in verdict.sentence
    assert verdict.answers["prompt_or_tune"]["sentence"].startswith("Fine-tune: lora@m has 93.3%, zero_shot@m 60.0%")


def test_the_json_has_the_keys_of_the_design_and_is_a_pure_function_of_the_log(log: Log) -> None:
    trials = {
        "zero_shot@m": Trial(some(60, 30), some(30, 20), usd=0.001),
        "lora@m": Trial(some(60, 50, 1), some(30, 25, 1)),
        "x@m": Trial(left="failed", why="It crashed: ValueError: no."),
    }
    made = log.write(trials)
    found = decide(made).to_dict()
    assert set(found) >= KEYS and all(set(r) == ROW_KEYS for r in found["leaderboard"])
    assert json.loads(json.dumps(found)) == found == decide(RunLog.read(log.folder)).to_dict()
    assert found["best"] == {"candidate": "lora@m"} and found["version"] == 1 and found["test_looks"] == 1
    assert set(found["comparisons"][0]) >= {"a", "b", "difference", "low", "high", "p_adjusted", "n", "seeds"}
    assert found["budget"] == {"seconds": 300.0, "spent_seconds": 12.5, "spent_tokens": 1000, "spent_usd": 0.5}
    first = found["leaderboard"][1]
    assert first["test"]["n"] == 60 and first["dev"]["n"] == 30 and first["adapt_seconds"] == 1.0
    assert first["tokens"] == {"in": 900, "out": 4, "reused": 0} and first["usd_per_1k"] == pytest.approx(1.0)
    assert first["latency_ms"] == {"p50": 10.0, "p95": 20.0}
    assert found["leaderboard"][2]["why"].startswith("It crashed") and found["leaderboard"][2]["status"] == "failed"


def test_close_is_not_equal_and_says_how_many_more_items(log: Log) -> None:
    verdict = log.decide({"zero_shot@m": Trial(some(100, 70, 1)), "lora@m": Trial(some(100, 75))})
    assert verdict.outcome == "close" and verdict.indistinguishable == ("zero_shot@m",)
    assert "not told apart from it: zero_shot@m (70.0%)" in verdict.sentence
    assert "equal" not in json.dumps(verdict.to_dict())
    needed = verdict.answers["what_would_change_it"]
    assert needed["items"] > 300 and "5.0 points, as seen, about" in needed["sentence"]
    assert verdict.answers["prompt_or_tune"]["sentence"].startswith("Not told apart")
    d = verdict.comparisons[0]
    assert verdict.minimum_detectable_difference == pytest.approx(2.8016 * (row_discordance(d) / 100) ** 0.5, abs=1e-3)


def row_discordance(comparison: Mapping[str, Any]) -> float:
    a, b = some(100, 75), some(100, 70, 1)
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / comparison["n"]


def flipped(scores: Sequence[float], wrong: int) -> list[float]:
    """The same scores, the first so many right ones wrong."""
    right = [i for i, s in enumerate(scores) if s][:wrong]
    return [0.0 if i in right else s for i, s in enumerate(scores)]


def test_recommends_the_cheapest_that_is_shown_good_enough(log: Log) -> None:
    best = some(2000, 1800)
    verdict = log.decide(
        {
            "lora@big": Trial(best, ms=400.0),
            "head@small": Trial(flipped(best, 5), ms=10.0),
            "zero_shot@small": Trial(flipped(best, 300), ms=5.0),
        }
    )
    assert (verdict.best, verdict.recommended) == ("lora@big", "head@small")
    assert "the cheapest shown to be within 1.0 point of the best, lora@big (90.0%)" in verdict.sentence
    assert "head@small" not in json.dumps(verdict.answers.get("anything_cheaper", ""))


def test_a_cheaper_one_that_is_not_shown_is_named_with_what_it_could_lose(log: Log) -> None:
    best = some(300, 270)
    cheap = some(300, 268, 5)
    verdict = log.decide({"lora@big": Trial(best, ms=400.0), "head@small": Trial(cheap, ms=10.0)})
    assert verdict.recommended == "lora@big"
    said = verdict.answers["anything_cheaper"]
    assert said["sentence"].startswith("head@small is about 40 times cheaper and between")
    assert "worse and" in said["sentence"] and "more test items would tell" in said["sentence"]
    comparison = verdict.comparisons[0]
    assert said["candidates"][0]["low"] == pytest.approx(-comparison["high"])


def test_tolerance_decides_what_is_good_enough(log: Log) -> None:
    best = some(400, 360)
    trials = {"lora@big": Trial(best, ms=400.0), "head@small": Trial(flipped(best, 6), ms=10.0)}
    strict = log.decide(trials)
    log.folder, log.task = log.folder.with_name("loose"), {"tolerance": 0.05}
    loose = log.decide(trials)
    assert (strict.recommended, loose.recommended) == ("lora@big", "head@small")
    high = strict.comparisons[0]["high"]
    needed = strict.answers["what_would_change_it"]["sentence"]
    assert f"With a tolerance of {100 * high + 0.05:.1f} points, head@small would be recommended." in needed
    assert strict.answers["anything_cheaper"]["sentence"].startswith("head@small is about 40 times cheaper and 0.")
    assert "would tell" not in strict.answers["anything_cheaper"]["sentence"]
    log.folder, log.task = log.folder.with_name("as told"), {"tolerance": round(high + 0.0005, 3)}
    assert log.decide(trials).recommended == "head@small"


def test_the_plans_cost_wins_over_the_clock(log: Log) -> None:
    scores = some(600, 500)
    trials = {"lora@a": Trial(scores, ms=1.0, planned=0.5), "head@b": Trial(scores, ms=90.0, planned=0.1)}
    assert log.decide(trials).recommended == "head@b"
    log.folder = log.folder.with_name("tokens")
    log.plan = {"trials": [{"trial": "lora@a", "cost_tokens": 5}, {"trial": "head@b", "cost_tokens": 9}]}
    assert log.decide(trials).recommended == "lora@a"
    log.folder, log.plan = log.folder.with_name("clock"), {"trials": ["lora@a", "head@b"]}
    clocked = {name: replace(trial, planned=None) for name, trial in trials.items()}
    assert log.decide(clocked).recommended == "lora@a"


def test_the_plan_sees_nothing_of_a_users_own_function(log: Log) -> None:
    scores = some(600, 500)
    mine = Trial(scores, ms=900.0, planned=0.0, candidate=Function("mine:answer"))
    verdict = log.decide({"yours:mine": mine, "head@b": Trial(scores, ms=20.0, planned=0.02)})
    assert verdict.recommended == "head@b"


def test_all_equal_goes_to_the_cheapest_and_claims_nothing(log: Log) -> None:
    scores = some(200, 150)
    verdict = log.decide(
        {name: Trial(scores, ms=ms) for name, ms in (("few_shot@m", 30), ("head@m", 3), ("lora@m", 9))}
    )
    assert verdict.best == verdict.recommended == "head@m" and verdict.outcome == "close"
    assert verdict.indistinguishable == ("lora@m", "few_shot@m")
    assert all(c["difference"] == 0 and c["p_adjusted"] == 1 for c in verdict.comparisons)


@pytest.mark.slow
def test_equals_are_seldom_told_apart_though_the_best_is_picked_by_looking(tmp_path: Path) -> None:
    rng, claims = random.Random(0), 0
    for number in range(40):
        names = ("lora@m", "head@m", "few_shot@m", "zero_shot@m", "yours:x@m")
        equal = {name: Trial([float(rng.random() < 0.7) for _ in range(120)], ms=None) for name in names}
        verdict = Log(tmp_path / str(number)).decide(equal)
        claims += len(verdict.indistinguishable) < 4
    assert claims <= 5


def test_beating_all_needs_no_correction(log: Log) -> None:
    """Three rivals, each beaten at about 0.04: true of all of them or of none."""
    best = [1.0] * 24 + [0.0] * 76
    rivals = {}
    for i, name in enumerate(("lora@m", "head@m", "few_shot@m")):
        lost, won = range(8 * i, 8 * i + 8), (30 + i,)
        rivals[name] = Trial([float((x == 1.0 and j not in lost) or j in won) for j, x in enumerate(best)])
    verdict = log.decide({"zero_shot@m": Trial(best), **rivals})
    assert verdict.best == "zero_shot@m" and verdict.outcome == "clear"
    assert {round(c["p_adjusted"], 3) for c in verdict.comparisons} == {round(verdict.comparisons[0]["p"], 3)}


def test_one_candidate_only(log: Log) -> None:
    verdict = log.decide({"zero_shot@m": Trial(some(100, 70))})
    assert (verdict.best, verdict.recommended, verdict.outcome) == ("zero_shot@m", "zero_shot@m", "none")
    assert "nothing to compare with" in verdict.sentence and "70.0%" in verdict.sentence
    assert "no fine-tuned candidate" in verdict.answers["prompt_or_tune"]["sentence"]


def test_all_failed(log: Log) -> None:
    verdict = log.decide(
        {
            "lora@m": Trial(left="failed", why="It ran out of memory."),
            "head@m": Trial(left="skipped", why="No encoder."),
        }
    )
    assert (verdict.best, verdict.recommended, verdict.outcome) == (None, None, "none")
    assert "No candidate reached an answer" in verdict.sentence and "lora@m: It ran out of memory." in verdict.sentence
    assert verdict.to_dict()["best"] is None and verdict.minimum_detectable_difference is None
    assert [r["status"] for r in verdict.leaderboard] == ["failed", "skipped"]


def test_a_log_with_nothing_in_it(log: Log) -> None:
    log.ended = False
    assert "No candidate reached an answer" in log.decide({}).sentence


def test_a_finalist_that_breaks_down_on_the_test_has_failed(log: Log) -> None:
    broken = Trial(some(50, 50), some(20, 20), left="failed", why="It broke down on test: OSError: gone")
    verdict = log.decide(
        {"lora@m": broken, "head@m": Trial(some(50, 30, 1), some(20, 11)), "few_shot@m": Trial(some(50, 20))}
    )
    assert verdict.best == "head@m" and row(verdict, "lora@m")["status"] == "failed"
    assert verdict.leaderboard[-1]["candidate"] == "lora@m"


def test_ten_items_are_too_few_for_a_number(log: Log) -> None:
    verdict = log.decide({"zero_shot@m": Trial(some(9, 4, 1)), "lora@m": Trial(some(9, 7))})
    assert verdict.outcome == "close"
    assert (
        "between 45.3% and 93.7% accuracy on 9 test items (too little data for one number: only 9 items)"
        in verdict.sentence
    )
    assert "77.8% accuracy" not in verdict.sentence


def test_too_few_errors_for_a_number(log: Log) -> None:
    verdict = log.decide({"zero_shot@m": Trial(some(300, 200, 1)), "lora@m": Trial(some(300, 298))})
    assert "fewer than 5 errors" in verdict.sentence and verdict.outcome == "clear"


def test_dev_only_when_the_test_was_not_opened(log: Log) -> None:
    log.opened, log.ended = False, False
    verdict = log.decide(
        {
            "zero_shot@m": Trial(dev=some(120, 60, 1)),
            "lora@m": Trial(dev=some(120, 110)),
            "few_shot@m": Trial(dev=some(32, 30), left="dropped", why="Shown worse."),
            "nearest@m": Trial(left="paused", why="The budget was used up before its turn."),
        }
    )
    assert verdict.best == "lora@m" and verdict.test_looks == 0
    assert "120 dev items" in verdict.sentence and "On dev only: the test was not opened." in verdict.sentence
    assert "The race has not ended." in verdict.sentence and "dev item" in verdict.scope
    assert [c["b"] for c in verdict.comparisons] == ["zero_shot@m"]
    assert {r["candidate"]: r["status"] for r in verdict.leaderboard} == {
        "lora@m": "paused", "zero_shot@m": "paused", "few_shot@m": "dropped", "nearest@m": "paused"
    }  # fmt: skip
    assert row(verdict, "nearest@m")["why"].startswith("The budget")


def test_a_test_cut_short_says_so(log: Log) -> None:
    log.ended = False
    verdict = log.decide({"zero_shot@m": Trial(some(60, 30, 1)), "lora@m": Trial(some(100, 90))})
    assert "The test is not finished: 60 of 100 items were answered." in verdict.sentence
    assert verdict.comparisons[0]["n"] == 60


def test_finalists_first_then_by_dev_then_failed(log: Log) -> None:
    log.finalists = ["b@m", "c@m"]
    verdict = log.decide(
        {
            "a@m": Trial(left="skipped", why="no"),
            "d@m": Trial(dev=some(40, 20)),
            "e@m": Trial(dev=some(40, 36), left="dropped", why="worse"),
            "b@m": Trial(some(40, 20), some(40, 40)),
            "c@m": Trial(some(40, 30), some(40, 10), left="dropped", why="worse"),
        }
    )
    assert [r["candidate"] for r in verdict.leaderboard] == ["c@m", "b@m", "e@m", "d@m", "a@m"]
    assert [r["status"] for r in verdict.leaderboard] == ["finalist", "finalist", "dropped", "paused", "skipped"]
    assert "no place for it in the final" in row(verdict, "d@m")["why"]


def test_failed_items_are_counted_and_never_a_gain(log: Log) -> None:
    base = some(200, 140)
    hard = [i for i, s in enumerate(base) if not s][:8]
    dodger = [None if i in hard else s for i, s in enumerate(base)]
    verdict = log.decide({"lora@m": Trial(base, ms=5.0), "few_shot@m": Trial(dodger, ms=50.0)})
    assert row(verdict, "few_shot@m")["failed_items"] == 8 and row(verdict, "few_shot@m")["test"]["n"] == 192
    assert row(verdict, "few_shot@m")["test"]["value"] > row(verdict, "lora@m")["test"]["value"]
    assert verdict.comparisons[0]["difference"] == 0 and verdict.comparisons[0]["n"] == 192
    assert verdict.best == "lora@m"


def test_one_that_often_fails_is_never_recommended(log: Log) -> None:
    flaky = [None if i % 10 == 0 else 1.0 for i in range(200)]
    verdict = log.decide(
        {"lora@m": Trial(flaky), "head@m": Trial(some(200, 150)), "few_shot@m": Trial(some(200, 100, 3))}
    )
    assert verdict.best == "head@m"
    assert row(verdict, "lora@m")["why"] == (
        "still in. Failed on 20 of 200 test items, too many to be recommended. The first: refused: no."
    )
    log.folder = log.folder.with_name("alone")
    alone = log.decide({"lora@m": Trial(flaky)})
    assert alone.best is None and "No candidate answered reliably" in alone.sentence


def test_spending_is_told_against_what_was_asked_for_not_the_planned_clock(log: Log) -> None:
    log.plan = {"seconds": 48.0, "budget": {"seconds": 60.0}}
    assert log.decide({"lora@m": Trial(some(20, 12))}).budget["seconds"] == 60.0


def test_nothing_beats_the_baseline(log: Log) -> None:
    verdict = log.decide(
        {"majority": Trial(some(80, 44)), "lora@m": Trial(some(80, 46, 1)), "few_shot@m": Trial(some(80, 20))}
    )
    assert verdict.outcome == "none" and "Nothing is shown to beat the baseline majority: 55.0%" in verdict.sentence
    assert "The best other, lora@m, has 57.5%, between" in verdict.sentence
    log.folder = log.folder.with_name("wins")
    wins = log.decide({"majority": Trial(some(300, 200)), "lora@m": Trial(some(300, 100, 1))})
    assert (wins.best, wins.outcome) == ("majority", "none") and "points worse than it" in wins.sentence


@pytest.mark.parametrize(
    ("limits", "chosen", "said"),
    [
        ({"latency_ms_p95": 100}, "head@small", "lora@big (90.0%) breaks latency_ms_p95 100 (it takes 800)"),
        ({"latency_ms_p95": 1000}, "lora@big", "Use lora@big"),
        ({"latency_ms_p95": 1}, None, "No candidate meets the limits"),
        ({"usd_per_1k": 0.5}, "head@small", "breaks usd_per_1k 0.5 (it takes 2)"),
        ({"memory_gib": 4}, "lora@big", "Use lora@big"),
    ],
)
def test_limits(log: Log, limits: dict[str, Any], chosen: str | None, said: str) -> None:
    log.task = {"limits": limits}
    verdict = log.decide(
        {"lora@big": Trial(some(300, 270), ms=400.0, usd=0.002), "head@small": Trial(some(300, 210, 1), ms=10.0)}
    )
    assert (verdict.best, verdict.recommended) == ("lora@big", chosen)
    assert said in verdict.sentence
    assert row(verdict, "lora@big")["feasible"] == (chosen == "lora@big")
    if "memory_gib" in limits:
        assert "Not checked, because it was not measured everywhere: memory_gib." in verdict.scope


def test_where_a_model_is_stands_in_the_log(log: Log) -> None:
    log.task = {"limits": {"private": True}}
    log.models = {"openai:big": {"url": "https://api.openai.com/v1"}, "ollama:x": {"url": "http://localhost:11434/v1"}}
    trials = {f"zero_shot@{name}": Trial(some(60, 50)) for name in log.models}
    found = {entry["candidate"]: entry["feasible"] for entry in log.decide(trials).to_dict()["leaderboard"]}
    assert found == {"zero_shot@openai:big": False, "zero_shot@ollama:x": True}


def test_what_is_paid_for_each_answer_is_dearer_than_any_seconds(log: Log) -> None:
    slow, paid = Trial(some(400, 300), ms=900.0), Trial(some(400, 300), ms=1.0, usd=0.001)
    verdict = log.decide({"zero_shot@far": paid, "lora@here": slow})
    assert verdict.to_dict()["recommended"]["candidate"] == "lora@here"


def test_private_leaves_out_what_asks_others(log: Log) -> None:
    log.task = {"limits": {"private": True}}
    far, near = "openai:gpt@https://api.example.com/v1", "openai:q@http://localhost:8000/v1"
    verdict = log.decide(
        {
            "zero_shot@far": Trial(some(200, 180), candidate=Single(far)),
            "few_shot@near": Trial(some(200, 120, 1), candidate=Single(near)),
        }
    )
    assert (verdict.best, verdict.recommended) == ("zero_shot@far", "few_shot@near")
    assert f"private (it asks {far})" in row(verdict, "zero_shot@far")["why"]


def test_lower_is_better(log: Log) -> None:
    log.metric = {"name": "exact_match", "range": [0, 1], "higher_is_better": False}
    verdict = log.decide({"zero_shot@m": Trial(some(200, 120, 1)), "lora@m": Trial(some(200, 40))})
    assert verdict.best == "lora@m" and not verdict.higher_is_better
    assert verdict.comparisons[0]["difference"] == pytest.approx(0.4) and verdict.comparisons[0]["low"] > 0
    assert [r["candidate"] for r in verdict.leaderboard] == ["lora@m", "zero_shot@m"]


def test_clusters_make_it_less_sure(log: Log) -> None:
    a, b = some(40, 34), some(40, 26, 1)
    trials = {"lora@m": Trial(a * 6), "zero_shot@m": Trial(b * 6)}
    plain = log.decide(trials)
    log.folder, log.clusters = log.folder.with_name("clustered"), [f"c{i}" for i in range(40)] * 6
    clustered = log.decide(trials)
    assert plain.outcome == "clear" and clustered.outcome == "close"


def test_scores_between_right_and_wrong(log: Log) -> None:
    log.metric = {"name": "token_f1", "range": [0, 1], "higher_is_better": True}
    rng = random.Random(0)
    base = [rng.uniform(0.4, 0.9) for _ in range(120)]
    verdict = log.decide({"lora@m": Trial([s + 0.08 for s in base]), "zero_shot@m": Trial(base)})
    assert verdict.outcome == "clear" and verdict.comparisons[0]["difference"] == pytest.approx(0.08)


def test_a_metric_that_is_no_mean_of_items(log: Log) -> None:
    from sklearn.metrics import f1_score

    rng = random.Random(1)
    log.metric = {"name": "macro_f1", "range": [0, 1], "higher_is_better": True}
    log.targets = targets = [rng.choice("aaab") for _ in range(150)]
    good = [t if rng.random() < 0.9 else "a" for t in targets]
    trials = {
        name: Trial([float(x == t) for x, t in zip(said, targets, strict=True)], answers=said)
        for name, said in (("lora@m", good), ("majority", ["a"] * 150))
    }
    verdict = log.decide(trials)
    expected = f1_score(targets, good, average="macro")
    best = row(verdict, "lora@m")["test"]
    assert best["value"] == pytest.approx(expected, abs=1e-6) and best["low"] < expected < best["high"]
    assert verdict.outcome == "clear"
    floor = f1_score(targets, ["a"] * 150, average="macro")
    assert verdict.comparisons[0]["difference"] == pytest.approx(expected - floor, abs=1e-6)


@pytest.mark.parametrize(
    ("models", "warns"),
    [
        ({"s": {"parameters": 135_000_000, "capabilities": ["score"]}}, "Prompts given to a 135M model say little"),
        ({"s": {"parameters": 7_000_000_000, "capabilities": ["score"]}}, ""),
        ({"e": {"parameters": 22_000_000, "capabilities": ["embed"]}}, "No model of this race can be prompted"),
    ],
)
def test_the_scope_warns_of_small_models(log: Log, models: dict[str, Any], warns: str) -> None:
    log.models = models
    scope = log.decide({"zero_shot@s": Trial(some(50, 30)), "lora@s": Trial(some(50, 40, 1))}).scope
    assert warns in scope and ("say little" in scope or "can be prompted" in scope) == bool(warns)
    assert "Measured on 50 test items of tickets." in scope and "one seed" in scope


def test_the_verdict_does_not_change_with_the_order_of_the_log(log: Log) -> None:
    trials = {
        name: Trial(some(80, right, i))
        for i, (name, right) in enumerate([("lora@m", 60), ("head@m", 62), ("few_shot@m", 50)])
    }
    one = log.decide(trials).to_dict()
    log.folder = log.folder.with_name("other")
    assert log.decide(dict(reversed(trials.items()))).to_dict() == one


scores = st.lists(st.sampled_from([0.0, 1.0, 1.0, None, 0.5]), min_size=12, max_size=12)


@settings(max_examples=40, deadline=None)
@given(st.lists(scores, min_size=1, max_size=4), st.booleans(), st.booleans())
def test_any_log_has_a_verdict(tmp_path_factory: Any, tables: list[list[Any]], opened: bool, ended: bool) -> None:
    names = ["lora@m", "zero_shot@m", "majority", "head@m"]
    log = Log(tmp_path_factory.mktemp("any") / "run", opened=opened, ended=ended)
    made = log.write({n: Trial(t, t) for n, t in zip(names, tables, strict=False)})
    found = decide(made).to_dict()
    places = [r["candidate"] for r in found["leaderboard"]]
    assert sorted(places) == sorted(names[: len(tables)])
    if found["best"]:
        assert found["best"]["candidate"] == places[0] and found["recommended"]
        assert {c["a"] for c in found["comparisons"]} <= {places[0]}
        assert all(c["low"] <= c["difference"] <= c["high"] for c in found["comparisons"])
        told = [c["b"] for c in found["comparisons"] if c["low"] > 0 and c["p_adjusted"] < 0.05]
        assert not set(told) & set(found["indistinguishable"])
    assert found["sentence"] and json.dumps(found)


JUDGED = {"name": "judge", "range": [1, 5], "higher_is_better": True}


def graded(log: Log, items: int) -> dict[str, Trial]:
    """Two trials: the judge likes b's answers most, people a's by a whole grade. `items` of each were graded."""
    rng = random.Random(0)
    people = [rng.choice([3.0, 4.0, 5.0]) for _ in range(200)]
    log.metric, log.task = JUDGED, {"metric": ["judge(model=m)"], "kind": "generation"}
    log.folder.mkdir()
    lines = [
        {"item": f"test{i}", "answer": name, "grade": people[i] - (name == "b")} for i in range(items) for name in "ab"
    ]
    (log.folder / "grades.jsonl").write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    judged = {"a": [grade - 0.5 for grade in people], "b": [min(5.0, grade + 0.1) for grade in people]}
    return {f"{name}@m": Trial(scores, answers=[name] * 200, family="prompt") for name, scores in judged.items()}


def test_peoples_grades_correct_a_judge(log: Log) -> None:
    verdict = log.decide(graded(log, 40))
    best, other = row(verdict, "a@m")["test"], row(verdict, "b@m")["test"]
    assert verdict.best == "a@m" and best["value"] - other["value"] == pytest.approx(1.0, abs=0.05)
    difference = verdict.comparisons[0]
    assert 0.5 < difference["low"] < 1 < difference["high"]  # what 40 grades leave unseen
    assert "corrected by people's grades of 40 items" in verdict.sentence


def test_without_enough_grades_the_judge_stands_alone_and_that_is_said(log: Log) -> None:
    verdict = log.decide(graded(log, 9))
    assert verdict.best == "b@m" and "grades are not used: fewer than 10 test items" in verdict.sentence


@pytest.mark.parametrize("line", ["{", '{"item": "test0", "answer": "a", "grade": 6}', '{"item": "test0", "grade": 3}'])
def test_a_line_that_is_no_grade_is_told_by_its_number(log: Log, line: str) -> None:
    made = log.write({"a@m": Trial(some(20, 10))})
    (log.folder / "grades.jsonl").write_text(f"\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"grades.jsonl, line 2 is no grade"):
        decide(made)


def test_a_total_out_of_its_range_is_told(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tuningfork.metrics.mcc.Mcc.total", lambda *_: math.nan)
    log.metric = {"name": "mcc", "range": [-1, 1], "higher_is_better": True}
    with pytest.raises(TaskError, match="metric mcc gave nan over 20 items"):
        log.decide({"a@m": Trial(some(20, 10), answers=["a"] * 20)})


def test_a_users_function_is_not_needed_again(log: Log) -> None:
    log.metric = {"name": "points", "range": [0, 10], "higher_is_better": True}
    log.task = {"metric": ["gone:points"]}
    verdict = log.decide({"a@m": Trial([7.0, 9.0] * 30)})
    assert row(verdict, "a@m")["test"]["value"] == 8.0


def test_a_total_that_needs_settings_and_labels_is_opened_with_them(log: Log) -> None:
    log.metric = {"name": "perplexity", "range": [1, 4.8e8], "higher_is_better": False}
    log.task = {"metric": ["perplexity"], "labels": ["a", "b"]}
    with pytest.raises(NoScore, match="perplexity needs the probability"):  # these rows hold none
        log.decide({"a@m": Trial([0.1] * 20)})
