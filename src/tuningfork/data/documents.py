"""The user's documents: a file, or a folder of text, Markdown, PDF and tables, read into texts with a name each.

A text file is one document, a PDF's page is one, a row of a table (CSV, TSV, JSONL, JSON, Parquet) is one. Each is an
Example whose id is what an answer will cite: `handbook.md`, `guide.pdf#page 3`, `faq.csv#12`. A file that can't be read
(locked, scanned, binary, in another encoding) is named in the notes with its reason and the rest goes on; none that can
is an error.

What is not done: pictures are not read (a scanned page has no text), and markup stays as it is written.
"""

from __future__ import annotations

import codecs
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import DataError, MissingExtra, UserError
from ..task import Example, Task
from .cells import as_text, clean
from .read import ENDINGS, HUB, Row, columns_of, must_be_there, not_in, read_rows

TEXT_COLUMNS = ("text", "document", "content", "passage", "body")
"""A table's column of this name holds the document; a table without one is read whole, a line a column."""
BINARY_LOOKED_AT = 1 << 13
"""Bytes of a file in which a zero byte says that it is no text."""
MOST_NAMED = 5
SAVED_DATASET = ("dataset_dict.json", "state.json")
"""Files by which a folder that the `datasets` library saved is known."""

Named = tuple[str, str]
"""A document's name and its text."""


def read_documents(task: Task, source: str, notes: list[str]) -> tuple[Example, ...]:
    """All documents of a source, in the order of their names. What could not be read goes to `notes`, which grows.
    Raises UserError where nothing could."""
    place = Path(task.folder, source)
    if source.startswith(HUB) or any((place / mark).is_file() for mark in SAVED_DATASET):
        found = list(_rows(read_rows(source, task.folder, task.data.encoding), source, notes))
        return _examples(found)
    must_be_there(place)
    files = _files(place)
    found, faults = [], []
    for file in files:
        name = file.relative_to(place).as_posix() if place.is_dir() else file.name
        try:
            found += _document(file, name, task.data.encoding, notes)
        except UserError as error:
            faults.append(str(error))
        except OSError as error:
            faults.append(f"{str(file)!r} can't be read: {error.strerror}.")
    documents = _examples(found)
    if not documents:
        raise DataError(_none(source, files, faults))
    if faults:
        notes.append(f"Of {len(files)} documents {len(faults)} could not be read and were left out. {_some(faults)}")
    return documents


def _files(place: Path) -> list[Path]:
    """The file itself, or all files of a folder and its folders, but for hidden ones."""
    if place.is_file():
        return [place]
    found = (path for path in place.rglob("*") if path.is_file())
    return sorted(path for path in found if not any(part[0] == "." for part in path.relative_to(place).parts))


def _document(file: Path, name: str, encoding: str, notes: list[str]) -> list[Named]:
    """The documents of one file. Raises UserError with the reason where it holds none that can be read."""
    ending = file.suffix.lower()
    if file.stat().st_size == 0:
        raise DataError(f"{str(file)!r} is empty (0 bytes).")
    if ending == ".pdf":
        found = list(_pages(file, name))
    elif ending in ENDINGS:
        found = list(_rows(read_rows(str(file), encoding=encoding), name, notes))
    else:
        found = [(name, _text(file, encoding))]
    if not any(text.strip() for _, text in found):
        raise DataError(f"{str(file)!r} holds no text{' (scanned pages?)' if ending == '.pdf' else ''}.")
    return found


def _text(file: Path, encoding: str) -> str:
    """A text file whole. Raises DataError for a binary one, and for one in another encoding, with the likely one."""
    data = file.read_bytes()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\0" in data[:BINARY_LOOKED_AT] and not wide and "16" not in encoding and "32" not in encoding:
        raise DataError(f"{str(file)!r} is no text: it holds zero bytes. Save its text as .txt, .md or .pdf.")
    utf8 = encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    try:
        return data.decode("utf-8-sig" if utf8 else encoding)
    except LookupError as error:
        raise DataError(f"There is no encoding {encoding!r}. Usual ones: utf-8, cp1252, latin-1, utf-16.") from error
    except UnicodeError as error:
        raise DataError(not_in(file, encoding, error)) from error


def _pages(file: Path, name: str) -> Iterator[Named]:
    """The pages of a PDF that hold text. Raises DataError for one that is locked or damaged."""
    try:
        import pypdf
    except ImportError as error:
        raise MissingExtra(f"Reading {str(file)!r}", "pypdf", "documents") from error
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what matters of a damaged file is said by us, once
    try:
        reader = pypdf.PdfReader(file)
        locked = reader.is_encrypted and not reader.decrypt("")
        pages = [] if locked else [page.extract_text() for page in reader.pages]
    except Exception as error:  # a damaged PDF raises whatever the place raises at which it breaks
        raise DataError(f"{str(file)!r} can't be read as PDF ({type(error).__name__}: {error}).") from error
    if locked:
        raise DataError(f"{str(file)!r} is locked by a password. Save it without one.")
    yield from ((f"{name}#page {number}", page) for number, page in enumerate(pages, 1) if page.strip())


def _rows(rows: Sequence[Row], name: str, notes: list[str]) -> Iterator[Named]:
    """A document a row: its text column, or all its columns, a `name: value` line each."""
    known = columns_of(rows)
    column = next((each for each in TEXT_COLUMNS if each in known), known[0] if len(known) == 1 else None)
    if column is None:
        notes.append(f"{name} has no column called {TEXT_COLUMNS[0]}, so its rows are read whole: {', '.join(known)}.")
    for number, row in enumerate(rows, 1):
        cells = [(each, as_text(row.get(each))) for each in known]
        whole = "\n".join(f"{each}: {cell}" for each, cell in cells if cell.strip())
        yield f"{name}#{number}", whole if column is None else as_text(row.get(column))


def _examples(found: Sequence[Named]) -> tuple[Example, ...]:
    return tuple(Example(clean(name), {"text": clean(text)}) for name, text in found if text.strip())


def _some(faults: Sequence[str]) -> str:
    more = f" And {len(faults) - MOST_NAMED} more." if len(faults) > MOST_NAMED else ""
    return " ".join(faults[:MOST_NAMED]) + more


def _none(source: str, files: Sequence[Path], faults: Sequence[str]) -> str:
    if not files:
        return f"The folder of documents {source!r} is empty. Put text, Markdown, PDF, CSV or JSONL files into it."
    why = f" {_some(faults)}" if faults else ""
    return f"`data: documents: {source}` holds no document that could be read.{why}"
