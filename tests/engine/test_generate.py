"""Writing against transformers' own `generate`, and what must not depend on the batch."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch

from tuningfork.model import Answer, Failure, GenerateRequest
from tuningfork.task import Message, Prompt

KINDS = ("llama", "gpt2", "qwen3", "gemma2", "mistral", "granite")


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
