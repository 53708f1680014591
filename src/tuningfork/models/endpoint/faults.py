"""What went wrong on the wire, in the words of whom it concerns.

A Fault says for whom it holds (`everyone`: a bad key, a model that is not there; else one request) and whether to ask
again: `later` (the server was busy and gave no answer), `lost` (an answer may have been made, and paid, and did not
arrive whole), `never`. The key is taken out of whatever a server says.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any, Literal

from .naming import Address

Again = Literal["never", "later", "lost"]
TOO_LONG = re.compile(r"context.{0,24}(length|size|window)|too (long|large)|too many tokens|maximum.{0,24}tokens", re.I)
BUSY = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529))
SHOWN = 300
"""Characters of a server's words that are shown."""


class Fault(Exception):
    """One request that got no answer. `after`: the seconds that the server asks to wait; `lost`: how many answers were
    lost on the way to this."""

    def __init__(
        self, kind: str, message: str, again: Again = "never", after: float | None = None, everyone: bool = False
    ) -> None:
        super().__init__(message)
        self.kind, self.message, self.again, self.after, self.everyone = kind, message, again, after, everyone
        self.lost = 0


def of_status(status: int, headers: Any, text: str, body: object, address: Address) -> Fault:
    """The fault of an answer whose status says that it is none."""
    said, code = _said(body, text, address)
    where = f"{address.host} answered {status}"
    if "insufficient_quota" in (code, *re.findall(r"insufficient_quota", text)):
        return Fault("no_credit", f"{where}: the account has no credit left ({said}).", everyone=True)
    if status in BUSY:
        kind = "rate_limit" if status == 429 else "server"
        return Fault(kind, f"{where} ({said}).", "later", _after(headers))
    if _is_html(headers, text):
        return html(address, status)
    if status in (401, 403) or (status == 400 and "api key" in said.lower()):
        return Fault("key", bad_key(address, status), everyone=True)
    if status == 413 or TOO_LONG.search(said) or "context_length" in code:
        return Fault("too_long", f"The prompt is longer than {address.model} reads: {said}")
    if status == 404:
        return Fault("no_model", f"{where} for the model {address.model!r}: {said}", everyone=True)
    if status == 402:
        return Fault("no_credit", f"{where}: {said}", everyone=True)
    return Fault("refused", f"{where}: {said}")


def html(address: Address, status: int = 200) -> Fault:
    """A page for people where a program was asked."""
    return Fault(
        "html",
        f"{address.url} answered with a web page (HTML, status {status}), not as an API does. Base URLs mostly end in"
        f" /v1: write {address.name.partition('@')[0]}@http://HOST:PORT/v1 with the address that the server's own"
        " documentation gives.",
        everyone=True,
    )


def unreachable(address: Address) -> Fault:
    """Nobody is there. Asked again, since a server may be starting; in the end it holds for everyone."""
    return Fault(
        "unreachable",
        f"No server answers at {address.url} (connection refused, or no such host). Start it, or name another address:"
        f" {address.name.partition('@')[0]}@http://HOST:PORT/v1.",
        "later",
        everyone=True,
    )


def bad_key(address: Address, status: int) -> str:
    """What to do about a key that is missing or refused. Its value is never said."""
    used = address.key_variable
    if used:
        return (
            f"{address.host} refused the key in {used} (status {status}). Put a key that is allowed to use"
            f" {address.model} there."
        )
    return f"{address.host} wants a key (status {status}). {no_key(address)}"


def no_key(address: Address) -> str:
    """Which variable to set."""
    return f"{' or '.join(address.keys)} is not set: set it to your key for {address.host}."


def no_such_model(address: Address, known: list[str], said: str) -> str:
    """An unknown model, with those that the server lists."""
    if not known:
        return f"{said} It lists no models either: see the server's own documentation for their names."
    near = get_close_matches(address.model, known, n=3, cutoff=0.4)
    hint = f" Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    more = f" and {len(known) - 20} more" if len(known) > 20 else ""
    return f"There is no model {address.model!r} at {address.url}.{hint} It has: {', '.join(known[:20])}{more}."


def scrubbed(text: str, address: Address) -> str:
    """A server's words, short, on one line, without the key."""
    if address.key:
        text = text.replace(address.key, "[key]")
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _said(body: object, text: str, address: Address) -> tuple[str, str]:
    """The server's message, and its code where it gives one."""
    found: Any = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(found, dict):
        message, code = found.get("message") or found.get("detail") or text, found.get("code") or found.get("type")
        return scrubbed(str(message), address), str(code or "")
    return scrubbed(str(found or text or "no words"), address), ""


def _after(headers: Any) -> float | None:
    """Seconds that `Retry-After` asks to wait: a number, or a date."""
    said = str(headers.get("retry-after-ms") or headers.get("retry-after") or "").strip()
    try:
        return float(said) / (1000 if headers.get("retry-after-ms") else 1)
    except ValueError:
        pass
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _is_html(headers: Any, text: str) -> bool:
    return "html" in str(headers.get("content-type", "")) or text.lstrip()[:15].lower().startswith(
        ("<!doctype", "<html")
    )
