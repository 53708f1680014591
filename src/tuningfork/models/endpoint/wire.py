"""One question to a server and its answer, or a Fault: the `openai` client with its own retries switched off.

Bodies are read piece by piece, so that a slow one ends at the deadline, and a cut one is seen to be cut. What comes
back is the JSON as the server sent it; a stream is put together to the same shape.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

from ...errors import MissingExtra, ModelError
from .faults import Fault, html, no_key, no_such_model, of_status, unreachable
from .naming import Address

Path = Literal["chat", "completions", "embeddings"]
Json = dict[str, Any]
OnPiece = Callable[[str], None]
CONNECT_SECONDS = 10.0


class Wire:
    """A server, and the key to it. Usable from several threads. `seconds` is the longest that one answer may take."""

    def __init__(self, address: Address, seconds: float) -> None:
        """Raises MissingExtra without the client, ModelError where another machine would be asked without a key."""
        try:
            import httpx2
            import openai
        except ImportError as error:
            raise MissingExtra("A model behind an API", "openai", "endpoints") from error
        if address.key is None and not address.is_local:
            raise ModelError(f"{address.name} wants a key. {no_key(address)}")
        if address.key and not (address.key.isascii() and address.key.isprintable()):
            raise ModelError(f"The key in {address.key_variable} holds a character that no key has. Set it anew.")
        self.address, self._seconds, self._openai, self._http = address, seconds, openai, httpx2
        timeout = openai.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
        self._stream_options: Json = {"stream_options": {"include_usage": True}}
        self._client = openai.OpenAI(
            api_key=address.key or "none",
            base_url=address.url,
            max_retries=0,
            timeout=timeout,
        )

    def ask(self, path: Path, body: Mapping[str, Any], on_piece: OnPiece | None = None) -> Json:
        """The server's answer. With `on_piece` it is streamed. Raises Fault."""
        shown: list[str] = []

        def show(piece: str) -> None:
            shown.append(piece)
            if on_piece:
                on_piece(piece)

        try:
            return self._ask(path, body, show if on_piece else None)
        except Fault as fault:
            if shown:  # what was shown can't be taken back
                fault.again = "never"
            if fault.kind != "refused" or "stream_options" not in fault.message or not self._stream_options:
                raise
            self._stream_options = {}
            return self._ask(path, body, show)

    def models(self) -> list[str]:
        """The models that the server lists; none where it lists none."""
        try:
            found = self._client.get("/models", cast_to=object)
            listed = found.get("data", []) if isinstance(found, dict) else []
            return sorted(str(entry["id"]) for entry in listed)
        except (self._openai.OpenAIError, self._http.HTTPError, ValueError, KeyError, TypeError):
            return []

    def explained(self, fault: Fault) -> str:
        """What to tell the user of a fault that holds for everyone."""
        if fault.kind == "no_model":
            return no_such_model(self.address, self.models(), fault.message)
        return fault.message

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _ask(self, path: Path, body: Mapping[str, Any], on_piece: OnPiece | None) -> Json:
        try:
            with self._sent(path, body, on_piece is not None) as response:
                kind = response.headers.get("content-type", "")
                if "html" in kind:
                    raise html(self.address)
                deadline = time.monotonic() + self._seconds
                if on_piece and "event-stream" in kind:
                    return _joined(_events(_until(response.iter_lines(), deadline)), on_piece)
                found = _read(b"".join(_until(response.iter_bytes(), deadline)), self.address)
        except self._openai.APIStatusError as error:
            text = error.response.text
            raise of_status(error.status_code, error.response.headers, text, error.body, self.address) from None
        except self._openai.APIConnectionError as error:
            raise self._broken(error.__cause__) from None
        except self._http.HTTPError as error:
            raise self._broken(error) from None
        if on_piece:
            on_piece(text_of(found))
        return found

    def _sent(self, path: Path, body: Mapping[str, Any], stream: bool) -> Any:
        rest = {key: value for key, value in body.items() if key not in ("messages", "prompt", "input")}
        if stream:
            rest |= {"stream": True, **self._stream_options}
        model = self.address.model
        match path:
            case "chat":
                create = self._client.chat.completions.with_streaming_response.create
                return create(model=model, messages=body["messages"], extra_body=rest)
            case "completions":
                complete = self._client.completions.with_streaming_response.create
                return complete(model=model, prompt=body["prompt"], extra_body=rest)
            case "embeddings":
                embed = self._client.embeddings.with_streaming_response.create
                return embed(model=model, input=body["input"], encoding_format="float", extra_body=rest)

    def _broken(self, error: BaseException | None) -> Fault:
        """A connection that did not come about, or broke before the answer was whole."""
        if isinstance(error, self._http.ConnectError | self._http.ConnectTimeout):
            return unreachable(self.address)
        if isinstance(error, self._http.TimeoutException):
            return _late(self._seconds)
        name = type(error).__name__ if error else "closed"
        return Fault(
            "lost", f"The connection to {self.address.host} broke before the answer was whole ({name}).", "lost"
        )


def text_of(reply: Json) -> str:
    """The text that was written; empty where there is none."""
    choice = reply["choices"][0]
    return str((choice["message"].get("content") if "message" in choice else choice.get("text")) or "")


def _late(seconds: float) -> Fault:
    return Fault("timeout", f"No whole answer came within {seconds:.0f} s.", "lost")


def _until(pieces: Iterable[Any], deadline: float) -> Iterator[Any]:
    begin = time.monotonic()
    for piece in pieces:
        if time.monotonic() > deadline:
            raise _late(deadline - begin)
        yield piece


def _read(data: bytes, address: Address) -> Json:
    try:
        found = json.loads(data)
    except ValueError:
        if data.lstrip()[:15].lower().startswith((b"<!doctype", b"<html")):
            raise html(address) from None
        raise Fault(
            "lost", f"The answer of {address.host} was cut short: {len(data)} bytes, no whole JSON.", "lost"
        ) from None
    if not isinstance(found, dict) or not (found.get("choices") or found.get("data")):
        raise Fault("lost", f"{address.host} sent JSON without an answer in it.", "lost")
    return found


def _events(lines: Iterable[str]) -> Iterator[Json]:
    """The events of a stream. Raises Fault where one was cut, or says that the server has failed."""
    for line in lines:
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            continue
        try:
            event = json.loads(data)
        except ValueError:
            raise _broken_off() from None
        if not isinstance(event, dict) or event.get("error"):
            raise _broken_off()
        yield event


def _joined(events: Iterable[Json], on_piece: OnPiece) -> Json:
    """A stream as the one answer that it is. Each piece of text is shown as it comes. Raises Fault where it does not
    say why it ends."""
    text, why, tokens = "", None, list[Any]()
    whole: Json = {}
    for event in events:
        whole |= {key: value for key, value in event.items() if key in ("model", "usage") and value}
        for choice in event.get("choices") or ():
            piece = (choice.get("delta") or {}).get("content") or choice.get("text") or ""
            if piece:
                text += piece
                on_piece(piece)
            tokens += (choice.get("logprobs") or {}).get("content") or []
            why = choice.get("finish_reason") or why
    if why is None:
        raise _broken_off()
    message = {"message": {"content": text}, "finish_reason": why, "logprobs": {"content": tokens} if tokens else None}
    return {**whole, "choices": [message]}


def _broken_off() -> Fault:
    return Fault("lost", "The stream broke off before its end.", "lost")
