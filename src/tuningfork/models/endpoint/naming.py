"""How a model behind an API is named, where that is, and which environment variable holds its key.

    openai:gpt-4.1-mini                         a preset's own address
    openai:my-model@http://localhost:8000/v1    any server that speaks the same
    openai-embed:text-embedding-3-small         its vectors
    vllm-complete:my-base-model                 plain completion, without a chat template: scores any choice

Presets (`presets.yaml`) are addresses and names of variables, nothing more. A preset's key goes to the preset's own
host only; whoever is named by `@URL` gets `TUNINGFORK_API_KEY`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import urlsplit

from ...errors import ModelError

Form = Literal["chat", "embed", "complete"]
OWN_KEY = "TUNINGFORK_API_KEY"
FORMS: Mapping[str, Form] = {"-embed": "embed", "-complete": "complete"}


@dataclass(frozen=True)
class Address:
    """Where a model is: the name that the user wrote, the server's own name for it, the server's base URL."""

    name: str
    model: str
    url: str
    form: Form
    keys: tuple[str, ...]

    @property
    def host(self) -> str:
        """The server, as messages name it."""
        return urlsplit(self.url).netloc

    @property
    def is_local(self) -> bool:
        """Whether what is asked stays on this machine."""
        return _is_local(self.url)

    @property
    def key_variable(self) -> str | None:
        """The first of its variables that is set, or None."""
        return next((name for name in self.keys if os.environ.get(name, "").strip()), None)

    @property
    def key(self) -> str | None:
        """The key. It is passed to the client, and nowhere else."""
        return os.environ[self.key_variable].strip() if self.key_variable else None


@cache
def presets() -> Mapping[str, Mapping[str, Any]]:
    """Preset name -> its `url` and the variable of its `key`."""
    return shipped("presets.yaml")


def shipped(file: str) -> dict[str, Any]:
    """A data file of this package."""
    import yaml

    found: dict[str, Any] = yaml.safe_load(files(__package__).joinpath(file).read_text("utf-8"))
    return found


def is_endpoint(name: str) -> bool:
    """Whether a name is that of a model behind an API."""
    prefix, colon, rest = name.partition(":")
    return bool(colon and rest) and _parted(prefix)[0] in presets()


def address_of(name: str) -> Address:
    """Where a name leads. Raises ModelError when it says no model, or its URL can't be used."""
    prefix, _, rest = name.partition(":")
    preset, form = _parted(prefix)
    known = presets()[preset]
    model, at, url = rest, "", str(known["url"])
    for scheme in ("@http://", "@https://"):
        if scheme in rest:
            model, at, url = rest.partition(scheme)
            url = at[1:] + url
    if not model:
        raise ModelError(
            f"The endpoint {prefix!r} is named without a model. Write {prefix}:MODEL, or {prefix}:MODEL@URL."
        )
    _check_url(url, prefix, model)
    own_host = urlsplit(url).netloc == urlsplit(str(known["url"])).netloc
    keys = dict.fromkeys((str(known["key"]), OWN_KEY) if own_host else (OWN_KEY,))
    return Address(name, model, url.rstrip("/"), form, tuple(keys))


def is_remote(name: str) -> bool:
    """Whether asking this model sends what is asked to another machine."""
    return is_endpoint(name) and not address_of(name).is_local


def _parted(prefix: str) -> tuple[str, Form]:
    for ending, form in FORMS.items():
        if prefix.endswith(ending):
            return prefix.removesuffix(ending), form
    return prefix, "chat"


def _check_url(url: str, prefix: str, model: str) -> None:
    """Names stand in logs and reports, so a URL that holds a secret is refused, and not repeated."""
    parts = urlsplit(url)
    if not parts.hostname:
        raise ModelError(
            f"The address after {prefix}:{model}@ names no server. Write for example http://localhost:8000/v1."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ModelError(
            f"The address of {prefix}:{model} holds more than a server and a path (a user, a password or a query), and"
            f" names are written in logs. Give the key by the environment variable {OWN_KEY} instead."
        )


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
