"""Our embedding by the public door: a vector for every text."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ours.measured import measured, open_model
from tuningfork.model import EmbedRequest, Failure, Model, Vector
from worker import work


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """`job`: model, texts, warm (texts), vectors: a file to save them in, and then nothing is measured, or None."""
    model, device, dtype = open_model(job["model"])
    if job["vectors"]:
        facts, found = {"device": device}, asked(job["texts"], model)
        np.save(job["vectors"], np.stack([vector.values for vector in found]))
    else:
        facts, found = measured(model, device, partial(asked, job["warm"]), partial(asked, job["texts"]))
    return {**facts, "dtype": dtype, "tokens_in": sum(vector.usage.tokens_in for vector in found)}


def asked(texts: list[str], model: Model) -> list[Vector]:
    """The vectors; a benchmark has no use for failures."""
    found = model.embed([EmbedRequest(text) for text in texts])
    for entry in found:
        if isinstance(entry, Failure):
            raise RuntimeError(f"a text failed: {entry.message}")
    return [entry for entry in found if isinstance(entry, Vector)]


if __name__ == "__main__":
    work(answer)
