"""Prompts longer than a model reads: refused, or cut where the task says so, in their input only, and counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuningfork.candidate import Single, Template
from tuningfork.engine.fit import fitted
from tuningfork.model import EmbedRequest, Failure, GenerateRequest, Recipe, ScoreRequest, Scores, TuneItem, Vector
from tuningfork.predict.prompt import prompt_for
from tuningfork.task import Message

LONG = " ".join(f"word{i}" for i in range(400))
TEMPLATE = Template((Message("system", "Which team?"), Message("user", "From {{who}}: {{text}}\nAnswer now.")))


def asked(overlong, text=LONG):
    candidate = Single("m", ("a", "b"), ("a", "b"), TEMPLATE, overlong=overlong)
    return prompt_for(candidate, {"who": "Ann", "text": text})


@pytest.mark.parametrize("chat", [True, False])
def test_only_the_longest_input_is_cut_and_no_more_than_must_be(tiny, make, chat):
    it = tiny("llama", chat)
    seen = {}
    for overlong in ("keep_start", "keep_end"):
        found = it.model.score([ScoreRequest(asked(overlong), ("a", "b"))])[0]
        assert isinstance(found, Scores), found
        assert found.usage.tokens_cut > 0 and make.context - 12 <= found.usage.tokens_in <= make.context
        seen[overlong] = found.nats
    assert seen["keep_start"] != seen["keep_end"]


@pytest.mark.parametrize("overlong", ["keep_start", "keep_end"])
def test_what_stands_round_the_input_stays(tiny, overlong):
    renderer = tiny("llama").model._renderer

    def read(prompt):
        return str(prompt.messages[-1].content)

    (said, cut) = fitted(renderer, asked(overlong), 200, lambda text: len(renderer.edges(text)), read)
    kept = said.removeprefix("From Ann: ").removesuffix("\nAnswer now.")
    assert len(kept) == len(said) - len("From Ann: \nAnswer now.") and cut > 0
    assert LONG.startswith(kept) if overlong == "keep_start" else LONG.endswith(kept)
    assert 190 <= len(renderer.edges(said)) <= 200


def test_without_leave_it_fails_and_names_both_lengths(tiny, make):
    found = tiny("llama").model.score([ScoreRequest(asked("fail"), ("a", "b"))])[0]
    assert isinstance(found, Failure) and found.kind == "too_long"
    assert str(make.context) in found.message and "overlong" in found.message


def test_what_can_not_be_cut_fails(tiny):
    whole = asked("keep_start")
    crowded = replace(whole, messages=(Message("system", LONG), *whole.messages[1:]))
    for prompt in (crowded, replace(whole, loose=(0, 0))):
        found = tiny("llama").model.score([ScoreRequest(prompt, ("a", "b"))])[0]
        assert isinstance(found, Failure) and found.kind == "too_long"


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    text=st.text(st.sampled_from("ab é\n\U0001f600c?"), min_size=200, max_size=700),
    overlong=st.sampled_from(["keep_start", "keep_end"]),
)
def test_any_long_text_is_scored_or_refused(tiny, text, overlong):
    found = tiny("llama").model.score([ScoreRequest(asked(overlong, text), ("a", "b"))])[0]
    assert isinstance(found, Scores), found


def test_writing_embedding_and_tuning_cut_alike(tiny):
    model = tiny("llama").model
    prompt = asked("keep_start")
    assert model.generate([GenerateRequest(prompt, 4)])[0].usage.tokens_cut > 0
    (vector,) = model.embed([EmbedRequest(prompt)])
    assert isinstance(vector, Vector) and vector.usage.tokens_cut > 0
    items = [TuneItem(prompt, "a", ("a", "b")), TuneItem(asked("fail"), "b", ("a", "b"))]
    assert model.tune(Recipe(rank=2, max_steps=1), items, []).notes["left_out"] == 1


def test_an_encoder_keeps_the_start_and_counts_the_rest(tiny):
    model = tiny("bert").model
    (found,) = model.embed([EmbedRequest(LONG)])
    assert isinstance(found, Vector) and found.usage.tokens_cut > 0
    (short,) = model.embed([EmbedRequest("one two")])
    assert short.usage.tokens_cut == 0
