"""pip's settings as tuningfork reads them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tuningfork.models.wheel_index import Found, IndexSettings, default_index, find_wheel, pip_settings, shown


@pytest.fixture
def bare(monkeypatch, tmp_path) -> Path:
    """An environment where nobody has told pip anything; returns the file that pip reads its settings from."""
    import os

    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    (tmp_path / "pip.conf").write_text("")
    return tmp_path / "pip.conf"


def test_a_settings_file_is_read_through_pip(bare, monkeypatch):
    pytest.importorskip("pip")
    bare.write_text(
        "[global]\nindex-url = https://mirror.example/simple\nextra-index-url =\n  https://a.example/s\n  file:///b/s\n"
        "cert = /c.pem\n[install]\nfind-links = /wheels https://not.a.folder/x\ntrusted-host = mirror.example\n"
    )
    found = pip_settings()
    assert found.indexes == ("https://mirror.example/simple", "https://a.example/s", "file:///b/s")
    assert (found.certificate, found.folders, found.trusted) == ("/c.pem", (Path("/wheels"),), ("mirror.example",))
    monkeypatch.setenv("PIP_INDEX_URL", "https://stronger.example/simple")
    monkeypatch.setenv("PIP_PROXY", "http://proxy.example:3128")
    found = pip_settings()
    assert found.indexes[0] == "https://stronger.example/simple" and found.proxy == "http://proxy.example:3128"


def test_without_pip_the_variables_alone_count(bare, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert pip_settings() == IndexSettings((default_index(),))
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example/simple")
    assert pip_settings().indexes == ("https://uv.example/simple",)
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example/simple")
    assert pip_settings().indexes == ("https://pip.example/simple",)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert pip_settings().indexes == ()


def test_a_login_is_never_shown():
    assert shown("https://user:secret@host:8080/simple/?a=b") == "https://host:8080/simple/?a=b"
    assert shown("https://host/simple") == "https://host/simple"


def test_places_are_looked_at_in_order_and_say_what_they_lack(tmp_path):
    (tmp_path / "w.whl").write_bytes(b"")
    project = tmp_path / "index" / "p"
    project.mkdir(parents=True)
    (project / "index.html").write_text('<a href="other-1.0-py3-none-any.whl">other-1.0-py3-none-any.whl</a>')
    there, missing = (tmp_path / "index").as_uri(), (tmp_path / "nothing").as_uri()
    settings = IndexSettings(indexes=(there, missing, "ftp://odd"), folders=(tmp_path / "no", tmp_path))
    found = list(find_wheel("p", "w.whl", settings))
    assert found[0] == Found(path=tmp_path / "w.whl")
    assert found[1] == f"{there}/ has the project p, but not the file w.whl"
    assert found[2] == f"{missing}/ has no project p"
    assert str(found[3]).startswith("ftp://odd/ gave no answer")
