"""An endpoint as a Model: the contract, what is sent, what it costs, and that its key stays where it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tuningfork.model import (
    Answer,
    EmbedRequest,
    Failure,
    GenerateRequest,
    JsonSchema,
    OneOf,
    Regex,
    ScoreRequest,
    Vector,
)
from tuningfork.models import open_model
from tuningfork.models.cache import AnswerCache
from tuningfork.models.endpoint import Endpoints, open_endpoint
from tuningfork.task import Message, Prompt

Serve = Callable[..., Any]
CONTRACT = {"billing": 0.5, "login problem": 0.2, "other": 0.1}


@pytest.mark.parametrize(
    ("preset", "about"),
    [
        ("openai", {}),
        ("openai", {"chances": lambda text: CONTRACT}),
        ("openai-complete", {"echoes": True}),
        ("openai-embed", {}),
    ],
)
def test_it_keeps_the_contract_of_models(
    preset: str, about: dict[str, Any], serve: Serve, opened: Serve, model_contract: Callable[..., None]
) -> None:
    model_contract(opened(serve(**about), preset=preset))


def test_as_many_are_asked_at_once_as_is_said(
    serve: Serve, opened: Serve, ask: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNINGFORK_ENDPOINT_REQUESTS", "3")
    server = serve(faults=lambda a: "slow")
    opened(server).generate([GenerateRequest(ask(f"q{number}")) for number in range(20)])
    assert 1 < server.most_running <= 3


def test_what_is_asked_is_sent_as_it_is(serve: Serve, opened: Serve, ask: Serve) -> None:
    server = serve(chances=lambda text: {"yes": 0.9})
    request = GenerateRequest(ask("q"), 7, ("\n",), 0.5, 0.9, 11)
    opened(server).generate([request])
    sent = server.bodies[-1]
    assert sent["messages"] == [{"role": "system", "content": "Answer yes or no."}, {"role": "user", "content": "q"}]
    wanted = {"max_tokens": 7, "stop": ["\n"], "temperature": 0.5, "top_p": 0.9, "seed": 11, "logprobs": True}
    assert {key: sent[key] for key in wanted} == wanted


def test_settings_that_a_server_refuses_are_left_out_from_then_on(serve: Serve, opened: Serve, ask: Serve) -> None:
    server = serve(refuses=frozenset({"max_tokens", "temperature", "seed", "logprobs", "top_logprobs"}))
    model = opened(server)
    looks = len(server.bodies)
    (found,) = model.generate([GenerateRequest(ask("q"), max_tokens=5, seed=3)])
    assert isinstance(found, Answer) and len(server.bodies) == looks + 1, "nothing is refused twice"
    assert server.bodies[-1]["max_completion_tokens"] == 5 and "temperature" not in server.bodies[-1]
    assert any("no temperature" in note for note in model.notes) and any("no seed" in note for note in model.notes)


def test_cached_tokens_are_charged_at_their_price(serve: Serve, opened: Serve, ask: Serve) -> None:
    server = serve(cached_tokens=4)
    prices = {f"openai:toy@{server.url}": {"in": 10, "out": 100, "cached": 1}}
    model = opened(server, prices=prices)
    (found,) = model.generate([GenerateRequest(ask("q"))])
    assert found.usage.tokens_reused == 4 and found.usage.tokens_in > 0
    assert found.usage.usd == pytest.approx((found.usage.tokens_in * 10 + 4 * 1 + found.usage.tokens_out * 100) / 1e6)
    assert model.opening.usd > 0 and "10 USD for a million tokens" in model.notes[0]


def test_tokens_that_nobody_counts_are_as_many_as_they_can_be(serve: Serve, opened: Serve, ask: Serve) -> None:
    model = opened(serve(counts=False))
    (found,) = model.generate([GenerateRequest(ask("q"), max_tokens=9)])
    assert found.usage.tokens_out == 9 and found.usage.tokens_in > len("Answer yes or no.q")
    assert any("does not count tokens" in note for note in model.notes)


def test_a_model_that_thinks_first_gets_room_for_it(serve: Serve, opened: Serve, ask: Serve) -> None:
    server = serve(hidden_tokens=50)
    model = opened(server)
    model.generate([GenerateRequest(ask("q"), max_tokens=5)])
    assert server.bodies[-1]["max_tokens"] == 5 + model.price.hidden > 500


def test_a_constraint_becomes_a_response_format_and_is_checked(serve: Serve, opened: Serve, ask: Serve) -> None:
    server = serve(answer=lambda text: "a7")
    model = opened(server)
    one, pattern, broken = model.generate(
        [
            GenerateRequest(ask("q"), constraint=OneOf(("red", "blue"))),
            GenerateRequest(ask("q"), constraint=Regex(r"[a-z]\d")),
            GenerateRequest(ask("q"), constraint=Regex(r"\d+")),
        ]
    )
    assert (one.text, pattern.text) == ("red", "a7")
    assert isinstance(broken, Failure) and broken.kind == "constraint" and broken.usage.tokens_out > 0
    assert server.bodies[-1]["response_format"]["json_schema"]["strict"] is True


@pytest.mark.parametrize(
    ("about", "kind"),
    [({"keeps_form": False}, "constraint"), ({"refuses": frozenset({"response_format"})}, "refused")],
)
def test_a_server_that_keeps_to_no_form_is_found_out(
    about: dict[str, Any], kind: str, serve: Serve, opened: Serve, ask: Serve
) -> None:
    server = serve(**about)
    model = opened(server)
    form = JsonSchema('{"type": "object"}')
    kinds = [model.generate([GenerateRequest(ask(f"q{n}"), constraint=form)])[0].kind for n in range(5)]
    assert kinds == [kind] * 3 + ["no_constraints"] * 2 and "q4" not in server.asked
    assert isinstance(model.generate([GenerateRequest(ask("q"))])[0], Answer)


@pytest.mark.parametrize(
    ("request_of", "kind"),
    [
        (lambda ask: GenerateRequest(Prompt(())), "empty_prompt"),
        (lambda ask: GenerateRequest(ask("\ud800")), "not_unicode"),
        (lambda ask: GenerateRequest(ask("q"), constraint=Regex("(")), "constraint"),
        (lambda ask: GenerateRequest(ask("q"), constraint=OneOf(("a\udfff",))), "not_unicode"),
        (lambda ask: GenerateRequest(ask("q"), constraint=JsonSchema("{")), "constraint"),
        (lambda ask: GenerateRequest(ask("q"), stop=("\ud800",)), "not_unicode"),
        (lambda ask: GenerateRequest(ask("q"), max_tokens=0), "max_tokens"),
    ],
)
def test_what_can_not_be_asked_fails_alone_and_is_not_sent(
    request_of: Callable[..., GenerateRequest], kind: str, serve: Serve, opened: Serve, ask: Serve
) -> None:
    server = serve()
    bad, good = opened(server).generate([request_of(ask), GenerateRequest(ask("fine"))])
    assert isinstance(bad, Failure) and bad.kind == kind and isinstance(good, Answer)


def test_vectors_have_length_one_and_are_of_the_last_layer(serve: Serve, opened: Serve) -> None:
    model = opened(serve(), preset="ollama-embed")
    vector, layer = model.embed([EmbedRequest("abc"), EmbedRequest("abc", layer=3)])
    assert isinstance(vector, Vector) and np.linalg.norm(vector.values) == pytest.approx(1)
    assert isinstance(layer, Failure) and layer.kind == "layer"
    (raw,) = model.embed([EmbedRequest("abc", normalise=False)])
    assert raw.values[0] == pytest.approx(1.01)


def test_an_identity_is_address_name_and_what_the_server_calls_it(serve: Serve, opened: Serve) -> None:
    server, other = serve(models=("toy", "toy-2")), serve()
    same = [opened(server).identity, opened(server).identity]
    assert same[0] == same[1] != opened(other).identity
    assert opened(server, model="toy-2").identity != same[0] != opened(server, preset="openai-embed").identity


def test_the_cache_stands_before_it(serve: Serve, opened: Serve, ask: Serve, tmp_path: Path) -> None:
    server = serve(answer=lambda text: f"to {text}")
    with AnswerCache(tmp_path / "answers.sqlite") as cache:
        first, again = cache.before(opened(server)), cache.before(opened(server))
        draws = [GenerateRequest(ask("q"), temperature=1.0, seed=seed) for seed in (1, 2)]
        assert first.generate(draws) == again.generate(draws) and server.asked["q"] == 2, "a draw for each seed, once"


def test_the_endpoints_of_a_race_are_opened_once_and_closed(serve: Serve, ask: Serve) -> None:
    server = serve()
    name = f"openai:toy@{server.url}"
    with Endpoints({name: {"in": 1, "out": 2}}) as endpoints:
        assert endpoints.open(name) is endpoints.open(name) and endpoints.open(name).price.write == 2
    assert len(server.bodies) == 1


def test_it_opens_by_its_name_among_all_models(serve: Serve, ask: Serve) -> None:
    from tuningfork.models import capabilities

    name = f"openai:toy@{serve().url}"
    model = open_model(name, prices={name: {"in": 1, "out": 1}})
    assert model.id == name and capabilities(name) == {"generate"}
    model.close()  # type: ignore[attr-defined]


def test_the_key_is_sent_and_stays_out_of_all_that_is_written(
    serve: Serve, ask: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    key = "sk-very-secret-0123456789"
    monkeypatch.setenv("TUNINGFORK_API_KEY", key)
    server = serve(key=key, faults=lambda a: "refused" if a.text == "bad" else None)
    caplog.set_level("DEBUG")
    with AnswerCache(tmp_path / "answers.sqlite") as cache:
        endpoint = open_endpoint(f"openai:toy@{server.url}")
        found = cache.before(endpoint).generate([GenerateRequest(ask("q")), GenerateRequest(ask("bad"))])
        endpoint.close()
    assert isinstance(found[0], Answer) and isinstance(found[1], Failure)
    assert server.headers[-1]["authorization"] == f"Bearer {key}"
    written = [repr(found), repr(endpoint.notes), endpoint.identity, caplog.text, json.dumps(endpoint.address.name)]
    assert not any(key in text for text in written)
    assert not any(key.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_chat_of_several_turns_becomes_one_text_for_plain_completions() -> None:
    from tuningfork.models.endpoint.writing import completion_text

    turns = [("system", "Which?"), ("user", "a"), ("assistant", "A"), ("user", "b")]
    text = completion_text(Prompt(tuple(Message(role, content) for role, content in turns)))  # type: ignore[arg-type]
    assert text == "Which?\n\na\nAnswer: A\n\nb\nAnswer:"


def test_a_score_request_of_bad_choices_fails_alone(serve: Serve, opened: Serve, ask: Serve) -> None:
    model = opened(serve(chances=lambda text: {"yes": 0.5, "no": 0.4}))
    found = model.score([ScoreRequest(ask("q"), ("yes", "yes")), ScoreRequest(ask("q"), ("yes", "no"))])
    assert isinstance(found[0], Failure) and found[0].kind == "same_choice" and not isinstance(found[1], Failure)


def test_a_form_is_given_up_after_a_few_and_never_once_it_was_kept() -> None:
    from tuningfork.models.endpoint.forms import TRIED, Forms

    forms, form = Forms(), OneOf(("a",))
    for _ in range(TRIED):
        assert forms.fault(form) is None
        forms.count(form, kept=False)
        forms.count(None, kept=True)
    assert forms.fault(None) is None and forms.fault(form) is not None
    forms.count(form, kept=True)
    assert forms.fault(form) is None, "one that was kept shows that it can"
