"""Small things on disk, by key, up to so many bytes: what was not asked for longest goes first.

One SQLite file, for all threads and processes of a user at once. Each `put` is one transaction, so a process that is
killed leaves all of it or nothing. What is kept here can be made again, so the disk never fails the caller: a damaged
file is set aside and a new one begun, and where the disk is full or can't be written, or the new file is damaged too,
the store turns itself off. `troubles` says so, a sentence each. A value lies there with its CRC-32, since SQLite does
not notice when a disk changes bytes within one.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")
AT_ONCE = 500
"""Keys in one SELECT."""
ROOM_LEFT = 0.1
"""Of the most bytes, what an eviction frees, so that the next `put` does not evict again."""
ROW_BYTES = 128
"""What a row takes beside its value: key, two indexes, headers."""
WAIT_SECONDS = 10.0
"""For another process that writes. Who waits longer goes on without."""
MAKE = """
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
CREATE TABLE kept (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL, used INTEGER NOT NULL);
CREATE INDEX by_use ON kept (used);
"""
"""`used` is the hour (since 1970) in which a row was last asked for: reading much-read rows then writes nothing."""


class Bounded:
    """bytes -> bytes in the file `path`, which is made when first used, and holds at most about `most_bytes`."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self.path, self.most_bytes = path, most_bytes
        self.troubles: list[str] = []
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._off = False

    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """What is kept of these, which counts as asked for now."""
        return self._safely(lambda connection: _get(connection, keys), {}) if keys else {}

    def put(self, entries: Mapping[bytes, bytes]) -> None:
        """Keep these, all or (where the disk refuses) none. What is there already stays as it is."""
        if entries:
            self._safely(lambda connection: _put(connection, entries, self.most_bytes), None)

    def size(self) -> tuple[int, int]:
        """Bytes on disk and how many things are kept. Makes no file."""
        if not self.path.exists():
            return 0, 0
        (count,) = self._safely(lambda connection: connection.execute("SELECT count(*) FROM kept").fetchone(), (0,))
        return (self.path.stat().st_size if self.path.exists() else 0), int(count)

    def clear(self) -> None:
        """Forget everything, damaged files too. Who has the file open meanwhile goes on with what is then nobody's.

        Raises OSError where files can't be removed.
        """
        with self._lock:
            self.close()
            if self.path.parent.exists():
                with self._alone():
                    for path in (self.path, *self._beside(), self._aside()):
                        path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file; the next use opens it again."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    def __enter__(self) -> Bounded:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _safely(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        with self._lock:
            if self._off:
                return otherwise
            try:
                return work(self._opened())
            except (sqlite3.Error, OSError) as error:
                self.close()
                self._take(error)
            return otherwise

    def _take(self, error: Exception) -> None:
        """Set a damaged file aside, the first time; for any other trouble turn off."""
        if _says_damaged(error) and not self.troubles:
            try:
                self._set_aside(error)
            except OSError as second:
                error = second
            else:
                return
        self._off = True
        self.troubles.append(
            f"{self.path} can't be used ({error}), so the work went on without it. Free some space or make the folder"
            " writable; where the file itself is at fault, delete it: all that is in it can be made again."
        )

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._alone():
                self._file = _file_at(self.path)
                self._connection = sqlite3.connect(
                    self.path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
                )
                _prepare(self._connection)
                self._file = _file_at(self.path)
        return self._connection

    def _set_aside(self, error: Exception) -> None:
        with self._alone():
            if self._file != _file_at(self.path):  # another process did it before us
                return
            os.replace(self.path, self._aside())
            for path in self._beside():
                path.unlink(missing_ok=True)
        self.troubles.append(
            f"{self.path} was damaged ({error}). It was set aside as {self._aside().name}, and a new one begun."
        )

    def _alone(self) -> contextlib.AbstractContextManager[object]:
        """Nobody else opens the file or puts it aside meanwhile. Raises OSError where that can't be had."""
        from filelock import FileLock

        return FileLock(f"{self.path}.lock", timeout=WAIT_SECONDS)

    def _aside(self) -> Path:
        return self.path.with_suffix(f".damaged{self.path.suffix}")

    def _beside(self) -> list[Path]:
        """What SQLite keeps beside the file."""
        return [self.path.with_name(self.path.name + end) for end in ("-wal", "-shm")]


class _Changed(sqlite3.DatabaseError):
    """A value is not what was written."""


def _prepare(connection: sqlite3.Connection) -> None:
    connection.executescript("PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 16777216;")
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'by_use'").fetchone():
        connection.executescript(MAKE)


def _get(connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    hour, found, stale = _hour(), {}, []
    for begin in range(0, len(keys), AT_ONCE):
        some = keys[begin : begin + AT_ONCE]
        rows = f"SELECT id, key, value, used FROM kept WHERE key IN ({', '.join('?' * len(some))})"
        for id, key, value, used in connection.execute(rows, some):
            found[key] = _unsealed(key, value)
            if used < hour:
                stale.append((hour, id))
    if stale:
        with _transaction(connection):
            connection.executemany("UPDATE kept SET used = ? WHERE id = ?", stale)
    return found


def _put(connection: sqlite3.Connection, entries: Mapping[bytes, bytes], most_bytes: int) -> None:
    hour = _hour()
    with _transaction(connection):
        connection.executemany(
            "INSERT INTO kept (key, value, used) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING",
            [(key, _sealed(key, value), hour) for key, value in entries.items()],
        )
    if _bytes_used(connection) > most_bytes:
        _evict(connection, most_bytes)


def _evict(connection: sqlite3.Connection, most_bytes: int) -> None:
    """Free a part of the room at once, oldest use first, and give the disk back what the file has grown beyond."""
    with _transaction(connection):
        while (excess := _bytes_used(connection) - most_bytes * (1 - ROOM_LEFT)) > 0:
            # A row takes up to twice its bytes, as pages are filled; so by halves, looking again after each.
            leaving = _oldest(connection, excess / 2)
            if not leaving:
                break
            connection.executemany("DELETE FROM kept WHERE id = ?", leaving)
    pages, page = _number(connection, "page_count"), _number(connection, "page_size")
    beyond = pages - most_bytes // page
    if beyond > 0:
        connection.executescript(f"PRAGMA incremental_vacuum({beyond})")  # `execute` would give back one page only


def _oldest(connection: sqlite3.Connection, size: float) -> list[tuple[int]]:
    """Ids of the rows that were not asked for longest and come to `size` bytes together."""
    found = []
    for id, length in connection.execute("SELECT id, length(value) FROM kept ORDER BY used, id"):
        if size <= 0:
            break
        size -= length + ROW_BYTES
        found.append((id,))
    return found


def _bytes_used(connection: sqlite3.Connection) -> int:
    pages = _number(connection, "page_count") - _number(connection, "freelist_count")
    return pages * _number(connection, "page_size")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block or nothing, also when it is interrupted."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _sealed(key: bytes, value: bytes) -> bytes:
    return zlib.crc32(value, zlib.crc32(key)).to_bytes(4, "little") + value


def _unsealed(key: bytes, sealed: bytes) -> bytes:
    if sealed != _sealed(key, sealed[4:]):
        raise _Changed("a value is not what was written")
    return sealed[4:]


def _says_damaged(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, _Changed) or code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file lies there now."""
    with contextlib.suppress(FileNotFoundError):
        about = path.stat()
        return about.st_dev, about.st_ino
    return None


def _hour() -> int:
    return int(time.time() // 3600)
