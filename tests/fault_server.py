"""A small server that speaks the OpenAI protocol, answers deterministically, and goes wrong as it is told.

    with FaultServer(faults=lambda ask: "rate_limit" if ask.attempt == 0 else None) as server:
        model = open_endpoint(f"openai:toy@{server.url}")

It never thinks: a chat is answered by `answer(text of the last message)`. `faults(ask)` names what goes wrong with one
attempt at one question, or None. It counts what it was asked and what it delivered whole, by question. For tests and
for benchmarks/reliability.py; standard library only.
"""

from __future__ import annotations

import json
import math
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self

PAGE = b"<!DOCTYPE html><html><body>Sign in</body></html>"
WORD = re.compile(r"\w+|[^\w\s]|\s+")
FAULTS = ("rate_limit", "server_error", "gateway_page", "truncated", "cut_json", "dropped", "slow")


@dataclass(frozen=True)
class Ask:
    """One attempt at a question: its path, its body, its text, and how many attempts came before."""

    path: str
    body: Mapping[str, Any]
    text: str
    attempt: int


@dataclass
class FaultServer:
    """What it is like. `key`: the only one that is let in; `refuses`: settings that it refuses by name; `chances`:
    text -> the chance of each first token, which makes it tell log-probabilities; `echoes`: whether plain completions
    tell theirs; `counts`: whether it counts tokens; `keeps_form`: whether it heeds `response_format`; `page`: every
    answer is a web page; `context`: the most words that it reads; `seconds`: how long it takes for each."""

    answer: Callable[[str], str] = lambda text: "yes"
    faults: Callable[[Ask], str | None] = lambda ask: None
    models: Sequence[str] = ("toy",)
    key: str | None = None
    refuses: frozenset[str] = frozenset()
    chances: Callable[[str], Mapping[str, float]] | None = None
    echoes: bool = False
    counts: bool = True
    cached_tokens: int = 0
    hidden_tokens: int = 0
    keeps_form: bool = True
    page: bool = False
    context: int = 10_000
    retry_after: str | None = "0.01"
    seconds: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    delivered: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    keeps_bodies: bool = True
    running: int = 0
    most_running: int = 0

    def __enter__(self) -> Self:
        outer = self

        class Handler(_Handler):
            server_of = outer

        self._lock = threading.Condition()
        self._connections: set[socket.socket] = set()
        self._http = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def begin(self, text: str) -> int:
        """Count an attempt; how many came before it."""
        with self._lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            self.asked[text] += 1
            return self.asked[text] - 1

    def end(self, text: str, whole: bool) -> None:
        """Count it as over, and whether its answer was delivered whole."""
        with self._lock:
            self.running -= 1
            self.delivered[text] += whole
            self._lock.notify_all()

    def settle(self) -> None:
        """Wait until all that was begun is over: a client has its answer a moment before it is counted."""
        with self._lock:
            assert self._lock.wait_for(lambda: self.running == 0, timeout=10)

    def connected(self, connection: socket.socket, there: bool) -> None:
        """Know a connection, or forget it."""
        (self._connections.add if there else self._connections.discard)(connection)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: ClassVar[FaultServer]

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self.server_of.connected(self.connection, True)

    def finish(self) -> None:
        self.server_of.connected(self.connection, False)
        super().finish()

    def do_GET(self) -> None:
        if self.server_of.page:
            self._send(200, PAGE, "text/html")
        else:
            self._json(200, {"object": "list", "data": [{"id": name} for name in self.server_of.models]})

    def do_POST(self) -> None:
        server = self.server_of
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = self.path.rpartition("/v1/")[2]
        text = _text(path, body)
        if server.keeps_bodies:
            server.bodies.append(body)
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
        attempt = server.begin(text)
        whole = False
        try:
            whole = self._answered(Ask(path, body, text, attempt))
        finally:
            server.end(text, whole)

    def _answered(self, ask: Ask) -> bool:
        server = self.server_of
        if server.page:
            self._send(200, PAGE, "text/html; charset=utf-8")
            return False
        refused = self._refusal(ask)
        if refused:
            self._json(refused[0], {"error": refused[1]})
            return False
        time.sleep(server.seconds)
        fault = server.faults(ask)
        if fault is not None and fault != "slow":
            return self._go_wrong(fault, ask)
        reply = {"chat/completions": _chat, "completions": _completion, "embeddings": _embedding}[ask.path](server, ask)
        if ask.body.get("stream"):
            self._stream(reply, slow=fault == "slow")
        else:
            self._send(200, json.dumps(reply).encode(), slow=fault == "slow")
        return True

    def _refusal(self, ask: Ask) -> tuple[int, dict[str, Any]] | None:
        server, said = self.server_of, self.headers.get("authorization", "").removeprefix("Bearer ")
        if server.key is not None and said != server.key:
            return 401, {"message": f"Incorrect API key provided: {said}.", "code": "invalid_api_key"}
        if ask.body["model"] not in server.models:
            return 404, {"message": f"The model {ask.body['model']} does not exist.", "code": "model_not_found"}
        for name in ask.body:
            if name in server.refuses:
                return 400, {"message": f"Unsupported parameter: '{name}' is not supported with this model."}
        if len(ask.text.split()) > server.context:
            words = f"maximum context length is {server.context} tokens, your messages have {len(ask.text.split())}"
            return 400, {"message": f"This model's {words}.", "code": "context_length_exceeded"}
        return None

    def _go_wrong(self, fault: str, ask: Ask) -> bool:
        """True where the answer was delivered whole all the same."""
        whole = json.dumps(_chat(self.server_of, ask) if ask.path != "embeddings" else {}).encode()
        after = self.server_of.retry_after
        match fault:
            case "rate_limit":
                headers = {"retry-after": after} if after else {}
                self._json(429, {"error": {"message": "Slow down.", "code": "rate_limit_exceeded"}}, headers)
            case "no_credit":
                self._json(429, {"error": {"message": "You exceeded your quota.", "code": "insufficient_quota"}})
            case "server_error":
                self._json(500, {"error": {"message": "The server had an error."}})
            case "gateway_page":
                self._send(502, PAGE, "text/html")
            case "truncated":  # fewer bytes than were promised
                self._head(200, len(whole), "application/json")
                self.wfile.write(whole[: len(whole) // 2])
                self._drop()
            case "cut_json":  # as many as were promised, and they are no whole JSON
                self._send(200, whole[: len(whole) // 2])
            case "cut_stream":
                self._stream(_chat(self.server_of, ask), stop=True)
            case "dropped":
                self._drop()
            case "stuck":
                time.sleep(0.5)
                self._drop()
            case "refused":
                self._json(400, {"error": {"message": "This request is not allowed."}})
            case _:
                raise ValueError(f"no fault is called {fault!r}")
        return False

    def _drop(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def _json(self, status: int, data: Any, headers: Mapping[str, str] = {}) -> None:
        self._send(status, json.dumps(data).encode(), headers=headers)

    def _head(self, status: int, length: int | None, kind: str, headers: Mapping[str, str] = {}) -> None:
        self.send_response_only(status)
        self.send_header("content-type", kind)
        for name, value in headers.items():
            self.send_header(name, value)
        if length is None:
            self.send_header("connection", "close")
            self.close_connection = True
        else:
            self.send_header("content-length", str(length))
        self.end_headers()

    def _send(
        self,
        status: int,
        data: bytes,
        kind: str = "application/json",
        headers: Mapping[str, str] = {},
        slow: bool = False,
    ) -> None:
        self._head(status, len(data), kind, headers)
        for begin in range(0, len(data), 64) if slow else (0,):
            self.wfile.write(data[begin : begin + 64] if slow else data)
            self.wfile.flush()
            if slow:
                time.sleep(0.002)

    def _stream(self, reply: Mapping[str, Any], slow: bool = False, stop: bool = False) -> None:
        self._head(200, None, "text/event-stream")
        choice = reply["choices"][0]
        chat = "message" in choice
        pieces = WORD.findall(choice["message"]["content"] if chat else choice["text"])
        for number, piece in enumerate(pieces):
            if stop and number == len(pieces) // 2:
                return
            written = {"delta": {"content": piece}} if chat else {"text": piece}
            self._event({"model": reply["model"], "choices": [{"index": 0, **written}]})
            if slow:
                time.sleep(0.002)
        last = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
        self._event({"choices": [last]})
        self._event({"choices": [], "usage": reply.get("usage")})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, data: Any) -> None:
        self.wfile.write(b"data: " + json.dumps(data).encode() + b"\n\n")
        self.wfile.flush()


def _text(path: str, body: Mapping[str, Any]) -> str:
    if path == "chat/completions":
        return str(body["messages"][-1]["content"])
    return str(body["prompt"] if path == "completions" else body["input"])


def _usage(server: FaultServer, read: str, written: str) -> dict[str, Any]:
    if not server.counts:
        return {}
    words_in, words_out = len(WORD.findall(read)), len(WORD.findall(written)) + server.hidden_tokens
    usage = {"prompt_tokens": words_in, "completion_tokens": words_out, "total_tokens": words_in + words_out}
    cached = {"cached_tokens": min(server.cached_tokens, words_in)}
    details = {"reasoning_tokens": server.hidden_tokens}
    return {"usage": {**usage, "prompt_tokens_details": cached, "completion_tokens_details": details}}


def _chat(server: FaultServer, ask: Ask) -> dict[str, Any]:
    text, why = server.answer(ask.text), "stop"
    form = ask.body.get("response_format")
    if form and server.keeps_form:
        schema = form["json_schema"]["schema"]["properties"]["answer"]
        text = json.dumps({"answer": text if text in schema.get("enum", [text]) else schema["enum"][0]})
    words = WORD.findall(text)
    most = ask.body.get("max_tokens") or ask.body.get("max_completion_tokens") or len(words)
    if len(words) > most:
        text, why = "".join(words[:most]), "length"
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": why}
    if ask.body.get("logprobs") and server.chances:
        top = sorted(server.chances(ask.text).items(), key=lambda entry: -entry[1])[: ask.body.get("top_logprobs") or 0]
        listed = [{"token": token, "logprob": math.log(chance)} for token, chance in top]
        choice["logprobs"] = {"content": [{"token": text, "logprob": -0.25, "top_logprobs": listed}]}
    read = " ".join(str(message["content"]) for message in ask.body.get("messages", ()))
    return {"model": f"{ask.body['model']}-2026", "choices": [choice], **_usage(server, read, text)}


def _completion(server: FaultServer, ask: Ask) -> dict[str, Any]:
    """Each token of an echoed text is as likely as it is short: a nat a character."""
    prompt, echo = str(ask.body["prompt"]), bool(ask.body.get("echo"))
    text = server.answer(prompt)
    choice: dict[str, Any] = {"index": 0, "text": prompt + text if echo else text, "finish_reason": "stop"}
    if ask.body.get("logprobs") and server.echoes:
        tokens = re.findall(r"\s*\w+|\s*[^\w\s]|\s+", choice["text"])
        offsets = [sum(map(len, tokens[:i])) for i in range(len(tokens))]
        nats = [None if i == 0 and echo else -float(len(token.strip())) for i, token in enumerate(tokens)]
        choice["logprobs"] = {"tokens": tokens, "text_offset": offsets, "token_logprobs": nats}
    return {"model": ask.body["model"], "choices": [choice], **_usage(server, prompt, text)}


def _embedding(server: FaultServer, ask: Ask) -> dict[str, Any]:
    letters = [float(ask.text.lower().count(letter)) + 0.01 for letter in "abcdefghijklmnopqrstuvwxyz"]
    data = [{"object": "embedding", "index": 0, "embedding": letters}]
    return {"model": ask.body["model"], "data": data, **_usage(server, ask.text, "")}
