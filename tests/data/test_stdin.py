"""Lines of stdin, read from real pipes, and whether the next one is there."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuningfork.data.read import Extent, stream_rows
from tuningfork.data.stdin import Lines
from tuningfork.errors import DataError


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The end of a pipe to write to; stdin is its other end."""
    there, here = os.pipe()
    with os.fdopen(there, "rb") as reader:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(reader))
        yield here
        with contextlib.suppress(OSError):  # the test closed it
            os.close(here)


def test_the_next_line_is_waited_for_or_there(pipe: int) -> None:
    lines = Lines()
    assert lines.waits()
    os.write(pipe, b"a\nb\nc")
    assert not lines.waits() and next(lines) == b"a"
    assert not lines.waits() and next(lines) == b"b"
    assert lines.waits()  # half a line is none
    os.write(pipe, b"c\n\n \n")
    assert not lines.waits() and next(lines) == b"cc"
    assert lines.waits()  # empty lines are nothing to go on for
    os.close(pipe)
    assert not lines.waits()
    assert [line for line in lines if line.strip()] == []


def test_a_last_line_without_its_end(pipe: int) -> None:
    os.write(pipe, b"a\nb")
    os.close(pipe)
    assert [line for line in Lines() if line] == [b"a", b"b"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=200).map(lambda d: d.replace(b"x", b"\n")), cuts=st.lists(st.integers(0, 200)))
def test_however_it_is_cut(monkeypatch: pytest.MonkeyPatch, data: bytes, cuts: list[int]) -> None:
    """Whatever comes in whatever pieces, the lines are those of the whole."""
    pieces = [data[a:b] for a, b in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True)]
    waiting = iter([piece for piece in pieces if piece] + [b""])
    monkeypatch.setattr("tuningfork.data.stdin._descriptor", lambda: None)
    monkeypatch.setattr("tuningfork.data.stdin._from_memory", lambda: next(waiting))
    lines, found = Lines(), []
    while not lines.waits():
        line = next(lines, None)
        if line is None:
            break
        found.append(line)
    assert found == data.split(b"\n")


@pytest.mark.parametrize("make", [io.StringIO, lambda text: io.TextIOWrapper(io.BytesIO(text.encode()))])
def test_stdin_in_memory(monkeypatch: pytest.MonkeyPatch, make: object) -> None:
    monkeypatch.setattr(sys, "stdin", make('{"a": 1}\n\n{"a": "ü"}'))  # type: ignore[operator]
    extent = Extent()
    assert list(stream_rows("-", extent=extent)) == [{"a": 1}, {"a": "ü"}] and not extent.waits()


def test_a_file_is_never_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"a": 1}\n' * 3)
    with (tmp_path / "in.jsonl").open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        extent = Extent()
        rows = stream_rows("-", extent=extent)
        assert [(row["a"], extent.waits()) for row in rows] == [(1, False)] * 3


def test_a_byte_order_mark_and_letters_that_are_none(pipe: int) -> None:
    os.write(pipe, b'\xef\xbb\xbf{"a": 1}\n{"a": "\xff"}\n')
    rows = stream_rows("-")
    assert next(rows) == {"a": 1}
    with pytest.raises(DataError, match="line 2 is not UTF-8: invalid start byte at its byte 8"):
        next(rows)
