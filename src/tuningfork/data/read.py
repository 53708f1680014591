"""Rows from files: CSV, TSV, JSONL, a JSON array, Parquet, a dataset of the `datasets` library, JSONL on stdin.

One way in: `stream_rows` yields dicts in the order of the file with memory that does not grow with it (a JSON array is
the exception: it is read whole). `read_rows` is all of them. The parsing is done by the standard library's `csv` and
`json` and by pyarrow; what is ours is finding the delimiter, and letters that name the file, the line and the way out.

Cells of CSV and TSV stay text as they stand ("NA", "None", "01"); the other formats keep their types. Nothing here
knows which column is what.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, cast

from ..errors import DataError, MissingExtra, UnknownName
from .stdin import Lines

Row = dict[str, Any]
Quoting = Literal[0, 3]
"""csv.QUOTE_MINIMAL and csv.QUOTE_NONE."""
ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".pq")
HUB = "hub:"
ENCODINGS = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "koi8_r"),
    *("utf_16", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
)
"""What a file that is not UTF-8 usually is: what Windows and Excel write, and the old ones of East Asia."""
LARGEST_CELL = 1 << 26
"""Characters in one CSV cell. The csv module's own limit of 131,072 is below what a long document has; without any, a
quote that is never closed would read the rest of a file into memory."""


@dataclass
class Extent:
    """How much there is of a source and how far it is read, for those who show progress; `stream_rows` fills it in."""

    rows: int | None = None
    """All its rows, where a source says so."""
    size: int | None = None
    """Bytes of the file, where the place in it tells how far it is read."""
    at: Callable[[], int] = lambda: 0
    """Bytes read so far."""
    waits: Callable[[], bool] = lambda: False
    """Whether the next row would have to be waited for."""

    def share(self, rows: int) -> float | None:
        """The part of the source, 0 to 1, that its first `rows` rows are, when these are read; None where unknown."""
        if self.rows:
            return min(1.0, rows / self.rows)
        return min(1.0, self.at() / self.size) if self.size else None


def read_rows(source: str, folder: str = ".", encoding: str = "utf-8") -> list[Row]:
    """All rows of a source. See `stream_rows`."""
    return list(stream_rows(source, folder, encoding))


def stream_rows(
    source: str, folder: str = ".", encoding: str = "utf-8", chunk: int = 1000, extent: Extent | None = None
) -> Iterator[Row]:
    """The rows of a source, one after the other, as dicts from column to value.

    `source`: a path (relative to `folder`), a folder that the `datasets` library reads, `hub:ID` or
    `hub:ID/config:split`, or `-` for JSONL on stdin. `chunk`: how many Parquet rows are held at once. `extent` is
    filled in as the rows are read. Raises UnknownName for a file that is not there, MissingExtra where `datasets` is
    needed and absent, and DataError for what can't be read.
    """
    extent = extent or Extent()
    if source == "-":
        lines = Lines()
        extent.waits = lines.waits
        return _jsonl(_utf8(lines), "stdin")
    if source.startswith(HUB):
        return _hub(source)
    path = Path(folder, source)
    must_be_there(path)
    if path.is_dir():
        return _dataset_folder(path)
    if path.stat().st_size == 0:
        raise DataError(f"{_name(path)} is empty (0 bytes). Was it saved? Give a file with one row for each example.")
    ending = path.suffix.lower()
    if ending in (".parquet", ".pq"):
        return _parquet(path, chunk, extent)
    if ending not in ENDINGS:
        raise DataError(
            f"{_name(path)} ends in {path.suffix!r}, which says nothing about its format. Give it one of the endings"
            f" {', '.join(ENDINGS)}, according to what it holds."
        )
    return _text_file(path, encoding, extent)


def _text_file(path: Path, encoding: str, extent: Extent) -> Iterator[Row]:
    codec = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    reader = {".csv": _table, ".tsv": _table, ".json": _json}.get(path.suffix.lower(), _jsonl)
    try:
        with path.open(encoding=codec, newline="" if reader is _table else None) as file:
            if reader is not _json:  # which is read whole before its first row
                binary = cast(BinaryIO, file.buffer)
                extent.size = path.stat().st_size
                extent.at = lambda: (extent.size or 0) if file.closed else binary.tell()
            yield from reader(file, _name(path))
    except LookupError as error:
        raise DataError(
            f"There is no encoding {encoding!r} (for {_name(path)}). Usual ones: utf-8, cp1252, latin-1, utf-16."
        ) from error
    except UnicodeError as error:
        raise DataError(not_in(path, encoding, error)) from error
    except PermissionError as error:
        raise DataError(f"{_name(path)} may not be read by you ({error.strerror}). Change its permissions.") from error


# Tables


def _table(file: IO[str], name: str) -> Iterator[Row]:
    """Rows of CSV or TSV. A line with more or fewer cells than the header is refused by number."""
    sample = file.read(1 << 18)
    file.seek(0)
    delimiter, quoting = _dialect(sample, tab_first=name.rstrip("'").lower().endswith(".tsv"))
    csv.field_size_limit(LARGEST_CELL)
    lines = csv.reader(file, delimiter=delimiter, quoting=quoting, strict=True)
    try:
        header = _header(next(lines, []), name)
        found = False
        begin = lines.line_num + 1
        for cells in lines:
            if len(cells) == len(header):
                found = True
                yield dict(zip(header, cells, strict=True))
            elif any(cell.strip() for cell in cells):
                raise DataError(_ragged(name, begin, cells, header, delimiter))
            begin = lines.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{name}, the row that begins or ends near line {lines.line_num}: {error}. A cell with quotes in it"
            " must stand in"
            ' quotes, its own quotes doubled: "she said ""no""".'
        ) from error
    if not found:
        raise DataError(f"{name} has a header ({', '.join(header)}) and no rows under it. Was the export cut short?")


def _dialect(sample: str, tab_first: bool) -> tuple[str, Quoting]:
    """Delimiter and quoting under which the sample's rows fit its header best; on a tie, more columns, then quotes."""
    best: tuple[tuple[float, int, bool], tuple[str, Quoting]] | None = None
    text = sample if len(sample) < 1 << 18 else sample.rpartition("\n")[0]
    for delimiter in "\t,;|" if tab_first else ",;\t|":
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE) if delimiter == "\t" else (csv.QUOTE_MINIMAL,):
            rows = _parsed(text, delimiter, quoting)
            width = len(rows[0]) if rows else 0
            if width < 2:
                continue
            fit = sum(len(row) == width for row in rows) / len(rows)
            key = (round(fit, 3), width, quoting == csv.QUOTE_MINIMAL)
            if best is None or key > best[0]:
                best = (key, (delimiter, quoting))
    return best[1] if best else ("\t" if tab_first else ",", csv.QUOTE_MINIMAL)


def _parsed(text: str, delimiter: str, quoting: Quoting) -> list[list[str]]:
    """Rows of the sample; a parse that fails keeps an empty row in place of the rest, so that it fits less well."""
    csv.field_size_limit(LARGEST_CELL)
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True):
            if row:
                rows.append(row)
    except csv.Error:
        rows.append([])
    return rows


def _header(cells: list[str], name: str) -> list[str]:
    """Column names without the spaces around them; a nameless column is called by its number."""
    header = [cell.strip() or f"column {number}" for number, cell in enumerate(cells, 1)]
    twice = [column for column, count in Counter(header).items() if count > 1]
    if twice:
        raise DataError(f"{name} has more than one column called {twice[0]!r}. Rename or remove all but one.")
    if not header:
        raise DataError(f"{name} begins with an empty line. Its first line must name the columns.")
    return header


def _ragged(name: str, line: int, cells: list[str], header: list[str], delimiter: str) -> str:
    shown = delimiter.join(cells)
    return (
        f"{name}, line {line} has {len(cells)} cells and the header has {len(header)} ({', '.join(header)}). It"
        " begins with"
        f" {shown[:60]!r}. Put quotes around a cell that holds {delimiter!r} or a line break."
    )


# JSON


def _jsonl(lines: Iterable[str], name: str) -> Iterator[Row]:
    """One JSON object a line; empty lines are passed over."""
    found = False
    for number, line in enumerate(lines, 1):
        if line.strip():
            found = True
            yield _object(line, f"{name}, line {number}")
    if not found and name != "stdin":
        raise DataError(f"{name} holds no rows, only empty lines. Give a file with one JSON object on each line.")


def _utf8(lines: Iterable[bytes]) -> Iterator[str]:
    """The lines of stdin as text, a byte order mark taken off."""
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"stdin, line {number} is not UTF-8: {error.reason} at its byte {error.start + 1}. Convert it first:"
                " iconv -t utf-8."
            ) from error


def _what(error: json.JSONDecodeError) -> str:
    return f"{error.msg.removesuffix(' at')} at column {error.colno}"  # some of its messages end in `at` themselves


def _object(line: str, where: str) -> Row:
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        what = _what(error) if isinstance(error, json.JSONDecodeError) else "nested too deep"
        hint = " A file that is one JSON array must end in .json." if line.strip() in ("[", "[{") else ""
        raise DataError(f"{where} is not valid JSON: {what}. It begins with {line[:60].rstrip()!r}.{hint}") from error
    if not isinstance(value, dict):
        hint = " A file that is one JSON array must end in .json." if isinstance(value, list) else ""
        raise DataError(
            f"{where} holds {_kind(value)} ({line[:60].rstrip()!r}) where an object like"
            f' {{"text": "...", "label": "..."}} is needed.{hint}'
        )
    return value


def _json(file: IO[str], name: str) -> Iterator[Row]:
    """A JSON array of objects, an object with one such array in it, or JSONL under the wrong ending."""
    text = file.read()
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if text.lstrip().startswith("{"):
            yield from _jsonl(text.split("\n"), name)
            return
        start = "".join(islice(text.split("\n"), error.lineno - 1, error.lineno))
        raise DataError(
            f"{name}, line {error.lineno} is not valid JSON: {_what(error)}. It begins with {start[:60]!r}."
        ) from error
    if isinstance(value, dict):
        lists = [entry for entry in value.values() if isinstance(entry, list)]
        value = lists[0] if len(lists) == 1 else [value]
    if not isinstance(value, list):
        raise DataError(f"{name} holds {_kind(value)}. It must be an array of objects, one for each example.")
    if not value:
        raise DataError(f"{name} holds an empty array. Give at least one object for each example.")
    for number, entry in enumerate(value, 1):
        if not isinstance(entry, dict):
            raise DataError(f"{name}, entry {number} is {_kind(entry)} ({entry!r:.60}) where an object is needed.")
        yield entry


def _kind(value: object) -> str:
    names = {list: "a list", str: "a text", bool: "a truth value", int: "a number", float: "a number"}
    return names.get(type(value), "nothing (null)")


# Parquet and the `datasets` library

PARQUET_BUFFER = 1 << 20
"""Bytes of a column read at a time."""


def _parquet(path: Path, chunk: int, extent: Extent) -> Iterator[Row]:
    for batch in parquet_batches(path, chunk, extent):
        yield from batch.to_pylist()


def parquet_batches(path: Path, rows: int, extent: Extent | None = None) -> Iterator[Any]:
    """The record batches of a Parquet file, at most `rows` rows each, read as they are needed.

    Left to itself pyarrow reads all of a row group before its first row, and many writers make one row group of a
    million rows.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path, buffer_size=PARQUET_BUFFER, pre_buffer=False) as file:
            if extent:
                extent.rows = file.metadata.num_rows
            if file.metadata.num_rows == 0:
                raise DataError(f"{_name(path)} has columns ({', '.join(file.schema_arrow.names)}) and no rows.")
            yield from file.iter_batches(batch_size=rows, use_threads=False)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise DataError(f"{_name(path)} is no whole Parquet file: {error}. Download or write it again.") from error


def _hub(source: str) -> Iterator[Row]:
    """`hub:owner/name/config:split`; config and split may be left out, the split is then `train`."""
    datasets = _datasets(f"Reading {source!r}")
    name, _, split = source.removeprefix(HUB).partition(":")
    parts = name.split("/")
    config = "/".join(parts[2:]) or None
    try:
        found = datasets.load_dataset("/".join(parts[:2]), config, split=split or "train")
    except Exception as error:  # whatever the library, the network or the hub raises: all of it is about this source
        raise DataError(
            f"{source!r} can't be had: {type(error).__name__}: {error}. It is read as"
            " hub:OWNER/NAME/CONFIG:SPLIT; check the"
            " name, the network, and HF_TOKEN where it is private."
        ) from error
    return _dataset(found)


def _dataset_folder(path: Path) -> Iterator[Row]:
    """The `train` split of a folder that was saved by `datasets` or that it can read."""
    datasets = _datasets(f"Reading the folder {str(path)!r}")
    saved = any((path / mark).is_file() for mark in ("dataset_dict.json", "state.json"))
    try:
        found = datasets.load_from_disk(str(path)) if saved else datasets.load_dataset(str(path), split="train")
    except Exception as error:  # as for the hub
        raise DataError(
            f"The folder {str(path)!r} can't be read as a dataset: {type(error).__name__}: {error}. Give a file"
            " in it instead."
        ) from error
    if isinstance(found, dict):
        if "train" not in found:
            raise DataError(
                f"The dataset {str(path)!r} has no split 'train', but {', '.join(map(repr, found))}. Name the"
                " folder of one:"
                f" {str(path / next(iter(found)))!r}."
            )
        found = found["train"]
    return _dataset(found)


def _dataset(found: Any) -> Iterator[Row]:
    """Rows of a Dataset, class numbers turned into class names."""
    names = {column: feature for column, feature in found.features.items() if hasattr(feature, "int2str")}
    for row in found:
        for column, feature in names.items():
            number = row[column]
            row[column] = None if number is None or number < 0 else feature.int2str(number)
        yield dict(row)


def _datasets(feature: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra(feature, "the `datasets` library", "hub") from error
    return datasets


# Letters


def _name(path: Path) -> str:
    return repr(str(path))


def must_be_there(path: Path) -> None:
    """Raises UnknownName, with what lies beside it, or DataError where not even the folder is there."""
    if path.exists():
        return
    if not path.parent.is_dir():
        raise DataError(f"There is no folder {str(path.parent)!r}, so there is no {path.name!r} in it. Check the path.")
    beside = sorted(entry.name for entry in path.parent.iterdir() if entry.suffix.lower() in ENDINGS)
    close = get_close_matches(path.name, beside, n=10, cutoff=0.0)
    raise UnknownName("file", path.name, close, f"the folder {str(path.parent)!r}")


def not_in(path: Path, encoding: str, error: UnicodeError) -> str:
    """The letter for a file that is not in the encoding it was read as, with the place and the likely encoding."""
    if encoding.lower().replace("_", "-") not in ("utf-8", "utf8"):
        return f"{_name(path)} is not {encoding}: {error}. Set the right one in the task file: data: {{encoding: ...}}."
    offset, shown, bad, at = 0, 0, b"", 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as found:
                bad, offset = line, offset + found.start
                shown, at = line[found.start], number
                break
            offset += len(line)
        more = bad + b"".join(islice(file, 200))
    guess = _guess(more[: 1 << 18], path)
    reads = bad.decode(guess, "replace").strip()[:40] if guess != "utf-16" else "..."
    return (
        f"{_name(path)} is not UTF-8: byte {offset} (0x{shown:02x}), on line {at}, can't be read. It looks like"
        f" {guess}, as"
        f" which the line begins {reads!r}. Set `data: {{encoding: {guess}}}` in the task file, or convert it: iconv -f"
        f" {guess} -t utf-8."
    )


def _guess(data: bytes, path: Path) -> str:
    """What charset-normalizer takes the bytes for, of the encodings that files come in; cp1252, the usual one, on a
    tie."""
    from charset_normalizer import from_bytes

    with path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            return "utf-16"
    found = from_bytes(data, cp_isolation=list(ENCODINGS))
    best = found.best()
    if best is None:
        return "cp1252"
    usual = [match for match in found if "cp1252" in (match.encoding, *match.could_be_from_charset)]
    tie = any(match.chaos <= best.chaos and match.coherence >= best.coherence for match in usual)
    return "cp1252" if tie else best.encoding


def columns_of(rows: Iterable[Row]) -> list[str]:
    """Every column that some row has, in order of first appearance."""
    return list(dict.fromkeys(column for row in rows for column in row))
