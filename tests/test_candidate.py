"""Candidates are data: they come back from JSON as they were, and their name says all that they hold."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.candidate import (
    Calibration,
    Candidate,
    Cascade,
    Constant,
    Decoding,
    Function,
    Head,
    Nearest,
    Passages,
    Shot,
    Single,
    Stage,
    Steps,
    Template,
    Vote,
    blobs_of,
    constraint_of,
    from_dict,
    identity,
    labels_of,
    models_of,
    parts_of,
    to_dict,
)
from tuningfork.errors import DataError
from tuningfork.model import Adapter, JsonSchema, OneOf, Regex
from tuningfork.store.blobs import Blob
from tuningfork.task import Message, Text

texts = st.text(max_size=12)
several = st.lists(texts, max_size=3).map(tuple)
numbers = st.floats(allow_nan=False, allow_infinity=False)
blobs = st.binary(max_size=20).map(Blob.of)
messages = st.builds(Message, st.sampled_from(["system", "user", "assistant"]), texts)
shots = st.builds(Shot, st.lists(st.tuples(texts, texts), max_size=2).map(tuple), texts)
pool = st.lists(shots, max_size=3).map(tuple)
adapters = st.builds(Adapter, texts, st.dictionaries(texts, blobs, max_size=2))
poolings = st.sampled_from([None, "mean", "last", "first"])
found_by = st.sampled_from(["embedding", "bm25", "both"])
constraints = st.builds(OneOf, several) | st.builds(Regex, texts) | st.builds(JsonSchema, texts)
singles = st.builds(
    Single,
    model=texts,
    labels=several,
    words=several,
    prompt=st.none() | st.builds(Template, st.lists(messages, max_size=3).map(tuple)),
    shots=pool | st.builds(Nearest, texts, pool, st.none() | blobs, st.integers(1, 9), found_by, numbers),
    adapter=st.none() | adapters,
    head=st.none() | st.builds(Head, blobs, st.integers(-3, 3), poolings, st.booleans()),
    calibration=st.none() | st.builds(Calibration, *[st.lists(numbers, max_size=3).map(tuple)] * 2),
    decoding=st.builds(
        Decoding, st.integers(1, 99), numbers, several, numbers, st.none() | constraints, st.integers(1, 9)
    ),
    answer_by=st.sampled_from(["score", "generate", "head"]),
    passages=st.none() | st.builds(Passages, blobs, texts, st.none() | blobs, st.integers(1, 9), found_by),
)
constants = st.builds(Constant, texts, several, st.lists(numbers, max_size=3).map(tuple))
leaves = singles | constants | st.builds(Function, texts, texts, several)
weights = st.lists(numbers, max_size=3).map(tuple)


def _made_of(parts: st.SearchStrategy[Candidate]) -> st.SearchStrategy[Candidate]:
    some = st.lists(parts, min_size=1, max_size=3).map(tuple)
    stages = st.lists(st.builds(Stage, texts, parts), min_size=1, max_size=3).map(tuple)
    votes = st.builds(Vote, some, st.sampled_from(["probability", "answer"]), weights)
    return st.builds(Steps, stages) | st.builds(Cascade, some, weights) | votes


candidates = st.recursive(leaves, _made_of, max_leaves=4)


def there_and_back(candidate: Candidate) -> Candidate:
    kept = {blob.sha256: blob for blob in blobs_of(candidate)}
    return from_dict(json.loads(json.dumps(to_dict(candidate))), kept.__getitem__)


@given(candidates)
def test_a_candidate_comes_back_from_json_as_it_was(candidate: Candidate) -> None:
    again = there_and_back(candidate)
    assert again == candidate and identity(again) == identity(candidate)
    assert [blob.read() for blob in blobs_of(again)] == [blob.read() for blob in blobs_of(candidate)]


@given(candidates, candidates)
def test_two_have_one_name_only_if_they_are_one(one: Candidate, other: Candidate) -> None:
    assert (identity(one) == identity(other)) == (to_dict(one) == to_dict(other))


FULL = Single(
    "m", ("a", "b"), ("a", "b"), Template((Message("user", "{{text}}"),)), (Shot((("text", "x"),), "a"),),
    Adapter.of("base", {"adapter_model.safetensors": b"w"}), Head(Blob.of(b"h")), Calibration((0.5, -0.5)),
)  # fmt: skip
OTHER: dict[str, Any] = {
    "exclusive": False,
    "model": "n", "labels": ("a", "c"), "words": ("a", "c"), "prompt": None, "shots": (), "adapter": None,
    "head": Head(Blob.of(b"h2")), "calibration": Calibration((0.5, -0.4)), "decoding": Decoding(1), "answer_by": "head",
    "overlong": "keep_end", "passages": Passages(Blob.of(b"[]"), "", None, 3, "bm25"),
}  # fmt: skip


@pytest.mark.parametrize("part", [f.name for f in fields(Single)])
def test_every_part_is_in_the_name(part: str) -> None:
    assert identity(replace(FULL, **{part: OTHER[part]})) != identity(FULL)


def test_what_is_made_of_others_says_what_it_holds() -> None:
    picked = replace(FULL, model="n", shots=Nearest("e", (), Blob.of(b"v"), 2), adapter=None, head=None)
    steps = Steps((Stage("first", Constant("x")), Stage("answer", picked)))
    whole = Cascade((FULL, Vote((steps, FULL))), (0.8,))
    assert list(parts_of(whole)) == [FULL, Constant("x"), picked, FULL]
    assert models_of(whole) == ("m", "n", "e")
    assert labels_of(whole) == labels_of(steps) == ("a", "b")
    assert [blob.read() for blob in blobs_of(whole)] == [b"w", b"h", b"v", b"w", b"h"]


def test_the_name_is_the_same_in_every_process_and_version() -> None:
    """Runs on disk and stored versions are found by it, so it changes only with what candidates hold."""
    assert identity(Constant("a", ("a", "b"), (0.5, 0.5))) == "b76e65a1afc3"
    assert identity(FULL) == "af935dd4bfc1"


def test_a_decoding_of_before_is_read_and_an_unknown_constraint_is_refused() -> None:
    data = to_dict(FULL)
    assert data["decoding"] == {"max_tokens": 128, "temperature": 0.0, "stop": []}
    assert from_dict(data, {blob.sha256: blob for blob in blobs_of(FULL)}.__getitem__) == FULL
    for wrong in ({"one_of": "a"}, {"regex": 3}, {"grammar": "a"}, {"regex": "a", "one_of": ["a"]}):
        with pytest.raises(DataError, match="one_of, regex, json_schema"):
            constraint_of(wrong)


def test_parts_of_a_message_are_kept_as_their_text() -> None:
    parts = Single("m", prompt=Template((Message("user", (Text("one"), Text("two"))),)))
    again = there_and_back(parts)
    assert isinstance(again, Single) and again.prompt and again.prompt.messages[0].content == "one\ntwo"
    assert identity(again) == identity(parts)


def test_blobs_are_all_that_is_large() -> None:
    nearest = Nearest("e", (), Blob.of(b"v"), 2)
    assert {b.read() for b in blobs_of(replace(FULL, shots=nearest))} == {b"w", b"h", b"v"}
    assert blobs_of(Constant("a")) == blobs_of(Function("m:f")) == []


def test_what_a_later_version_wrote_is_refused() -> None:
    with pytest.raises(DataError, match=r"no candidate of type 'swarm'. Update"):
        from_dict({"type": "swarm", "parts": []}, lambda name: Blob.of(b""))
