"""Tokens to text piece by piece, against decoding all of them at once."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from tuningfork.engine.spelling import Spelling, Text

MARK = "\u2581"
WORDS = [
    MARK,
    f"{MARK}he",
    "llo",
    f"{MARK}wor",
    "ld",
    ",",
    "é",
    f"{MARK}\u4f60",
    "\n",
    f"{MARK}{MARK}",
    "a",
    f"{MARK}a",
]


def marked(decoder: str):
    """A tokenizer that marks words and spells what it doesn't know in bytes, as sentencepiece models do; with the
    decoder of Llama 2, or that of T5."""
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0)]
    pieces += [(f"<0x{byte:02X}>", -20.0) for byte in range(256)] + [(word, -1.0 - i) for i, word in enumerate(WORDS)]
    made = Tokenizer(models.Unigram(pieces, 0, byte_fallback=True))
    if decoder == "llama":
        made.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
        made.decoder = decoders.Sequence(
            [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
    else:
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


@pytest.fixture(scope="module")
def tokenizer_of(make):
    return cache(lambda kind: make.tokenizer(True) if kind == "bytes" else marked(kind))


def whole(tokenizer, ids):
    return tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def spelt(tokenizer, ids, before=()):
    spelling = Spelling(tokenizer, before)
    pieces = [spelling.add(token) for token in ids]
    return [*pieces, spelling.rest()]


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_any_tokens_of_a_byte_level_vocabulary(tokenizer_of, data):
    """Half characters and all: special tokens are among them, and bytes that no character has."""
    tokenizer = tokenizer_of("bytes")
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=40))
    assert "".join(spelt(tokenizer, ids)) == whole(tokenizer, ids)


@pytest.mark.parametrize("kind", ["bytes", "llama", "t5"])
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<|>"), max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_text(tokenizer_of, kind, text):
    tokenizer = tokenizer_of(kind)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert "".join(spelt(tokenizer, ids)) == whole(tokenizer, ids)


@pytest.mark.parametrize("kind", ["llama", "t5"])
@given(words=st.lists(st.sampled_from(WORDS), max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_words_with_their_spaces(tokenizer_of, kind, words):
    tokenizer = tokenizer_of(kind)
    ids = tokenizer.convert_tokens_to_ids(words)
    assert "".join(spelt(tokenizer, ids)) == whole(tokenizer, ids)
    after = tokenizer.convert_tokens_to_ids(["a"])
    assert "".join(spelt(tokenizer, ids, after)) == "".join(words).replace(MARK, " ")


def test_half_a_character_waits(tokenizer_of):
    tokenizer = tokenizer_of("bytes")
    ids = tokenizer("a€b", add_special_tokens=False)["input_ids"]
    assert len(ids) == 5 and spelt(tokenizer, ids) == ["a", "", "", "€", "b", ""]
    assert spelt(tokenizer, ids[:3]) == ["a", "", "", "\ufffd"]


def test_the_work_for_a_token_does_not_grow(tokenizer_of):
    """Only a short tail is decoded for each token."""
    tokenizer = tokenizer_of("bytes")
    ids = tokenizer("é a refund, €5 please. " * 30, add_special_tokens=False)["input_ids"]
    longest = 0

    def decode(window, **how):
        nonlocal longest
        longest = max(longest, len(window))
        return tokenizer.decode(window, **how)

    spelling = Spelling(tokenizer)
    spelling._tokenizer = SimpleNamespace(decode=decode)
    assert "".join(spelling.add(token) for token in ids) == whole(tokenizer, ids)
    assert len(ids) > 300 and longest < 20


@given(
    text=st.text("ab\n", max_size=30),
    stops=st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_stop_strings(tokenizer_of, text, stops):
    """The answer is what stands before the stop string that is complete first, and nothing of it is ever said."""
    tokenizer = tokenizer_of("bytes")
    said: list[str] = []
    written = Text(Spelling(tokenizer), stops, said.append)
    stopped = False
    for character in text:
        stopped = stopped or written.add(tokenizer.convert_tokens_to_ids("Ċ" if character == "\n" else character))
        assert "".join(said) == written.text[: len("".join(said))]
    stopped = stopped or written.end()
    ends = [n for n in range(len(text) + 1) if text[:n].endswith(tuple(stops))] if stops else []
    if ends:
        expected = min(text[: ends[0]].find(stop) for stop in stops if stop in text[: ends[0]])
        assert stopped and written.text == text[:expected] == "".join(said)
    else:
        assert not stopped and written.text == text == "".join(said)
    assert "" not in said
