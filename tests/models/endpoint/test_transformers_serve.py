"""Against a server that is not ours: `transformers serve` with the bundled chat model."""

from __future__ import annotations

import importlib.util
import math
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tuningfork.model import Answer, GenerateRequest
from tuningfork.models.bundled import folder_of, is_cached
from tuningfork.models.endpoint import open_endpoint
from tuningfork.task import Prompt

pytestmark = [pytest.mark.slow, pytest.mark.real]
SECONDS = 120.0


@pytest.fixture
def served() -> Iterator[tuple[str, str]]:
    """The model's name at the server, and the server's base URL."""
    missing = [name for name in ("fastapi", "uvicorn") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"`transformers serve` needs {' and '.join(missing)}: pip install 'transformers[serving]'")
    if not is_cached("smollm2-135m"):
        pytest.skip("smollm2-135m is not fetched: tuningfork models --fetch")
    folder = str(folder_of("smollm2-135m"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("transformers")
    server = subprocess.Popen([program, "serve", folder, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"])
    try:
        wait_for(f"http://127.0.0.1:{port}/v1/models", server)
        yield folder, f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait()


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail(f"transformers serve did not answer at {url} within {SECONDS:.0f} s")


def test_it_answers_alike_whole_and_streamed(served: tuple[str, str], ask: Callable[[str], Prompt]) -> None:
    name, url = served
    model = open_endpoint(f"openai:{name}@{url}")
    requests = [GenerateRequest(ask(text), max_tokens=8) for text in ("Is water wet?", "Is fire cold?")]
    whole = model.generate(requests)
    pieces: dict[int, str] = {}
    streamed = model.generate(requests, lambda i, piece: pieces.update({i: pieces.get(i, "") + piece}))
    model.close()
    for one, other, index in zip(whole, streamed, range(2), strict=True):
        assert isinstance(one, Answer) and isinstance(other, Answer) and one.text
        assert one.text == other.text == pieces[index] and math.isfinite(one.usage.seconds)
