"""What goes wrong on the wire: one request fails alone, what holds for all is raised once, and nobody pays twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tuningfork.errors import ModelError
from tuningfork.model import Answer, Failure, GenerateRequest
from tuningfork.models.endpoint import open_endpoint
from tuningfork.models.endpoint.faults import of_status
from tuningfork.models.endpoint.naming import address_of

Serve = Callable[..., Any]
KEY = "sk-very-secret-0123456789"


def once(fault: str, *texts: str) -> Callable[[Any], str | None]:
    """The first attempt at each of these questions goes wrong (at any question but the one at opening, without)."""

    def faults(ask: Any) -> str | None:
        mine = ask.text in texts if texts else ask.text.startswith("q")
        return fault if mine and ask.attempt == 0 else None

    return faults


def always(fault: str, text: str) -> Callable[[Any], str | None]:
    return lambda ask: fault if ask.text == text else None


@pytest.mark.parametrize(
    "fault", ["rate_limit", "server_error", "gateway_page", "truncated", "cut_json", "dropped", "slow"]
)
def test_what_goes_wrong_once_is_mended_and_delivered_once(fault: str, serve: Serve, opened: Serve, ask: Serve) -> None:
    server = serve(answer=lambda text: f"to {text}", faults=once(fault))
    texts = [f"q{number}" for number in range(12)]
    found = opened(server).generate([GenerateRequest(ask(text)) for text in texts])
    assert [answer.text for answer in found] == [f"to {text}" for text in texts]
    server.settle()
    assert all(server.delivered[text] == 1 for text in texts), "whole answers, each once"
    assert all(server.asked[text] == (1 if fault == "slow" else 2) for text in texts), "no double retry"


@pytest.mark.parametrize(
    ("fault", "kind", "tries"),
    [
        ("rate_limit", "rate_limit", 7),
        ("server_error", "server", 7),
        ("truncated", "lost", 3),
        ("refused", "refused", 1),
    ],
)
def test_what_stays_wrong_fails_alone(
    fault: str, kind: str, tries: int, serve: Serve, opened: Serve, ask: Serve
) -> None:
    server = serve(faults=always(fault, "q1"))
    found = opened(server).generate([GenerateRequest(ask(f"q{number}")) for number in range(3)])
    assert isinstance(found[0], Answer) and isinstance(found[2], Answer)
    assert isinstance(found[1], Failure) and found[1].kind == kind and server.asked["q1"] == tries


def test_a_prompt_that_is_too_long_fails_with_both_lengths(serve: Serve, opened: Serve, ask: Serve) -> None:
    server = serve(context=20)
    long, short = opened(server).generate([GenerateRequest(ask("word " * 30)), GenerateRequest(ask("word"))])
    assert isinstance(short, Answer) and isinstance(long, Failure) and long.kind == "too_long"
    assert "20" in long.message and "30" in long.message


def test_an_answer_that_takes_too_long_is_lost(
    serve: Serve, opened: Serve, ask: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNINGFORK_ENDPOINT_SECONDS", "0.1")
    server = serve(faults=always("stuck", "q1"))
    (found,) = opened(server).generate([GenerateRequest(ask("q1"))])
    assert isinstance(found, Failure) and found.kind == "timeout" and "0 s" in found.message


def test_an_answer_that_comes_drop_by_drop_ends_at_the_same_time(
    serve: Serve, opened: Serve, ask: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNINGFORK_ENDPOINT_SECONDS", "0.1")
    server = serve(answer=lambda text: "word " * 2000 if text == "q1" else "yes", faults=always("slow", "q1"))
    model = opened(server)
    for show in (None, lambda index, piece: None):
        (found,) = model.generate([GenerateRequest(ask("q1"), max_tokens=9000)], show)
        assert isinstance(found, Failure) and found.kind == "timeout"


def test_what_lost_answers_may_have_cost_is_counted(serve: Serve, opened: Serve, ask: Serve) -> None:
    server = serve(faults=lambda a: "truncated" if a.text == "q1" or (a.text == "q2" and not a.attempt) else None)
    name = f"openai:toy@{server.url}"
    model = opened(server, prices={name: {"in": 1000, "out": 1000}})
    request = GenerateRequest(ask("q1"), max_tokens=5)
    lost, answered = model.generate([request, GenerateRequest(ask("q2"), max_tokens=5)])
    assert isinstance(lost, Failure) and lost.usage.usd == pytest.approx(model.price.most_usd(request))
    assert isinstance(answered, Answer) and answered.usage.usd > model.price.once_usd(request)


# For everyone


def test_a_bad_key_names_its_variable_and_never_its_value(
    serve: Serve, opened: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(key="the-right-one")
    with pytest.raises(ModelError, match="TUNINGFORK_API_KEY is not set"):
        opened(server)
    monkeypatch.setenv("TUNINGFORK_API_KEY", KEY)
    with pytest.raises(ModelError, match="refused the key in TUNINGFORK_API_KEY") as caught:
        opened(server)
    assert KEY not in str(caught.value)


def test_a_key_that_is_missing_is_told_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("nothing may be sent"))
    with pytest.raises(ModelError, match="OPENAI_API_KEY or TUNINGFORK_API_KEY is not set"):
        open_endpoint("openai:gpt-5")


def test_a_key_with_a_stray_character_is_told_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-ü-secret")
    with pytest.raises(ModelError, match="The key in OPENAI_API_KEY holds a character") as caught:
        open_endpoint("openai:gpt-5")
    assert "secret" not in str(caught.value)


def test_a_bad_key_is_one_also_where_the_status_says_less() -> None:
    words = {"error": {"message": "API key not valid. Please pass a valid API key."}}
    fault = of_status(400, {}, "", words, address_of("gemini:gemini-2.5-flash"))
    assert fault.kind == "key" and fault.everyone and "GEMINI_API_KEY" in fault.message


def test_an_unknown_model_is_answered_with_those_that_are_there(serve: Serve, opened: Serve) -> None:
    server = serve(models=("toy-large", "other"))
    with pytest.raises(ModelError, match=r"Did you mean 'toy-large'\? It has: other, toy-large"):
        opened(server)


def test_a_web_page_is_said_to_be_one(serve: Serve, opened: Serve) -> None:
    server = serve(page=True)
    with pytest.raises(ModelError, match="web page") as caught:
        opened(server)
    assert server.url in str(caught.value)


def test_nobody_there(ask: Serve) -> None:
    with pytest.raises(ModelError, match=r"No server answers at http://127\.0\.0\.1:9/v1"):
        open_endpoint("openai:toy@http://127.0.0.1:9/v1")


def test_what_holds_for_everyone_is_raised_once_and_the_rest_is_not_asked(
    serve: Serve, opened: Serve, ask: Serve
) -> None:
    server = serve(faults=lambda a: "no_credit" if a.text.startswith("q") and a.text > "q100" else None)
    model = opened(server, prices={f"openai:toy@{server.url}": {"in": 1, "out": 1}})
    with pytest.raises(ModelError, match="no credit") as caught:
        model.generate([GenerateRequest(ask(f"q{number}")) for number in range(100, 500)])
    assert caught.value.usage.usd > 0, "those that were answered are paid"
    assert sum(count for text, count in server.asked.items() if text.startswith("q")) < 400


def test_a_server_that_goes_away_is_told_once(serve: Serve, opened: Serve, ask: Serve, fault_server: Any) -> None:
    with fault_server() as server:
        model = opened(server)
    with pytest.raises(ModelError, match="No server answers"):
        model.generate([GenerateRequest(ask("q1")), GenerateRequest(ask("q2"))])


def test_a_key_is_taken_out_of_what_a_server_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNINGFORK_API_KEY", KEY)
    address = address_of("openai:toy@http://localhost:1/v1")
    for status in (400, 404, 429, 500, 402):
        fault = of_status(status, {}, "", {"error": {"message": f"your key {KEY} is odd"}}, address)
        assert KEY not in fault.message and "[key]" in fault.message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    fault = of_status(429, headers, "", None, address_of("openai:toy@http://localhost:1/v1"))
    assert fault.after == seconds and fault.again == "later"


# Streams


def test_a_stream_is_shown_as_it_comes(serve: Serve, opened: Serve, ask: Serve) -> None:
    server = serve(answer=lambda text: "one two three", faults=once("slow", "q1"))
    pieces: list[tuple[int, str]] = []
    (found,) = opened(server).generate([GenerateRequest(ask("q1"))], lambda i, piece: pieces.append((i, piece)))
    assert len(pieces) == 5 and "".join(piece for _, piece in pieces) == found.text == "one two three"
    assert found.usage.tokens_out == 5 and found.why_stopped == "end"


def test_a_stream_that_breaks_off_is_not_begun_again_once_it_was_shown(serve: Serve, opened: Serve, ask: Serve) -> None:
    server = serve(answer=lambda text: "one two three", faults=once("cut_stream", "q1"))
    shown: list[str] = []
    (found,) = opened(server).generate([GenerateRequest(ask("q1"))], lambda i, piece: shown.append(piece))
    assert isinstance(found, Failure) and found.kind == "lost" and server.asked["q1"] == 1 and shown


def test_a_server_that_does_not_count_in_streams_is_asked_without(serve: Serve, opened: Serve, ask: Serve) -> None:
    server = serve(refuses=frozenset({"stream_options"}))
    model = opened(server)
    for text in ("q1", "q2"):
        assert isinstance(model.generate([GenerateRequest(ask(text))], lambda index, piece: None)[0], Answer)
    assert (server.asked["q1"], server.asked["q2"]) == (2, 1)
