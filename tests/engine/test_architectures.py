"""Any causal model that transformers opens: what shared prefixes can't serve is read whole, and equally right."""

from __future__ import annotations

import numpy as np
import pytest

from tuningfork.model import ScoreRequest, Scores

SHARE = ("phi3", "olmo2", "gpt_neox", "opt", "mixtral")
WHOLE = ("bloom", "mpt", "falcon", "gpt_oss", "gemma3", "llama4", "mamba", "falcon_mamba", "qwen3_next", "lfm2")
CHOICES = ("billing", "login problem", "how", "how-to", "how-to-guide", "other")
SHOTS = (("I was charged twice", "billing"), ("My password is wrong", "login problem"))


@pytest.mark.parametrize("kind", SHARE + WHOLE)
def test_equals_plain_transformers(tiny, make, kind):
    it = tiny(kind)
    prompts = [make.prompt(text, SHOTS) for text in make.corpus]
    for prompt, found in zip(prompts, it.model.score([ScoreRequest(p, CHOICES) for p in prompts]), strict=True):
        assert isinstance(found, Scores)
        assert np.allclose(found.nats, it.nats(prompt, CHOICES), atol=1e-3)


@pytest.mark.parametrize("kind", SHARE + WHOLE)
def test_what_is_read_whole_is_said_once(tiny, kind):
    model = tiny(kind).model
    assert model._weights.shares == (kind in SHARE)
    said = [note for note in model.notes if "read whole" in note]
    assert len(said) == (kind in WHOLE)
    assert all(kind.replace("_mamba", "") in note for note in said)


@pytest.mark.parametrize("kind", ["mamba", "mpt", "qwen3_next", "gemma3"])
@pytest.mark.parametrize("batch", [1, 7, 64])
def test_batches_of_any_size_give_the_same(tiny, make, kind, batch):
    it = tiny(kind)
    texts = [f"{make.corpus[i % 5]} {i % 9} {'again ' * (i % 11)}" for i in range(64)]
    requests = [ScoreRequest(make.prompt(text), CHOICES[: 1 + i % 3]) for i, text in enumerate(texts)]
    found = [entry for begin in range(0, 64, batch) for entry in it.model.score(requests[begin : begin + batch])]
    for i in range(0, 64, 21):
        assert np.allclose(found[i].nats, it.nats(requests[i].prompt, requests[i].choices), atol=1e-3)
