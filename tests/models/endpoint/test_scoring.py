"""Log-probabilities as a server tells them, and none where it does not."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.errors import ModelError
from tuningfork.model import Failure, GenerateRequest, ScoreRequest, Scores
from tuningfork.models.endpoint.scoring import echoed, fault, first_token

Serve = Callable[..., Any]
CHANCES = {"yes": 0.5, "no": 0.2, " no": 0.1, "may": 0.1, "Yes": 0.05}


def listed(chances: dict[str, float]) -> dict[str, Any]:
    top = [{"token": token, "logprob": math.log(chance)} for token, chance in chances.items()]
    return {"choices": [{"logprobs": {"content": [{"token": "x", "logprob": 0.0, "top_logprobs": top}]}}]}


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.floats(1e-6, 0.1), min_size=1))
def test_listed_choices_have_the_nats_that_were_listed(chances: dict[str, float]) -> None:
    choices = tuple(sorted(chances))
    nats = first_token(listed(chances), choices)
    assert not isinstance(nats, Failure) and nats == pytest.approx([math.log(chances[c]) for c in choices])


def test_tokens_that_differ_in_white_space_are_one_choice_and_no_other_is() -> None:
    nats = first_token(listed(CHANCES), ("yes", "no"))
    assert nats == pytest.approx((math.log(0.5), math.log(0.3)))


@pytest.mark.parametrize("choice", ["maybe", "never", "YES"])
def test_a_choice_that_is_not_listed_whole_has_no_nats(choice: str) -> None:
    found = first_token(listed(CHANCES), ("yes", choice))
    assert isinstance(found, Failure) and found.kind == "not_listed" and repr(choice) in found.message


def test_a_number_that_means_unknown_is_none() -> None:
    reply = listed({"yes": 0.5})
    reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"].append({"token": "no", "logprob": -9999.0})
    assert isinstance(first_token(reply, ("yes", "no")), Failure)


def echo(tokens: list[str], nats: list[float | None]) -> dict[str, Any]:
    offsets = [sum(map(len, tokens[:i])) for i in range(len(tokens))]
    return {"logprobs": {"tokens": tokens, "token_logprobs": nats, "text_offset": offsets}}


def test_the_nats_of_a_text_are_those_of_its_tokens() -> None:
    choice = echo(["Sky:", " da", "rk", " blue", "!"], [None, -1.0, -2.0, -3.0, -4.0])
    assert echoed(choice, "Sky:", " dark blue") == (-6.0, 3)


@pytest.mark.parametrize(
    ("choice", "kind"),
    [
        (echo(["Sky: d", "ark"], [None, -1.0]), "boundary"),
        (echo(["Sky", ":", " dim"], [None, -1.0, -1.0]), "not_echoed"),
        ({}, "not_echoed"),
        (echo(["Sky:", " dark"], [None, None]), "boundary"),
    ],
)
def test_a_text_whose_tokens_can_not_be_told_apart_has_none(choice: dict[str, Any], kind: str) -> None:
    found = echoed(choice, "Sky:", " dark")
    assert isinstance(found, Failure) and found.kind == kind


def test_choices_of_which_one_begins_another_can_not_be_scored() -> None:
    found = fault(("blue", "late", "late refund"))
    assert found is not None and found.kind == "same_beginning" and fault(("late", "early")) is None


# Through the door


def test_a_server_that_tells_nothing_can_not_score(serve: Serve, opened: Serve, ask: Serve) -> None:
    model = opened(serve())
    assert model.capabilities == {"generate"} and any("not scored" in note for note in model.notes)
    with pytest.raises(ModelError, match="can't score"):
        model.score([ScoreRequest(ask("q"), ("yes", "no"))])


def test_one_that_lists_first_tokens_scores_labels_of_one_token(serve: Serve, opened: Serve, ask: Serve) -> None:
    model = opened(serve(chances=lambda text: CHANCES))
    assert model.capabilities == {"generate", "score"}
    good, unknown = model.score([ScoreRequest(ask("q"), ("yes", "no")), ScoreRequest(ask("q"), ("yes", "blue"))])
    assert isinstance(good, Scores) and good.tokens == (1, 1) and good.nats[0] == pytest.approx(math.log(0.5))
    assert isinstance(unknown, Failure) and unknown.usage.tokens_in > 0, "it was asked, and that is paid"


@pytest.mark.parametrize(("labels", "can"), [(("yes", "no"), True), (("yes", "blue"), False), (("maybe", "no"), False)])
def test_the_tasks_own_labels_decide_whether_it_scores(
    labels: tuple[str, ...], can: bool, serve: Serve, opened: Serve, ask: Serve
) -> None:
    sample = [ScoreRequest(ask(f"q{number}"), labels) for number in range(4)]
    model = opened(serve(chances=lambda text: CHANCES), sample=sample)
    assert ("score" in model.capabilities) is can
    assert any(("scored by" if can else "not known") in note for note in model.notes)


def test_one_sample_without_a_label_is_enough_to_write_instead(serve: Serve, opened: Serve, ask: Serve) -> None:
    def chances(text: str) -> dict[str, float]:
        return {"yes": 1.0} if text == "q3" else CHANCES

    sample = [ScoreRequest(ask(f"q{number}"), ("yes", "no")) for number in range(4)]
    assert opened(serve(chances=chances), sample=sample).capabilities == {"generate"}


def test_plain_completions_score_choices_of_any_length(serve: Serve, opened: Serve, ask: Serve) -> None:
    server = serve(echoes=True, answer=lambda text: " yes")
    model = opened(server, preset="vllm-complete")
    assert model.capabilities == {"generate", "score"}
    (found,) = model.score([ScoreRequest(ask("q"), ("billing team", "bugs"))])
    assert isinstance(found, Scores) and found.nats == (-11.0, -4.0) and found.tokens == (2, 1)
    (answer,) = model.generate([GenerateRequest(ask("q"), max_tokens=3)])
    assert answer.text.strip() == "yes" and server.bodies[-1]["prompt"].endswith("q\nAnswer:")


def test_plain_completions_without_an_echo_only_write(serve: Serve, opened: Serve) -> None:
    assert opened(serve(), preset="vllm-complete").capabilities == {"generate"}
    assert opened(serve(refuses=frozenset({"echo"})), preset="vllm-complete").capabilities == {"generate"}
