"""The planned clock, and models that refuse past their share."""

from __future__ import annotations

import pytest

from tuningfork.errors import BudgetSpent
from tuningfork.model import EmbedRequest, GenerateRequest, Recipe, ScoreRequest, Tuned, TuneItem, Usage
from tuningfork.models.fake import FakeModel
from tuningfork.race.meter import Meter, Metered, MeteredModels, Rates
from tuningfork.task import Message, Prompt

RATES = {"fake": Rates(read=100, write=10, train=20)}
ASK = Prompt((Message("user", "four words are here"),))
ITEMS = [TuneItem(ASK, "a", ("a", "b"))]


def metered(planned: float = 10.0, real: float = 100.0, fake: FakeModel | None = None) -> tuple[Metered, Meter]:
    meter = Meter(RATES, planned, real)
    return Metered(fake or FakeModel(), "fake", meter), meter


def test_the_planned_clock_is_tokens_over_rates() -> None:
    assert RATES["fake"].seconds(Usage(tokens_in=50, tokens_out=20, tokens_trained=60)) == 0.5 + 2 + 3
    assert RATES["fake"].seconds(Usage(tokens_reused=999, seconds=99.0)) == 0


def test_every_call_is_charged() -> None:
    model, meter = metered(1000.0)
    used = Usage()
    used += model.score([ScoreRequest(ASK, ("a", "b"))])[0].usage
    used += model.generate([GenerateRequest(ASK)])[0].usage
    used += model.embed([EmbedRequest("two words")])[0].usage
    used += model.tune(Recipe(max_steps=2), ITEMS, []).usage
    assert meter.usage == used and meter.spent_seconds == pytest.approx(RATES["fake"].seconds(used))
    assert used.tokens_in and used.tokens_out and used.tokens_trained


def test_it_says_how_large_its_model_is() -> None:
    fake = FakeModel()
    assert metered(fake=fake)[0].parameters is None
    fake.parameters = 135_000_000  # type: ignore[attr-defined]
    assert metered(fake=fake)[0].parameters == 135_000_000


def test_an_adapted_model_is_behind_the_same_meter() -> None:
    model, meter = metered()
    worn = model.adapted(model.tune(Recipe(max_steps=1), ITEMS, []).adapter)
    before = meter.usage.tokens_in
    worn.embed([EmbedRequest("two words")])
    assert meter.usage.tokens_in > before and worn.identity != model.identity


def test_a_share_that_is_used_up_is_refused_before_the_model_is_asked() -> None:
    fake = FakeModel()
    model, meter = metered(planned=0.01, fake=fake)
    model.embed([EmbedRequest("two words")])
    calls = dict(fake.calls)
    for call in (
        lambda: model.embed([EmbedRequest("x")]),
        lambda: model.score([ScoreRequest(ASK, ("a", "b"))]),
        lambda: model.generate([GenerateRequest(ASK)]),
        lambda: model.tune(Recipe(), ITEMS, []),
    ):
        with pytest.raises(BudgetSpent, match="planned seconds is used up"):
            call()
    assert fake.calls == calls and meter.left("fake").tokens == 0


def test_the_wall_clock_refuses_too() -> None:
    model, _ = metered(real=0.0)
    with pytest.raises(BudgetSpent, match="real seconds"):
        model.embed([EmbedRequest("x")])


def test_what_is_left_is_told_in_tokens_of_a_model() -> None:
    _, meter = metered(10.0)
    assert (meter.left("fake").tokens, meter.left("fake").trained_tokens) == (1000, 200)
    meter.charge("fake", Usage(tokens_in=500))
    assert (meter.left("fake").tokens, meter.left("fake").trained_tokens) == (500, 100)
    assert 0 < meter.left("fake").seconds <= 100 and meter.left(None).tokens == 0


def test_a_failure_costs_nothing_and_a_tuning_is_shown() -> None:
    shown: list[Tuned] = []
    model, meter = metered(fake=FakeModel(fail_on="bad"))
    meter.on_tuned = lambda recipe, tuned: shown.append(tuned)
    model.embed([EmbedRequest("bad")])
    assert meter.usage == Usage()
    assert model.tune(Recipe(max_steps=1), ITEMS, []) is shown[0]


def test_models_are_opened_when_asked_for_and_only_those_of_the_race() -> None:
    opened: list[str] = []

    def open_model(name: str) -> FakeModel:
        opened.append(name)
        return FakeModel(name)

    models = MeteredModels(("fake", "other"), open_model, Meter(RATES, 1.0, 1.0))
    assert list(models) == ["fake", "other"] and len(models) == 2 and not opened
    assert models["fake"].id == "fake" and opened == ["fake"]
    with pytest.raises(KeyError):
        models["strange"]
