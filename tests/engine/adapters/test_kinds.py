"""Every way of moving weights: PEFT reads what it has a mechanism for, the base stays as it was, and it learns."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers

from tuningfork.engine import moving
from tuningfork.engine.adapters import layout
from tuningfork.errors import MethodError, ModelError
from tuningfork.model import Adapter, EmbedRequest, GenerateRequest, Recipe, ScoreRequest, TuneItem

peft = pytest.importorskip("peft")

LABELS = ("billing", "how", "how-to")
KINDS = {
    "lora": Recipe("lora", learning_rate=0.02),
    "rslora": Recipe("lora", rslora=True, learning_rate=0.02),
    "dora": Recipe("lora", dora=True, learning_rate=0.02),
    "full": Recipe("full", learning_rate=0.01),
    "last_layers": Recipe("last_layers", layers=1, learning_rate=0.02),
    "ia3": Recipe("ia3", learning_rate=0.2),
    "bottleneck": Recipe("bottleneck", rank=6, learning_rate=0.05),
    "bias": Recipe("bias", learning_rate=0.1),
    "prompt_tuning": Recipe("prompt_tuning", tokens=5, learning_rate=0.3, start_text="Which team"),
    "p_tuning": Recipe("p_tuning", tokens=5, learning_rate=0.02),
    "prefix_tuning": Recipe("prefix_tuning", tokens=5, learning_rate=0.2, start_text="Which team"),
}
HERE = [(kind, "gpt2" if kind == "bias" else "llama") for kind in KINDS]
OURS_ALONE = {"full", "bottleneck"}
"""PEFT has no files for these."""


def learn(make, labels=LABELS):
    return [TuneItem(make.prompt(text, system=""), labels[i % 3], labels) for i, text in enumerate(make.corpus)]


def tune(model, make, kind, **more):
    recipe = dataclasses.replace(KINDS[kind], epochs=12, batch=5, **more)
    return model.tune(recipe, learn(make), [])


def asked(make):
    return [ScoreRequest(make.prompt(text, system=""), LABELS) for text in make.corpus]


def nats(model, make):
    return np.array([entry.nats for entry in model.score(asked(make))])


@pytest.mark.parametrize(("kind", "base"), HERE)
def test_it_learns_and_leaves_the_base_as_it_was(tiny, make, kind, base):
    model = tiny(base).model
    before = nats(model, make)
    tuned = tune(model, make, kind)
    assert tuned.curve[-1].train_nats < 0.8 * tuned.curve[0].train_nats
    after = nats(model.adapted(tuned.adapter), make)
    assert not np.allclose(before, after, atol=1e-2)
    assert np.array_equal(nats(model, make), before)
    chances = after - np.log(np.exp(after).sum(1, keepdims=True))
    right = -chances[range(len(after)), [i % 3 for i in range(len(after))]].mean()
    assert right < tuned.curve[0].train_nats, "what was learnt is what is worn"


def beside(net):
    """PEFT gives the virtual tokens' logits too: without them."""

    def logits(ids):
        return SimpleNamespace(logits=net(ids).logits[:, -ids.shape[1] :])

    return logits


@pytest.mark.parametrize(("kind", "base"), [(k, b) for k, b in HERE if k not in OURS_ALONE])
def test_peft_reads_ours(tiny, make, tmp_path, kind, base):
    it = tiny(base)
    adapter = tune(it.model, make, kind).adapter
    for name, blob in adapter.files.items():
        (tmp_path / name).write_bytes(blob.read())
    plain = transformers.AutoModelForCausalLM.from_pretrained(it.folder, dtype=torch.float32)
    theirs = beside(peft.PeftModel.from_pretrained(plain, tmp_path).eval())
    for request, own in zip(asked(make), nats(it.model.adapted(adapter), make), strict=True):
        assert np.allclose(own, it.nats(request.prompt, LABELS, theirs), atol=1e-3)


@pytest.mark.parametrize(("kind", "base"), HERE)
def test_answers_do_not_depend_on_the_call(tiny, make, kind, base):
    """Alone, together, written, embedded: the adapter is on in every path."""
    model = tiny(base).model
    worn = model.adapted(tune(model, make, kind).adapter)
    together = nats(worn, make)
    alone = np.array([worn.score([request])[0].nats for request in asked(make)])
    assert np.allclose(together, alone, atol=1e-4)
    prompts = [request.prompt for request in asked(make)]
    written = [answer.text for answer in worn.generate([GenerateRequest(p, 8) for p in prompts])]
    assert written == [worn.generate([GenerateRequest(p, 8)])[0].text for p in prompts]
    assert written != [answer.text for answer in model.generate([GenerateRequest(p, 8) for p in prompts])]
    one, bare = (m.embed([EmbedRequest(prompts[0])])[0].values for m in (worn, model))
    assert not np.allclose(one, bare, atol=1e-3)


@pytest.mark.parametrize(("kind", "base"), HERE)
def test_written_and_read_again_it_says_the_same(tiny, make, kind, base):
    model = tiny(base).model
    adapter = tune(model, make, kind).adapter
    before = nats(model.adapted(adapter), make)
    model._read.clear()  # adapters read last are kept: read it anew
    again = Adapter.of(adapter.base, {name: blob.read() for name, blob in adapter.files.items()})
    assert np.array_equal(before, nats(model.adapted(again), make))


@pytest.mark.parametrize(("kind", "base"), HERE)
def test_the_same_kind_goes_on_and_another_lies_over(tiny, make, kind, base):
    model = tiny(base).model
    first = tune(model, make, kind)
    still = dataclasses.replace(KINDS[kind], learning_rate=1e-9, max_steps=1)
    onward = model.tune(still, learn(make), [], start=first.adapter)
    assert onward.adapter.under is None
    assert np.allclose(nats(model.adapted(onward.adapter), make), nats(model.adapted(first.adapter), make), atol=1e-4)
    other = Recipe("ia3" if KINDS[kind].kind == "lora" else "lora", learning_rate=1e-9, max_steps=1)
    over = model.tune(other, learn(make), [], start=first.adapter)
    assert over.adapter.under == first.adapter and over.adapter.bytes > first.adapter.bytes
    assert np.allclose(nats(model.adapted(over.adapter), make), nats(model.adapted(first.adapter), make), atol=1e-4)
    assert onward.curve[0].train_nats == pytest.approx(over.curve[0].train_nats, abs=1e-4)


def test_soft_prompts_do_not_stand_before_one_another(tiny, make):
    model = tiny("llama").model
    first = tune(model, make, "prompt_tuning")
    with pytest.raises(ModelError, match="soft prompts"):
        model.tune(dataclasses.replace(KINDS["prefix_tuning"], max_steps=1), learn(make), [], start=first.adapter)


@pytest.mark.parametrize("kind", ["lora", "full", "last_layers", "ia3", "bottleneck", "bias", "prompt_tuning"])
def test_an_encoder_learns_by_it(tiny, make, kind):
    model = tiny("bert").model
    tuned = tune(model, make, kind)
    assert tuned.head is not None and tuned.curve[-1].train_nats < tuned.curve[0].train_nats
    before, after = (m.embed([EmbedRequest("hello")])[0].values for m in (model, model.adapted(tuned.adapter)))
    assert not np.allclose(before, after, atol=1e-3)
    assert np.array_equal(before, model.embed([EmbedRequest("hello")])[0].values)


@pytest.mark.parametrize("base", ["t5", "bart"])
@pytest.mark.parametrize("kind", ["lora", "full", "last_layers", "prompt_tuning", "bottleneck"])
@pytest.mark.parametrize("choices", [LABELS, ()])
def test_an_encoder_decoder_learns_by_it(tiny, make, base, kind, choices):
    model = tiny(base).model
    items = [dataclasses.replace(item, choices=choices) for item in learn(make)]
    tuned = model.tune(dataclasses.replace(KINDS[kind], epochs=12, batch=5), items, items)
    assert tuned.curve[-1].train_nats < tuned.curve[0].train_nats and tuned.head is None
    assert tuned.curve[-1].hold_nats is not None
    before, after = nats(model, make), nats(model.adapted(tuned.adapter), make)
    assert not np.allclose(before, after, atol=1e-2) and np.array_equal(nats(model, make), before)


def test_an_encoder_decoders_first_loss_is_what_scoring_says(tiny, make):
    model = tiny("t5").model
    tuned = model.tune(Recipe(learning_rate=1e-9, max_steps=1, batch=5), learn(make), [])
    found = nats(model, make)
    chances = found - np.log(np.exp(found).sum(1, keepdims=True))
    assert tuned.curve[0].train_nats == pytest.approx(-chances[range(5), [0, 1, 2, 0, 1]].mean(), abs=1e-3)


def test_what_a_model_has_not_is_said(tiny, make):
    with pytest.raises(MethodError, match="no bias"):
        tune(tiny("llama").model, make, "bias")
    with pytest.raises(MethodError, match="share a beginning"):
        tune(tiny("mistral").model, make, "prefix_tuning")
    with pytest.raises(MethodError, match="share a beginning"):
        tune(tiny("bert").model, make, "prefix_tuning")
    with pytest.raises(MethodError, match="no adapter"):
        tiny("llama").model.tune(Recipe("start"), learn(make), [])


@pytest.mark.parametrize("kind", ["prompt_tuning", "lora", "full", "ia3"])
def test_a_model_that_reads_prompts_whole_learns_too(tiny, make, kind):
    model = tiny("bloom").model
    assert not model._weights.shares
    tuned = tune(model, make, kind)
    assert tuned.curve[-1].train_nats < tuned.curve[0].train_nats
    assert not np.allclose(nats(model, make), nats(model.adapted(tuned.adapter), make), atol=1e-2)


def test_a_soft_prompt_starts_from_the_tokens_it_is_given(tiny, make):
    """Before the first step the virtual tokens are those of the text: the answers are those of the text before the
    prompt, read as tokens."""
    it = tiny("llama", chat=False)
    weights = it.model._weights
    ids = it.model._renderer.ids(["Which team"])[0]
    for kind in ("prompt_tuning", "p_tuning", "prefix_tuning"):
        own = moving.fresh(weights, dataclasses.replace(KINDS[kind], tokens=len(ids)), ids)
        worn = it.model.adapted(moving.pack(weights, own, "tiny"))
        (found,) = worn.score([ScoreRequest(make.prompt("x"), LABELS)])
        whole = ids + it.ids(it.text(make.prompt("x")))
        with torch.no_grad():
            logits = it.net(torch.tensor([whole])).logits[0, -1].float()
        first = it.ids(it.text(make.prompt("x")) + " billing")[len(it.ids(it.text(make.prompt("x")))) :]
        if len(first) == 1:
            assert found.nats[0] == pytest.approx(float(torch.log_softmax(logits, -1)[first[0]]), abs=1e-3)
        assert own.lead == list(range(-len(ids), 0))


def test_distributions_and_several_labels_are_learnt(tiny, make):
    """Soft targets: the model comes to say the shares that it was shown. Labels that do not exclude each other: their
    logits are learnt one by one."""
    model = tiny("llama").model
    shares = (0.7, 0.2, 0.1)
    items = [dataclasses.replace(item, shares=shares) for item in learn(make)]
    tuned = model.tune(dataclasses.replace(KINDS["lora"], epochs=40, batch=5), items, items)
    found = nats(model.adapted(tuned.adapter), make)
    chances = np.exp(found - np.log(np.exp(found).sum(1, keepdims=True)))
    assert np.allclose(chances.mean(0), shares, atol=0.1)
    several = [dataclasses.replace(item, shares=(1.0, 0.0, 1.0), exclusive=False) for item in learn(make)]
    tuned = tiny("bert").model.tune(dataclasses.replace(KINDS["lora"], epochs=40, batch=5), several, [])
    head = tuned.head.arrays()
    vectors = tiny("bert").model.adapted(tuned.adapter).embed([EmbedRequest(item.prompt) for item in several])
    logits = np.stack([v.values for v in vectors]) @ head["weight"].T + head["bias"]
    assert ((logits > 0) == np.array([True, False, True])).all()


def test_texts_without_an_answer_are_learnt_to_be_read(tiny, make):
    model = tiny("llama").model
    items = [TuneItem(make.prompt(text, system=""), None) for text in make.corpus]
    tuned = model.tune(dataclasses.replace(KINDS["lora"], epochs=20, batch=5), items, items)
    assert tuned.curve[-1].train_nats < 0.7 * tuned.curve[0].train_nats
    weights = model._weights
    ids = [[*model._renderer.ids([text])[0], model._renderer.end_id] for text in make.corpus]
    with torch.no_grad():
        told = [
            torch.log_softmax(tiny("llama").net(torch.tensor([row])).logits[0].float(), -1)[
                range(len(row) - 1), row[1:]
            ]
            for row in ids
        ]
    expected = -np.mean([float(own.mean()) for own in told])
    first = model.tune(Recipe(learning_rate=1e-9, max_steps=1, batch=5), items, [])
    assert first.curve[0].train_nats == pytest.approx(expected, abs=1e-3) and weights.prefix is None


def test_pairs_draw_texts_of_one_label_together(tiny, make):
    model = tiny("bert").model
    items = [TuneItem(make.prompt(f"{w} {i}", system=""), w, ("cat", "dog")) for w in ("cat", "dog") for i in range(6)]
    tuned = model.tune(Recipe("full", pairs=True, learning_rate=1e-3, epochs=20, batch=8), items, items)
    assert tuned.head is None and tuned.curve[-1].hold_nats < tuned.curve[0].hold_nats
    vectors = np.stack(
        [v.values for v in model.adapted(tuned.adapter).embed([EmbedRequest(item.prompt) for item in items])]
    )
    cosines = vectors @ vectors.T
    assert cosines[:6, :6].mean() > cosines[:6, 6:].mean() + 0.3
    with pytest.raises(MethodError, match="pairs"):
        tiny("llama").model.tune(Recipe(pairs=True), items, [])


def like_themselves(model, texts):
    """Of texts without labels: how alike they are to one another, and whether the model is as it was."""
    vectors = np.stack([v.values for v in model.embed([EmbedRequest(text) for text in texts])])
    return float((vectors @ vectors.T)[~np.eye(len(texts), dtype=bool)].mean())


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_an_encoder_learns_from_texts_alone(tiny, make, kind):
    model = tiny(kind).model
    said = [f"{text[:24]} {n}" for n in range(4) for text in make.corpus]
    learn = [TuneItem(make.prompt(text, system=""), None) for text in said]
    recipe = Recipe("lora", rank=4, pairs=True, learning_rate=5e-3, batch=10, epochs=10)
    before = like_themselves(model, said)
    first, again = (model.tune(recipe, learn[4:], learn[:4]) for _ in range(2))
    assert first.adapter == again.adapter and first.head is None
    assert first.curve[-1].hold_nats < first.curve[0].hold_nats
    assert like_themselves(model.adapted(first.adapter), said) < before == like_themselves(model, said)


def test_looks_that_nothing_tells_apart_are_refused(make, tmp_path):
    model = make.open(make.model("bert", tmp_path))
    for module in model._weights.net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with pytest.raises(MethodError, match="no dropout"):
        model.tune(Recipe(pairs=True), [TuneItem(make.prompt(t, system=""), None) for t in make.corpus], [])


def test_files_of_another_kind_are_refused(tiny, make):
    model = tiny("llama").model
    adapter = tune(model, make, "prompt_tuning").adapter
    files = {name: blob.read() for name, blob in adapter.files.items()}
    with pytest.raises(ModelError, match="fit"):
        tiny("gemma").model.adapted(Adapter.of("", {**files, **narrowed(files)}))


def narrowed(files):
    from safetensors.torch import load, save

    tensors = {name: t[:, :7].contiguous() for name, t in load(files[layout.WEIGHTS_FILE]).items()}
    return {layout.WEIGHTS_FILE: save(tensors)}


@pytest.mark.parametrize("kind", ["full", "last_layers", "lora", "ia3", "bottleneck"])
@pytest.mark.parametrize("soft", ["prompt_tuning", "prefix_tuning", "p_tuning"])
def test_anything_lies_over_a_soft_prompt(tiny, make, kind, soft):
    model = tiny("llama").model
    first = tune(model, make, soft)
    still = dataclasses.replace(KINDS[kind], learning_rate=1e-9, max_steps=1)
    over = model.tune(still, learn(make), [], start=first.adapter)
    assert over.adapter.under == first.adapter
    assert np.allclose(nats(model.adapted(over.adapter), make), nats(model.adapted(first.adapter), make), atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "change"),
    [("lora", {"rank": 5}), ("lora", {"dora": True}), ("lora", {"rslora": True}), ("bottleneck", {"rank": 4})],
)
def test_other_sizes_lie_over_what_was_there(tiny, make, kind, change):
    """A recipe is done as it says, and nothing that was learnt is lost."""
    model = tiny("llama").model
    first = tune(model, make, kind)
    other = dataclasses.replace(KINDS[kind], learning_rate=1e-9, max_steps=1, **change)
    over = model.tune(other, learn(make), [], start=first.adapter)
    assert over.adapter.under == first.adapter
    assert np.allclose(nats(model.adapted(over.adapter), make), nats(model.adapted(first.adapter), make), atol=1e-4)


def test_a_mixed_adapter_keeps_all_that_it_moves(tiny, make, tmp_path):
    it = tiny("gpt2")
    base = transformers.AutoModelForCausalLM.from_pretrained(it.folder, dtype=torch.float32)
    config = peft.LoraConfig(
        r=3, target_modules=["c_proj"], modules_to_save=["ln_f"], init_lora_weights=False, fan_in_fan_out=True
    )
    theirs = peft.get_peft_model(base, config).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "modules_to_save.default" in name:
                parameter.add_(0.3)
    theirs.save_pretrained(tmp_path)
    mixed = Adapter.of("", {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.name.startswith("adapter_")})
    (found,) = it.model.adapted(mixed).score([ScoreRequest(make.prompt("x"), LABELS)])
    assert np.allclose(found.nats, it.nats(make.prompt("x"), LABELS, theirs), atol=1e-3)
    still = Recipe("lora", rank=3, alpha=8.0, learning_rate=1e-9, max_steps=1)
    over = it.model.tune(still, learn(make), [], start=mixed)
    assert over.adapter.under == mixed
    with pytest.raises(MethodError, match="several things"):
        it.model.tune(Recipe("start"), learn(make), [], start=mixed)


def test_a_merged_adapter_says_the_same(tiny, make, tmp_path):
    """PEFT merges ours into the weights: the answers stay."""
    it = tiny("llama")
    adapter = tune(it.model, make, "lora").adapter
    for name, blob in adapter.files.items():
        (tmp_path / name).write_bytes(blob.read())
    plain = transformers.AutoModelForCausalLM.from_pretrained(it.folder, dtype=torch.float32)
    merged = peft.PeftModel.from_pretrained(plain, tmp_path).merge_and_unload().eval()
    for request, own in zip(asked(make), nats(it.model.adapted(adapter), make), strict=True):
        assert np.allclose(own, it.nats(request.prompt, LABELS, merged), atol=1e-3)


def test_the_order_of_a_stack_is_part_of_what_a_model_is(tiny, make):
    model = tiny("llama").model
    one, other = tune(model, make, "lora").adapter, tune(model, make, "ia3").adapter
    a, b = dataclasses.replace(one, under=other), dataclasses.replace(other, under=one)
    assert model.adapted(a).identity != model.adapted(b).identity


def test_labels_that_do_not_exclude_each_other_need_a_head(tiny, make):
    several = [dataclasses.replace(item, shares=(1.0, 0.0, 1.0), exclusive=False) for item in learn(make)]
    for base in ("llama", "t5"):
        with pytest.raises(MethodError, match="exclude each other"):
            tiny(base).model.tune(KINDS["lora"], several, [])


def test_shares_where_prompts_are_read_whole_are_learnt_as_the_likeliest(tiny, make):
    model = tiny("mistral").model
    items = [dataclasses.replace(item, shares=(0.1, 0.7, 0.2)) for item in learn(make)]
    tuned = model.tune(dataclasses.replace(KINDS["lora"], epochs=30, batch=5), items, [])
    assert (nats(model.adapted(tuned.adapter), make).argmax(1) == 1).all()


def test_answers_too_long_for_a_decoder_are_left_out(tiny, make):
    model = tiny("bart").model
    items = [*learn(make), TuneItem(make.prompt("x", system=""), "zq" * 400)]
    tuned = model.tune(dataclasses.replace(KINDS["lora"], max_steps=1), items, [])
    assert tuned.notes["left_out"] == 1.0
    with pytest.raises(MethodError, match="what to answer"):
        model.tune(KINDS["lora"], [TuneItem(make.prompt("x", system=""), None)], [])
