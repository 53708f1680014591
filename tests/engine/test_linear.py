"""Packed weights: the same answers to the bit, and out of the way where weights are needed as they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tuningfork.engine import device as device_
from tuningfork.engine import linear
from tuningfork.model import EmbedRequest, GenerateRequest, Recipe, ScoreRequest, TuneItem

LABELS = ("billing", "how", "how-to")
BF16 = device_.Device("cpu", "bfloat16", {})


@pytest.fixture(params=["llama", "qwen2", "bert"])
def model(request, make, tmp_path):
    opened = make.open(make.model(request.param, tmp_path), BF16)
    if not any(layer.is_packed for layer in layers(opened)):
        pytest.skip("this torch packs no weights here")
    return opened


def layers(model):
    return [module for module in model._weights.net.modules() if isinstance(module, linear.Linear)]


def answers(model, make):
    if model._weights.encoder:
        return np.stack([v.values for v in model.embed([EmbedRequest(text) for text in make.corpus])]).tolist()
    scored = model.score([ScoreRequest(make.prompt(text), LABELS) for text in make.corpus])
    written = model.generate([GenerateRequest(make.prompt(text), 6) for text in make.corpus])
    return [s.nats for s in scored], [a.text for a in written]


def tuned(model, make, kind):
    items = [TuneItem(make.prompt(t, system=""), LABELS[i % 3], LABELS) for i, t in enumerate(make.corpus)]
    return model.tune(Recipe(kind, learning_rate=0.01, epochs=4), items, []).adapter


def test_packed_weights_say_the_same_to_the_bit(model, make):
    packed = answers(model, make)
    assert all(layer.is_packed for layer in layers(model))
    with linear.unpacked(model._weights):
        assert not any(layer.is_packed for layer in layers(model))
        assert answers(model, make) == packed
    assert all(layer.is_packed for layer in layers(model)) and answers(model, make) == packed


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_what_stands_in_for_the_base_is_not_passed_over(model, make, kind):
    before = answers(model, make)
    worn = model.adapted(tuned(model, make, kind))
    assert all(layer.is_packed for layer in layers(model)), "packed again after training"
    other = answers(worn, make)
    assert other != before and answers(model, make) == before
    with linear.unpacked(model._weights):
        assert answers(worn, make) == other


def test_a_packed_layer_holds_its_weights_once_and_gives_them_back_as_they_were(model):
    for layer in layers(model):
        assert layer.base.weight.is_meta and layer.base.weight.shape == layer.weight.shape
    packed = {path: layer.weight.clone() for path, layer in linear.layers_of(model._weights).items()}
    with linear.unpacked(model._weights):
        for path, layer in linear.layers_of(model._weights).items():
            assert torch.equal(layer.base.weight, packed[path]) and not layer.base.weight.is_meta


def test_the_output_layer_says_the_same_to_the_bit_and_gives_way_to_other_weights(model, make):
    weights = model._weights
    if weights.encoder:
        assert weights.output is None
        return
    layer = weights.net.get_output_embeddings()
    states = torch.randn((5, layer.weight.shape[1])).bfloat16()
    with torch.no_grad():
        assert torch.equal(weights._output(states), layer(states))
        held, layer.weight.data = layer.weight.data, torch.zeros_like(layer.weight)
        assert not weights._output(states).any()
        layer.weight.data = held


def test_gradients_go_through_a_packed_layer(model):
    layer = layers(model)[0]
    x = torch.ones((2, layer.in_size), dtype=torch.bfloat16, requires_grad=True)
    layer(x).float().sum().backward()
    assert torch.allclose(x.grad[0].float(), layer.weight.float().sum(0), atol=0.02)


def test_a_model_in_fp32_is_not_packed(make, tmp_path):
    plain = make.open(make.model("llama", tmp_path / "a"))
    plain.adapted(tuned(plain, make, "lora"))  # wraps the layers
    assert layers(plain) and not any(layer.is_packed for layer in layers(plain))


def test_a_torch_that_does_not_pack_is_no_trouble(make, tmp_path, monkeypatch):
    def missing(*_):
        raise AttributeError("no such operator")

    monkeypatch.setattr(linear.Linear, "pack", missing)
    model = make.open(make.model("llama", tmp_path), BF16)
    assert not any(layer.is_packed for layer in layers(model)) and answers(model, make)
    assert torch.is_grad_enabled()
