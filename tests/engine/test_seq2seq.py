"""Encoder-decoders against plain transformers, one prompt and one choice at a time."""

from __future__ import annotations

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuningfork.engine import rows, seq2seq
from tuningfork.model import EmbedRequest, Failure, GenerateRequest, ScoreRequest, Scores
from tuningfork.task import Message, Prompt

KINDS = ("t5", "mt5", "bart", "marian")
CHOICES = ("billing", "login problem", "how", "how-to", "how-to-guide", "other")
SHOTS = (("I was charged twice", "billing"), ("My password is wrong", "login problem"))
NATS = 1e-3


@torch.no_grad()
def plain_nats(it: SimpleNamespace, prompt: Prompt, choices: tuple[str, ...]) -> list[float]:
    """Each choice's log-probability by plain transformers: the whole prompt, the whole target, nothing shared."""
    source = torch.tensor([it.tokenizer(it.text(prompt))["input_ids"]])
    targets = [it.tokenizer(text_target=choice)["input_ids"] for choice in choices]
    first = targets[0].index(it.tokenizer(text_target=choices[0], add_special_tokens=False)["input_ids"][0])
    bare = [target[first:-1] for target in targets]
    begun = [any(o != t and o[: len(t)] == t for o in bare) for t in bare]
    found = []
    for target, shorter in zip(targets, begun, strict=True):
        asked = target if shorter else target[:-1]
        start = it.model._weights.decoder_start
        logits = it.net(input_ids=source, decoder_input_ids=torch.tensor([[start, *asked[:-1]]])).logits[0]
        nats = torch.log_softmax(logits.float(), -1)[range(len(asked)), asked]
        found.append(float(nats[first:].sum()))
    return found


def same(found, expected):
    assert isinstance(found, Scores), found
    assert np.allclose(found.nats, expected, atol=NATS), (found.nats, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_equals_plain_transformers(tiny, make, kind):
    it = tiny(kind)
    prompts = [make.prompt(text, SHOTS) for text in make.corpus]
    for prompt, found in zip(prompts, it.model.score([ScoreRequest(p, CHOICES) for p in prompts]), strict=True):
        same(found, plain_nats(it, prompt, CHOICES))


@pytest.mark.parametrize("kind", ["t5", "bart"])
@pytest.mark.parametrize("batch", [1, 7, 64])
def test_batches_of_any_size_give_the_same(tiny, make, kind, batch):
    it = tiny(kind)
    texts = [f"{make.corpus[i % 5]} {i % 9} {'again ' * (i % 11)}" for i in range(64)]
    requests = [ScoreRequest(make.prompt(text), CHOICES[: 1 + i % 6]) for i, text in enumerate(texts)]
    found = [entry for begin in range(0, 64, batch) for entry in it.model.score(requests[begin : begin + batch])]
    assert len(found) == 64
    for i in range(0, 64, 9):
        same(found[i], plain_nats(it, requests[i].prompt, requests[i].choices))


WORDS = st.text(st.sampled_from("ab c-\né ü\U0001f600?.<|"), max_size=12)
LABELS = st.lists(WORDS.filter(lambda w: w.strip() == w and w), min_size=1, max_size=5, unique=True)


@pytest.mark.parametrize("kind", ["t5", "bart"])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(WORDS, min_size=1, max_size=4), labels=LABELS, shown=WORDS)
def test_equals_plain_transformers_whatever_the_text(tiny, make, kind, texts, labels, shown):
    it = tiny(kind)
    prompts = [make.prompt(text, [(shown, "x")], system="Which one is it, of these?") for text in texts]
    for prompt, found in zip(prompts, it.model.score([ScoreRequest(p, tuple(labels)) for p in prompts]), strict=True):
        same(found, plain_nats(it, prompt, tuple(labels)))


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_small_passes_give_the_same(tiny, make, kind, monkeypatch):
    """Rows that copy their prompts, rows that share one, and answers that need several passes over the output layer."""
    it = tiny(kind)
    many = tuple(f"{word} {n}" for word in ("how", "other", "billing") for n in range(8))
    requests = [ScoreRequest(make.prompt(text), choices) for text in make.corpus for choices in (CHOICES, many)]
    whole = it.model.score(requests)
    for room, name, value in ((seq2seq, "BATCH_TOKENS", 90), (seq2seq, "BATCH_ROWS", 5), (rows, "LOGIT_ROWS", 4)):
        monkeypatch.setattr(room, name, value)
    for one, other in zip(it.model.score(requests), whole, strict=True):
        assert np.allclose(one.nats, other.nats, atol=1e-4) and one.tokens == other.tokens


def test_the_encoder_reads_each_prompt_once(tiny, make, monkeypatch):
    it = tiny("t5")
    read = []
    encode = seq2seq.encode
    monkeypatch.setattr(seq2seq, "encode", lambda w, batch, *rest: read.append(len(batch)) or encode(w, batch, *rest))
    prompt, other = make.prompt("x"), make.prompt("y")
    first, second, third = it.model.score([ScoreRequest(p, CHOICES) for p in (prompt, other, prompt)])
    assert sum(read) == 2
    assert first.nats == third.nats
    prompt_tokens = len(it.tokenizer(it.text(prompt))["input_ids"]) + 1
    assert third.usage.tokens_reused == prompt_tokens and first.usage.tokens_reused == 0
    assert first.usage.tokens_in == third.usage.tokens_in + prompt_tokens
    assert second.usage.seconds > 0


def test_one_token_choices_need_no_rows_of_their_own(tiny, make):
    it = tiny("t5")
    (found,) = it.model.score([ScoreRequest(make.prompt("x"), ("a", "b"))])
    assert found.tokens == (1, 1)
    assert found.usage.tokens_in == len(it.tokenizer(it.text(make.prompt("x")))["input_ids"]) + 1


def test_a_choice_that_begins_another_is_followed_by_the_end(tiny, make):
    alone, both = tiny("t5").model.score([ScoreRequest(make.prompt("x"), c) for c in (("how",), ("how", "how-to"))])
    assert both.tokens[0] == alone.tokens[0] + 1
    assert both.nats[0] < alone.nats[0], "its end is one more event"
    assert math.exp(both.nats[0]) + math.exp(both.nats[1]) <= math.exp(alone.nats[0]) + 1e-9


FAULTS = {
    "empty_prompt": lambda make: ScoreRequest(Prompt((Message("user", " \n"),)), CHOICES),
    "empty_choice": lambda make: ScoreRequest(make.prompt("x"), ("billing", " ")),
    "same_choice": lambda make: ScoreRequest(make.prompt("x"), ("billing", "billing")),
    "too_long": lambda make: ScoreRequest(make.prompt("zq" * 400), CHOICES),
    "not_unicode": lambda make: ScoreRequest(make.prompt("half \ud83d"), CHOICES),
}


def test_failures_stand_in_their_places_and_spoil_nothing(tiny, make):
    it = tiny("bart")
    good = ScoreRequest(make.prompt(make.corpus[1]), CHOICES)
    (alone,) = it.model.score([good])
    for word, fault in FAULTS.items():
        found = it.model.score([fault(make), good, fault(make), good])
        assert [getattr(entry, "kind", "fine") for entry in found] == [word, "fine", word, "fine"]
        assert np.allclose(found[1].nats, alone.nats, atol=NATS) and np.allclose(found[3].nats, alone.nats, atol=NATS)
    assert [entry.kind for entry in it.model.score([FAULTS["too_long"](make)])] == ["too_long"]
    assert it.model.score([]) == [] and it.model.embed([]) == []


def test_too_long_names_both_lengths(tiny, make):
    it = tiny("t5")
    prompt = make.prompt("zq" * 400)
    (found,) = it.model.score([ScoreRequest(prompt, ("billing",))])
    assert str(len(it.tokenizer(it.text(prompt))["input_ids"])) in found.message and str(make.context) in found.message
    (found,) = it.model.score([ScoreRequest(make.prompt("x"), ("zq" * 400,))])
    assert found.kind == "too_long" and "decoder" in found.message and str(make.context) in found.message


def test_the_longest_prompt_and_choice_that_fit_are_read_right(tiny, make):
    it = tiny("bart")
    room = make.context - len(it.tokenizer(it.text(make.prompt("?")))["input_ids"]) + 1
    prompt, choice = make.prompt("?" * room), "?" * (make.context - 2)
    over = ScoreRequest(make.prompt("?" * (room + 1)), ("a",))
    fits, longer = it.model.score([ScoreRequest(prompt, (choice,)), over])
    source = torch.tensor([it.tokenizer(it.text(prompt))["input_ids"]])
    assert source.shape[1] == make.context and longer.kind == "too_long"
    target = it.tokenizer(text_target=choice)["input_ids"][:-1]
    with torch.no_grad():
        logits = it.net(input_ids=source, decoder_input_ids=torch.tensor([[2, *target[:-1]]])).logits[0]
    nats = torch.log_softmax(logits, -1)[range(len(target)), target][1:].sum()
    assert fits.nats[0] == pytest.approx(float(nats), abs=NATS)


def test_nan_answers_fail(tiny, make, monkeypatch):
    it = tiny("t5")
    weights = it.model._weights
    monkeypatch.setattr(type(weights), "logits", lambda self, states: states[:, :1].expand(-1, 420) * float("nan"))
    (found,) = it.model.score([ScoreRequest(make.prompt("x"), CHOICES)])
    assert isinstance(found, Failure) and found.kind == "nan"


def test_vectors_of_nan_fail(tiny, monkeypatch):
    encode = seq2seq.encode

    def spoilt(*given):
        states, mask = encode(*given)
        states[0] = float("nan")
        return states, mask

    monkeypatch.setattr(seq2seq, "encode", spoilt)
    found = tiny("t5").model.embed([EmbedRequest(text) for text in ("the longer of these two", "short")])
    assert [getattr(entry, "kind", "fine") for entry in found] == ["fine", "nan"]


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_a_prompt_that_does_not_fit_alone_fails_and_its_neighbours_do_not(tiny, make, monkeypatch, kind):
    model = tiny(kind).model
    prompts = [make.prompt(text, system="") for text in ("one", "long " * 60, "two", "long " * 60)]
    calls = [
        (model.score, [ScoreRequest(prompt, CHOICES) for prompt in prompts]),
        (model.embed, [EmbedRequest(prompt) for prompt in prompts]),
        (model.generate, [GenerateRequest(prompt, 5) for prompt in prompts]),
    ]
    encode = seq2seq.encode

    def limited(weights, batch, *rest):
        if max(map(len, batch)) > 90:
            raise torch.OutOfMemoryError("too little")
        return encode(weights, batch, *rest)

    monkeypatch.setattr(seq2seq, "encode", limited)
    for call, requests in calls:
        found = call(requests)
        assert [getattr(entry, "kind", "fine") for entry in found] == ["fine", "memory", "fine", "memory"]


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_bf16_tells_likely_choices_apart(make, tiny, kind):
    it = tiny(kind)
    half = make.open(it.folder, dataclasses.replace(make.cpu, dtype="bfloat16"))
    states = torch.randn(50, 32, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16) * 4
    tokens = torch.arange(50) + 10
    exact = half._weights.logits_of(states, tokens)
    assert (half._weights.logits(states)[range(50), tokens] - exact).abs().max() < 0.1
    assert len(set(exact.tolist())) == 50
    asked = [ScoreRequest(make.prompt(text), ("billing", "other")) for text in make.corpus]
    for mine, theirs in zip(half.score(asked), it.model.score(asked), strict=True):
        assert mine.nats == pytest.approx(theirs.nats, abs=1.5) and mine.nats != theirs.nats


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_vectors_are_the_encoders_states(tiny, make, kind):
    it = tiny(kind)
    texts = [*make.corpus, "short", make.corpus[0]]
    for pooling in (None, "mean", "first", "last"):
        for layer in (-1, 1):
            found = it.model.embed([EmbedRequest(text, layer, pooling, normalise=False) for text in texts])
            for text, vector in zip(texts, found, strict=True):
                ids = torch.tensor([it.tokenizer(text)["input_ids"]])
                with torch.no_grad():
                    out = it.net.get_encoder()(input_ids=ids, output_hidden_states=True)
                states = out.last_hidden_state[0] if layer == -1 else out.hidden_states[layer][0]
                expected = {"first": states[0], "last": states[-1]}.get(pooling or "", states.mean(0))
                assert np.allclose(vector.values, expected.numpy(), atol=1e-4)
                assert vector.values.dtype == np.float32
    assert found[-1].usage.tokens_in == 0 < found[-1].usage.tokens_reused
    (unit,) = it.model.embed([EmbedRequest(texts[0])])
    assert np.linalg.norm(unit.values) == pytest.approx(1.0, abs=1e-5)


def test_a_prompt_is_embedded_as_it_is_asked(tiny, make):
    it = tiny("t5")
    prompt = make.prompt("x", SHOTS)
    asked, text = it.model.embed([EmbedRequest(prompt), EmbedRequest(it.text(prompt))])
    assert np.array_equal(asked.values, text.values)
    found = it.model.embed([EmbedRequest(text) for text in (" ", "zq" * 400, "half \udc00", "good")])
    assert [getattr(entry, "kind", "fine") for entry in found] == ["empty_prompt", "too_long", "not_unicode", "fine"]


def test_what_it_can(tiny):
    model = tiny("t5").model
    assert model.capabilities == {"score", "generate", "embed", "tune"}
    assert any("read whole" in note for note in model.notes)


@pytest.mark.parametrize("overlong", ["keep_start", "keep_end"])
def test_an_input_that_may_be_cut_is_cut_and_counted(tiny, make, overlong):
    it = tiny("t5")
    text = "one two three " * 60
    prompt = dataclasses.replace(make.prompt(text), overlong=overlong, loose=(0, len(text)))
    cut, other = it.model.score([ScoreRequest(prompt, CHOICES), ScoreRequest(make.prompt("x"), CHOICES)])
    whole = len(it.tokenizer(it.text(prompt))["input_ids"])
    assert cut.usage.tokens_cut > 0 == other.usage.tokens_cut
    assert whole - cut.usage.tokens_cut <= make.context
    (refused,) = it.model.score([ScoreRequest(make.prompt(text), CHOICES)])
    assert refused.kind == "too_long"
