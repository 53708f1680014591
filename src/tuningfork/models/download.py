"""Fetch one file of known SHA-256, so that an interruption costs only what was under way.

What has arrived lies in `<sha256>.part` and stays there when the connection breaks, the process is killed or Ctrl-C is
pressed; the next call asks only for the rest (HTTP Range) and starts over where a server ignores that. The file is used
only after its SHA-256 was checked as a whole. Two processes must not fetch the same part at once: the caller holds a
lock.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests

OnProgress = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes in all."""

CHUNK_BYTES = 1 << 16
"""Small, since a piece that a broken connection cut short is fetched again."""
ATTEMPTS = 4
PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 30.0


class Refused(Exception):
    """The server answered, but not with the file; another place may have it."""


class Broken(Exception):
    """The connection broke and further attempts did not help; the part stays for the next call."""


def fetch(session: requests.Session, url: str, part: Path, size: int, on_progress: OnProgress | None = None) -> None:
    """Bring `part` to `size` bytes. Raises Refused or Broken; OSError when the disk won't take it."""
    import requests

    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS * attempt)
        try:
            _stream(session, url, part, size, on_progress)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            reason: Exception = error
            continue
        except requests.RequestException as error:  # a bad address, too many redirects: asking again won't help
            raise Refused(type(error).__name__) from error
        if _size(part) >= size:
            return
        reason = EOFError()
    raise Broken(type(reason).__name__)


def copy(source: Path, part: Path) -> None:
    """Take a file that already lies on this machine."""
    shutil.copyfile(source, part)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stream(session: requests.Session, url: str, part: Path, size: int, on_progress: OnProgress | None) -> None:
    have = _size(part)
    if have > size:
        part.unlink()
        have = 0
    if have == size:
        return
    headers = {"Accept-Encoding": "identity"}  # a Range counts the bytes of the file as it is
    if have:
        headers["Range"] = f"bytes={have}-"
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
        if response.status_code == 416:  # what is here is no beginning of what is there
            part.unlink(missing_ok=True)
            return
        if response.status_code >= 500:
            import requests

            raise requests.ConnectionError(f"HTTP {response.status_code}")
        if not response.ok:
            raise Refused(f"HTTP {response.status_code}")
        resumed = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            for piece in response.iter_content(CHUNK_BYTES):
                file.write(piece)
                have += len(piece)
                if on_progress is not None:
                    on_progress(have, size)
                if have > size:  # not the file we know; the checksum will say so
                    return


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
