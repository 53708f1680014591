"""Our generation by the public door: greedy texts."""

from __future__ import annotations

from functools import partial
from typing import Any

from ours.measured import measured, open_model, prompt_of
from tuningfork.model import Answer, Failure, GenerateRequest, Model
from worker import work


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: model, dtype or None, items (messages, shared), warm (the same), max_tokens, measure."""
    model, device, dtype = open_model(job["model"], job["dtype"])
    items = [request(item, job["max_tokens"]) for item in job["items"]]
    warm = [request(item, 4) for item in job["warm"]]
    if job["measure"]:
        facts, found = measured(model, device, partial(asked, warm), partial(asked, items))
    else:
        facts, found = {"device": device}, asked(items, model)
    return {
        **facts,
        "dtype": dtype,
        "tokens_in": sum(entry.usage.tokens_in for entry in found),
        "written": [entry.usage.tokens_out for entry in found],
        "texts": [entry.text for entry in found],
    }


def request(item: dict[str, Any], max_tokens: int) -> GenerateRequest:
    """One item as the engine is asked it."""
    return GenerateRequest(prompt_of(item["messages"], item["shared"]), max_tokens=max_tokens)


def asked(requests: list[GenerateRequest], model: Model) -> list[Answer]:
    """The answers; a benchmark has no use for failures."""
    found = model.generate(requests)
    for entry in found:
        if isinstance(entry, Failure):
            raise RuntimeError(f"an item failed: {entry.message}")
    return [entry for entry in found if isinstance(entry, Answer)]


if __name__ == "__main__":
    work(answer)
