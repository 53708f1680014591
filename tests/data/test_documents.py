"""Documents of every kind, and those that can't be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tuningfork.data.check import check
from tuningfork.data.documents import read_documents
from tuningfork.data.load import Dataset
from tuningfork.errors import DataError, UnknownName, UserError
from tuningfork.task import Columns, Example, Sources, Task


def pdf(pages: Sequence[str]) -> bytes:
    """A PDF with a line of text on each page; a page of no text draws nothing."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", "", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"]
    kids = []
    for text in pages:
        stream = f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET" if text else ""
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects)} 0 R "
        objects.append(page + "/Resources << /Font << /F1 3 0 R >> >> >>")
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    text, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(text))
        text += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>"
    return f"{text}{end}\nstartxref\n{len(text)}\n%%EOF\n".encode()


def locked(data: bytes) -> bytes:
    import io

    import pypdf

    writer = pypdf.PdfWriter(clone_from=io.BytesIO(data))
    writer.encrypt("secret", algorithm="RC4-128")
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def read(folder: Path, source: str = "docs", encoding: str = "utf-8") -> tuple[dict[str, str], list[str]]:
    notes: list[str] = []
    task = Task("t", "generation", Sources("x", documents=source, encoding=encoding), Columns(("q",), "a"))
    found = read_documents(task.with_(folder=str(folder)), source, notes)
    return {example.id: str(example.inputs["text"]) for example in found}, notes


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    return tmp_path / "docs"


def test_a_folder_of_everything(docs: Path) -> None:
    (docs / "handbook.md").write_text("# Returns\n\nWithin 30 days.", encoding="utf-8-sig")
    (docs / "deep" / "notes.txt").write_text("Überall gilt das.", encoding="utf-8")
    (docs / "guide.pdf").write_bytes(pdf(["The first page", "", "The third page"]))
    (docs / "faq.csv").write_text("title,text\nT,Ask early\nU,\nV,Ask twice\n")
    (docs / "pairs.jsonl").write_text('{"question": "How long?", "answer": 30, "more": null}\n')
    (docs / ".hidden.md").write_text("never read")
    found, notes = read(docs.parent)
    assert found == {
        "deep/notes.txt": "Überall gilt das.",
        "faq.csv#1": "Ask early",
        "faq.csv#3": "Ask twice",
        "guide.pdf#page 1": "The first page",
        "guide.pdf#page 3": "The third page",
        "handbook.md": "# Returns\n\nWithin 30 days.",
        "pairs.jsonl#1": "question: How long?\nanswer: 30",
    }
    assert list(found) == sorted(found)
    (note,) = notes
    assert note.startswith("pairs.jsonl has no column called text") and "question, answer, more" in note


def test_one_file(tmp_path: Path) -> None:
    (tmp_path / "manual.txt").write_text("All of it.")
    assert read(tmp_path, "manual.txt") == ({"manual.txt": "All of it."}, [])
    with pytest.raises(UnknownName, match="manuel"):
        read(tmp_path, "manuel.txt")


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(docs: Path) -> None:
    (docs / "good.md").write_text("Good.")
    (docs / "locked.pdf").write_bytes(locked(pdf(["Secret"])))
    (docs / "scanned.pdf").write_bytes(pdf(["", ""]))
    (docs / "broken.pdf").write_bytes(b"%PDF-1.4\nnothing of it")
    (docs / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00")
    found, (note,) = read(docs.parent)
    assert found == {"good.md": "Good."}
    assert note.startswith("Of 5 documents 4 could not be read")
    for said in ("locked.pdf' is locked by a password", "scanned.pdf' holds no text (scanned", "broken.pdf' can't be"):
        assert said in note
    assert "photo.jpg' is no text: it holds zero bytes" in note


def test_text_in_another_encoding_is_named_with_the_likely_one(docs: Path) -> None:
    text = "Die Rückgabe ist für Käufer in der Schweiz möglich; größere Geräte müssen abgeholt werden.\n"
    (docs / "alt.txt").write_bytes(text.encode("cp1252"))
    (docs / "wide.txt").write_bytes(text.encode("utf-16"))
    (docs / "ok.txt").write_text(text, encoding="utf-8")
    found, (note,) = read(docs.parent)
    assert list(found) == ["ok.txt"] and "looks like cp1252" in note and "utf-16" in note
    (docs / "ok.txt").unlink()
    (docs / "wide.txt").unlink()
    assert read(docs.parent, encoding="cp1252")[0] == {"alt.txt": text}


def test_nothing_that_can_be_read_is_an_error(docs: Path) -> None:
    with pytest.raises(DataError, match="is empty"):
        read(docs.parent)
    (docs / "empty.txt").touch()
    (docs / "blank.md").write_text(" \n")
    with pytest.raises(
        DataError, match=r"no document that could be read.*blank.md' holds no text.*empty.txt' is empty"
    ):
        read(docs.parent)
    with pytest.raises(UserError, match="no encoding 'utf8000'"):
        read(docs.parent, "docs/blank.md", encoding="utf8000")


def test_many_faults_are_counted(docs: Path) -> None:
    (docs / "good.md").write_text("Good.")
    for number in range(8):
        (docs / f"empty{number}.txt").touch()
    assert read(docs.parent)[1][0].endswith("And 3 more.")


QUESTION = "How many days do I have to send a broken lamp back to you?"


def test_a_test_row_that_stands_in_a_document_is_told() -> None:
    train = tuple(Example(f"r{i}", {"q": f"{QUESTION} number {i}"}, str(i)) for i in range(20))
    test = (
        Example("t1", {"q": QUESTION}, "30"),
        Example("t2", {"q": "short"}, "1"),
        Example("t3", {"q": "z" * 50}, "x"),
    )
    faq = Example("faq.md", {"text": f"Q: {QUESTION.upper().replace(' ', '  ')}\nA: 30. short"})
    task = Task("t", "generation", Sources("a"), Columns(("q",), "a"))

    def told(test: tuple[Example, ...] | None, *documents: Example) -> list[str]:
        found = check(task, Dataset(train, test, documents=documents))
        return [finding.text for finding in found if finding.about == "in-documents"]

    (text,) = told(test, faq)
    assert "1 of 3: t1 in faq.md." in text
    assert told(test) == told(test, Example("d", {"text": "nothing of it, " * 20})) == []
    (text,) = told(None, Example("d", {"text": f"see {QUESTION} number 7, there"}))
    assert "of which the test is cut" in text and "1 of 20: r7 in d." in text
