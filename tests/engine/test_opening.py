"""Opening a model folder: what is refused and why, what it says about itself, and the shared-prefix check."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from tuningfork.engine import opening
from tuningfork.engine.device import Device
from tuningfork.engine.opening import load
from tuningfork.engine.weights import Weights
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


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def scramble(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:8] + b"\0" * 64 + path.read_bytes()[72:])


def remove(*names):
    return lambda folder: [(folder / name).unlink() for name in names if (folder / name).exists()]


def reconfigure(folder, **settings):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def forget_words(folder):
    """A model of fewer tokens than its tokenizer has."""
    reconfigure(folder, vocab_size=300)
    known = json.loads((folder / "config.json").read_text())["vocab_size"]

    def edit(tensors):
        for name, tensor in tensors.items():
            for dim, size in enumerate(tensor.shape):
                if size == 420:
                    tensors[name] = tensor.narrow(dim, 0, known).contiguous()

    change(folder, edit)


BAD = {
    "cut file": (cut, "can't be opened"),
    "scrambled header": (scramble, "can't be opened.*header"),
    "empty file": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "can't be opened.*header"),
    "no weights": (remove("model.safetensors"), "can't be opened.*model.safetensors"),
    "no tokenizer": (
        remove("tokenizer.json", "tokenizer_config.json"),
        "tokenizer in .*(can't be opened|no vocabulary)",
    ),
    "half a tokenizer": (remove("tokenizer.json"), "tokenizer in .* can't be opened.*missing or damaged"),
    "no tokenizer file": (
        lambda folder: (folder / "tokenizer.json").write_text("{}"),
        "tokenizer in .* can't be opened",
    ),
    "tokenizer of another model": (forget_words, r"doesn't belong to this model: .*300 tokens \(0 to 299\)"),
    "other shapes": (
        lambda folder: reconfigure(folder, vocab_size=500),
        r"of shape \(420, 32\), and its config.json asks for \(500, 32\)",
    ),
    "unknown type": (lambda folder: reconfigure(folder, model_type="zzz"), "can't be opened.*zzz"),
}


@pytest.mark.parametrize("kind", ["llama", "t5", "bert"])
@pytest.mark.parametrize("what", BAD)
def test_bad_folders_are_refused_in_words(make, tmp_path, kind, what):
    folder = make.model(kind, tmp_path)
    spoil, said = BAD[what]
    spoil(folder)
    with pytest.raises(ModelError, match=said):
        load(folder, make.cpu)


def test_a_template_that_writes_tokens_beyond_the_model_is_refused(make, tmp_path):
    folder = make.model("llama", tmp_path)
    tokenizer = make.open(folder)._weights.tokenizer
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|turn|>"]})
    tokenizer.save_pretrained(folder)
    load(folder, make.cpu)
    tokenizer.chat_template = "<|turn|>{{ messages[0]['content'] }}"
    tokenizer.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"'<\|turn\|>' has number 420"):
        load(folder, make.cpu)


def test_a_padding_token_beyond_the_model_is_replaced(make, tmp_path):
    """Many checkpoints got one as an afterthought, without a row in the table."""
    folder = make.model("llama", tmp_path)
    plain = make.open(folder)
    tokenizer = plain._weights.tokenizer
    tokenizer.add_special_tokens({"pad_token": "<|filler|>"})
    tokenizer.save_pretrained(folder)
    model = make.open(folder)
    assert tokenizer.pad_token_id == 420 and model._weights.tokenizer.pad_token_id == 2
    asked = [ScoreRequest(make.prompt(text), ("billing", "other")) for text in make.corpus]
    assert [entry.nats for entry in model.score(asked)] == [entry.nats for entry in plain.score(asked)]


def test_an_output_layer_of_an_unknown_kind_is_refused(make, tmp_path, monkeypatch):
    folder = make.model("granite", tmp_path)
    load(folder, make.cpu)
    monkeypatch.setattr(Weights, "logits", lambda self, states: self.net.get_output_embeddings()(states))
    with pytest.raises(ModelError, match=r"granite.*output layer"):
        load(folder, make.cpu)


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_so_is_one_of_an_encoder_decoder(make, tmp_path, kind, monkeypatch):
    folder = make.model(kind, tmp_path)
    load(folder, make.cpu)
    monkeypatch.setattr(Weights, "logits", lambda self, states: self.net.get_output_embeddings()(states))
    with pytest.raises(ModelError, match=rf"{kind}.*output layer"):
        load(folder, make.cpu)


def test_a_decoder_must_say_how_it_begins(make, tmp_path):
    folder = make.model("t5", tmp_path)
    reconfigure(folder, decoder_start_token_id=None, bos_token_id=None)
    (folder / "generation_config.json").unlink()
    with pytest.raises(ModelError, match="decoder_start_token_id"):
        load(folder, make.cpu)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_biases_by_distance_are_found_out(tiny, monkeypatch, dtype):
    """A model whose own attention is ALiBi, with a head as slow to forget as they get (2 ** -8 a token)."""

    def alibi(module, query, key, value, mask, scaling=None, **_):
        far = torch.arange(key.shape[2])[None] - torch.arange(key.shape[2])[:, None]
        slopes = torch.tensor([0.25, 0.0625, 0.015625, 0.00390625])[: query.shape[1], None, None]
        bias = (far * slopes).masked_fill(far > 0, float("-inf")).to(query.dtype)
        out = torch.nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=bias, scale=scaling, enable_gqa=True
        )
        return out.transpose(1, 2), None

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, "alibi", alibi)
    weights = load(tiny("llama").folder, Device("cpu", dtype, {}))
    for own, shares in (("sdpa", True), ("alibi", False)):
        weights.net.set_attn_implementation(own)
        assert opening._shares(weights) == shares
    assert weights.net.config._attn_implementation == "alibi"


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


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_encoders_lie_in_one_pass(tiny, kind):
    assert tiny(kind).model._weights.shares


def test_an_encoder_whose_attention_is_its_own_is_read_with_padding(tiny, make, monkeypatch, tmp_path):
    monkeypatch.setattr(opening.rows_, "forward", lambda weights, rows: torch.zeros(sum(len(r.ids) for r in rows), 32))
    model = make.open(make.model("bert", tmp_path))
    assert not model._weights.shares
