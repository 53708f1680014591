"""Lines of stdin, and whether the next one is there yet.

A program that writes one row and waits for its answer must get it, so whoever reads has to know when a line would have
to be waited for. Asking the system (`select`) needs no thread, so there is nothing to stop at the end, and Ctrl-C works
while a line is waited for. Where the system can't be asked (stdin is no real file, as in tests; Windows pipes) no line
counts as waited for, and blocks are full ones.
"""

from __future__ import annotations

import io
import os
import select
import sys
from collections import deque

AT_ONCE = 1 << 16
"""Bytes asked for at a time: what a pipe holds."""


class Lines:
    """The lines of stdin, as bytes; iterate once. `waits()` says that the next one is not there yet."""

    def __init__(self) -> None:
        self._file = _descriptor()
        self._there: deque[bytes] = deque()
        self._begun: list[bytes] = []
        self._ended = False

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> bytes:
        while not self._there and not self._ended:
            self._read()
        if not self._there:
            raise StopIteration
        return self._there.popleft()

    def waits(self) -> bool:
        """Whether no line but empty ones can be had without waiting. The end of stdin is not waited for."""
        while not any(line.strip() for line in self._there):
            if self._ended:
                return False
            if not self._ready():
                return True
            self._read()
        return False

    def _ready(self) -> bool:
        if self._file is None:
            return True
        try:
            return bool(select.select([self._file], [], [], 0)[0])
        except (OSError, ValueError):  # no kind of file that can be asked about
            return True

    def _read(self) -> None:
        data = os.read(self._file, AT_ONCE) if self._file is not None else _from_memory()
        if not data:
            self._ended = True
        *whole, rest = data.split(b"\n")
        if whole or self._ended:
            self._there.append(b"".join([*self._begun, *whole[:1]]))
            self._there.extend(whole[1:])
            self._begun = []
        self._begun.append(rest)


def _descriptor() -> int | None:
    try:
        return sys.stdin.fileno()
    except (io.UnsupportedOperation, AttributeError, OSError, ValueError):
        return None


def _from_memory() -> bytes:
    data = sys.stdin.read(AT_ONCE)
    return data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
