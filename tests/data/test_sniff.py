"""What is understood of a bare file."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tuningfork.data.sniff import Sniffed, sniff
from tuningfork.data.taskfile import load_task, write_task
from tuningfork.errors import DataError, UnknownName
from tuningfork.metrics import defaults_for
from tuningfork.task import Columns

SHARED = Path(__file__).parents[3] / "shared" / "data"
TEXT = "the card lost my order please help with invoice broken never arrives when will it be fixed account"
WORDS = TEXT.split()
RNG = random.Random(0)
Cell = Callable[[int], Any]


def words(n: int) -> Cell:
    return lambda _: " ".join(RNG.choices(WORDS, k=n))


def of(*values: Any) -> Cell:
    return lambda i: values[i * 7 % len(values)]


def sniffed(tmp_path: Path, columns: dict[str, Cell], rows: int = 120, name: str = "mine.csv", **given: Any) -> Sniffed:
    with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([cell(i) for cell in columns.values()] for i in range(rows))
    return sniff(tmp_path / name, **given)


CASES: dict[str, tuple[dict[str, Cell], int, str, tuple[str, ...], str]] = {
    "team": (
        {"text": words(30), "team": of("a", "b", "c"), "channel": of("mail", "chat")},
        50,
        "classification",
        ("text",),
        "team",
    ),
    "two labels": ({"v1": of("ham", "spam"), "v2": words(9)}, 200, "classification", ("v2",), "v1"),
    "150 labels": (
        {"utterance": words(5), "intent": lambda i: f"intent_{i % 150}"},
        450,
        "classification",
        ("utterance",),
        "intent",
    ),
    "stars": (
        {"id": lambda i: i, "review": words(700), "stars": lambda i: i % 5 + 1},
        60,
        "classification",
        ("review",),
        "stars",
    ),
    "truth values": (
        {"comment": words(8), "is_toxic": of("True", "False")},
        80,
        "classification",
        ("comment",),
        "is_toxic",
    ),
    "zero and one": ({"sentence": words(3), "label": of(0, 1)}, 80, "classification", ("sentence",), "label"),
    "label and its words": (
        {"text": words(8), "label": of(0, 1), "label_text": of("no", "yes")},
        80,
        "classification",
        ("text",),
        "label_text",
    ),
    "subject and body": (
        {"Ticket ID": lambda i: f"T{i}", "Subject": words(4), "Body": words(40), "Ticket Category": of("x", "y")},
        80,
        "classification",
        ("Subject", "Body"),
        "Ticket Category",
    ),
    "camel case": (
        {"created": of("2024-01-01"), "reviewText": words(8), "sentimentLabel": of("x", "y")},
        80,
        "classification",
        ("reviewText",),
        "sentimentLabel",
    ),
    "premise and hypothesis": (
        {"premise": words(9), "hypothesis": words(6), "label": of("a", "b", "c")},
        90,
        "classification",
        ("premise", "hypothesis"),
        "label",
    ),
    "german": (
        {
            "Datum": lambda i: f"2024-01-{i % 28 + 1:02}",
            "Nachricht": words(12),
            "Abteilung": of("NA", "None", "Technik"),
        },
        90,
        "classification",
        ("Nachricht",),
        "Abteilung",
    ),
    "japanese": (
        {"本文": lambda i: f"これは{i}番目の問い合わせ本文です。対応をお願いします", "部署": of("請求", "技術")},
        90,
        "classification",
        ("本文",),
        "部署",
    ),
    "words": (
        {
            "name": lambda i: "abcdefghij"[i % 10] + "xyzuvw"[i // 10 % 6] + "klm"[i // 60 % 3] + "elo",
            "gender": of("m", "f"),
        },
        150,
        "classification",
        ("name",),
        "gender",
    ),
    "question and context": (
        {"question": words(9), "context": words(60), "answer": lambda i: f"it is {i}"},
        60,
        "generation",
        ("question", "context"),
        "answer",
    ),
    "json": (
        {"message": words(12), "order": lambda i: json.dumps({"items": i % 3})},
        60,
        "generation",
        ("message",),
        "order",
    ),
    "translation": ({"english": words(8), "french": words(9)}, 60, "generation", ("english",), "french"),
}


@pytest.mark.parametrize("case", CASES)
def test_columns_and_kind(tmp_path: Path, case: str) -> None:
    columns, rows, kind, source, target = CASES[case]
    task = sniffed(tmp_path, columns, rows).task
    assert (task.kind, task.columns.input, task.columns.target) == (kind, source, target)


def test_the_whole_of_it(tmp_path: Path) -> None:
    columns = {
        "id": lambda i: i,
        "text": words(20),
        "team": of("billing", "bugs"),
        "channel": of("mail", "chat"),
        "note": of(""),
    }
    found = sniffed(tmp_path, columns, 100, metrics=defaults_for)
    task = found.task
    assert task.columns == Columns(("text",), "team", "id", "channel", None)
    assert (task.name, task.folder, task.data.train, task.data.test) == ("mine", str(tmp_path), "mine.csv", None)
    assert task.metrics == defaults_for("classification", []) and task.instruction == "Classify the text by team."
    said = " ".join(found.said)
    assert "100 rows" in said and "2 labels: billing, bugs" in said and "'channel' has 2 values" in said
    assert "No test file" in said and "Scored by accuracy" in said
    write_task(task, tmp_path / "task.yaml")
    assert load_task(tmp_path / "task.yaml") == task


def test_rows_of_one_user_are_a_cluster(tmp_path: Path) -> None:
    columns = {"text": words(20), "label": of("a", "b"), "user_id": lambda i: i % 40}
    assert sniffed(tmp_path, columns, 200).task.columns.cluster == "user_id"


@pytest.mark.parametrize(
    ("name", "test"),
    [
        ("train.csv", "test.csv"),
        ("mail_train.csv", "mail_test.csv"),
        ("mail.csv", "mail-test.csv"),
        ("train_5shot.csv", "test.jsonl"),
    ],
)
def test_a_test_file_beside_it(tmp_path: Path, name: str, test: str) -> None:
    (tmp_path / test).write_text("text,label\na b,x\n" if test.endswith("csv") else '{"text": "a b", "label": "x"}\n')
    found = sniffed(tmp_path, {"text": words(9), "label": of("x", "y")}, name=name)
    assert found.task.data.test == test and any(test in sentence for sentence in found.said)


def test_a_test_file_with_other_columns_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("text,answer\na b,x\n")
    found = sniffed(tmp_path, {"text": words(9), "label": of("x", "y")}, name="train.csv")
    assert found.task.data.test is None and any("lacks the column 'label'" in sentence for sentence in found.said)


def test_a_folder_with_a_train_file(tmp_path: Path) -> None:
    folder = tmp_path / "mails"
    folder.mkdir()
    sniffed(folder, {"text": words(9), "label": of("x", "y")}, name="train.csv")
    found = sniff(folder)
    assert (found.task.name, found.task.data.train, found.task.folder) == ("mails", "train.csv", str(folder))


AMBIGUOUS: dict[str, Cell] = {"stuff": words(8), "a": of("x", "y", "z"), "b": of("p", "q")}


def test_what_can_not_be_told_is_asked(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        sniffed(tmp_path, AMBIGUOUS)
    for part in (
        "mine.csv",
        "the answer",
        "'a' or 'b'",
        "--target COLUMN",
        "columns: {input: COLUMN, target: COLUMN}",
        "3 values",
    ):
        assert part in str(caught.value)


def test_flags_settle_it(tmp_path: Path) -> None:
    task = sniffed(tmp_path, AMBIGUOUS, target="b").task
    assert task.columns == Columns(("stuff",), "b") and task.kind == "classification"
    assert sniffed(tmp_path, AMBIGUOUS, input="stuff", target="a").task.columns == Columns(("stuff",), "a")
    assert sniffed(tmp_path, AMBIGUOUS, input=["stuff", "a"], target="b").task.columns.input == ("stuff", "a")
    with pytest.raises(UnknownName, match="column 'c'"):
        sniffed(tmp_path, AMBIGUOUS, target="c")


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"text": words(8)}, "can't tell which column is the answer"),
        ({"one": words(8), "two": words(9), "kind_of": of("a", "b")}, "the input. It may be 'one' or 'two'"),
        ({"image": lambda i: f"images/{i}.png", "label": of("a", "b")}, "'image' holds names of files"),
        (
            {"ham": of("ham", "spam"), "please help with my order that never arrives at home": words(9)},
            "looks like a row",
        ),
    ],
)
def test_letters(tmp_path: Path, columns: dict[str, Cell], says: str) -> None:
    with pytest.raises(DataError, match=says):
        sniffed(tmp_path, columns)


def test_another_possible_answer_is_said(tmp_path: Path) -> None:
    found = sniffed(tmp_path, {"text": words(9), "category": of("a", "b"), "sentiment": of("x", "y")})
    assert found.task.columns.target == "category"
    assert any("could also be 'sentiment'" in sentence for sentence in found.said)


def test_one_label_only_is_left_to_check(tmp_path: Path) -> None:
    assert sniffed(tmp_path, {"text": words(9), "label": of("spam")}).task.kind == "classification"


def test_chats_and_alpaca(tmp_path: Path) -> None:
    turns = [[("system", "Route it."), ("user", words(9)(0)), ("assistant", of("a", "b")(i))] for i in range(60)]
    chats = [{"messages": [{"role": role, "content": text} for role, text in chat]} for chat in turns]
    (tmp_path / "chat.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    found = sniff(tmp_path / "chat.jsonl")
    assert (found.task.columns, found.task.instruction) == (Columns(("user",), "assistant"), "Route it.")
    assert found.task.kind == "classification" and any("OpenAI chat messages" in sentence for sentence in found.said)
    alpaca = [{"instruction": "Shorten it.", "input": words(9)(0), "output": words(4)(0)} for _ in range(60)]
    (tmp_path / "alpaca.json").write_text(json.dumps(alpaca))
    task = sniff(tmp_path / "alpaca.json").task
    assert (task.columns, task.instruction, task.kind) == (Columns(("input",), "output"), "Shorten it.", "generation")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the public datasets are not beside the checkout")
@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("sst2", "classification", "label"),
        ("banking77", "classification", "label"),
        ("tweet_eval_emotion", "classification", "label"),
        ("gsm8k", "generation", "output"),
        ("e2e_nlg", "generation", "output"),
    ],
)
def test_public_datasets(name: str, kind: str, target: str) -> None:
    task = sniff(SHARED / name / "train.jsonl").task
    assert (task.name, task.kind, task.columns.target, task.data.test) == (name, kind, target, "test.jsonl")


def test_ids_that_repeat_are_not_dropped_without_a_word(tmp_path: Path) -> None:
    lines = [f"{n % 5},message number {n} about {word},{word}" for n in range(40) for word in ("bills", "bugs")]
    (tmp_path / "t.csv").write_text("id,text,label\n" + "\n".join(lines) + "\n")
    found = sniff(tmp_path / "t.csv")
    assert found.task.columns.id is None
    assert any("'id' holds the same value in several rows" in said for said in found.said)
