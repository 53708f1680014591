"""Every answer over small logs made by hand: what people come for, and each kind of bad input."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from test_decide import Log, Trial, some
from tuningfork.candidate import Calibration, Single
from tuningfork.log import Born, Rung, RunLog, Started


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "run")


def with_rungs(made: RunLog, rungs: dict[str, list[tuple[int, float]]], used: int = 400) -> RunLog:
    """The same log with learning curves, and with that many examples learned from."""
    events: list[Any] = [replace(e, examples_used=used) if isinstance(e, Born) else e for e in made.events]
    events += [Rung(t, n, 0, "c", v, 100, 1.0, {}) for t, points in rungs.items() for n, v in points]
    return replace(made, events=tuple(events))


def answers_of(made: RunLog) -> dict[str, Any]:
    from tuningfork.decide import decide

    found: dict[str, Any] = decide(made).to_dict()["answers"]
    return found


# which, and how sure


def test_which_names_the_best_when_it_is_shown(log: Log) -> None:
    found = answers_of(log.write({"zero_shot@m": Trial(some(300, 150, 1)), "lora@m": Trial(some(300, 280))}))["which"]
    assert (
        found["sentence"].startswith("lora@m, 93.3% (95% between")
        and "shown better than the other" in found["sentence"]
    )
    assert [(row["candidate"], row["verdict"]) for row in found["table"]] == [
        ("lora@m", "best"),
        ("zero_shot@m", "shown worse"),
    ]
    assert all(row["low"] < row["value"] < row["high"] for row in found["table"])


def test_which_says_too_close_to_call_and_how_many_more_items_settle_it(log: Log) -> None:
    found = answers_of(log.write({"zero_shot@m": Trial(some(100, 70, 1)), "lora@m": Trial(some(100, 75))}))["which"]
    assert found["sentence"].startswith("Too close to call between lora@m and zero_shot@m.")
    assert "more test items would settle it, if it is as seen" in found["sentence"]
    assert found["table"][1]["items"] > 300 and found["table"][1]["verdict"] == "too close to call"


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        ({"lora@m": Trial(some(9, 8)), "zero_shot@m": Trial(some(9, 1, 3))}, "Too close to call: 9 test items"),
        ({"lora@m": Trial(some(60, 40))}, "Only one candidate was measured"),
        ({"lora@m": Trial(left="failed", why="no")}, "Nothing can be said"),
        ({"lora@m": Trial([None] * 20), "head@m": Trial([None] * 20)}, "Nothing can be said"),
    ],
    ids=["nine items", "one candidate", "all failed", "all items failed"],
)
def test_which_claims_nothing_on_bad_input(log: Log, trials: dict[str, Trial], said: str) -> None:
    assert answers_of(log.write(trials))["which"]["sentence"].startswith(said)


def test_a_test_that_is_not_finished_is_said_to_be_so(log: Log) -> None:
    log.ended = False
    found = answers_of(log.write({"zero_shot@m": Trial(some(60, 30, 1)), "lora@m": Trial(some(100, 90))}))
    assert found["which"]["sentence"].endswith("That is so far: the test is not finished.")


# what more data would change


def test_without_rungs_it_says_what_budget_would_tell(log: Log) -> None:
    log.plan = {"seconds": 300.0, "budget": {"name": "light"}}
    found = answers_of(log.write({"lora@m": Trial(some(60, 40), some(60, 40))}))["more_data"]
    assert found["curves"] == [] and "--budget medium has time for it" in found["sentence"]


def test_where_all_were_needed_for_folds_no_budget_is_promised_to_help(log: Log) -> None:
    log.plan = {"seconds": 300.0, "folds": 5}
    found = answers_of(log.write({"lora@m": Trial(some(60, 40))}))["more_data"]
    assert "examples are so few" in found["sentence"] and "--budget" not in found["sentence"]


def test_a_curve_is_carried_one_doubling_further_with_an_interval(log: Log) -> None:
    made = log.write(
        {"lora@m": Trial(some(300, 240), some(100, 80)), "zero_shot@m": Trial(some(300, 150, 1), some(100, 60, 1))}
    )
    made = with_rungs(made, {"lora@m": [(50, 0.5), (100, 0.62), (200, 0.72)]})
    found = answers_of(made)["more_data"]
    ahead = found["curves"][0]["next"]
    assert ahead["examples"] == 800 and 0.8 <= ahead["value"] <= 0.95 and ahead["low"] < 0.8 < ahead["high"]
    assert "With twice the examples (800 instead of 400) lora@m would go from 80.0% on dev" in found["sentence"]
    # the tuned road passes the level prompt between 50 and 200 examples
    assert 50 <= found["crossover"]["examples"] <= 200
    assert "lora@m overtakes zero_shot@m, taken as it stands with all examples, at about" in found["sentence"]
    worth = found["prompt_is_worth"]
    assert 50 < worth["low"] < worth["examples"] < worth["high"] < 200


def test_a_prompt_that_is_never_reached_is_not_said_to_be_overtaken(log: Log) -> None:
    made = log.write(
        {"lora@m": Trial(some(300, 100), some(100, 30)), "zero_shot@m": Trial(some(300, 290, 1), some(100, 97, 1))}
    )
    found = answers_of(with_rungs(made, {"lora@m": [(100, 0.29), (200, 0.3)]}))["more_data"]
    assert found["crossover"] is None and "No crossing is in sight: zero_shot@m is ahead of lora@m" in found["sentence"]


def test_curves_of_a_metric_where_lower_is_better(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.metric = {"name": "loss", "range": [0, 1], "higher_is_better": False}
    monkeypatch.setattr("tuningfork.metrics.open_metric", lambda name, labels: object())
    made = log.write({"lora@m": Trial(some(100, 20), some(100, 20))})
    ahead = answers_of(with_rungs(made, {"lora@m": [(100, 0.5), (200, 0.3)]}))["more_data"]["curves"][0]["next"]
    assert ahead["low"] <= ahead["value"] <= 0.2 <= ahead["high"]


# what it costs


LEARNED = Single("m", ("lora",), calibration=Calibration((0.1,)))
PAIR = {"zero_shot@m": Trial(some(300, 200, 1)), "lora@m": Trial(some(300, 280), candidate=LEARNED)}


def test_prices_that_are_missing_are_left_out_and_said(log: Log) -> None:
    found = answers_of(log.write(PAIR))["cost"]
    assert "left out" in found["sentence"].lower() and "usd_per_hour of your hardware" in found["missing"]
    assert "can't be told without usd_per_hour of your hardware" in found["sentence"]
    assert all(row["usd_per_1k"] is None and row["labels_usd"] is None for row in found["rows"])
    assert "USD" not in found["sentence"]


def test_own_hardware_costs_its_hours_by_how_busy_it_is(log: Log) -> None:
    log.task = {"costs": {"usd_per_hour": 3.6, "utilisation": 0.5, "usd_per_label": 0.1}}
    row = next(r for r in answers_of(log.write(PAIR))["cost"]["rows"] if r["candidate"] == "lora@m")
    assert row["usd_per_1k"] == pytest.approx(1000 * 3.6 / 3600 * 0.01 / 0.5)  # 0.01 s an item
    assert row["labels"] == 12 and row["labels_usd"] == pytest.approx(1.2)
    assert row["adapt_usd"] == pytest.approx(3.6 / 3600)


def dear_prompt(log: Log, monthly: float | None = None, **costs: float) -> dict[str, Any]:
    """A prompt at an endpoint for 0.002 USD a request beside a head on own hardware for 0.00001 USD."""
    log.task = {"costs": {"usd_per_hour": 3.6, "usd_per_label": 1.0, **costs}}
    if monthly is not None:
        log.task["traffic"] = {"requests_per_month": monthly}
    remote = "openai:big@https://api.example.com/v1"
    asked = Trial(some(300, 250, 1), usd=0.002, family="prompt", candidate=Single(remote, ("a", "b")))
    trials = {f"zero_shot@{remote}": asked, "head@m": Trial(some(300, 240))}
    found: dict[str, Any] = answers_of(log.write(trials))["cost"]
    return found


def test_break_even_is_fixed_costs_by_what_a_request_saves(log: Log) -> None:
    found = dear_prompt(log, monthly=1000.0, usd_per_month=10.0, months=12.0)["payback"]
    # neither keeps anything of labels; training 0.001; running 10 x 12
    assert found["fixed_usd"] == pytest.approx(120.001) and found["saved_usd_per_1k"] == pytest.approx(1.99)
    assert found["requests_a_month"] == pytest.approx(120.001 / 0.00199 / 12, rel=1e-3)
    assert "head@m pays back from about 5,000 requests a month" in found["sentence"]
    assert "At your 1,000 a month it loses" in found["sentence"]
    points = [p for p in found["points"] if p["candidate"] == "head@m"]
    assert [p["usd"] for p in points] == sorted(p["usd"] for p in points) and points[0]["usd"] >= 120


def test_re_tunings_are_counted_and_said(log: Log) -> None:
    found = dear_prompt(log, usd_per_month=0.0, months=12.0, retune_every_months=3.0)["payback"]
    assert found["retunings"] == 3 and found["fixed_usd"] == pytest.approx(4 * 0.001)
    assert "Over 12 months with 3 re-tunings head@m pays back" in found["sentence"]


def test_what_costs_more_a_request_never_pays_back(log: Log) -> None:
    log.task = {"costs": {"usd_per_hour": 3.6}}
    found = answers_of(log.write(PAIR))["cost"]["payback"]
    assert found["requests_a_month"] is None and "never pays back" in found["sentence"]


def test_a_share_of_cached_tokens_takes_the_price_list(log: Log) -> None:
    remote = "openai:big@https://api.example.com/v1"
    log.task = {"traffic": {"cached_share": 0.5}}
    made = log.write(
        {
            f"zero_shot@{remote}": Trial(some(100, 60), candidate=Single(remote, ("a", "b"))),
            "head@m": Trial(some(100, 50)),
        }
    )
    started = made.events[0]
    assert isinstance(started, Started)
    prices = {remote: {"read": 10.0, "write": 30.0, "cached": 2.0}}
    made = replace(made, events=(replace(started, prices=prices), *made.events[1:]))
    row = next(r for r in answers_of(made)["cost"]["rows"] if remote in r["candidate"])
    # 10 tokens read, 0.02 written an item
    assert row["usd_per_1k"] == pytest.approx((5 * 10 + 5 * 2 + 0.02 * 30) / 1000, rel=1e-3)


def test_an_endpoint_without_a_price_is_unknown_not_free(log: Log) -> None:
    remote = "openai:big@https://api.example.com/v1"
    trials = {
        f"zero_shot@{remote}": Trial(some(100, 60), candidate=Single(remote, ("a", "b"))),
        "head@m": Trial(some(100, 50)),
    }
    found = answers_of(log.write(trials))["cost"]
    assert f"the price of {remote}" in found["missing"]
    assert all(row["usd_per_1k"] is None for row in found["rows"])


# which under my limits


def limited(log: Log, **limits: Any) -> dict[str, Any]:
    log.task = {"limits": limits}
    trials = {
        "lora@big": Trial(some(300, 280), ms=400.0),
        "head@small": Trial(some(300, 250, 2), ms=10.0),
        "zero_shot@big": Trial(some(300, 180, 1), ms=200.0),
    }
    verdict: dict[str, Any] = answers_of(log.write(trials))["limits"]
    return verdict


def test_no_limits_gives_the_front(log: Log) -> None:
    found = limited(log)
    assert found["front"] == ["lora@big", "head@small"] and "No limits were given" in found["sentence"]


def test_what_a_limit_costs_in_quality_is_named(log: Log) -> None:
    found = limited(log, latency_ms_p95=100)
    assert found["feasible"] == ["head@small"]
    assert "1 candidate of 3 meets all limits; the best of them is head@small" in found["sentence"]
    assert "Without the limit latency_ms_p95, lora@big would be possible:" in found["sentence"]
    assert found["costs"][0]["difference"] == pytest.approx(0.1, abs=0.01)


def test_limits_that_contradict_are_named_as_a_pair_and_the_nearest_is_told(log: Log) -> None:
    found = limited(log, latency_ms_p95=100, quality=0.9)
    assert found["feasible"] == [] and found["contradict"] == [["latency_ms_p95", "quality"]]
    assert "Nothing meets all limits. The nearest is" in found["sentence"]
    assert "Each is met by somebody, both by nobody: latency_ms_p95 and quality." in found["sentence"]


def test_a_floor_of_quality_that_is_not_shown_says_so_and_one_out_of_range_is_told(log: Log) -> None:
    assert "is not shown: its interval reaches past it" in limited(log, quality=0.92)["sentence"]
    log.folder = log.folder.with_name("percent")
    assert "quality 90 lies outside accuracy, which ends at 100.0%" in limited(log, quality=90)["sentence"]


def test_skill_and_days_and_what_was_not_measured(log: Log) -> None:
    found = limited(log, skill="none", days=1, memory_gib=4)
    assert found["feasible"] == ["zero_shot@big"]
    assert "Not judged, because it was not measured everywhere: memory_gib." in found["sentence"]


def test_what_breaks_a_limit_that_only_the_log_can_judge_is_not_recommended(log: Log) -> None:
    from tuningfork.decide import decide

    log.task = {"limits": {"skill": "none"}}
    verdict = decide(log.write({"lora@m": Trial(some(300, 280)), "zero_shot@m": Trial(some(300, 180, 1))}))
    assert (verdict.best, verdict.recommended) == ("lora@m", "zero_shot@m")
    assert "skill none (it takes somebody who can serve and re-tune a model)" in verdict.sentence
    rows = {row["candidate"]: row["feasible"] for row in verdict.to_dict()["leaderboard"]}
    assert rows == {"lora@m": False, "zero_shot@m": True}


# the advice, and its judgement


@pytest.mark.parametrize(
    ("road", "said"),
    [("tune", "was right"), ("prompt", "was wrong"), ("race", "left it open")],
)
def test_the_race_says_whether_the_advice_was_right(log: Log, road: Any, said: str) -> None:
    from tuningfork.decide.advise import Advice, note

    made = log.write(PAIR)
    started = made.events[0]
    assert isinstance(started, Started)
    told = replace(started, notes=(note(Advice(road, "So it is.", ())),))
    found = answers_of(replace(made, events=(told, *made.events[1:])))["advised"]
    assert said in found["sentence"] and found["sentence"].endswith("It was: So it is.")
    assert found["right"] is {"tune": True, "prompt": False, "race": None}[road]


def test_no_advice_no_judgement_and_no_confident_number_anywhere(log: Log) -> None:
    found = answers_of(log.write(PAIR))
    assert "advised" not in found and "people" not in found
    log.folder = log.folder.with_name("none")
    log.ended = log.opened = False
    for answer in answers_of(log.write({})).values():
        assert "%" not in answer["sentence"]


def test_every_answer_is_plain_data_that_json_can_hold(log: Log) -> None:
    log.task = {"limits": {"latency_ms_p95": 100, "quality": 0.5}, "costs": {"usd_per_hour": 1.0}}
    found = answers_of(log.write(PAIR))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert all(math.isfinite(p["usd"]) for p in found["cost"]["payback"].get("points", []))


def test_an_endpoint_is_known_by_where_the_log_says_that_it_is(log: Log) -> None:
    log.models = {"openai:big": {"url": "https://api.example.com/v1"}, "openai:near": {"url": "http://localhost:8000"}}
    trials = {f"zero_shot@{m}": Trial(some(100, 60), candidate=Single(m, ("a", "b"))) for m in log.models}
    found = {row["candidate"]: row["how"] for row in answers_of(log.write(trials))["cost"]["rows"]}
    assert found == {"zero_shot@openai:big": "endpoint", "zero_shot@openai:near": "own hardware"}
