"""Our training by the public door, and what the tuned model then says of test prompts."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ours.measured import measured, open_model, prompt_of
from tuningfork.model import Adapter, Model, Recipe, ScoreRequest, Scores, Tuned, TuneItem
from worker import work


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: model, dtype or None, recipe, items and warm (messages, shared, choices, target), test (messages, shared,
    choices), and `adapter`, a folder whose adapter is judged instead of one that is trained here."""
    model, device, dtype = open_model(job["model"], job["dtype"])
    if job.get("adapter"):
        files = {p.name: p.read_bytes() for p in Path(job["adapter"]).glob("adapter_*")}
        return {"decisions": decisions(model.adapted(Adapter.of("", files)), job["test"])}
    recipe = Recipe(**job["recipe"])
    items, warm = ([item_of(item) for item in job[name]] for name in ("items", "warm"))
    facts, tuned = measured(model, device, partial(trained, warm, recipe), partial(trained, items, recipe))
    return {
        **facts,
        "dtype": dtype,
        "tokens_trained": tuned.usage.tokens_trained,
        "steps": tuned.curve[-1].step,
        "losses": [round(point.train_nats, 4) for point in tuned.curve],
        "decisions": decisions(model.adapted(tuned.adapter), job["test"]),
    }


def item_of(item: dict[str, Any]) -> TuneItem:
    """One thing to learn, as the engine is given it."""
    return TuneItem(prompt_of(item["messages"], item["shared"]), item["target"], tuple(item["choices"]))


def trained(items: list[TuneItem], recipe: Recipe, model: Model) -> Tuned:
    """Without hold: what is compared is how fast steps are taken, not when to stop."""
    return model.tune(recipe, items, [])


def decisions(model: Model, test: list[dict[str, Any]]) -> list[int]:
    """Which choice is the likeliest, the first of equals, for each test prompt."""
    asked = [ScoreRequest(prompt_of(item["messages"], item["shared"]), tuple(item["choices"])) for item in test]
    found = [entry for entry in model.score(asked) if isinstance(entry, Scores)]
    if len(found) < len(asked):
        raise RuntimeError("a test prompt could not be scored")
    return [max(range(len(s.nats)), key=s.nats.__getitem__) for s in found]


if __name__ == "__main__":
    work(answer)
