"""Writing against transformers' own `generate`, and what must not depend on the batch."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuningfork.engine import decoder
from tuningfork.engine import generate as generate_
from tuningfork.model import Answer, Failure, GenerateRequest, OneOf, Regex
from tuningfork.task import Message, Prompt

KINDS = ("llama", "gpt2", "qwen3", "gemma", "gemma2", "mistral", "granite")


def reference(it, prompt, steps):
    """(text, nats, tokens written, why it stopped) by greedy steps over whole texts, one at a time."""
    ids = it.ids(it.text(prompt))
    wrote, nats = [], 0.0
    with torch.no_grad():
        while len(wrote) < steps:
            chances = torch.log_softmax(it.net(torch.tensor([ids + wrote])).logits[0, -1].float(), -1)
            token = int(chances.argmax())
            nats += float(chances[token])
            if token == 2:
                break
            wrote.append(token)
    text = it.tokenizer.decode(wrote, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text, nats, wrote, "end" if len(wrote) < steps else "length"


def requests(make, **more):
    shots = [("I was charged twice", "billing")]
    return [GenerateRequest(make.prompt(text, shots), **{"max_tokens": 12, **more}) for text in make.corpus]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chat", [True, False], ids=["chat", "plain"])
def test_greedy_equals_plain_transformers(tiny, make, kind, chat):
    it = tiny(kind, chat)
    asked = requests(make)
    for request, found in zip(asked, it.model.generate(asked), strict=True):
        text, nats, wrote, why = reference(it, request.prompt, 12)
        assert isinstance(found, Answer)
        assert (found.text, found.usage.tokens_out) == (text, len(wrote))
        assert found.nats == pytest.approx(nats, abs=1e-3)
        assert found.why_stopped == why


def test_greedy_equals_generate_of_transformers(tiny, make):
    it = tiny("llama")
    for request, found in zip(requests(make), it.model.generate(requests(make)), strict=True):
        ids = torch.tensor([it.ids(it.text(request.prompt))])
        out = it.net.generate(ids, do_sample=False, max_new_tokens=12, attention_mask=torch.ones_like(ids))
        assert found.text == it.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_the_end_token_ends_it(tiny, make, kind, monkeypatch):
    """Rows end at different steps, so the batch is packed anew on the way."""
    it = tiny(kind)
    written = [reference(it, request.prompt, 12)[2] for request in requests(make)]
    rows_with = {token: sum(token in row for row in written) for row in written for token in row}
    end = max((token for token, rows in rows_with.items() if rows < len(written)), key=rows_with.__getitem__)
    monkeypatch.setitem(it.model._renderer.__dict__, "end_ids", frozenset({end}))
    found = it.model.generate(requests(make))
    assert {entry.why_stopped for entry in found} == {"end", "length"}
    for row, entry in zip(written, found, strict=True):
        kept = row[: row.index(end)] if end in row else row
        assert entry.text == it.tokenizer.decode(kept, skip_special_tokens=True)
        assert entry.usage.tokens_out == len(kept)


@pytest.mark.parametrize("kind", ["llama", "mistral"])
@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_answers_do_not_depend_on_the_batch(tiny, make, kind, temperature):
    it = tiny(kind)
    asked = [
        GenerateRequest(make.prompt(f"{make.corpus[i % 5]} {i}"), 3 + i % 9, (), temperature, seed=i) for i in range(40)
    ]
    together = [entry.text for entry in it.model.generate(asked)]
    assert together[::7] == [it.model.generate([request])[0].text for request in asked[::7]]
    assert together[::-1] == [entry.text for entry in it.model.generate(asked[::-1])]


def test_seeds_belong_to_requests(tiny, make):
    model, prompt = tiny("llama").model, make.prompt("hello")
    seeds = (1, 2, 1, 3)
    texts = [e.text for e in model.generate([GenerateRequest(prompt, 8, temperature=2.0, seed=s) for s in seeds])]
    assert texts[0] == texts[2] and len(set(texts)) == 3


@pytest.mark.parametrize("kind", ["llama", "mistral"])
@pytest.mark.parametrize("stop", [(), ("e",), ("zz", "an")])
def test_streamed_pieces_make_the_text(tiny, make, kind, stop):
    pieces: dict[int, list[str]] = {}
    asked = requests(make, stop=stop, temperature=1.0, max_tokens=30)
    found = tiny(kind).model.generate(asked, lambda index, piece: pieces.setdefault(index, []).append(piece))
    for index, entry in enumerate(found):
        assert "".join(pieces.get(index, [])) == entry.text
        assert "" not in pieces.get(index, [])
    assert max(map(len, pieces.values())) > 1, "it streams"


def test_stop_strings_cut_the_text_before_them(tiny, make):
    it = tiny("llama")
    asked = requests(make, max_tokens=30, temperature=1.0)
    whole = [entry.text for entry in it.model.generate(asked)]
    stops = tuple(re.findall(r"[^\ufffd]{2}", text)[-1] for text in whole[:3])
    found = it.model.generate(requests(make, max_tokens=30, temperature=1.0, stop=stops))
    for text, entry in zip(whole, found, strict=True):
        first = min((text.index(stop) for stop in stops if stop in text), default=None)
        if first is not None:
            assert (entry.text, entry.why_stopped) == (text[:first], "stop")
        assert not any(stop in entry.text for stop in stops)


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_nothing_is_streamed_that_may_begin_a_stop_string(tiny, make, kind):
    """Stop strings of several tokens: their beginning must not be out before their end is seen."""
    model = tiny(kind).model
    asked = requests(make, max_tokens=30, temperature=1.0)
    for index, whole in enumerate(model.generate(asked)):
        stop = max(re.findall(r"[^\ufffd]+", whole.text), key=len)
        pieces: list[str] = []
        request = dataclasses.replace(asked[index], stop=(stop,))
        (found,) = model.generate([request], lambda _, piece, to=pieces: to.append(piece))
        assert len(stop) > 3 and found.why_stopped == "stop"
        assert "".join(pieces) == found.text == whole.text[: whole.text.index(stop)]


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_max_tokens(tiny, make, kind):
    for most in (1, 2, 5):
        found = tiny(kind).model.generate(requests(make, max_tokens=most))
        assert all(e.usage.tokens_out == most for e in found if e.why_stopped == "length")
        assert all(e.usage.tokens_out < most for e in found if e.why_stopped == "end")


@pytest.mark.parametrize("kind", ["gpt2", "mistral"])
def test_a_row_that_fills_the_context_stops_there_and_spoils_nothing(tiny, make, kind):
    it = tiny(kind)
    room = make.context - len(it.ids(it.text(make.prompt(""))))
    full = [GenerateRequest(make.prompt("?" * (room - left)), 40) for left in (2, 3)]
    short = [GenerateRequest(make.prompt(text), 40) for text in make.corpus]
    found = it.model.generate([*full, *short])
    for request, entry, most in zip(full, found, (2, 3), strict=False):
        assert entry.text == reference(it, request.prompt, most)[0]
    for request, entry in zip(short, found[2:], strict=True):
        assert entry.text == reference(it, request.prompt, 40)[0]


def test_failures_stand_in_their_places(tiny, make):
    it = tiny("llama")
    good = GenerateRequest(make.prompt("hello"), 4)
    long = GenerateRequest(make.prompt("zq" * 400), 4)
    empty = GenerateRequest(Prompt((Message("user", ""),)))
    found = it.model.generate([long, good, empty, good])
    assert [type(entry) for entry in found] == [Failure, Answer, Failure, Answer]
    assert [found[0].kind, found[2].kind] == ["too_long", "empty_prompt"]
    assert str(make.context) in found[0].message
    assert found[1].text == found[3].text == it.model.generate([good])[0].text
    assert it.model.generate([]) == []


def test_what_prompts_share_is_read_once(tiny, make):
    model = tiny("llama").model
    together = [entry.usage for entry in model.generate(requests(make))]
    apart = [model.generate([request])[0].usage for request in requests(make)]
    assert together[0].tokens_reused == 0 and together[1].tokens_reused > 20
    assert [u.tokens_in + u.tokens_reused for u in together] == [u.tokens_in for u in apart]
    assert np.all([u.seconds > 0 for u in together])


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma", "t5"])
@pytest.mark.parametrize("temperature", [0.0, 1.2], ids=["greedy", "sampled"])
def test_batches_of_1_7_and_64_give_the_same(tiny, make, kind, temperature):
    """Prompts of three beginnings, of many lengths, with room for answers of many lengths."""
    model = tiny(kind).model
    asked = [
        GenerateRequest(
            make.prompt(f"{make.corpus[i % 5][: 5 + i]} {i}", [("I was charged twice", "billing")] * (i % 3)),
            max_tokens=1 + i % 11,
            temperature=temperature,
            top_p=1.0 if i % 2 else 0.8,
            seed=i,
        )
        for i in range(64)
    ]
    together = model.generate(asked)
    for size in (1, 7):
        apart = [entry for at in range(0, 21, size) for entry in model.generate(asked[at : at + size])]
        assert [entry.text for entry in apart] == [entry.text for entry in together[: len(apart)]]
        for one, other in zip(apart, together, strict=False):
            assert one.nats == pytest.approx(other.nats, abs=1e-3) and one.why_stopped == other.why_stopped


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_prompts_in_any_order_through_few_slots(tiny, make, data):
    """Rows enter and leave at all times; each answer is what plain transformers gives for its prompt alone."""
    it = tiny(data.draw(st.sampled_from(["llama", "gpt2", "gemma"])))
    words = st.sampled_from(["refund", " my password", " €", "x" * 30, "\n", " how-to"])
    texts = data.draw(st.lists(st.lists(words, min_size=1, max_size=6).map("".join), min_size=1, max_size=9))
    shots = st.integers(0, 2).map(lambda n: [("I was charged twice", "billing"), ("late", "other")][:n])
    asked = [
        GenerateRequest(make.prompt(text, data.draw(shots)), data.draw(st.integers(1, 9)))
        for text in texts
        if text.strip()
    ]
    slots = data.draw(st.integers(1, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder, "SLOTS", slots)
        patch.setattr(decoder, "STRIDE", 1)
        found = it.model.generate(asked)
    for request, entry in zip(asked, found, strict=True):
        text, nats, wrote, why = reference(it, request.prompt, request.max_tokens)
        assert (entry.text, entry.usage.tokens_out, entry.why_stopped) == (text, len(wrote), why)
        assert entry.nats == pytest.approx(nats, abs=1e-3)


def test_rows_leave_and_enter(tiny, make, monkeypatch):
    """Never more rows than slots, and no step is taken for a row that has ended."""
    monkeypatch.setattr(decoder, "SLOTS", 4)
    live: list[int] = []
    step = decoder.Slots.step
    monkeypatch.setattr(decoder.Slots, "step", lambda self, tokens: live.append(len(tokens)) or step(self, tokens))
    asked = [GenerateRequest(make.prompt(f"{make.corpus[0]} {i}"), max_tokens=1 + 3 * (i % 4)) for i in range(16)]
    found = tiny("llama").model.generate(asked)
    assert max(live) == 4
    assert sum(live) == sum(entry.usage.tokens_out - (entry.why_stopped == "length") for entry in found)


@pytest.mark.parametrize("kind", ["t5", "mt5", "bart"])
def test_encoder_decoders_equal_plain_transformers(tiny, make, kind):
    it = tiny(kind)
    asked = [GenerateRequest(make.prompt(text), 12) for text in make.corpus]
    begin = it.model._renderer.target_wrapping[0]
    for request, found in zip(asked, it.model.generate(asked), strict=True):
        ids = torch.tensor(it.model._renderer.encoder_ids([it.model._renderer.text(request.prompt)]))
        wrote, nats = [], 0.0
        with torch.no_grad():
            while len(wrote) < 12:
                answer = torch.tensor([[it.model._weights.decoder_start, *begin, *wrote]])
                chances = torch.log_softmax(it.net(input_ids=ids, decoder_input_ids=answer).logits[0, -1], -1)
                token = int(chances.argmax())
                nats += float(chances[token])
                if token in it.model._renderer.end_ids:
                    break
                wrote.append(token)
        assert found.text == it.tokenizer.decode(wrote, skip_special_tokens=True)
        assert found.usage.tokens_out == len(wrote) and found.usage.tokens_in == ids.shape[1]
        assert found.nats == pytest.approx(nats, abs=1e-3)


def test_a_state_space_model_equals_plain_transformers(make, tmp_path):
    tokenizer = make.tokenizer(True)
    config = transformers.MambaConfig(
        vocab_size=len(tokenizer), hidden_size=32, state_size=4, num_hidden_layers=2, initializer_range=0.25,
        pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    net = transformers.MambaForCausalLM(config).eval()
    net.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = make.open(tmp_path)
    asked = [GenerateRequest(make.prompt(text), most) for text, most in zip(make.corpus * 2, range(3, 13), strict=True)]
    for request, found in zip(asked, model.generate(asked), strict=True):
        ids = torch.tensor(model._renderer.ids([model._renderer.text(request.prompt)]))
        out = net.generate(ids, do_sample=False, max_new_tokens=request.max_tokens, use_cache=False)
        assert found.text == tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)


def test_top_p_keeps_the_likeliest(tiny, make):
    """With little of it only the likeliest token is left, at any temperature; with a part, none beyond it is drawn."""
    it = tiny("llama")
    prompt = make.prompt("hello")
    greedy = it.model.generate([GenerateRequest(prompt, 8)])[0]
    narrow = it.model.generate([GenerateRequest(prompt, 8, temperature=3.0, top_p=1e-6)])[0]
    assert narrow.text == greedy.text
    with torch.no_grad():
        chances = torch.softmax(it.net(torch.tensor([it.ids(it.text(prompt))])).logits[0, -1] / 2.0, -1)
    best, order = chances.sort(descending=True)
    kept = order[: int((best.cumsum(0) < 0.5).sum()) + 1]
    asked = [GenerateRequest(prompt, 1, temperature=2.0, top_p=0.5, seed=seed) for seed in range(200)]
    texts = {entry.text for entry in it.model.generate(asked)}
    allowed = {it.tokenizer.decode([int(token)], skip_special_tokens=True) for token in kept}
    assert texts <= allowed and len(texts) > 0.7 * len(allowed)


def test_samples_have_the_models_probabilities(tiny, make):
    it = tiny("llama")
    prompt = make.prompt("hello")
    with torch.no_grad():
        chances = torch.softmax(it.net(torch.tensor([it.ids(it.text(prompt))])).logits[0, -1] / 0.7, -1)
    asked = [GenerateRequest(prompt, 1, temperature=0.7, seed=seed) for seed in range(2000)]
    nats = np.array([entry.nats for entry in it.model.generate(asked)])
    with torch.no_grad():
        plain = torch.log_softmax(it.net(torch.tensor([it.ids(it.text(prompt))])).logits[0, -1], -1)
    for token in chances.topk(3).indices:
        share = np.mean(np.abs(nats - float(plain[token])) < 1e-4)
        assert share == pytest.approx(float(chances[token]), abs=0.04), "0.04 is 3.6 standard errors at worst"


@pytest.mark.parametrize(
    ("wrong", "kind", "said"),
    [
        ({"max_tokens": 0}, "max_tokens", "max_tokens is 0"),
        ({"max_tokens": -3}, "max_tokens", "max_tokens is -3"),
        ({"stop": ("a", "")}, "empty_stop", "stop string is empty"),
        ({"temperature": -0.5}, "temperature", "-0.5"),
        ({"temperature": float("nan")}, "temperature", "nan"),
        ({"top_p": 0.0}, "top_p", "top_p is 0.0"),
        ({"top_p": 1.5}, "top_p", "top_p is 1.5"),
        ({"prompt": Prompt((Message("user", "half \ud83d of it"),))}, "not_unicode", "surrogate"),
        ({"prompt": Prompt((Message("user", " \n"),))}, "empty_prompt", "empty"),
        ({"prompt": Prompt(())}, "empty_prompt", "empty"),
        ({"prompt": Prompt((Message("user", "zq" * 400),))}, "too_long", "256"),
        ({"constraint": Regex("(")}, "constraint", "'('"),
    ],
)
@pytest.mark.parametrize("model", ["llama", "mistral"])
def test_bad_requests_fail_alone(tiny, make, model, wrong, kind, said):
    good = GenerateRequest(make.prompt("hello"), 4)
    alone = tiny(model).model.generate([good])[0].text
    before, found, after = tiny(model).model.generate([good, dataclasses.replace(good, **wrong), good])
    assert (found.kind, before.text, after.text) == (kind, alone, alone)
    assert said in found.message


def test_a_prompt_that_leaves_no_room_names_both_lengths(tiny, make):
    it = tiny("t5")
    prompt = make.prompt("zq" * 400)
    (found,) = it.model.generate([GenerateRequest(prompt, 4)])
    assert found.kind == "too_long" and str(it.model._weights.context_tokens) in found.message


def test_weights_that_give_nan_fail_the_answer(tiny, make, monkeypatch):
    model = tiny("llama").model
    logits = model._weights.logits
    monkeypatch.setattr(model._weights, "logits", lambda states: logits(states) * float("nan"))
    (found,) = model.generate([GenerateRequest(make.prompt("hello"), 4)])
    assert (type(found), found.kind) == (Failure, "nan")


def test_a_row_that_gives_nan_spoils_none_after_it_in_its_place(tiny, make, monkeypatch):
    """Its keys and values are no numbers, and lie where a shorter row comes next."""
    it = tiny("llama")
    monkeypatch.setattr(decoder, "SLOTS", 1)
    asked = [GenerateRequest(make.prompt(text, system=""), 6) for text in ("zq " * 20, "one two", "one three")]
    expected = it.model.generate(asked[1:])
    token = it.tokenizer("zq", add_special_tokens=False)["input_ids"][0]
    table = it.model._weights.net.get_input_embeddings().weight.data
    before = table[token].clone()
    table[token] = float("nan")
    try:
        spoilt, *found = it.model.generate(asked)
    finally:
        table[token] = before
    assert isinstance(spoilt, Failure) and spoilt.kind == "nan"
    assert [entry.text for entry in found] == [entry.text for entry in expected]


def short_of_memory(monkeypatch, home, name, rows_at, after):
    """Memory for three rows side by side, once so many calls went well. Gives how many rows each call had."""
    real, sizes = getattr(home, name), []

    def limited(*given):
        sizes.append(len(given[rows_at]))
        if len(sizes) > after and sizes[-1] > 3:
            raise torch.OutOfMemoryError("too little")
        return real(*given)

    monkeypatch.setattr(home, name, limited)
    return sizes


@pytest.mark.parametrize(
    ("kind", "home", "name", "rows_at", "after"),
    [
        ("llama", decoder.Slots, "step", 1, 3),
        ("llama", decoder.Slots, "_enter", 1, 0),
        ("llama", generate_, "_choose", 3, 3),
        ("mistral", decoder.Whole, "_pass", 1, 3),
        ("mistral", decoder.Whole, "_pass", 1, 0),
        ("t5", decoder.Encoded, "_pass", 1, 3),
        ("bart", decoder.Encoded, "_pass", 1, 3),
    ],
)
@pytest.mark.parametrize("temperature", [0.0, 1.2], ids=["greedy", "sampled"])
def test_short_of_memory_fewer_rows_go_on_from_what_they_have_written(
    tiny, make, monkeypatch, kind, home, name, rows_at, after, temperature
):
    model = tiny(kind).model
    asked = [
        GenerateRequest(make.prompt(f"{make.corpus[0]} {i}"), 6 + i % 5, (), temperature, seed=i) for i in range(7)
    ]
    expected = model.generate(asked)
    sizes = short_of_memory(monkeypatch, home, name, rows_at, after)
    pieces: dict[int, str] = {}
    found = model.generate(asked, lambda index, piece: pieces.update({index: pieces.get(index, "") + piece}))
    assert max(sizes[after:]) > 3 >= sizes[-1]
    for index, (one, other) in enumerate(zip(found, expected, strict=True)):
        assert (one.text, one.why_stopped) == (other.text, other.why_stopped)
        assert one.nats == pytest.approx(other.nats, abs=1e-3)
        assert dataclasses.replace(one.usage, seconds=0) == dataclasses.replace(other.usage, seconds=0)
        assert pieces.get(index, "") == one.text, "nothing is said twice"


def test_a_constraint_is_kept_where_memory_runs_short(tiny, make, monkeypatch):
    labels = ("billing and plans", "login problem", "other things")
    asked = [GenerateRequest(make.prompt(f"hello {i}"), 20, constraint=OneOf(labels)) for i in range(7)]
    short_of_memory(monkeypatch, decoder.Slots, "step", 1, 2)
    assert {entry.text for entry in tiny("llama").model.generate(asked)} <= set(labels)


def test_a_row_that_memory_is_too_little_for_alone_fails_and_its_neighbours_do_not(tiny, make, monkeypatch):
    model = tiny("llama").model
    asked = [GenerateRequest(make.prompt(text, system=""), 5) for text in ("one", "long " * 60, "two", "three")]
    expected = model.generate(asked)
    step = decoder.Slots.step

    def limited(self, tokens):
        if max(len(row.ids) for row in self._live) > 90:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return step(self, tokens)

    monkeypatch.setattr(decoder.Slots, "step", limited)
    found = model.generate(asked)
    assert [getattr(entry, "kind", "fine") for entry in found] == ["fine", "memory", "fine", "fine"]
    assert all(found[i].text == expected[i].text for i in (0, 2, 3))


def test_other_errors_are_not_taken_for_short_memory(tiny, make, monkeypatch):
    def broken(self, tokens):
        raise RuntimeError("something else")

    monkeypatch.setattr(decoder.Slots, "step", broken)
    with pytest.raises(RuntimeError, match="something else"):
        tiny("llama").model.generate([GenerateRequest(make.prompt("hello"), 4)])


def test_keys_and_values_take_a_part_of_the_free_memory(tiny, monkeypatch):
    weights = tiny("llama").model._weights
    a_row = 100 * (2 * 2 * 2 * 8 * 4)  # tokens, keys and values, layers, heads, their size, bytes of a number
    monkeypatch.setattr(decoder, "free_bytes", lambda device: 3 * 5 * a_row)
    assert decoder._slots(weights, 100) == 5
    monkeypatch.setattr(decoder, "CPU_BYTES", 2 * a_row)
    assert decoder._slots(weights, 100) == 2


def test_pieces_of_a_request_come_in_order_those_of_many_by_turns(tiny, make):
    order: list[int] = []
    pieces: dict[int, str] = {}

    def say(index, piece):
        order.append(index)
        pieces[index] = pieces.get(index, "") + piece

    asked = [GenerateRequest(make.prompt(text), 20, temperature=1.0) for text in make.corpus]
    found = tiny("llama").model.generate(asked, say)
    assert [pieces.get(i, "") for i in range(5)] == [entry.text for entry in found]
    assert order != sorted(order), "they take turns"


def test_constraints_and_stop_strings_together(tiny, make):
    request = GenerateRequest(make.prompt("hello"), 20, stop=("ing", "her"), constraint=OneOf(("billing", "other")))
    (found,) = tiny("llama").model.generate([request])
    assert (found.text, found.why_stopped) in {("bill", "stop"), ("ot", "stop")}


@pytest.mark.parametrize("kind", ["llama", "mistral", "t5"])
@pytest.mark.parametrize("how", ["keep_start", "keep_end"])
def test_a_prompt_that_may_be_cut_leaves_room_for_its_answer(tiny, make, kind, how):
    """And says how much was cut; the answer is that of the prompt that is left."""
    it = tiny(kind)
    short = make.prompt("hello")
    text = " ".join(f"word{i}" for i in range(120))
    long = dataclasses.replace(make.prompt(text), overlong=how, loose=(0, len(text)))
    found = it.model.generate([GenerateRequest(p, 9) for p in (short, long, make.prompt(text))])
    assert [type(entry) for entry in found] == [Answer, Answer, Failure]
    usage = found[1].usage
    beside = 0 if kind == "t5" else 9
    assert usage.tokens_cut > 100 and usage.tokens_in + usage.tokens_reused + beside <= it.model._weights.context_tokens
    assert found[1].why_stopped == "end" or usage.tokens_out == 9
    assert found[0].usage.tokens_cut == 0
