"""LoRA in PEFT's layout: PEFT reads ours, we read PEFT's, and what doesn't fit is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import transformers

from tuningfork.engine import moving
from tuningfork.engine.adapters import layout
from tuningfork.errors import ModelError
from tuningfork.model import Adapter, EmbedRequest, Recipe, ScoreRequest, TuneItem

peft = pytest.importorskip("peft")

LABELS = ("billing", "how", "how-to")


def tune(model, make, **more):
    learn = [TuneItem(make.prompt(text, system=""), LABELS[i % 3], LABELS) for i, text in enumerate(make.corpus)]
    return model.tune(Recipe(**{"rank": 4, "max_steps": 4, "learning_rate": 0.05, **more}), learn, []).adapter


def write(adapter, folder):
    folder.mkdir()
    for name, blob in adapter.files.items():
        (folder / name).write_bytes(blob.read())
    return folder


def read(folder, base=""):
    files = {p.name: p.read_bytes() for p in folder.iterdir() if p.name.startswith("adapter_")}
    return Adapter.of(base, files)


def changed(adapter, **config):
    files = {name: blob.read() for name, blob in adapter.files.items()}
    files[layout.CONFIG_FILE] = json.dumps({**json.loads(files[layout.CONFIG_FILE]), **config}).encode()
    return Adapter.of(adapter.base, files)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen3", "gemma", "mistral"])
def test_peft_reads_ours(tiny, make, tmp_path, kind):
    it = tiny(kind)
    adapter = tune(it.model, make)
    base = transformers.AutoModelForCausalLM.from_pretrained(it.folder, dtype=torch.float32)
    theirs = peft.PeftModel.from_pretrained(base, write(adapter, tmp_path / "adapter")).eval()
    asked = [ScoreRequest(make.prompt(text), LABELS) for text in make.corpus]
    mine, plain = it.model.adapted(adapter).score(asked), it.model.score(asked)
    for request, worn, bare in zip(asked, mine, plain, strict=True):
        assert np.allclose(worn.nats, it.nats(request.prompt, LABELS, theirs), atol=1e-4)
        assert not np.allclose(worn.nats, bare.nats, atol=1e-2)


def test_peft_reads_an_encoders(tiny, make, tmp_path):
    it = tiny("bert")
    adapter = tune(it.model, make)
    base = transformers.AutoModel.from_pretrained(it.folder, dtype=torch.float32)
    theirs = peft.PeftModel.from_pretrained(base, write(adapter, tmp_path / "adapter")).eval()
    with torch.no_grad():
        expected = theirs(torch.tensor([it.tokenizer("hello")["input_ids"]])).last_hidden_state[0].mean(0).numpy()
    (found,) = it.model.adapted(adapter).embed([EmbedRequest("hello", normalise=False)])
    assert np.allclose(found.values, expected, atol=1e-4)
    assert not np.allclose(found.values, it.model.embed([EmbedRequest("hello", normalise=False)])[0].values, atol=1e-2)


@pytest.mark.parametrize("rank_stable", [False, True])
def test_we_read_pefts(tiny, make, tmp_path, rank_stable):
    it = tiny("llama")
    base = transformers.AutoModelForCausalLM.from_pretrained(it.folder, dtype=torch.float32)
    config = peft.LoraConfig(
        r=3, lora_alpha=7, target_modules=["q_proj", "down_proj"], init_lora_weights=False, use_rslora=rank_stable
    )
    theirs = peft.get_peft_model(base, config).eval()
    theirs.save_pretrained(tmp_path)
    (found,) = it.model.adapted(read(tmp_path)).score([ScoreRequest(make.prompt("x"), LABELS)])
    assert np.allclose(found.nats, it.nats(make.prompt("x"), LABELS, theirs), atol=1e-4)


def test_a_fresh_adapter_changes_nothing(tiny, make):
    model = tiny("llama").model
    fresh = moving.pack(model._weights, moving.fresh(model._weights, Recipe()), "tiny")
    asked = [ScoreRequest(make.prompt("x"), LABELS)]
    assert model.adapted(fresh).score(asked)[0].nats == model.score(asked)[0].nats


def test_adapters_share_the_base_and_leave_it_as_it_was(make, tmp_path):
    model = make.open(make.model("llama", tmp_path))
    asked = [ScoreRequest(make.prompt(text), LABELS) for text in make.corpus]
    before = [entry.nats for entry in model.score(asked)]
    weights = {name: (p.data_ptr(), p.clone()) for name, p in model._weights.net.named_parameters()}
    adapters = [tune(model, make, seed=seed) for seed in (0, 1)]
    one, other = (model.adapted(adapter) for adapter in adapters)
    first, second = ([entry.nats for entry in m.score(asked)] for m in (one, other))
    assert first != second and before not in (first, second)
    assert [entry.nats for entry in one.score(asked)] == first, "each keeps its own"
    assert [entry.nats for entry in other.adapted(adapters[0]).score(asked)] == first, (
        "an adapter takes another's place"
    )
    assert [entry.nats for entry in model.score(asked)] == before
    now = {name.replace(".base.", "."): p for name, p in other._weights.net.named_parameters()}
    assert set(now) == set(weights)
    for name, (pointer, values) in weights.items():
        assert now[name].data_ptr() == pointer and torch.equal(now[name], values)
    assert len({model.identity, one.identity, other.identity}) == 3 and model.base == one.base


def test_an_adapter_is_taken_off_when_a_call_fails(tiny, make, monkeypatch):
    it = tiny("llama")
    adapted = it.model.adapted(tune(it.model, make))
    asked = [ScoreRequest(make.prompt("x"), LABELS)]
    before = it.model.score(asked)[0].nats
    with monkeypatch.context() as patch:
        patch.setattr("tuningfork.engine.rows.asked_nats", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            adapted.score(asked)
    assert it.model.score(asked)[0].nats == before


def test_an_adapter_of_other_weights_is_refused_with_both_named(tiny, make):
    adapter, model = tune(tiny("llama").model, make), tiny("qwen2").model
    with pytest.raises(ModelError) as error:
        model.adapted(adapter)
    assert adapter.base in str(error.value) and model.base in str(error.value) and adapter.base != model.base


def test_what_does_not_fit_is_refused(tiny, make):
    model = tiny("llama").model
    adapter = tune(model, make)
    with pytest.raises(ModelError, match=r"fit.*q_proj\.lora_B\.weight is 64 x 4 here, and 16 x 4 in"):
        tiny("qwen3").model.adapted(Adapter("", narrowed(adapter).files))
    with pytest.raises(ModelError, match="is 5 x 32 here, and 4 x 32 in"):
        model.adapted(changed(adapter, r=5))
    with pytest.raises(ModelError, match=r"has not.*model\.layers"):
        tiny("gpt2").model.adapted(Adapter("", adapter.files))


def narrowed(adapter):
    """Llama's adapter with one B cut in half, and qwen3's sizes nowhere."""
    from safetensors.torch import load, save

    tensors = load(adapter.files[layout.WEIGHTS_FILE].read())
    for name in [n for n in tensors if "q_proj.lora_B" in n]:
        tensors[name] = tensors[name][:16].contiguous()
    files = {name: blob.read() for name, blob in adapter.files.items()}
    return Adapter.of("", {**files, layout.WEIGHTS_FILE: save(tensors)})


@pytest.mark.parametrize(
    "config",
    [
        {"peft_type": "IA3"},
        {"peft_type": "VERA"},
        {"peft_type": None},
        {"use_dora": True},
        {"rank_pattern": {"q_proj": 2}},
        {"r": 0},
        {"r": "x"},
    ],
    ids=str,
)
def test_what_this_version_cannot_read_is_refused(tiny, make, config):
    model = tiny("llama").model
    with pytest.raises(ModelError, match="adapter"):
        model.adapted(changed(tune(model, make), **config))


@pytest.mark.parametrize("name", [layout.WEIGHTS_FILE, layout.CONFIG_FILE])
@pytest.mark.parametrize("data", [None, b"", b"[]", b"{}{}", b'{"r": "x"}'])
def test_broken_files_are_refused(tiny, make, name, data):
    model = tiny("llama").model
    files = {n: blob.read() for n, blob in tune(model, make).files.items() if n != name}
    with pytest.raises(ModelError, match="adapter"):
        model.adapted(Adapter.of(model.base, {**files, **({name: data} if data is not None else {})}))


def test_nan_adapters_are_refused(tiny, make):
    from safetensors.torch import load, save

    model = tiny("llama").model
    files = {n: blob.read() for n, blob in tune(model, make).files.items()}
    tensors = load(files[layout.WEIGHTS_FILE])
    name = sorted(tensors)[3]
    tensors[name][0, 0] = float("nan")
    with pytest.raises(ModelError, match="NaN"):
        model.adapted(Adapter.of(model.base, {**files, layout.WEIGHTS_FILE: save(tensors)}))
