"""The fake model: it keeps the contract, and behaves like a model where a race looks."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuningfork.errors import MethodError, ModelError
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
)
from tuningfork.models.fake import FakeModel
from tuningfork.task import Message, Prompt

WORDS = {
    "billing": ["invoice", "payment", "charged", "refund", "card", "price"],
    "access": ["password", "login", "locked", "account", "email", "reset"],
    "crash": ["crash", "error", "freeze", "screen", "update", "restart"],
}
LABELS = tuple(WORDS)


def texts(count: int, seed: int) -> list[tuple[str, str]]:
    """(text, label): three words of the label's six among words that say nothing."""
    dice = np.random.default_rng(seed)
    found = []
    for index in range(count):
        label = LABELS[index % len(LABELS)]
        own = dice.choice(WORDS[label], 3, replace=False)
        noise = [f"word{dice.integers(400)}" for _ in range(4)]
        found.append((" ".join(dice.permutation([*own, *noise])), label))
    return found


def prompt(text: str, shots: list[tuple[str, str]] | None = None) -> Prompt:
    turns = [turn for asked, said in shots or [] for turn in (Message("user", asked), Message("assistant", said))]
    return Prompt((Message("system", "Which team?"), *turns, Message("user", text)))


def nats(
    model: FakeModel, items: list[tuple[str, str]], shots: list[list[tuple[str, str]]] | None = None
) -> np.ndarray:
    asked = [ScoreRequest(prompt(text, shots[i] if shots else None), LABELS) for i, (text, _) in enumerate(items)]
    return np.array([scores.nats for scores in model.score(asked)])  # type: ignore[union-attr]


def accuracy(logits: np.ndarray, items: list[tuple[str, str]]) -> float:
    return float(np.mean([LABELS[k] == label for k, (_, label) in zip(logits.argmax(1), items, strict=True)]))


@pytest.mark.parametrize("kind", ["causal", "encoder"])
def test_contract(model_contract, kind):
    model_contract(FakeModel(kind=kind), tolerance=0.0)


def test_demonstrations_help_near_ones_more_calibration_and_tuning_too():
    train, test = texts(60, 0), texts(150, 1)
    model = FakeModel()
    plain = nats(model, test)
    vectors = np.stack([v.values for v in model.embed([EmbedRequest(text) for text, _ in train])])
    asked = np.stack([v.values for v in model.embed([EmbedRequest(text) for text, _ in test])])
    near = [[train[i] for i in np.argsort(row)[-6:]] for row in asked @ vectors.T]
    fixed = [train[:6]] * len(test)
    tuned = model.adapted(model.tune(Recipe(), [TuneItem(prompt(t), a, LABELS) for t, a in train], []).adapter)
    results = {
        "zero": accuracy(plain, test),
        "calibrated": accuracy(plain - nats(model, train).mean(0), test),
        "few": accuracy(nats(model, test, fixed), test),
        "near": accuracy(nats(model, test, near), test),
        "tuned": accuracy(nats(tuned, test), test),
    }
    assert results["zero"] < results["few"] < results["near"], results
    assert results["zero"] < results["calibrated"], results
    assert results["tuned"] > 0.85 and results["near"] > 0.8, results


def test_an_encoder_learns_a_head_that_works_on_adapted_vectors():
    train, test = texts(60, 0), texts(150, 1)
    model = FakeModel("fake-encoder", kind="encoder")
    tuned = model.tune(Recipe(), [TuneItem(prompt(t), a, LABELS) for t, a in train], [])
    adapted = model.adapted(tuned.adapter)
    vectors = np.stack([v.values for v in adapted.embed([EmbedRequest(text) for text, _ in test])])
    assert tuned.head is not None
    head = tuned.head.arrays()
    assert accuracy(vectors @ head["weight"].T + head["bias"], test) > 0.85
    with pytest.raises(ModelError, match="score"):
        adapted.score([])


def test_same_answers_in_another_process():
    code = (
        "import sys, json; from tuningfork.models.fake import FakeModel; from tuningfork.model import *;"
        "from tuningfork.task import *; p = Prompt((Message('user', 'my invoice is wrong'),));"
        "m = FakeModel(); t = m.tune(Recipe(), [TuneItem(p, 'billing')], []).adapter;"
        "print(json.dumps([m.identity, m.score([ScoreRequest(p, ('billing', 'crash'))])[0].nats,"
        "m.embed([EmbedRequest('hello there')])[0].values.tolist(), m.adapted(t).identity]))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] and json.loads(runs[0])


def test_scripts_answer_score_fail_and_raise():
    model = FakeModel(answers={"refund": "billing"}, fail_on="garbage", raise_on=lambda text: "boom" in text)
    said = model.generate(
        [GenerateRequest(prompt(text)) for text in ("a refund please", "garbage in", "nothing known")]
    )
    assert isinstance(said[0], Answer) and said[0].text == "billing"
    assert isinstance(said[1], Failure) and said[1].kind == "scripted"
    assert isinstance(said[2], Answer) and said[2].text == "nothing known"
    assert np.argmax(nats(model, [("a refund please", "billing")])) == LABELS.index("billing")
    with pytest.raises(RuntimeError, match="told to raise"):
        model.embed([EmbedRequest("boom")])
    assert FakeModel(answers=str.upper).generate([GenerateRequest(prompt("loud"))])[0].text == "LOUD"  # type: ignore[union-attr]


def test_generation_answers_as_shown_named_or_tuned_and_obeys_its_limits():
    model = FakeModel()
    shots = [("my invoice is wrong", "billing"), ("the screen freezes", "crash")]
    shown = model.generate([GenerateRequest(prompt("an invoice is wrong", shots))])[0]
    assert isinstance(shown, Answer) and shown.text == "billing"
    system = Message("system", "Which team?\nAnswer with exactly one of: billing, crash.")
    named = model.generate([GenerateRequest(Prompt((system, Message("user", "hm"))))])[0]
    assert isinstance(named, Answer) and named.text in ("billing", "crash")
    items = [TuneItem(prompt(text), json.dumps({"item": text})) for text, _ in texts(12, 3)]
    tuned = model.adapted(model.tune(Recipe(epochs=20), items, []).adapter)
    wrote = tuned.generate([GenerateRequest(item.prompt) for item in items])
    assert np.mean([w.text == i.target for w, i in zip(wrote, items, strict=True)]) > 0.9  # type: ignore[union-attr]
    cut = model.generate([GenerateRequest(prompt("one two three four"), max_tokens=2)])[0]
    assert isinstance(cut, Answer) and (cut.text, cut.why_stopped) == ("one two", "length")
    stopped = model.generate([GenerateRequest(prompt("one two. three"), stop=(".",))])[0]
    assert isinstance(stopped, Answer) and (stopped.text, stopped.why_stopped) == ("one two", "stop")


def test_generation_keeps_to_a_list_and_refuses_other_constraints():
    model = FakeModel(answers={"refund": "billing", "odd": "something else"})
    texts = ("other", "billing", "login")
    asked = [
        GenerateRequest(prompt("a refund"), constraint=OneOf(texts)),
        GenerateRequest(prompt("odd"), constraint=OneOf(texts)),
        GenerateRequest(prompt("a refund"), constraint=OneOf(())),
        GenerateRequest(prompt("a refund"), constraint=Regex("a+")),
        GenerateRequest(prompt("a refund"), constraint=JsonSchema("{}")),
        GenerateRequest(prompt("a refund"), max_tokens=0),
        GenerateRequest(prompt("a refund"), stop=("",)),
    ]
    first, second, *failed = model.generate(asked)
    assert first.text == "billing" and second.text in texts
    best = model.score([ScoreRequest(prompt("odd"), texts)])[0]
    assert second.text == texts[best.nats.index(max(best.nats))], "its own best"
    assert [entry.kind for entry in failed] == ["constraint"] * 3 + ["max_tokens", "empty_stop"]
    assert "Regex" in failed[1].message and "JsonSchema" in failed[2].message
    warm = [GenerateRequest(prompt(str(i)), temperature=3.0, seed=i, constraint=OneOf(texts)) for i in range(20)]
    assert {entry.text for entry in model.generate(warm)} == set(texts)


def test_the_counters_are_shared_with_adapted_models():
    model = FakeModel()
    adapter = model.tune(Recipe(max_steps=1), [TuneItem(prompt("hello"), "a")], []).adapter
    model.adapted(adapter).score([ScoreRequest(prompt("x"), ("a", "b"))] * 3)
    assert model.calls == {"score": 1, "generate": 0, "embed": 0, "tune": 1, "adapted": 1}
    assert model.requests == {"score": 3, "generate": 0, "embed": 0, "tune": 1}


def test_tuning_keeps_the_recipes_limits():
    items = [TuneItem(prompt(t), a, LABELS) for t, a in texts(40, 0)]
    model = FakeModel(seconds=1.0)
    assert model.tune(Recipe(epochs=4, batch=10), items, []).curve[-1].step == 16
    assert model.tune(Recipe(epochs=4, batch=10, max_steps=3), items, []).curve[-1].step == 3
    cut = model.tune(Recipe(epochs=4, batch=10, max_seconds=5.5), items, [])
    assert (cut.why_stopped, cut.curve[-1].step) == ("seconds", 6)
    one_epoch_tokens = model.tune(Recipe(epochs=1, batch=10), items, []).usage.tokens_trained
    limited = model.tune(Recipe(epochs=4, batch=10, max_tokens=one_epoch_tokens), items, [])
    assert limited.usage.tokens_trained <= one_epoch_tokens
    against = [TuneItem(item.prompt, LABELS[(LABELS.index(item.target) + 1) % 3], LABELS) for item in items]
    assert limited.why_stopped == "tokens"
    gave_up = model.tune(Recipe(epochs=40, batch=10, patience=2), items, against)
    assert gave_up.why_stopped == "patience"


def test_tuning_goes_on_from_an_adapter():
    items = [TuneItem(prompt(t), a, LABELS) for t, a in texts(40, 0)]
    model = FakeModel()
    first = model.tune(Recipe(max_steps=3), items, [])
    second = model.tune(Recipe(max_steps=3), items, [], start=first.adapter)
    assert second.curve[0].train_nats < first.curve[0].train_nats
    with pytest.raises(ModelError, match=f"{FakeModel(seed=1).base}"):
        FakeModel(seed=1).tune(Recipe(), items, [], start=first.adapter)


@pytest.mark.parametrize("other", [FakeModel(seed=1), FakeModel("other"), FakeModel(kind="encoder")])
def test_an_adapter_of_another_base_is_refused_by_both_names(other):
    adapter = FakeModel().tune(Recipe(max_steps=1), [TuneItem(prompt("hello"), "a")], []).adapter
    with pytest.raises(ModelError) as refused:
        other.adapted(adapter)
    assert FakeModel().base in str(refused.value) and other.base in str(refused.value)


def test_nothing_to_learn_is_said():
    with pytest.raises(MethodError, match="no example"):
        FakeModel(fail_on="hello").tune(Recipe(), [TuneItem(prompt("hello"), "a")], [])
    with pytest.raises(MethodError, match="'z'"):
        FakeModel().tune(Recipe(), [TuneItem(prompt("hello"), "z", LABELS)], [])


def test_fewer_capabilities_on_request():
    model = FakeModel(capabilities=["generate"])
    assert model.capabilities == {"generate"}
    with pytest.raises(ModelError, match="can't tune"):
        model.tune(Recipe(), [], [])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(max_size=40), min_size=1, max_size=5),
    st.lists(st.text(max_size=10), min_size=1, max_size=5, unique=True),
)
def test_any_text_is_scored_the_same_in_any_batch(asked, choices):
    model = FakeModel()
    requests = [ScoreRequest(prompt(text), tuple(choices)) for text in asked]
    together = model.score(requests)
    assert together == [model.score([request])[0] for request in requests]
    for entry in together:
        if isinstance(entry, Scores):
            assert abs(sum(np.exp(entry.nats)) - 0.5) < 1e-9
        else:
            assert not all(choice.strip() for choice in choices)
    embedded = model.embed([EmbedRequest(prompt(text)) for text in asked])
    assert all(abs(np.linalg.norm(v.values) - 1) < 1e-5 for v in embedded)  # type: ignore[union-attr]
