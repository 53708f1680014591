"""An output file while it is being written, so that what was stopped goes on.

Rows are appended to NAME.part. Beside it stands NAME.part.json, which says what is safe: how many rows, in how many
bytes, answered by which candidate, and a digest of the rows themselves. It is written after the part is on disk, so
whatever ended the process, the part can be cut back to what the state says and be gone on with. When all rows are
answered the part becomes NAME.

That the same command is given again is not taken on trust: the candidate must be the same, and the first rows of the
source must be those that were answered. So a source may be mended or grow behind them, and may have been moved.

It does not notice what a candidate only names and that was changed meanwhile: the code of a function, the weights in
a folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import DataError, UserError
from ..store.blobs import write_atomically
from .rows import ENDINGS, PARQUET, Line, Table, jsonl, pairs

SECONDS_BETWEEN_STATES = 1.0
"""Two files are flushed to disk for a state, which would take longer than what quick candidates do in a block."""


@dataclass(frozen=True)
class State:
    """What is in a part. Written as NAME.part.json when that much is safe."""

    candidate: str
    """The identity of the candidate that answered, and its name, for people."""
    name: str
    source: str
    """Where the rows came from, for people; `digest` decides."""
    digest: str = ""
    """SHA-256 over the rows that were answered."""
    rows: int = 0
    failed: int = 0
    bytes: int = 0
    header: tuple[str, ...] = ()
    """The columns of a table's first row."""
    cut: int = 0
    """Tokens that were left out of inputs which were too long."""
    version: int = 1


class Part:
    """NAME.part, opened for appending: `with Part(...) as part: part.go_on(rows); part.add(...); part.finish()`.

    `resumable` is false for rows that can't be read a second time: then no state is kept. Raises DataError where
    nothing can be written, and UserError where NAME.part and its state hold something else than this command would
    write; a NAME.part without a state is begun anew.
    """

    def __init__(
        self, out: str, added: Sequence[str], state: State, *, restart: bool = False, resumable: bool = True
    ) -> None:
        self.out = _writable(out)
        self.path = self.out.with_name(self.out.name + ".part")
        self.state_path = self.out.with_name(self.out.name + ".part.json")
        self._whole = self.out.with_name(self.out.name + ".part.whole")
        self.added, self.state, self.restart, self.resumable = added, state, restart, resumable
        self._source = state.source
        self._digest = hashlib.sha256()
        self._saved, self._saved_at = state, time.monotonic()
        self._line: Line
        self._file: Any = None
        self._lock: Any = None

    def __enter__(self) -> Part:
        self._alone()
        try:
            if self.state_path.exists() and self.path.exists() and not self.restart:
                self.state = self._saved = self._found()
            self._line = self._lines()
            with _letters(self):
                if not self.state.rows:
                    self.state_path.unlink(missing_ok=True)
                self._file = self.path.open("r+b" if self.state.rows else "wb", buffering=0)
                self._file.truncate(self.state.bytes)
                self._file.seek(0, os.SEEK_END)
        except BaseException:
            self._unlock()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.save()
        except UserError:
            if error is None:
                raise  # else what the disk refuses now it refused before, and that is what is told
        finally:
            self._file.close()
            self._whole.unlink(missing_ok=True)
            if not self.state.rows:
                self.path.unlink(missing_ok=True)
            self._unlock()

    def go_on(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Pass over the rows that are answered already. Raises UserError when they are not the ones that were."""
        passed, digest = 0, hashlib.sha256()
        for row in islice(rows, self.state.rows):
            digest.update(_bytes(row))
            passed += 1
        if passed < self.state.rows or (passed and digest.hexdigest() != self.state.digest):
            short = f"has only {passed:,} rows" if passed < self.state.rows else "begins with other rows"
            raise UserError(
                self._other(f"answer those of {self.state.source!r} as it was, and {self._source!r} {short}")
            )
        self._digest = digest
        self.state = replace(self.state, source=self._source)  # it may have been moved

    def add(self, answered: Iterable[tuple[Mapping[str, Any], Sequence[Any], bool]], cut: int = 0) -> None:
        """Append a block of rows: each with its added values and whether it failed; `cut` tokens of their inputs were
        left out. Raises DataError where the disk refuses; the part then stays as it was before the block."""
        block = list(answered)
        text = "".join(self._line(row, values) for row, values, _ in block).encode()
        with _letters(self):
            rest = memoryview(text)
            while rest:
                rest = rest[self._file.write(rest) :]
        for row, _, _ in block:
            self._digest.update(_bytes(row))
        # One assignment: a Ctrl-C comes before it or after it.
        self.state = replace(
            self.state,
            digest=self._digest.hexdigest(),
            rows=self.state.rows + len(block),
            failed=self.state.failed + sum(failed for _, _, failed in block),
            cut=self.state.cut + cut,
            bytes=self.state.bytes + len(text),
            header=tuple(self._line.header) if isinstance(self._line, Table) else (),
        )
        if time.monotonic() - self._saved_at >= SECONDS_BETWEEN_STATES:
            self.save()

    def save(self) -> None:
        """Make what was added safe."""
        if not self.resumable or self.state == self._saved:
            return
        with _letters(self):
            os.fsync(self._file.fileno())
            write_atomically(self.state_path, (json.dumps(asdict(self.state), indent=1) + "\n").encode())
        self._saved, self._saved_at = self.state, time.monotonic()

    def finish(self, source: str) -> None:
        """All rows are there: make the file, under its own name, and take away what was only for the way."""
        self.save()
        with _letters(self):
            os.fsync(self._file.fileno())
            if self.out.suffix.lower() in PARQUET:
                from .parquet import write_parquet

                write_parquet(self.path, self._whole, self.added, source)
                os.replace(self._whole, self.out)
                self.path.unlink()
            else:
                os.replace(self.path, self.out)
            self.state_path.unlink(missing_ok=True)

    @property
    def left_out(self) -> list[str]:
        """Columns of rows for which the table has no place."""
        return self._line.left_out if isinstance(self._line, Table) else []

    def _alone(self) -> None:
        from filelock import FileLock, Timeout

        self._lock = FileLock(self.out.with_name(self.out.name + ".part.lock"))
        with _letters(self):
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise UserError(
                    f"Another process is writing {str(self.out)!r}. Wait for it, or give another file by --out."
                ) from None

    def _unlock(self) -> None:
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()

    def _lines(self) -> Line:
        ending = self.out.suffix.lower()
        if ending in PARQUET:
            return pairs if not _is_parquet(self._source) else lambda row, values: pairs({}, values)
        if ending in (".jsonl", ".ndjson"):
            return jsonl(self.added)
        return Table("\t" if ending == ".tsv" else ",", self.added, self.state.header)

    def _found(self) -> State:
        """The state on disk, when it is one that this command can go on from."""
        try:
            data = json.loads(self.state_path.read_text(encoding="utf-8"))
            if data["version"] != 1:
                raise ValueError(f"it is of version {data['version']!r}, and this tuningfork knows 1")
            found = State(**{field.name: {"cut": 0, **data}[field.name] for field in fields(State)})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{str(self.state_path)!r}, which says how far {self.path.name} is, can't be read"
                f" ({type(error).__name__}: {error}). {self._todo()}"
            ) from None
        if not self.resumable:
            raise UserError(self._other(f"were read from {found.source!r}, and stdin can't go on from there", found))
        if found.candidate != self.state.candidate:
            by = f"{found.name} ({found.candidate}), and this command asks {self.state.name} ({self.state.candidate})"
            raise UserError(self._other(f"were answered by {by}", found))
        if self.out.suffix.lower() in PARQUET and _is_parquet(found.source) != _is_parquet(self.state.source):
            whence = f"were read from {found.source!r}, of another format than {self.state.source!r}"
            raise UserError(self._other(whence, found))
        if self.path.stat().st_size < found.bytes:
            short = f"were {found.bytes:,} bytes, and {self.path.name} has only {self.path.stat().st_size:,}"
            raise UserError(self._other(short, found))
        return replace(found, header=tuple(found.header))

    def _other(self, what: str, found: State | None = None) -> str:
        rows = (found or self.state).rows
        return (
            f"{str(self.path)!r} is what another command left: its {rows:,} rows {what}. So it can't be gone on with."
            f" {self._todo()}"
        )

    def _todo(self) -> str:
        return "Add --restart to throw it away and begin anew, or give another file by --out."


def _writable(out: str) -> Path:
    """The file as a path, when it is one that can be written. Raises DataError."""
    path = Path(out)
    if path.suffix.lower() not in ENDINGS:
        ending = path.suffix.lower()
        raise DataError(f"{out!r} ends in {ending!r}: rows can be written as .csv, .tsv, .jsonl or .parquet.")
    if not path.parent.is_dir():
        raise DataError(f"The folder {str(path.parent)!r} is not there. Make it, or give another file by --out.")
    if path.is_dir():
        raise DataError(f"{out!r} is a folder. Give another file by --out.")
    return path


def _is_parquet(source: str) -> bool:
    return source.lower().endswith(PARQUET)


def _bytes(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, default=str).encode() + b"\n"


@contextmanager
def _letters(part: Part) -> Iterator[None]:
    """What the system says where it refuses to write, as a letter to a person."""
    try:
        yield
    except OSError as error:
        safe = f" {part.state.rows:,} answered rows are kept; the same command goes on after them."
        raise DataError(
            f"{str(part.out)!r} can't be written: {error.strerror or error}. Make room, or mend what is in the way."
            + (safe if part.resumable and part.state.rows else "")
        ) from error
