"""The cache of answers: what is one question and what is another, and that nobody can tell a known answer from a new
one."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuningfork.errors import ModelError, UserError
from tuningfork.model import (
    Answer,
    EmbedRequest,
    Failure,
    GenerateRequest,
    JsonSchema,
    OneOf,
    Recipe,
    Regex,
    ScoreRequest,
    Scores,
    TuneItem,
    Usage,
    Vector,
)
from tuningfork.models import cache as cache_
from tuningfork.models.cache import AnswerCache, Cached, answers_file, keys_of, open_cache, pack, unpack
from tuningfork.models.fake import FakeModel
from tuningfork.task import Message, Prompt, Text

MIB = 1 << 20
CHOICES = ("billing", "bugs")


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[AnswerCache]:
    with AnswerCache(tmp_path / "answers.sqlite", 64 * MIB) as made:
        yield made


def prompt(text: str) -> Prompt:
    return Prompt((Message("system", "Which team? one of: billing, bugs"), Message("user", text)), 1)


def scored(*texts: str) -> list[ScoreRequest]:
    return [ScoreRequest(prompt(text), CHOICES) for text in texts]


def written(*texts: str, **more: Any) -> list[GenerateRequest]:
    return [GenerateRequest(prompt(text), **more) for text in texts]


class ByTheCall(FakeModel):
    """Charges a prompt's shared part to the first request of a call, as an engine that shares does."""

    def score(self, requests):
        found = super().score(requests)
        return [
            entry if isinstance(entry, Failure) else replace(entry, usage=Usage(tokens_in=9 if index else 109))
            for index, entry in enumerate(found)
        ]


# Keys

any_text = st.text(st.characters(exclude_categories=()), max_size=4)
words = any_text | st.sampled_from(["", "a", "1:a", "\ud83d\ude00", "😀"])
contents = words | st.lists(st.builds(Text, words), max_size=2).map(tuple)
messages = st.builds(Message, st.sampled_from(["system", "user", "assistant"]), contents)
prompts = st.builds(
    Prompt, st.lists(messages, max_size=3).map(tuple), st.integers(0, 2), st.sampled_from(["fail", "keep_end"])
)
numbers = st.sampled_from([0, 1, 2, 0.0, 1.0, 0.5, -0.0, True])
tuples = st.lists(words, max_size=3).map(tuple)
constraints = st.none() | st.builds(OneOf, tuples) | st.builds(Regex, words) | st.builds(JsonSchema, words)
requests = (
    st.builds(ScoreRequest, prompts, tuples)
    | st.builds(GenerateRequest, prompts, numbers, tuples, numbers, numbers, numbers, constraints)
    | st.builds(EmbedRequest, prompts | contents, numbers, st.sampled_from([None, "mean", "last"]), numbers)
)


@settings(max_examples=300, deadline=None)
@given(st.lists(requests, min_size=2, max_size=6))
def test_equal_requests_share_a_key_and_others_never_do(asked: list[Any]) -> None:
    keys = keys_of("model", "score", [*asked, copy.deepcopy(asked[0])])
    assert keys[-1] == keys[0]
    for one, key in zip(asked, keys, strict=False):
        for other, its in zip(asked, keys, strict=False):
            assert (key == its) == (one == other and type(one) is type(other))


def changed(value: Any) -> Any:
    """Another value of the same kind."""
    match value:
        case None:
            return OneOf(("a",))
        case bool():
            return not value
        case int() | float():
            return value + 0.25
        case str():
            return value + " "
        case Prompt():
            return replace(value, messages=value.messages[1:])
        case _:
            return (*value, "more")


EACH_KIND = [*scored("a"), *written("a", stop=("b",)), EmbedRequest("a", pooling="mean")]


@pytest.mark.parametrize("request_", EACH_KIND, ids=lambda request: type(request).__name__)
def test_every_field_counts(request_: Any) -> None:
    others = [replace(request_, **{field.name: changed(getattr(request_, field.name))}) for field in fields(request_)]
    assert len(set(keys_of("m", "score", [request_, *others]))) == 1 + len(others)


def test_model_and_call_and_version_count(monkeypatch: pytest.MonkeyPatch) -> None:
    one = scored("a")
    before = keys_of("weights-fp32", "score", one)
    assert before == keys_of("weights-fp32", "score", one)
    assert before != keys_of("weights-bf16", "score", one) and before != keys_of("weights-fp32", "embed", one)
    monkeypatch.setattr(cache_, "__version__", "another")
    assert before != keys_of("weights-fp32", "score", one)


def test_roles_order_and_joints_count() -> None:
    told = Message("user", "ab")
    turns = [
        (told,),
        (Message("assistant", "ab"),),
        (Message("user", "a"), Message("user", "b")),
        (Message("user", "b"), Message("user", "a")),
        (Message("user", (Text("ab"),)),),
        (Message("user", (Text("a"), Text("b"))),),
    ]
    asked = [ScoreRequest(Prompt(turn), choices) for turn in turns for choices in (("a", "b"), ("b", "a"), ("ab",))]
    assert len(set(keys_of("m", "score", asked))) == len(asked)


def test_keys_are_the_same_in_another_process() -> None:
    code = (
        "from tuningfork.models.cache import keys_of; from tuningfork.model import *; from tuningfork.task import *;"
        "print(keys_of('m', 'score', [ScoreRequest(Prompt((Message('user', 'é'),)), ('a', 'b'))])[0].hex())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    (here,) = keys_of("m", "score", [ScoreRequest(Prompt((Message("user", "é"),)), ("a", "b"))])
    assert said.strip() == here.hex()


def test_what_has_no_place_in_a_key_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes"):
        keys_of("m", "embed", [EmbedRequest(b"bytes")])  # type: ignore[arg-type]


# What is kept

finite = st.floats(allow_nan=False)
usages = st.builds(
    Usage, **{f.name: finite if f.name in ("seconds", "usd") else st.integers(0, 2**40) for f in fields(Usage)}
)
results = st.builds(Scores, st.lists(finite).map(tuple), st.lists(st.integers()).map(tuple), st.booleans(), usages)
answers = st.builds(Answer, any_text, st.none() | finite, st.text(), usages)


@settings(deadline=None)
@given(results | answers)
def test_answers_come_back_as_they_were(result: Any) -> None:
    assert unpack(pack(result)) == result


@settings(deadline=None)
@given(st.lists(st.floats(width=32)), usages)
def test_vectors_come_back_bit_for_bit(values: list[float], usage: Usage) -> None:
    vector = Vector(np.array(values, dtype=np.float32), usage)
    again = unpack(pack(vector))
    assert isinstance(again, Vector) and again.usage == usage and again.values.dtype == np.float32
    assert again.values.tobytes() == vector.values.tobytes() and again.values.flags.writeable


def test_numbers_of_numpy_come_back_as_plain_ones() -> None:
    assert unpack(pack(Scores((np.float32(-0.5),), (np.int64(3),)))) == Scores((-0.5,), (3,))  # type: ignore[arg-type]


# The wrapper


@pytest.mark.parametrize("kind", ["causal", "encoder"])
def test_contract_cold_and_warm(model_contract: Callable[..., None], cache: AnswerCache, kind: Any) -> None:
    for _ in range(2):
        model_contract(Cached(FakeModel(kind=kind), cache), tolerance=0.0)
    assert not cache.troubles


@pytest.mark.parametrize(
    ("call", "asked"),
    [
        ("score", scored("a", "b", "c")),
        ("generate", written("a", "b")),
        ("embed", [EmbedRequest("a"), EmbedRequest("b")]),
    ],
)
def test_only_what_is_new_is_asked_and_everything_stands_in_its_place(
    cache: AnswerCache, call: str, asked: list[Any]
) -> None:
    bare, model = FakeModel(), FakeModel()
    cached = Cached(model, cache)
    getattr(cached, call)(asked[1:2])
    found = getattr(cached, call)(asked)
    for one, other in zip(found, getattr(bare, call)(asked), strict=True):
        assert pack(one) == pack(other)
    assert model.calls[call] == 2 and model.requests[call] == len(asked), "one call for all that is new"
    again = getattr(Cached(FakeModel(raise_on=lambda text: True, id="fake"), cache), call)
    with pytest.raises(RuntimeError):
        again([*asked[:1]])  # another script is another model
    assert [pack(one) for one in getattr(cached, call)(asked)] == [pack(one) for one in found]
    assert model.calls[call] == 2
    assert cache.counts == {"asked": 1 + 2 * len(asked), "found": 1 + len(asked)}


def test_what_stands_twice_in_a_call_is_asked_once(cache: AnswerCache) -> None:
    model = FakeModel()
    first, second, third = Cached(model, cache).score(scored("a", "b", "a"))
    assert first == third != second and model.requests["score"] == 2


def test_an_answer_costs_what_it_cost_the_first_time(cache: AnswerCache) -> None:
    def charged(model: Any, *texts: str) -> list[int]:
        return [entry.usage.tokens_in for entry in model.score(scored(*texts))]

    calls = [("a", "b", "a"), ("b", "c", "d"), ("a", "e")]
    cold = [charged(Cached(ByTheCall(), cache), *texts) for texts in calls]
    assert cold == [[109, 9, 109], [9, 109, 9], [109, 109]]
    assert [charged(Cached(ByTheCall(), cache), *texts) for texts in calls] == cold


def test_failures_are_asked_again(cache: AnswerCache) -> None:
    trouble = [True]
    model = FakeModel(fail_on=lambda text: trouble[0] and "bad" in text)
    cached = Cached(model, cache)
    before = cached.score(scored("good", "bad", "bad"))
    assert [type(entry) for entry in before] == [Scores, Failure, Failure]
    trouble[0] = False
    assert isinstance(cached.score(scored("good", "bad"))[1], Scores)
    assert model.requests["score"] == 3


def test_an_adapter_is_another_model_with_the_same_cache(cache: AnswerCache) -> None:
    model = FakeModel(kind="encoder")
    cached = Cached(model, cache)
    items = [TuneItem(prompt(text), text, CHOICES) for text in CHOICES]
    others = [TuneItem(prompt("quite another text"), text, CHOICES) for text in CHOICES]
    tuned = [cached.tune(Recipe(), learned, []) for learned in (items, items, others)]
    assert model.calls["tune"] == 3, "tuning is never known"
    plain, one, same, other = cached, *(cached.adapted(t.adapter) for t in tuned)
    vectors = [m.embed([EmbedRequest("a")])[0].values.tobytes() for m in (plain, one, other)]  # type: ignore[union-attr]
    assert len(set(vectors)) == 3 and model.requests["embed"] == 3
    assert same.embed([EmbedRequest("a")])[0].values.tobytes() == vectors[1]  # type: ignore[union-attr]
    assert model.requests["embed"] == 3, "the same training, the same adapter, the same answers"


def test_text_is_streamed_new_or_known(cache: AnswerCache) -> None:
    cached = Cached(FakeModel(answers=lambda text: f"all of {text}"), cache)

    def streamed(*texts: str) -> dict[int, list[str]]:
        pieces: dict[int, list[str]] = {}
        cached.generate(written(*texts), lambda index, piece: pieces.setdefault(index, []).append(piece))
        return pieces

    assert streamed("b")[0] == ["all", " of", " b"]
    pieces = streamed("a", "b", "c", "a")
    assert pieces == {0: ["all", " of", " a"], 1: ["all of b"], 2: ["all", " of", " c"], 3: ["all of a"]}


def test_another_seed_is_another_draw(cache: AnswerCache) -> None:
    model = FakeModel()
    cached = Cached(model, cache)
    for seed in (1, 2, 1, 2):
        cached.generate(written("a", temperature=1.0, seed=seed))
    assert model.requests["generate"] == 2


def test_what_a_model_can_not_do_is_said_also_of_nothing(cache: AnswerCache) -> None:
    for asked in ([], scored("a")):
        with pytest.raises(ModelError, match="score"):
            Cached(FakeModel(kind="encoder"), cache).score(asked)


def test_trouble_with_the_disk_only_costs_asking_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with AnswerCache(tmp_path / "file" / "answers.sqlite", MIB) as cache:
        model = FakeModel()
        cached = Cached(model, cache)
        assert cached.score(scored("a")) == cached.score(scored("a")) == FakeModel().score(scored("a"))
        assert model.requests["score"] == 2 and cache.counts == {"asked": 2, "found": 0}
        (said,) = cache.troubles
        assert said.startswith("The cache of answers: ") and "without it" in said


# Settings


def test_which_models_are_worth_it(cache: AnswerCache) -> None:
    fake = FakeModel()
    assert cache.before(fake) is fake
    fake.cacheable = True
    assert isinstance(cache.before(fake), Cached) and cache.counts == {}


def test_where_and_whether(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNINGFORK_CACHE", str(tmp_path))
    monkeypatch.delenv("TUNINGFORK_NO_CACHE")
    with open_cache() as cache, open_cache(False) as none:
        assert cache is not None and none is None
        assert cache.store.path == tmp_path / "answers.sqlite" == answers_file()
        assert cache.store.most_bytes == 1 << 30
    monkeypatch.setenv("TUNINGFORK_NO_CACHE", "1")
    with open_cache() as cache:
        assert cache is None
    assert list(tmp_path.iterdir()) == []


def test_the_most_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNINGFORK_ANSWERS_GIB", "0.5")
    assert AnswerCache().store.most_bytes == 1 << 29
    for wrong in ("0", "-1", "much", "nan", "inf"):
        monkeypatch.setenv("TUNINGFORK_ANSWERS_GIB", wrong)
        with pytest.raises(UserError, match=f"'{wrong}'"):
            AnswerCache()


def test_it_says_how_large_its_model_is(cache: AnswerCache) -> None:
    fake = FakeModel()
    assert Cached(fake, cache).parameters is None
    fake.parameters = 7  # type: ignore[attr-defined]
    assert Cached(fake, cache).parameters == 7
