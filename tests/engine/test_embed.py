"""Vectors against plain transformers: pooling, layers, what is shared and what is computed once."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from tuningfork.engine import rows as rows_
from tuningfork.engine.embed import token_ids
from tuningfork.engine.lessons.encoder import EncoderReader
from tuningfork.model import EmbedRequest, Failure, TuneItem, Vector
from tuningfork.task import Message, Prompt, Text


def vectors(model, contents, **more):
    found = model.embed([EmbedRequest(content, **more) for content in contents])
    assert all(isinstance(entry, Vector) for entry in found), found
    return np.stack([entry.values for entry in found])


@torch.no_grad()
def reference(it, ids, pooling, layer=-1, normalise=True):
    body = it.net if it.net.config.model_type in ("bert", "roberta") else it.net.get_decoder()
    states = body(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer][0]
    vector = {"mean": states.mean(0), "first": states[0], "last": states[-1]}[pooling].numpy()
    return vector / np.linalg.norm(vector) if normalise else vector


@pytest.mark.parametrize("kind", ["bert", "roberta"])
@pytest.mark.parametrize("pooling", [None, "mean", "first", "last"])
@pytest.mark.parametrize("layer", [-1, 1])
def test_encoders(tiny, make, kind, pooling, layer):
    it = tiny(kind)
    texts = [text[:40] for text in make.corpus]
    expected = [reference(it, it.tokenizer(text)["input_ids"], pooling or "mean", layer) for text in texts]
    found = vectors(it.model, texts, pooling=pooling, layer=layer)
    assert found.dtype == np.float32 and np.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma2"])
@pytest.mark.parametrize("pooling", [None, "mean", "first", "last"])
def test_causal_models(tiny, make, kind, pooling):
    it = tiny(kind)
    prompts = [make.prompt(text) for text in make.corpus]
    expected = [reference(it, it.ids(it.text(p)), pooling or "last", normalise=False) for p in prompts]
    assert np.allclose(vectors(it.model, prompts, pooling=pooling, normalise=False), expected, atol=1e-4)
    raw = [reference(it, it.tokenizer(text)["input_ids"], pooling or "last", layer=1) for text in make.corpus]
    assert np.allclose(vectors(it.model, make.corpus, pooling=pooling, layer=1), raw, atol=1e-5)


def test_with_and_without_a_shared_beginning(tiny, make):
    model = tiny("llama").model
    prompts = [make.prompt(text) for text in make.corpus]
    together = model.embed([EmbedRequest(prompt) for prompt in prompts])
    assert together[0].usage.tokens_reused == 0 and together[1].usage.tokens_reused > 20
    apart = np.stack([model.embed([EmbedRequest(prompt)])[0].values for prompt in prompts])
    assert np.allclose([entry.values for entry in together], apart, atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_equal_texts_are_computed_once(tiny, kind, monkeypatch):
    model, sizes = tiny(kind).model, []
    real = rows_.batches
    monkeypatch.setattr(rows_, "batches", lambda rows, *a, **k: sizes.append(len(rows)) or real(rows, *a, **k))
    found = model.embed([EmbedRequest(text) for text in ("one", "two", "one", "one")])
    assert sizes == [2]
    assert np.array_equal(found[0].values, found[2].values) and np.array_equal(found[0].values, found[3].values)
    assert not np.allclose(found[0].values, found[1].values, atol=1e-3)
    assert [entry.usage.tokens_in > 0 for entry in found] == [True, True, False, False]


def test_requests_of_several_kinds_in_one_call(tiny):
    model = tiny("bert").model
    asked = [
        EmbedRequest("one"),
        EmbedRequest("one", layer=1),
        EmbedRequest("one", normalise=False),
        EmbedRequest("one"),
    ]
    found = [entry.values for entry in model.embed(asked)]
    assert np.array_equal(found[0], found[3]) and not np.allclose(found[0], found[1])
    assert np.allclose(found[2] / np.linalg.norm(found[2]), found[0], atol=1e-6)
    assert not np.isclose(np.linalg.norm(found[2]), 1, atol=1e-2)


def test_an_encoder_reads_a_prompt_as_its_texts_and_cuts_what_is_too_long(tiny):
    it = tiny("roberta")
    prompt = Prompt((Message("system", "one"), Message("user", (Text("two"), Text("three")))))
    assert np.allclose(*vectors(it.model, [prompt, "one\ntwo\nthree"]), atol=1e-6)
    long = "zq " * 500
    ids = it.tokenizer(long, truncation=True, max_length=65)["input_ids"]
    assert np.allclose(vectors(it.model, [long])[0], reference(it, ids, "mean"), atol=1e-5)


LONG = "begin " + "zq " * 500 + "finish"


def loose(text, overlong):
    """A prompt whose question may be cut as a task says; its instruction may not."""
    asked = f"Q: {text}"
    return Prompt((Message("system", "one"), Message("user", asked)), overlong=overlong, loose=(3, len(asked)))


def test_an_encoder_never_cuts_a_prompt_in_silence(tiny):
    it = tiny("roberta")
    failed, fine = it.model.embed([EmbedRequest(loose(LONG, "fail")), EmbedRequest(loose("two", "fail"))])
    whole = len(it.tokenizer(f"one\nQ: {LONG}")["input_ids"])
    assert isinstance(failed, Failure) and failed.kind == "too_long"
    assert f"{whole} tokens" in failed.message and "at most 65" in failed.message
    assert np.allclose(fine.values, vectors(it.model, ["one\nQ: two"])[0], atol=1e-6) and not fine.usage.tokens_cut


@pytest.mark.parametrize(("overlong", "kept"), [("keep_start", "begin"), ("keep_end", "finish")])
def test_an_encoder_keeps_the_end_of_a_prompt_that_the_task_names_and_counts_the_rest(tiny, overlong, kept):
    it = tiny("roberta")
    weights, renderer = it.model._weights, it.model._renderer
    ((ids, cut),) = token_ids(weights, renderer, [loose(LONG, overlong)])
    text = it.tokenizer.decode(ids[1:-1])
    assert text.startswith("one\nQ: ") and kept in text and ("begin" in text) != ("finish" in text)
    assert len(ids) <= 65 and ids[-1] == it.tokenizer.eos_token_id
    assert cut == len(it.tokenizer(f"one\nQ: {LONG}")["input_ids"]) - len(ids)
    (found,) = it.model.embed([EmbedRequest(loose(LONG, overlong))])
    assert found.usage.tokens_cut == cut and np.allclose(found.values, reference(it, ids, "mean"), atol=1e-5)


def test_an_encoder_keeps_the_start_of_a_bare_text_and_counts_the_rest(tiny):
    it = tiny("roberta")
    (found,) = it.model.embed([EmbedRequest(LONG)])
    whole = it.tokenizer(LONG)["input_ids"]
    assert found.usage.tokens_cut == len(whole) - 65
    assert np.allclose(found.values, reference(it, [*whole[:64], whole[-1]], "mean"), atol=1e-5)


def test_an_encoder_still_learns_from_texts_that_are_too_long(tiny):
    """What a head reads of them when it is asked, it reads when it is taught."""
    it = tiny("roberta")
    items = [TuneItem(Prompt((Message("user", f"{text} {LONG}"),)), text, ("a", "b")) for text in "ab"]
    lessons = EncoderReader(it.model._weights, it.model._renderer).lessons(items)
    asked = token_ids(it.model._weights, it.model._renderer, [f"{text} {LONG}" for text in "ab"])
    assert [lesson.row.ids for lesson in lessons] == [ids for ids, _ in asked]


def test_a_causal_model_refuses_what_is_too_long(tiny, make):
    found = tiny("llama").model.embed([EmbedRequest("zq " * 500), EmbedRequest("fine")])
    assert isinstance(found[0], Failure) and found[0].kind == "too_long" and str(make.context) in found[0].message
    assert np.allclose(found[1].values, vectors(tiny("llama").model, ["fine"])[0], atol=1e-6)


def test_pooling_as_the_folder_says(make, tmp_path):
    folder = make.model("bert", tmp_path)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 9}))
    model = make.open(folder)
    assert np.allclose(vectors(model, ["one two"]), vectors(model, ["one two"], pooling="first"))
    assert not np.allclose(vectors(model, ["one two"]), vectors(model, ["one two"], pooling="mean"), atol=1e-3)
    assert np.allclose(*vectors(model, ["0123456789" * 3, "0123456789" * 5]))


def test_no_texts(tiny):
    assert tiny("bert").model.embed([]) == [] == tiny("llama").model.embed([])
