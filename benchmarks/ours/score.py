"""Our scoring by the public door: nats of every choice of every prompt."""

from __future__ import annotations

from functools import partial
from typing import Any

from ours.measured import measured, open_model, prompt_of
from tuningfork.model import Failure, Model, ScoreRequest, Scores
from worker import work


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: model, dtype or None, items (messages, shared, choices), warm (the same), measure."""
    model, device, dtype = open_model(job["model"], job["dtype"])
    items, warm = ([request(item) for item in job[name]] for name in ("items", "warm"))
    if job["measure"]:
        facts, found = measured(model, device, partial(asked, warm), partial(asked, items))
    else:
        facts, found = {"device": device}, asked(items, model)
    return {
        **facts,
        "dtype": dtype,
        "tokens_in": sum(scores.usage.tokens_in for scores in found),
        "tokens": [list(scores.tokens) for scores in found],
        "nats": [list(scores.nats) for scores in found],
    }


def request(item: dict[str, Any]) -> ScoreRequest:
    """One item as the engine is asked it."""
    return ScoreRequest(prompt_of(item["messages"], item["shared"]), tuple(item["choices"]))


def asked(requests: list[ScoreRequest], model: Model) -> list[Scores]:
    """The scores; a benchmark has no use for failures."""
    found = model.score(requests)
    for entry in found:
        if isinstance(entry, Failure):
            raise RuntimeError(f"an item failed: {entry.message}")
    return [entry for entry in found if isinstance(entry, Scores)]


if __name__ == "__main__":
    work(answer)
