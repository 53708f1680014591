"""Money is a hard limit: a meter refuses before it could be overrun, and a race ends in good order before that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuningfork.cli.show import plan_sentence
from tuningfork.decide import decide
from tuningfork.errors import BudgetSpent, ModelError, TaskError
from tuningfork.log import Left, Noted
from tuningfork.log import TestOpened as Opened
from tuningfork.model import Answer, Failure, GenerateRequest, ScoreRequest, Scores, Usage
from tuningfork.models.fake import FakeModel
from tuningfork.price import Price
from tuningfork.race.meter import Meter, Metered, Rates
from tuningfork.race.plan import Plan
from tuningfork.task import Budget, Message, Prompt

Tracks = Callable[..., Any]
PRICE = Price(3.0, 15.0)
RATES = {"paid": Rates(100.0, 10.0, 20.0)}


class Paid(FakeModel):
    """The fake at a price. `paid` is what has really been paid for it, whoever asked."""

    def __init__(self, id: str = "paid", price: Price = PRICE, **about: Any) -> None:
        super().__init__(id, capabilities=("score", "generate"), **about)
        self.price, self.paid = price, 0.0

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scores | Failure]:
        return [self._paid(found) for found in super().score(requests)]

    def generate(self, requests: Sequence[GenerateRequest], on_text: Any = None) -> list[Answer | Failure]:
        return [self._paid(found) for found in super().generate(requests, on_text)]

    def _paid(self, found: Any) -> Any:
        usd = self.price.usd(found.usage)
        self.paid += usd
        return found if isinstance(found, Failure) else replace(found, usage=replace(found.usage, usd=usd))


def ask(text: str) -> GenerateRequest:
    return GenerateRequest(Prompt((Message("user", text),)), max_tokens=8)


def metered(usd: float, **about: Any) -> tuple[Paid, Metered, Meter]:
    meter = Meter(RATES, 1e9, 1e9, usd=usd, prices={"paid": PRICE})
    model = Paid(**about)
    return model, Metered(model, "paid", meter), meter


# The meter


@settings(deadline=None)
@given(st.floats(0, 0.02), st.lists(st.text("ab ü", min_size=1, max_size=80), min_size=1, max_size=30))
def test_no_call_ever_costs_more_than_what_is_left(usd: float, texts: list[str]) -> None:
    model, door, meter = metered(usd)
    try:
        door.generate([ask(text) for text in texts])
    except BudgetSpent:
        assert meter.usage.usd + PRICE.most_usd(ask(max(texts, key=len))) > usd - 1e-12, "not refused too early"
    assert model.paid == pytest.approx(meter.usage.usd) and model.paid <= usd


def test_a_call_goes_out_in_as_large_parts_as_are_paid_for() -> None:
    most = PRICE.most_usd(ask("word"))
    model, door, meter = metered(most * 3.5)
    shown: list[int] = []
    found = door.generate([ask("word") for _ in range(9)], lambda index, piece: shown.append(index))
    assert len(found) == 9 and set(shown) == set(range(9)), "each piece at its own place in the whole call"
    assert 1 < model.calls["generate"] < 9 and meter.left("paid").usd == pytest.approx(most * 3.5 - meter.usage.usd)


def test_what_has_no_price_is_not_held_back_and_no_limit_is_none() -> None:
    door = Metered(FakeModel(), "paid", Meter(RATES, 1e9, 1e9, usd=0.0))
    assert door.generate([ask("word")])
    assert Meter(RATES, 1.0, 1.0).left("paid").usd is None


def test_a_failure_is_charged_what_it_cost() -> None:
    class Failing(FakeModel):
        def generate(self, requests: Any, on_text: Any = None) -> list[Any]:
            return [Failure("lost", "It was cut.", Usage(usd=0.25))]

    meter = Meter(RATES, 1e9, 1e9, usd=1e9, prices={"paid": PRICE})
    Metered(Failing(), "paid", meter).generate([ask("word")])
    assert meter.usage.usd == 0.25


def test_what_a_call_had_cost_before_it_broke_down_is_charged() -> None:
    class Gone(FakeModel):
        def generate(self, requests: Any, on_text: Any = None) -> list[Any]:
            raise ModelError("No credit left.", Usage(tokens_in=7, usd=0.125))

    meter = Meter(RATES, 1e9, 1e9, usd=1e9, prices={"paid": PRICE})
    with pytest.raises(ModelError, match="credit"):
        Metered(Gone(), "paid", meter).generate([ask("word")])
    assert (meter.usage.usd, meter.usage.tokens_in) == (0.125, 7)


# The race

METHODS = ("majority", "zero_shot", "few_shot", "lora")


def models(**about: Any) -> dict[str, FakeModel]:
    return {"paid": Paid(**about), "fake": FakeModel("fake"), "fake-encoder": FakeModel("fake-encoder", kind="encoder")}


def plan_of(usd: float | None, of: Plan) -> Plan:
    rates = {**of.rates, "paid": Rates(10_000, 1_000, 10_000)}
    return replace(of, rates=rates, prices={"paid": PRICE}, usd=usd)


def task_of(track: Any, usd: float | None) -> Any:
    return replace(track.task, models=("fake", "fake-encoder", "paid"), budget=Budget(600.0, usd=usd, name="own"))


@pytest.mark.parametrize("usd", [0.002, 0.02, 0.05, 0.2, 5.0])
def test_a_race_never_costs_more_than_its_budget(usd: float, track: Tracks) -> None:
    at = track(models=models())
    log = at.run(METHODS, task=task_of(at, usd), plan=plan_of(usd, at.plan))
    spent = decide(log).to_dict()["budget"]["spent_usd"]
    assert at.models["paid"].paid <= usd
    assert spent == pytest.approx(at.models["paid"].paid, abs=1e-6), "every cent stands in the log, probes' too"


def test_enough_money_changes_nothing_and_little_ends_in_good_order(track: Tracks) -> None:
    rich, poor = track("rich", models=models()), track("poor", models=models())
    log = rich.run(METHODS, task=task_of(rich, 5.0), plan=plan_of(5.0, rich.plan))
    cost = rich.models["paid"].paid
    assert log.of(Opened)[0].items == 40 and not [e for e in log.of(Noted) if "money" in e.text]
    log = poor.run(METHODS, task=task_of(poor, cost / 4), plan=plan_of(cost / 4, poor.plan))
    assert [e for e in (*log.of(Noted), *log.of(Left)) if "money" in getattr(e, "text", getattr(e, "why", ""))]
    assert not [e for e in log.of(Left) if e.status == "failed" and "broke down" in e.why]
    verdict = decide(log).to_dict()
    assert verdict["best"]
    assert [row["why"] for row in verdict["leaderboard"] if row["status"] == "failed"] == []


def test_a_large_model_prompted_against_a_small_one_tuned(track: Tracks) -> None:
    at = track(models=models())
    log = at.run(("zero_shot", "lora"), task=task_of(at, 5.0), plan=plan_of(5.0, at.plan))
    rows = {row["candidate"]: row for row in decide(log).to_dict()["leaderboard"]}
    assert rows["zero_shot@paid"]["usd_per_1k"] > 0 and rows["lora@fake"]["usd_per_1k"] is None
    assert log.started.prices == {"paid": {**log.started.prices["paid"], "read": 3.0, "write": 15.0}}
    assert rows["lora@paid"]["status"] == "skipped" and rows["zero_shot@paid"]["test"]["n"] == 40


def test_a_plan_says_the_most_that_it_can_cost_and_keeps_to_it(track: Tracks) -> None:
    at = track(models=models())
    said: list[Plan] = []
    log = at.run(("zero_shot",), task=task_of(at, None), plan=None, on_plan=said.append)
    (plan,) = said
    assert plan.usd is not None and 0 < plan.probe_usd < plan.usd and at.models["paid"].paid <= plan.usd
    assert f"can cost {plan.usd:.2f} USD at most" in plan_sentence(plan)
    assert Plan.from_dict(log.started.plan) == plan
    free = track("free").run(("zero_shot",), plan=None)
    assert free.started.plan["usd"] is None and "USD" not in plan_sentence(Plan.from_dict(free.started.plan))


def test_the_plan_is_the_budget_where_one_is_said(track: Tracks) -> None:
    at = track(models=models())
    log = at.run(("zero_shot",), task=task_of(at, 1.25), plan=None)
    assert log.started.plan["usd"] == 1.25


def test_a_budget_that_does_not_even_pay_for_a_look_is_refused_before_anything_is_paid(track: Tracks) -> None:
    at = track(models=models())
    with pytest.raises(TaskError, match="may not even pay for measuring the speed of paid"):
        at.run(("zero_shot",), task=task_of(at, 1e-6), plan=None)
    assert at.models["paid"].paid == 0


def test_a_plan_that_is_repeated_reserves_at_the_prices_charged_now_and_keeps_to_the_budget(track: Tracks) -> None:
    at = track(models=models())
    cheap = replace(plan_of(5.0, at.plan), prices={"paid": Price(1e-6, 1e-6)})
    log = at.run(METHODS, task=task_of(at, 0.02), plan=cheap)
    assert log.started.plan["usd"] == 0.02 and at.models["paid"].paid <= 0.02


def test_a_race_that_goes_on_has_what_is_left(track: Tracks) -> None:
    at = track(models=models())

    class Stop(Exception):
        pass

    def stop(event: Any) -> None:
        if type(event).__name__ == "Finalists":
            raise Stop

    with pytest.raises(Stop):
        at.run(METHODS, task=task_of(at, 0.2), plan=plan_of(0.2, at.plan), watch=stop)
    before = at.models["paid"].paid
    log = at.run(METHODS, task=task_of(at, 0.2), resume=True)
    assert 0 < before < at.models["paid"].paid <= 0.2
    assert decide(log).to_dict()["budget"]["spent_usd"] == pytest.approx(at.models["paid"].paid, abs=1e-6)
