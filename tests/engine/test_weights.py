"""Opening a model folder: what is refused and why, what it says about itself, and the shared-prefix check."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from tuningfork.engine import attention
from tuningfork.engine.device import Device
from tuningfork.engine.weights import Weights, identity_of, load
from tuningfork.errors import ModelError
from tuningfork.model import ScoreRequest


def change(folder, edit):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_weights_are_refused_by_name(make, tmp_path, value):
    folder = make.model("llama", tmp_path)
    name = "model.layers.1.mlp.up_proj.weight"
    change(folder, lambda tensors: tensors[name].view(-1)[5:6].fill_(value))
    with pytest.raises(ModelError, match=rf"NaN or infinite.*{name}"):
        load(folder, make.cpu)


def test_missing_weights_are_refused_and_not_made_up(make, tmp_path):
    folder = make.model("llama", tmp_path)
    change(folder, lambda tensors: tensors.pop("model.layers.1.mlp.up_proj.weight"))
    with pytest.raises(ModelError, match=r"lacks 1 of its weights, first 'model\.layers\.1\.mlp\.up_proj\.weight'"):
        load(folder, make.cpu)


def test_an_encoder_needs_no_pooler(make, tmp_path):
    folder = make.model("bert", tmp_path)
    change(folder, lambda tensors: [tensors.pop(name) for name in list(tensors) if name.startswith("pooler")])
    assert not load(folder, make.cpu).causal


def test_a_cut_file_is_refused(make, tmp_path):
    folder = make.model("llama", tmp_path)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="can't be opened"):
        load(folder, make.cpu)


def test_an_encoder_decoder_is_refused(make, tmp_path):
    folder = make.model("llama", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "is_encoder_decoder": True}))
    with pytest.raises(ModelError, match="encoder-decoder"):
        load(folder, make.cpu)


def test_an_output_layer_of_an_unknown_kind_is_refused(make, tmp_path, monkeypatch):
    folder = make.model("granite", tmp_path)
    load(folder, make.cpu)
    monkeypatch.setattr(Weights, "logits", lambda self, states: self.net.get_output_embeddings()(states))
    with pytest.raises(ModelError, match=r"granite.*output layer"):
        load(folder, make.cpu)


def test_identity_names_the_weights_and_model_identity_the_tokenizer_too(make, tmp_path):
    one, same, other = (
        make.model("llama", tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert identity_of(one) == identity_of(same) != identity_of(other)
    again = make.model("llama", tmp_path / "d", template="{{ messages[0]['content'] }}")
    models = [make.open(folder) for folder in (one, same, other, again)]
    assert models[0].base == models[3].base
    assert models[0].identity == models[1].identity
    assert len({model.identity for model in models}) == 3


def test_bf16_and_fp32_have_different_identities(make, tmp_path):
    folder = make.model("llama", tmp_path)
    half = make.open(folder, Device("cpu", "bfloat16", {}))
    assert half._weights.net.dtype is torch.bfloat16
    assert half.identity != make.open(folder).identity and half.base == make.open(folder).base


def test_bf16_is_near_fp32(make, tiny):
    it = tiny("llama")
    half = make.open(it.folder, Device("cpu", "bfloat16", {}))
    assert half._weights.shares
    asked = [ScoreRequest(make.prompt(text), ("billing", "other")) for text in make.corpus]
    for mine, theirs in zip(half.score(asked), it.model.score(asked), strict=True):
        assert mine.nats == pytest.approx(theirs.nats, abs=1.0)
        assert mine.nats != theirs.nats


def test_context_is_what_model_and_tokenizer_allow(make, tiny, tmp_path):
    assert tiny("llama").model._weights.context_tokens == make.context
    assert tiny("gpt2").model._weights.context_tokens == make.context
    assert tiny("roberta").model._weights.context_tokens == 65, "RoBERTa's first position is taken by its padding"
    folder = make.model("llama", tmp_path)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "model_max_length": 50}))
    assert load(folder, make.cpu).context_tokens == 50


def test_positions_that_turn_with_length_are_not_shared(make, tmp_path):
    folder = make.model("llama", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["rope_parameters"] = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    (folder / "config.json").write_text(json.dumps(config))
    assert not load(folder, make.cpu).shares


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize(("heads", "key_heads"), [(4, 4), (4, 2), (6, 1)])
def test_attention_over_prefix_and_own_tokens_is_one_softmax(heads, key_heads, grad):
    dice = torch.Generator().manual_seed(0)
    rows, tokens, before, size = 3, 5, 7, 8

    def draw(*shape):
        return torch.randn(shape, generator=dice)

    query, key, value = (
        draw(rows, heads, tokens, size),
        draw(rows, key_heads, tokens, size),
        draw(rows, key_heads, tokens, size),
    )
    prefix = (draw(1, key_heads, before, size), draw(1, key_heads, before, size))
    with torch.set_grad_enabled(grad):
        found, _ = attention.attend(
            torch.nn.Module(), query, key, value, None, 0.3, shared=attention.Shared(prefix={0: prefix})
        )
    keys = torch.cat([prefix[0].expand(rows, -1, -1, -1), key], 2).repeat_interleave(heads // key_heads, 1)
    values = torch.cat([prefix[1].expand(rows, -1, -1, -1), value], 2).repeat_interleave(heads // key_heads, 1)
    later = torch.ones(tokens, before + tokens, dtype=torch.bool).triu(before + 1)
    scores = (query @ keys.transpose(-1, -2) * 0.3).masked_fill(later, float("-inf"))
    assert torch.allclose(found, (scores.softmax(-1) @ values).transpose(1, 2), atol=1e-5)
