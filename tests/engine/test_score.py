"""Scoring against plain transformers, one text at a time; failures in their places; bf16 decisions of real weights."""

from __future__ import annotations

import dataclasses
import math
from itertools import cycle, islice, takewhile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import normalizers
from transformers import AutoTokenizer

from tuningfork.engine import rows as rows_
from tuningfork.model import Failure, Recipe, ScoreRequest, Scores, TuneItem
from tuningfork.task import Message, Prompt, Text

CHOICES = ("billing", "login problem", "how", "how-to", "how-to-guide", "other")
SHOTS = (("I was charged twice", "billing"), ("My password is wrong", "login problem"))
NATS = 1e-3
CAUSAL = ("llama", "gpt2", "qwen2", "qwen3", "gemma", "gemma2", "mistral", "granite", "phi")


def same(found, expected):
    assert isinstance(found, Scores), found
    assert np.allclose(found.nats, expected, atol=NATS), (found.nats, expected)


@pytest.mark.parametrize("kind", CAUSAL)
@pytest.mark.parametrize("chat", [True, False], ids=["chat", "plain"])
def test_equals_plain_transformers(tiny, make, kind, chat):
    it = tiny(kind, chat)
    prompts = [make.prompt(text, SHOTS) for text in make.corpus]
    for prompt, found in zip(prompts, it.model.score([ScoreRequest(p, CHOICES) for p in prompts]), strict=True):
        same(found, it.nats(prompt, CHOICES))


def test_which_architectures_share_prefixes(tiny):
    shares = {kind: tiny(kind).model._weights.shares for kind in CAUSAL}
    assert [kind for kind, does in shares.items() if not does] == ["gemma2", "mistral"]
    assert tiny("mistral").model._weights.notes and not tiny("llama").model._weights.notes


@pytest.mark.parametrize("kind", ["llama", "gpt2", "mistral"])
@pytest.mark.parametrize("batch", [1, 7, 64])
def test_batches_of_any_size_give_the_same(tiny, make, kind, batch):
    it = tiny(kind)
    texts = [f"{make.corpus[i % 5]} {i * i} {'again ' * (i % 11)}" for i in range(64)]
    requests = [ScoreRequest(make.prompt(text, SHOTS), CHOICES[: 2 + i % 5]) for i, text in enumerate(texts)]
    found = [entry for begin in range(0, 64, batch) for entry in it.model.score(requests[begin : begin + batch])]
    assert len(found) == 64
    for i in range(0, 64, 9):
        same(found[i], it.nats(requests[i].prompt, requests[i].choices))


WORDS = st.text(st.sampled_from("ab c-\né ü\U0001f600?.<|"), max_size=12)
LABELS = st.lists(WORDS.filter(lambda w: w.strip() == w and w), min_size=1, max_size=5, unique=True)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(WORDS, min_size=1, max_size=4), labels=LABELS, shared=WORDS, chat=st.booleans())
def test_equals_plain_transformers_whatever_the_text(tiny, make, texts, labels, shared, chat):
    it = tiny("llama", chat)
    prompts = [make.prompt(text, [(shared, "x")], system="Which one is it, of these?") for text in texts]
    for prompt, found in zip(prompts, it.model.score([ScoreRequest(p, tuple(labels)) for p in prompts]), strict=True):
        same(found, it.nats(prompt, labels))


NESTED = st.lists(
    st.tuples(st.sampled_from(["charged twice", "a" * 32, "où? \U0001f600", "x"]), st.just("billing")), max_size=4
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(["llama", "gpt2", "qwen2", "gemma", "mistral"]),
    chat=st.booleans(),
    shots=st.lists(NESTED, min_size=1, max_size=5),
    labels=LABELS,
    size=st.sampled_from([1, 7, 64]),
)
def test_equals_plain_transformers_whatever_prompts_share(tiny, make, kind, chat, shots, labels, size):
    """Prompts that extend each other, share some demonstrations, or none, in one call or several."""
    it = tiny(kind, chat)
    prompts = [make.prompt(f"text {i % 3}", own) for i, own in enumerate(shots)]
    requests = [ScoreRequest(p, tuple(labels)) for p in prompts]
    found = [
        entry for begin in range(0, len(requests), size) for entry in it.model.score(requests[begin : begin + size])
    ]
    for prompt, entry in zip(prompts, found, strict=True):
        same(entry, it.nats(prompt, labels))


def test_one_call_reads_what_prompts_share_once(tiny, make):
    model = tiny("llama").model
    requests = [ScoreRequest(make.prompt(text, SHOTS), CHOICES) for text in make.corpus]
    apart = [model.score([request])[0].usage for request in requests]
    together = [entry.usage for entry in model.score(requests)]
    assert together[0].tokens_in == apart[0].tokens_in and together[0].tokens_reused == 0
    assert {usage.tokens_reused for usage in together[1:]} == {together[1].tokens_reused}
    assert together[1].tokens_reused > 40
    assert [u.tokens_in + u.tokens_reused for u in together] == [u.tokens_in for u in apart]
    assert all(usage.seconds > 0 for usage in together)


def test_one_token_choices_cost_no_more_than_the_prompt(tiny, make):
    it = tiny("llama")
    (found,) = it.model.score([ScoreRequest(make.prompt("x"), ("a", "b"))])
    assert found.tokens == (1, 1) and found.usage.tokens_in == len(it.ids(it.text(make.prompt("x"))))


def test_a_choice_that_begins_another_is_followed_by_the_end(tiny, make):
    it = tiny("llama")
    alone, both = it.model.score([ScoreRequest(make.prompt("x"), c) for c in (("how",), ("how", "how-to"))])
    assert both.tokens[0] == alone.tokens[0] + 1
    assert both.nats[0] < alone.nats[0], "its end is one more event"
    assert math.exp(both.nats[0]) + math.exp(both.nats[1]) <= math.exp(alone.nats[0]) + 1e-9


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_a_choice_that_begins_another_is_refused_where_nothing_ends_an_answer(make, tmp_path, kind):
    folder = make.model(kind, tmp_path, chat=False)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(folder)
    asked = [ScoreRequest(make.prompt("x"), choices) for choices in (("how-to", "how"), ("billing", "other"))]
    refused, fine = make.open(folder).score(asked)
    assert isinstance(fine, Scores) and isinstance(refused, Failure) and refused.kind == "begun_choice"
    assert "'how' begins 'how-to'" in refused.message and "other words" in refused.message


@pytest.mark.parametrize("kind", ["llama", "mistral", "t5"])
def test_choices_that_become_the_same_tokens_are_refused(tiny, make, kind):
    """A special token is broken up, and so becomes what another choice is."""
    asked = [ScoreRequest(make.prompt("x"), choices) for choices in (("<|end|>", "< |end|>"), ("billing", "<|end|>"))]
    refused, fine = tiny(kind).model.score(asked)
    assert isinstance(fine, Scores) and isinstance(refused, Failure) and refused.kind == "same_choice"
    assert "'<|end|>' and '< |end|>'" in refused.message


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_a_choice_that_the_tokenizer_drops_is_refused(make, tmp_path, kind):
    folder = make.model(kind, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("\u200b", "")
    tokenizer.save_pretrained(folder)
    refused, fine = make.open(folder).score(
        [ScoreRequest(make.prompt("x"), choices) for choices in (("billing", "\u200b"), ("billing", "other"))]
    )
    assert isinstance(fine, Scores) and isinstance(refused, Failure) and refused.kind == "empty_choice"
    assert "has no tokens" in refused.message


def test_with_and_without_an_adapter(tiny, make):
    it = tiny("llama")
    request = ScoreRequest(make.prompt(make.corpus[1], SHOTS), CHOICES)
    (before,) = it.model.score([request])
    items = [TuneItem(make.prompt(text), "other", ("other", "billing")) for text in make.corpus]
    adapted = it.model.adapted(it.model.tune(Recipe(rank=2, max_steps=3, learning_rate=0.05), items, []).adapter)
    (worn,) = adapted.score([request])
    (after,) = it.model.score([request])
    assert not np.allclose(worn.nats, before.nats, atol=0.01)
    assert after.nats == before.nats


def test_parts_of_text_are_read_like_one_text(tiny):
    whole = Prompt((Message("user", "one\ntwo"),))
    parts = Prompt((Message("user", (Text("one"), Text("two"))),))
    first, second = tiny("llama").model.score([ScoreRequest(p, CHOICES) for p in (whole, parts)])
    assert first.nats == second.nats


FAULTS = {
    "empty_prompt": lambda make: ScoreRequest(Prompt((Message("user", " \n"),)), CHOICES),
    "empty_choice": lambda make: ScoreRequest(make.prompt("x"), ("billing", " ")),
    "same_choice": lambda make: ScoreRequest(make.prompt("x"), ("billing", "billing")),
    "too_long": lambda make: ScoreRequest(make.prompt("zq" * 400), CHOICES),
}


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_failures_stand_in_their_places_and_spoil_nothing(tiny, make, kind):
    it = tiny(kind)
    good = ScoreRequest(make.prompt(make.corpus[1]), CHOICES)
    (alone,) = it.model.score([good])
    for word, fault in FAULTS.items():
        found = it.model.score([fault(make), good, fault(make), good])
        assert [getattr(entry, "kind", "fine") for entry in found] == [word, "fine", word, "fine"]
        assert np.allclose(found[1].nats, alone.nats, atol=NATS) and np.allclose(found[3].nats, alone.nats, atol=NATS)
    assert [entry.kind for entry in it.model.score([FAULTS["too_long"](make)])] == ["too_long"]
    assert it.model.score([]) == []


def test_too_long_names_both_lengths(tiny, make):
    it = tiny("llama")
    prompt = make.prompt("zq" * 400)
    (found,) = it.model.score([ScoreRequest(prompt, ("billing",))])
    length = len(it.ids(it.text(prompt))) + len(it.ids("billing"))
    assert str(length) in found.message and str(make.context) in found.message


def test_the_last_prompt_that_fits_is_read_right(tiny, make):
    it = tiny("gpt2")
    room = make.context - len(it.ids(it.text(make.prompt("")))) - 2
    longest = make.prompt("?" * room)
    fits, over = it.model.score(
        [ScoreRequest(longest, ("a", "b")), ScoreRequest(make.prompt("?" * (room + 3)), ("a",))]
    )
    same(fits, it.nats(longest, ("a", "b")))
    assert over.kind == "too_long"


def test_a_template_that_refuses_fails_that_prompt_only(make, tmp_path):
    text = "messages[0]['content']"
    template = "{% if " + text + " == 'no' %}{{ raise_exception('I refuse') }}{% endif %}{{ " + text + " }}"
    model = make.open(make.model("llama", tmp_path, template=template))
    bad, good = (ScoreRequest(Prompt((Message("user", text),)), CHOICES) for text in ("no", "yes"))
    first, second = model.score([bad, good])
    assert isinstance(first, Failure) and first.kind == "template" and "I refuse" in first.message
    assert second.nats == model.score([good])[0].nats


def test_nan_answers_fail(tiny, make, monkeypatch):
    it = tiny("llama")
    weights = it.model._weights
    monkeypatch.setattr(type(weights), "logits", lambda self, states: states[:, :1].expand(-1, 420) * float("nan"))
    (found,) = it.model.score([ScoreRequest(make.prompt("x"), CHOICES)])
    assert isinstance(found, Failure) and found.kind == "nan"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), min_size=1, max_size=6, unique_by=tuple))
def test_a_trie_holds_each_inner_node_once(branches):
    row = rows_.build(0, [9, 9, 9], branches)
    inner = {tuple(branch[:n]) for branch in branches for n in range(1, len(branch))}
    assert len(row.ids) == 3 + len(inner)
    for branch, path in zip(branches, row.choices, strict=True):
        assert [row.asked[i][1] for i in path] == branch
        at = [row.asked[i][0] for i in path]
        assert at[0] == 2 and [row.parents[b] for b in at[1:]] == at[:-1]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 90), max_size=40))
def test_passes_hold_every_row_once_and_keep_to_their_size(lengths):
    rows = rows_.by_length([rows_.build(i, [1] * n, []) for i, n in enumerate(lengths)])
    found = list(rows_.batches(rows, tokens=100))
    assert [row.index for batch in found for row in batch] == [row.index for row in rows]
    assert all(len(b) == 1 or sum(len(r.ids) for r in b) <= 100 for b in found)


@pytest.mark.parametrize("kind", ["llama", "gemma2", "phi"])
def test_bf16_tells_likely_choices_apart(make, tiny, kind):
    """The output layer's bf16 products alone would give only a few values; gradients flow as they do in fp32."""
    it = tiny(kind)
    weights = make.open(it.folder, dataclasses.replace(make.cpu, dtype="bfloat16"))._weights
    states = (
        (torch.randn(50, 32, generator=torch.Generator().manual_seed(0)) * 4).to(torch.bfloat16).requires_grad_(True)
    )
    rows = [rows_.build(b, [1], [[token] for token in range(10, 60)]) for b in range(50)]
    found = torch.stack(rows_.asked_nats(weights, rows, states))
    layer, cap = it.net.get_output_embeddings(), getattr(it.net.config, "final_logit_softcapping", None)
    exact = torch.nn.functional.linear(states.float(), layer.weight.bfloat16().float(), layer.bias)
    exact = torch.tanh(exact / cap) * cap if cap else exact
    assert (found - torch.log_softmax(exact, -1)[:, 10:60]).abs().max() < 0.1
    differences = found - found[:, :1]
    assert (differences - (exact - exact[:, 10:11])[:, 10:60]).abs().max() < 2e-3
    (gradient,) = torch.autograd.grad(found.sum(), states, retain_graph=True)
    (expected,) = torch.autograd.grad(torch.log_softmax(exact, -1)[:, 10:60].sum(), states)
    assert torch.nn.functional.cosine_similarity(gradient.flatten(), expected.flatten(), 0) > 0.99


PLAYERS = ("striker", "keeper", "coach", "swimmer", "referee", "boxer", "cyclist", "rider", "runner", "captain")
DID = (
    *("won the final", "lost in the last minute", "trains every day", "was injured in June", "broke a record"),
    *("was the best of the league", "missed the penalty", "left the field", "ran very fast", "got a medal"),
)
DISHES = ("soup", "bread", "fish", "cake", "salad", "curry", "cheese", "pasta", "chicken", "rice")
TASTES = (
    *("needs more salt", "was baked at noon", "tastes of lemon", "is served with butter", "was cold"),
    *("is on the menu today", "smells of garlic", "has to simmer", "was too sweet", "came from the oven"),
)
TEXTS = [
    f"{topic} news: The {who} {how}."
    for topic, whos, hows in (("Sport", PLAYERS, DID), ("Food", DISHES, TASTES))
    for who in whos
    for how in hows
]
OTHERS = [f"{what} news: It {how}." for what in ("Sport", "Food") for how in ("is famous", "won", "smells")]
TOPICS = ("sport", "food")
PARTINGS = 0.005
SIZES = (1, 3, 6, 10)


def about(text):
    system = Message("system", "Is this about sport or food?")
    shown = (("Sport news: They scored twice", "sport"), ("Food news: Add two eggs", "food"))
    turns = [turn for asked, said in shown for turn in (Message("user", asked), Message("assistant", said))]
    return Prompt((system, *turns, Message("user", text)))


def margins(found):
    return np.array([entry.nats for entry in found]) @ [1, -1]


def in_small_calls(model, requests):
    """As a server is asked: one alone, a few at a time."""
    waiting = iter(requests)
    calls = (list(islice(waiting, size)) for size in cycle(SIZES))
    return [entry for call in takewhile(bool, calls) for entry in model.score(call)]


@torch.no_grad()
def plain_margins(model, dtype, prompts):
    """How much likelier plain transformers finds the first topic, in nats, one prompt at a time."""
    from transformers import AutoModelForCausalLM

    from tuningfork.models.bundled import folder_of

    net = AutoModelForCausalLM.from_pretrained(folder_of(model.id), dtype=dtype).eval()
    found = []
    for prompt in prompts:
        text = model._renderer.read(prompt)
        (ids,) = model._renderer.ids([text])
        nats = []
        for stand, rest in model._renderer.continuations(text, ids, TOPICS):
            logits = net(torch.tensor([[*ids[:stand], *rest]]), logits_to_keep=len(rest) + 1).logits[0, :-1].float()
            nats.append(float(torch.log_softmax(logits, -1)[range(len(rest)), rest].sum()))
        found.append(nats[0] - nats[1])
    return np.array(found)


@pytest.mark.real
def test_real_weights_decide_the_same_alone_and_together():
    """Race against serving, in the dtype this machine computes in: a decision may differ only where both choices are
    nearer than that dtype's noise (how far it moves plain transformers on other texts), and hardly ever does."""
    from tuningfork.models import open_model

    model = open_model("smollm2-135m")
    others = [about(text) for text in OTHERS]
    exact = plain_margins(model, torch.float32, others)
    floor = np.abs(plain_margins(model, model._weights.dtype, others) - exact).max()
    requests = [ScoreRequest(about(text), TOPICS) for text in TEXTS]
    together, apart = margins(model.score(requests)), margins(in_small_calls(model, requests))
    assert len(together) == len(apart) >= 200 and (apart > 0).any() and (apart < 0).any()
    assert np.abs(together - apart).mean() <= max(floor, NATS)
    parted = np.maximum(np.abs(together), np.abs(apart))[(together > 0) != (apart > 0)]
    assert (parted <= floor).all() and len(parted) <= PARTINGS * len(apart), (floor, parted)
