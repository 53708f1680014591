"""Where a wheel lies: asked of the package index that pip itself is set up to use.

Behind a mirror, a proxy or a company certificate, pip already knows the way, so pip's own settings are read (`pip
config list`, which also covers `PIP_*` variables; without pip, the variables alone) and the simple API of its indexes
is asked, in pip's order. Wheels that already lie in a find-links folder or in an index on disk (`file://`) are taken
from there. It finds; it fetches nothing large.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

if TYPE_CHECKING:
    import requests

SECTIONS = (":env:", "download", "install", "global")
"""Where a pip setting may stand, the strongest first."""
TIMEOUT_SECONDS = 20.0


def default_index() -> str:
    """The public index, where nothing else is set. Imported late: listing models must not load an HTTP library."""
    from pypi_simple import PYPI_SIMPLE_ENDPOINT

    return PYPI_SIMPLE_ENDPOINT


@dataclass(frozen=True)
class IndexSettings:
    """What pip would use. `indexes` in the order asked, `folders` are find-links that are on this machine."""

    indexes: tuple[str, ...] = field(default_factory=lambda: (default_index(),))
    folders: tuple[Path, ...] = ()
    certificate: str | None = None
    proxy: str | None = None
    trusted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """A wheel's address: a file on this machine, or a URL and the session that may fetch it."""

    path: Path | None = None
    url: str | None = None
    session: requests.Session | None = None


def pip_settings() -> IndexSettings:
    """The settings that `pip download` would use in this environment."""
    values = _pip_values()
    indexes = [values.get("index-url") or default_index(), *values.get("extra-index-url", "").split()]
    if values.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        indexes = []
    links = [link for link in values.get("find-links", "").split() if not link.startswith(("http:", "https:"))]
    return IndexSettings(
        indexes=tuple(dict.fromkeys(indexes)),
        folders=tuple(_on_disk(link) if link.startswith("file:") else Path(link) for link in links),
        certificate=values.get("cert"),
        proxy=values.get("proxy"),
        trusted=tuple(values.get("trusted-host", "").split()),
    )


def find_wheel(project: str, filename: str, settings: IndexSettings) -> Iterator[Found | str]:
    """Every place that has the wheel, in pip's order; for a place that has not, a sentence that says why.

    An iterator, so that a caller whose fetch fails goes on to the next place, and the next index is asked only then.
    """
    for folder in settings.folders:
        if (folder / filename).is_file():
            yield Found(path=folder / filename)
    for index in settings.indexes:
        yield _ask(index.rstrip("/") + "/", project, filename, settings)


def shown(url: str) -> str:
    """A URL without the user name and password that it may hold."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _ask(index: str, project: str, filename: str, settings: IndexSettings) -> Found | str:
    import requests
    from pypi_simple import NoSuchProjectError, ProjectPage, PyPISimple, UnsupportedContentTypeError

    place = shown(index)
    session = _session(index, settings)
    try:
        if index.startswith("file:"):
            file = _on_disk(index) / project / "index.html"
            page = ProjectPage.from_html(project, file.read_text(encoding="utf-8"), base_url=f"{index}{project}/")
        else:
            page = PyPISimple(index, session=session).get_project_page(project, timeout=TIMEOUT_SECONDS)
    except (NoSuchProjectError, FileNotFoundError, NotADirectoryError):
        return f"{place} has no project {project}"
    except (requests.RequestException, UnsupportedContentTypeError, OSError, ValueError) as error:
        return f"{place} gave no answer ({_reason(error)})"
    for package in page.packages:
        if package.filename == filename:
            if package.url.startswith("file:"):
                return Found(path=_on_disk(package.url))
            _same_host_login(session, index, package.url)
            return Found(url=package.url, session=session)
    return f"{place} has the project {project}, but not the file {filename}"


def _on_disk(url: str) -> Path:
    return Path(url2pathname(urlsplit(url).path))


def _session(index: str, settings: IndexSettings) -> requests.Session:
    import requests

    session = requests.Session()
    parts = urlsplit(index)
    if settings.certificate:
        session.verify = settings.certificate
    if parts.hostname in settings.trusted or parts.netloc.rpartition("@")[2] in settings.trusted:
        session.verify = False  # the user told pip so; what is fetched is checked against a pinned SHA-256 anyway
    if settings.proxy:
        session.proxies = {"http": settings.proxy, "https": settings.proxy}
    return session


def _same_host_login(session: requests.Session, index: str, url: str) -> None:
    """The index's own login goes with the file too, as with pip, but never to another host."""
    login, file = urlsplit(index), urlsplit(url)
    if login.username and login.netloc.rpartition("@")[2] == file.netloc.rpartition("@")[2]:
        from urllib.parse import unquote

        session.auth = (unquote(login.username), unquote(login.password or ""))


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted here; PIP_CERT names another bundle"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refused"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT_SECONDS:.0f} s"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return type(error).__name__


def _pip_values() -> dict[str, str]:
    """pip's settings by name. uv's two index variables count where pip has no index of its own."""
    found: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for line in _config_lines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        try:
            text = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            continue
        if section in found and isinstance(text, str):
            found[section][key.replace("_", "-")] = text
    found[":env:"] |= _variables(os.environ)
    values: dict[str, str] = {}
    for section in reversed(SECTIONS):
        values |= found[section]
    uv = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL")
    if uv and "index-url" not in values:
        values["index-url"] = uv
    return values


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    prefix = "PIP_"
    return {
        name[len(prefix) :].lower().replace("_", "-"): value
        for name, value in environment.items()
        if name.startswith(prefix) and value
    }


def _config_lines() -> list[str]:
    command = [sys.executable, "-m", "pip", "config", "list"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []
