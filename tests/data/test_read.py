"""Reading: every format gives the same rows, and every mistake its letter."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuningfork.data.read import read_rows, stream_rows
from tuningfork.errors import DataError, MissingExtra, UnknownName

ROWS = [
    {"text": "card lost; help", "label": "NA"},
    {"text": 'she said "no",\nthen left', "label": "None\u2028"},
    {"text": "é", "label": "01"},
]


def csv_of(rows: list[dict[str, str]], delimiter: str) -> str:
    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    return "".join(
        delimiter.join(map(cell, line)) + "\r\n" for line in [rows[0].keys(), *(row.values() for row in rows)]
    )


@pytest.mark.parametrize(
    ("ending", "delimiter"), [("csv", ","), ("csv", ";"), ("csv", "\t"), ("csv", "|"), ("tsv", "\t")]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_tables(tmp_path: Path, ending: str, delimiter: str, encoding: str) -> None:
    (tmp_path / f"a.{ending}").write_bytes(csv_of(ROWS, delimiter).encode(encoding))
    assert read_rows(f"a.{ending}", str(tmp_path)) == ROWS


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", "\n".join(map(json.dumps, ROWS)) + "\n\n"),
        ("a.json", json.dumps(ROWS, indent=1)),
        ("b.json", json.dumps({"version": 1, "data": ROWS})),
        ("c.json", "\n".join(map(json.dumps, ROWS))),
        ("d.json", "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)),
    ],
)
def test_json(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_rows(name, str(tmp_path)) == ROWS


def test_parquet_and_its_chunks(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    rows = [{"text": str(i), "label": None if i == 3 else i % 2} for i in range(25)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert list(stream_rows("a.parquet", str(tmp_path), chunk=7)) == rows


def test_a_table_without_quotes(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('label\ttext\nham\t"so he said\nspam\twin "now"\n')
    assert [row["text"] for row in read_rows("a.tsv", str(tmp_path))] == ['"so he said', 'win "now"']


def test_a_cell_larger_than_the_limit_of_the_csv_module(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n" + "x" * 200_000 + ",a\n")
    assert len(read_rows("a.csv", str(tmp_path))[0]["text"]) == 200_000


def test_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"text": "a"}\n\n{"text": "b"}\n'))
    assert [row["text"] for row in stream_rows("-")] == ["a", "b"]


def test_streaming_holds_one_row_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n{"a": 2}\nbroken\n')
    rows = stream_rows("a.jsonl", str(tmp_path))
    assert [next(rows), next(rows)] == [{"a": 1}, {"a": 2}]
    with pytest.raises(DataError, match="line 3"):
        next(rows)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.csv", b"", ["is empty (0 bytes)"]),
        ("a.csv", b"text,label\n", ["text, label", "no rows"]),
        ("a.csv", b"text,label\nhello,a\nhello,b,c\n", ["line 3 has 3 cells", "header has 2", "'hello,b,c'"]),
        ("a.csv", b'text,label\n"a\nb",x\nalone\n', ["line 4 has 1 cells"]),
        ("a.csv", b'text,label\nfine,a\n"never closed,b\n', ["line 3", "quotes"]),
        ("a.csv", b"text,text\na,b\n", ["more than one column called 'text'"]),
        ("a.jsonl", b'{"a": 1}\n\n{"a": 2,,}\n', ["line 3 is not valid JSON", """'{"a": 2,,}'"""]),
        ("a.jsonl", b'[{"a": 1}]\n', ["line 1 holds a list", ".json"]),
        ("a.jsonl", b"\n\n", ["no rows"]),
        ("a.json", b'[{"a": 1},\n {"a": }]', ["line 2 is not valid JSON"]),
        ("a.json", b"[]", ["empty array"]),
        ("a.json", b"[1]", ["entry 1 is a number"]),
        ("a.parquet", b"PAR1 not really", ["no whole Parquet file"]),
        ("a.docx", b"x", ["'.docx'", ".csv"]),
        (
            "a.csv",
            b"text,label\nfine,a\n" + "naïve café au lait, déjà vu".encode("cp1252"),
            ["byte 20 (0xef), on line 3", "encoding: cp1252"],
        ),
        (
            "a.jsonl",
            '{"text": "Grüße aus Köln, schöne Straße"}\n'.encode("cp1252"),
            ["byte 12 (0xfc), on line 1", "cp1252"],
        ),
        ("a.csv", "text,label\nhello,a\n".encode("utf-16"), ["byte 0 (0xff), on line 1", "encoding: utf-16"]),
    ],
)
def test_letters(tmp_path: Path, name: str, data: bytes, says: list[str]) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_rows(name, str(tmp_path))
    assert name in str(caught.value)
    for part in says:
        assert part in str(caught.value)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "latin-1"])
def test_other_encodings_when_told(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.csv").write_bytes("text,label\nGrüße,a\n".encode(encoding))
    assert read_rows("a.csv", str(tmp_path), encoding) == [{"text": "Grüße", "label": "a"}]


def test_an_encoding_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no encoding 'utf-9'"):
        read_rows("a.csv", str(tmp_path), "utf-9")


def test_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("a\n1\n")
    with pytest.raises(UnknownName, match=r"no file 'trian.csv'.*Did you mean 'train.csv'"):
        read_rows("trian.csv", str(tmp_path))
    with pytest.raises(DataError, match="no folder"):
        read_rows("no/train.csv", str(tmp_path))


@pytest.mark.parametrize("source", ["hub:someone/thing", "folder"])
def test_datasets_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"tuningfork\[hub\]"):
        read_rows(source, str(tmp_path))


class Names:
    def int2str(self, number: int) -> str:
        return ["negative", "positive"][number]


class FakeDataset(list[dict[str, Any]]):
    features = {"text": object(), "label": Names()}


def test_hub_ids_and_class_names(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Fake:
        @staticmethod
        def load_dataset(name: str, config: str | None, split: str) -> FakeDataset:
            asked.append((name, config, split))
            return FakeDataset([{"text": "a", "label": 1}, {"text": "b", "label": -1}])

    monkeypatch.setitem(sys.modules, "datasets", Fake)
    rows = read_rows("hub:nyu-mll/glue/sst2:validation")
    read_rows("hub:imdb")
    assert asked == [("nyu-mll/glue", "sst2", "validation"), ("imdb", None, "train")]
    assert rows == [{"text": "a", "label": "positive"}, {"text": "b", "label": None}]


def test_a_folder_that_the_datasets_library_saved(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    datasets.Dataset.from_list([{"text": "a", "label": 1}], features=features).save_to_disk(str(tmp_path / "one"))
    assert read_rows("one", str(tmp_path)) == [{"text": "a", "label": "yes"}]


cells = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00\r"), max_size=20)


@given(st.lists(st.tuples(cells, cells).filter(any), min_size=1, max_size=5))
@settings(deadline=None, max_examples=50)
def test_what_the_csv_module_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
) -> None:
    rows = [{"text": a, "label": b} for a, b in pairs]
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(csv_of(rows, ",").encode())
    assert read_rows(path.name, str(path.parent)) == rows


def test_a_line_cut_in_a_text_is_named_in_plain_words(tmp_path: Path) -> None:
    (tmp_path / "cut.jsonl").write_text('{"text": "a", "label": "b"}\n{"text": "oops\n')
    with pytest.raises(DataError, match=r"line 2 is not valid JSON: Invalid control character at column 15\."):
        read_rows("cut.jsonl", str(tmp_path))
