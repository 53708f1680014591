"""Passes over rows: how many, with which beginnings, and what becomes of them where memory runs short."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tuningfork.engine import decoder
from tuningfork.engine import rows as rows_
from tuningfork.engine import score as score_
from tuningfork.engine.tree import Node
from tuningfork.model import Failure, GenerateRequest, ScoreRequest, Scores

LABELS = ("billing", "login problem", "other")


def rows_after(node, count=60, own=35):
    return [rows_.build(i, [1] * own, (), node) for i in range(count)]


@pytest.mark.parametrize("shared", [0, 800, 3000])
def test_a_beginning_is_counted_once_however_long(tiny, monkeypatch, shared):
    weights = tiny("llama").model._weights
    monkeypatch.setattr(rows_, "pass_tokens", lambda weights: 500)
    node = Node([1] * shared, 0, None) if shared else None
    passes = [len(batch) for batch, _ in rows_.in_passes(weights, rows_after(node), lambda batch: None)]
    assert sum(passes) == 60 and passes[1:-1] == [14] * len(passes[1:-1]) and len(passes) <= 6


class Short:
    """Memory for so many tokens a pass."""

    def __init__(self, real, tokens):
        self.real, self.tokens, self.passes = real, tokens, []

    def __call__(self, weights, rows, *rest, **more):
        size = sum(len(row.ids) for row in rows)
        self.passes.append(size)
        if size > self.tokens:
            raise torch.OutOfMemoryError("too little")
        return self.real(weights, rows, *rest, **more)


def test_a_pass_that_finds_too_little_memory_is_halved(tiny, make, monkeypatch):
    model = tiny("llama").model
    requests = [ScoreRequest(make.prompt(f"{text} {i}"), LABELS) for i in range(4) for text in make.corpus]
    expected = model.score(requests)
    short = Short(rows_.forward, 120)
    monkeypatch.setattr(rows_, "forward", short)
    found = model.score(requests)
    assert any(size > 120 for size in short.passes)
    assert all(np.allclose(a.nats, b.nats, atol=1e-4) for a, b in zip(found, expected, strict=True))


def test_a_prompt_that_does_not_fit_alone_fails_and_its_neighbours_do_not(tiny, make, monkeypatch):
    model = tiny("llama").model
    requests = [ScoreRequest(make.prompt(text, system=""), LABELS) for text in ("one", "long " * 60, "two")]
    monkeypatch.setattr(rows_, "forward", Short(rows_.forward, 90))
    first, second, third = model.score(requests)
    assert isinstance(first, Scores) and isinstance(third, Scores)
    assert isinstance(second, Failure) and second.kind == "memory"


def test_a_prompt_that_does_not_fit_alone_gets_no_answer_and_its_neighbours_do(tiny, make, monkeypatch):
    """They are still written side by side."""
    live: list[int] = []
    step = decoder.Slots.step
    monkeypatch.setattr(decoder.Slots, "step", lambda self, tokens: live.append(len(tokens)) or step(self, tokens))
    model = tiny("llama").model
    asked = [GenerateRequest(make.prompt(text, system=""), 5) for text in ("one", "long " * 60, "two")]
    expected = model.generate(asked)
    live.clear()
    monkeypatch.setattr(rows_, "forward", Short(rows_.forward, 90))
    found = model.generate(asked)
    assert [getattr(entry, "kind", "fine") for entry in found] == ["fine", "memory", "fine"]
    assert [found[0].text, found[2].text] == [expected[0].text, expected[2].text]
    assert set(live) == {2}


def test_a_long_prompt_before_a_trie_is_read_in_blocks(tiny, make, monkeypatch):
    it = tiny("llama")
    monkeypatch.setattr(score_, "BLOCK", 16)
    monkeypatch.setattr("tuningfork.engine.attention.BLOCK", 16)
    prompts = [make.prompt(text * 3) for text in make.corpus[:3]]
    for prompt, found in zip(prompts, it.model.score([ScoreRequest(p, LABELS) for p in prompts]), strict=True):
        assert np.allclose(found.nats, it.nats(prompt, LABELS), atol=1e-3)
