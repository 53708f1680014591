"""What a server takes and tells, from how it answers the plainest question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tuningfork.models.endpoint.faults import Fault
from tuningfork.models.endpoint.manner import FEWER_TOP, look, notes_of

REPLY = {"model": "m-1", "choices": [{"message": {"content": "yes"}}], "usage": {"prompt_tokens": 9}}


class Server:
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self, refuses: Callable[[Mapping[str, Any]], str | None] = lambda body: None) -> None:
        self.refuses, self.bodies = refuses, list[Mapping[str, Any]]()

    def __call__(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        self.bodies.append(dict(body))
        if why := self.refuses(body):
            raise Fault("refused", why)
        told = {"content": [{"token": "yes", "logprob": -0.1, "top_logprobs": [{"token": "yes", "logprob": -0.1}]}]}
        return {**REPLY, "choices": [{**REPLY["choices"][0], "logprobs": told if body.get("logprobs") else None}]}


def test_a_server_that_takes_all_is_asked_once() -> None:
    server = Server()
    manner = look("chat", server)
    assert len(server.bodies) == 1 and (manner.served, manner.top, manner.nats) == ("m-1", 20, True)
    assert not manner.left_out and notes_of(manner) == []


def test_a_shorter_list_of_tokens_is_asked_for_before_none() -> None:
    server = Server(lambda body: "top_logprobs must be at most 5" if body.get("top_logprobs", 0) > 5 else None)
    manner = look("chat", server)
    assert len(server.bodies) == 2 and manner.top == FEWER_TOP and manner.nats


def test_another_name_for_the_longest_answer() -> None:
    words = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
    manner = look("chat", Server(lambda body: words if "max_tokens" in body else None))
    assert manner.length == "max_completion_tokens" and manner.nats


@pytest.mark.parametrize("name", ["temperature", "seed", "logprobs", "top_logprobs"])
def test_what_is_refused_by_name_is_left_out_and_nothing_else(name: str) -> None:
    manner = look("chat", Server(lambda body: f"extra field `{name}` is forbidden" if name in body else None))
    assert name in manner.left_out and manner.left_out <= {name, *(("top_logprobs",) if name == "logprobs" else ())}
    assert name not in manner.settings(**{name: 1}) and manner.settings(stop="x", top_p=None) == {"stop": "x"}


def test_a_refusal_that_names_nothing_is_put_down_to_what_few_servers_know() -> None:
    manner = look("chat", Server(lambda body: "bad request" if "logprobs" in body else None))
    assert manner.left_out == {"logprobs", "top_logprobs"} and manner.top == 0


def test_who_refuses_everything_is_not_asked_for_ever() -> None:
    server = Server(lambda body: "no")
    with pytest.raises(Fault, match="no"):
        look("chat", server)
    assert len(server.bodies) <= 5


def test_what_is_no_refusal_of_a_setting_passes_through() -> None:
    def gone(path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        raise Fault("no_model", "not there", everyone=True)

    for form in ("chat", "complete", "embed"):
        with pytest.raises(Fault, match="not there"):
            look(form, gone)  # type: ignore[arg-type]
