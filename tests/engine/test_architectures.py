"""Any causal model that transformers opens: what shared prefixes can't serve is read whole, and equally right."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from tuningfork.model import GenerateRequest, Recipe, ScoreRequest, Scores, TuneItem
from tuningfork.models import capabilities
from tuningfork.models.architecture import READERS_OF_MORE

SHARE = ("phi3", "olmo2", "gpt_neox", "opt", "mixtral", "hyperclovax")
WHOLE = (
    *("bloom", "mpt", "falcon", "gpt_oss", "gemma3", "llama4", "mamba", "falcon_mamba", "qwen3_next", "lfm2"),
    "falcon_h1",
)
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


@pytest.mark.parametrize("kind", SHARE + WHOLE)
def test_an_output_layer_that_is_not_known_is_asked_and_that_is_said_once(tiny, kind):
    """HyperCLOVA X multiplies by what Granite divides by; Falcon-H1's own multiplier is known."""
    model = tiny(kind).model
    assert model._weights.asks_net == (kind == "hyperclovax")
    assert sum("output layer" in note for note in model.notes) == (kind == "hyperclovax")


def test_a_model_that_is_asked_for_its_logits_writes_and_learns(tiny, make):
    it = tiny("hyperclovax")
    prompt = make.prompt(make.corpus[1])
    ids = torch.tensor([it.ids(it.text(prompt))])
    whole = it.net.generate(ids, max_new_tokens=6, do_sample=False, eos_token_id=2, pad_token_id=0)[0, ids.shape[1] :]
    (found,) = it.model.generate([GenerateRequest(prompt, max_tokens=6)])
    assert found.text == it.tokenizer.decode(whole, skip_special_tokens=True)
    states = torch.randn(3, 32, requires_grad=True)
    it.model._weights.logits(states).sum().backward()
    assert states.grad is not None and states.grad.abs().min(1).values.gt(0).all()


def with_pictures(make, folder):
    """A tiny Gemma 3 as its larger checkpoints are: a tower for pictures beside the part that writes."""
    tokenizer = make.tokenizer(True)
    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.Gemma3Config(
        text_config={**make.sizes("gemma3"), "vocab_size": len(tokenizer), "pad_token_id": 0, "eos_token_id": 2},
        vision_config={**vision, "model_type": "siglip_vision_model", "image_size": 28, "patch_size": 14},
        image_token_index=419,
        mm_tokens_per_image=4,
    )
    torch.manual_seed(0)
    transformers.Gemma3ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pictured(make, tmp_path_factory):
    """The folder of one, and it opened here."""
    folder = with_pictures(make, tmp_path_factory.mktemp("pictured"))
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["Gemma3ForConditionalGeneration"]
    return folder, make.open(folder)


def test_a_causal_model_that_reads_pictures_too_is_asked_with_text(tiny, make, pictured):
    folder, model = pictured
    net = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompts = [make.prompt(text, SHOTS) for text in make.corpus]
    for prompt, found in zip(prompts, model.score([ScoreRequest(p, CHOICES) for p in prompts]), strict=True):
        assert isinstance(found, Scores)
        assert np.allclose(found.nats, tiny("gemma3").nats(prompt, CHOICES, net), atol=1e-3)
    assert capabilities(str(folder)) == model.capabilities and "score" in model.capabilities


def test_its_tower_for_pictures_is_let_go_and_never_tuned(make, pictured):
    _, model = pictured
    assert not [name for name, _ in model._weights.net.named_parameters() if "vision" in name or "projector" in name]
    assert model.parameters == sum(p.numel() for p in model._weights.net.parameters())
    items = [TuneItem(make.prompt(text), "other", ("other", "billing")) for text in make.corpus]
    tuned = model.tune(Recipe(rank=2, max_steps=2), items, [])
    request = ScoreRequest(make.prompt(make.corpus[0]), ("other", "billing"))
    assert model.adapted(tuned.adapter).score([request])[0].nats != model.score([request])[0].nats


def test_every_kind_that_is_opened_for_its_text_is_opened_so_by_transformers():
    assert set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) >= READERS_OF_MORE
