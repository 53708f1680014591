"""Where a name leads, whose key goes there, and what no name may hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.errors import ModelError, UnknownName
from tuningfork.models import open_model
from tuningfork.models.endpoint import address_of, is_endpoint, is_remote, presets

WORD = st.text("abcxyz019-._/:", min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("name", "model", "url", "form"),
    [
        ("openai:gpt-4.1-mini", "gpt-4.1-mini", "https://api.openai.com/v1", "chat"),
        ("ollama:llama3.2:1b", "llama3.2:1b", "http://localhost:11434/v1", "chat"),
        ("openai:org/m@x@http://a.b:8000/v1/", "org/m@x", "http://a.b:8000/v1", "chat"),
        ("openai-embed:e@https://a.b/v1", "e", "https://a.b/v1", "embed"),
        ("llama.cpp-complete:base", "base", "http://localhost:8080/v1", "complete"),
    ],
)
def test_a_name_leads_to_a_model_at_an_address(name: str, model: str, url: str, form: str) -> None:
    found = address_of(name)
    assert (found.name, found.model, found.url, found.form) == (name, model, url, form)


@given(preset=st.sampled_from(sorted(presets())), model=WORD, port=st.integers(1, 65535))
def test_any_model_name_and_address_come_back_whole(preset: str, model: str, port: int) -> None:
    found = address_of(f"{preset}:{model}@http://localhost:{port}/v1")
    assert (found.model, found.url) == (model, f"http://localhost:{port}/v1") and found.is_local


@pytest.mark.parametrize("name", ["smollm2-135m", "org/name", "openai:", "./folder", "C:\\models\\x", "nobody:x"])
def test_what_is_no_endpoint(name: str) -> None:
    assert not is_endpoint(name) and not is_remote(name)


def test_a_preset_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(UnknownName, match="'openai:MODEL'"):
        open_model("opanai:gpt-5")


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:1/v1", True),
        ("http://127.0.0.9/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://localhost.example.com/v1", False),
        ("http://192.168.1.5:8000/v1", False),
        ("https://api.example.com/v1", False),
    ],
)
def test_what_stays_on_this_machine(url: str, local: bool) -> None:
    assert address_of(f"openai:m@{url}").is_local is local and is_remote(f"openai:m@{url}") is not local


def test_a_presets_key_goes_to_its_own_host_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-openai")
    assert address_of("openai:gpt-5").key_variable == "OPENAI_API_KEY"
    elsewhere = address_of("openai:gpt-5@https://proxy.example.com/v1")
    assert elsewhere.keys == ("TUNINGFORK_API_KEY",) and elsewhere.key is None
    assert address_of("openai:gpt-5@https://api.openai.com/v2").key == "sk-for-openai"
    monkeypatch.setenv("TUNINGFORK_API_KEY", " sk-own\n")
    assert elsewhere.key == "sk-own"


@pytest.mark.parametrize(
    "url", ["http://me:pa55word@host/v1", "https://host/v1?api_key=pa55word", "http://host#pa55word"]
)
def test_an_address_that_holds_a_secret_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ModelError, match="TUNINGFORK_API_KEY") as caught:
        address_of(f"openai:m@{url}")
    assert "pa55word" not in str(caught.value)


def test_an_address_without_a_server_and_a_name_without_a_model() -> None:
    with pytest.raises(ModelError, match="names no server"):
        address_of("openai:m@http:///v1")
    with pytest.raises(ModelError, match="without a model"):
        address_of("openai:@http://host/v1")
