"""What every Model must keep, whoever stands behind the door: `check_model_contract(model)` raises AssertionError.

It asks small things only, so it is fit for real weights too.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from tuningfork.errors import ModelError
from tuningfork.model import (
    Adapter,
    Answer,
    EmbedRequest,
    Failure,
    GenerateRequest,
    Model,
    Recipe,
    ScoreRequest,
    Scores,
    TuneItem,
    Vector,
)
from tuningfork.task import Message, Prompt

CHOICES = ("billing", "login problem", "other")
TEXTS = ("I was charged twice.", "My password is not accepted.", "Where is your office, and do you ship to Peru?")


def prompt(text: str) -> Prompt:
    """A chat as predict renders it."""
    system = Message("system", "Which team?\nAnswer with exactly one of: billing, login problem, other.")
    return Prompt((system, Message("user", text)), 1)


def check_model_contract(model: Model, tolerance: float = 1e-3) -> None:
    """Lists of the right length and order, failures in their places, same answers again and in any batch, adapters."""
    assert isinstance(model, Model)
    assert model.id and model.identity == model.identity
    assert model.capabilities <= {"score", "generate", "embed", "tune"}
    for name, check in (("score", _score), ("generate", _generate), ("embed", _embed), ("tune", _tune)):
        if name in model.capabilities:
            check(model, tolerance)
        else:
            with pytest.raises(ModelError, match=name):
                _call(model, name)


def _call(model: Model, name: str) -> object:
    match name:
        case "score":
            return model.score([ScoreRequest(prompt(TEXTS[0]), CHOICES)])
        case "generate":
            return model.generate([GenerateRequest(prompt(TEXTS[0]))])
        case "embed":
            return model.embed([EmbedRequest(TEXTS[0])])
        case _:
            return model.tune(Recipe(), [TuneItem(prompt(TEXTS[0]), CHOICES[0], CHOICES)], [])


def _score(model: Model, tolerance: float) -> None:
    requests = [ScoreRequest(prompt(text), CHOICES) for text in TEXTS]
    broken = [
        ScoreRequest(prompt(TEXTS[0]), ()),
        ScoreRequest(prompt(TEXTS[0]), ("billing", "")),
        ScoreRequest(prompt(TEXTS[0]), ("billing", "billing")),
    ]
    found = model.score([requests[0], broken[0], requests[1], broken[1], requests[2], broken[2]])
    assert [type(entry) for entry in found] == [Scores, Failure] * 3
    assert all(entry.kind and entry.message for entry in found if isinstance(entry, Failure))
    for together, request in zip(found[::2], requests, strict=True):
        assert isinstance(together, Scores)
        assert len(together.nats) == len(together.tokens) == len(CHOICES)
        assert all(math.isfinite(nats) and nats <= 0 for nats in together.nats)
        assert sum(map(math.exp, together.nats)) <= 1 + 1e-6 or not together.exclusive
        assert all(tokens >= 1 for tokens in together.tokens)
        (alone,) = model.score([request])
        assert isinstance(alone, Scores)
        assert np.allclose(alone.nats, together.nats, atol=tolerance)
    (turned,) = model.score([ScoreRequest(prompt(TEXTS[0]), CHOICES[::-1])])
    assert isinstance(turned, Scores) and isinstance(found[0], Scores)
    assert np.allclose(turned.nats[::-1], found[0].nats, atol=tolerance)
    assert model.score([]) == []


def _generate(model: Model, tolerance: float) -> None:
    requests = [GenerateRequest(prompt(text), max_tokens=4) for text in TEXTS]
    pieces: dict[int, list[str]] = {}
    found = model.generate(requests, lambda index, piece: pieces.setdefault(index, []).append(piece))
    assert [type(entry) for entry in found] == [Answer] * len(TEXTS)
    assert [model.generate([request])[0].text for request in requests] == [entry.text for entry in found]  # type: ignore[union-attr]
    for index, entry in enumerate(found):
        assert isinstance(entry, Answer)
        assert entry.why_stopped in ("end", "stop", "length")
        assert entry.usage.tokens_out <= 5
        assert "".join(pieces.get(index, [])).strip() == entry.text.strip()
    warm = GenerateRequest(prompt(TEXTS[0]), max_tokens=4, temperature=1.0, seed=7)
    assert model.generate([warm])[0].text == model.generate([requests[1], warm])[1].text  # type: ignore[union-attr]
    assert model.generate([]) == []


def _embed(model: Model, tolerance: float) -> None:
    requests = [EmbedRequest(text) for text in TEXTS] + [EmbedRequest(prompt(TEXTS[0]))]
    found = model.embed(requests)
    assert all(isinstance(entry, Vector) for entry in found) and len(found) == len(requests)
    values = np.stack([entry.values for entry in found if isinstance(entry, Vector)])
    assert values.dtype == np.float32 and values.ndim == 2
    assert np.allclose(np.linalg.norm(values, axis=1), 1, atol=1e-3)
    alone = np.stack([entry.values for request in requests for entry in model.embed([request])])  # type: ignore[union-attr]
    assert np.allclose(alone, values, atol=max(tolerance, 1e-5))
    assert model.embed([]) == []


def _tune(model: Model, tolerance: float) -> None:
    items = [TuneItem(prompt(text), choice, CHOICES) for text, choice in zip(TEXTS, CHOICES, strict=True)]
    before = model.identity
    recipe = Recipe(rank=2, epochs=2, batch=2, max_steps=2)
    tuned = model.tune(recipe, items, items[:1])
    assert model.identity == before, "tuning must leave the model itself as it was"
    assert {"adapter_config.json", "adapter_model.safetensors"} <= set(tuned.adapter.files)
    assert tuned.usage.tokens_trained > 0 and tuned.curve and tuned.curve[-1].step <= 2
    adapted = model.adapted(tuned.adapter)
    assert adapted.identity != before and adapted.id == model.id
    assert adapted.capabilities >= model.capabilities
    vectors = [m.embed([EmbedRequest(TEXTS[0])])[0].values for m in (adapted, model)]  # type: ignore[union-attr]
    assert not np.array_equal(*vectors), "an adapter that changes nothing was not put on"
    if "score" not in model.capabilities:
        assert tuned.head is not None
        arrays = tuned.head.arrays()
        assert arrays["weight"].shape == (len(CHOICES), len(vectors[0])) and arrays["bias"].shape == (len(CHOICES),)
    with pytest.raises(ModelError, match="belongs"):
        model.adapted(Adapter("weights-of-another", tuned.adapter.files))
