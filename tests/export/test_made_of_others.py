"""Exports of candidates that are made of others, and of what a single one may have besides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tuningfork.candidate import (
    Calibration,
    Candidate,
    Cascade,
    Constant,
    Decoding,
    Function,
    Guarantee,
    Head,
    Nearest,
    Passages,
    Shot,
    Single,
    Stage,
    Steps,
    Template,
    Vote,
)
from tuningfork.export import export, load_export
from tuningfork.export.layout import composition
from tuningfork.log import LogWriter, Measured, RunLog, Started, born_event
from tuningfork.model import Adapter, OneOf
from tuningfork.store.blobs import Blob
from tuningfork.task import Message

LABELS = ("billing", "access")
PROMPT = Template((Message("system", "Which team?"), Message("user", "{{text}}")))
SHOTS = (Shot((("text", "pay"),), "billing"), Shot((("text", "log in"),), "access"))
VECTORS = Blob.of_arrays({"vectors": np.eye(2, dtype=np.float32)})
TEXTS = Blob.of(json.dumps([{"text": "Refunds take a day.", "source": "faq.md"}]).encode())
TUNED = Adapter("base", {"adapter_config.json": Blob.of(b"{}"), "adapter_model.safetensors": Blob.of(b"w")})
HEAD = Single(
    "enc",
    LABELS,
    head=Head(Blob.of_arrays({"weight": np.ones((2, 3), np.float32), "bias": np.zeros(2, np.float32)})),
    answer_by="head",
)
LORA = Single("causal", LABELS, LABELS, PROMPT, adapter=TUNED)
NOTES = Single("causal", prompt=Template((Message("user", "What matters in {{text}}?"),)), answer_by="generate")
AFTER = Single("causal", LABELS, LABELS, Template((Message("user", "{{text}} {{notes}}"),)))
SHOWN = Guarantee(0.01, 0.1, 300, 0.25, 0.4)
CASCADE = Cascade((HEAD, LORA), (0.9,), SHOWN)
CANDIDATES: dict[str, Candidate] = {
    "steps": Steps((Stage("notes", NOTES), Stage("answer", AFTER))),
    "cascade": CASCADE,
    "cascade-final": Cascade((HEAD, LORA), (0.9,), Guarantee(0.01, 0.1, 300, 0.25, 0.4, earlier_parts=True)),
    "vote": Vote((CASCADE, LORA, HEAD), "answer", (2.0, 1.0, 1.0)),
    "vote-odd": Vote((Constant("billing", LABELS), Function("ours:answer", "/somewhere"), HEAD)),
    "passages": Single(
        "causal",
        prompt=Template((Message("user", "{{passages}}\n{{text}}"),)),
        passages=Passages(TEXTS, "enc", VECTORS, 2),
        decoding=Decoding(temperature=0.7, samples=5, top_p=0.9, constraint=OneOf(("yes", "no"))),
        answer_by="generate",
    ),
    "words": Single("causal", LABELS, LABELS, PROMPT, Nearest("", SHOTS, None, 1, by="bm25")),
    "diverse": Single("causal", LABELS, LABELS, PROMPT, Nearest("enc", SHOTS, VECTORS, 2, "both", 0.3)),
    "scaled": Single("causal", LABELS, LABELS, PROMPT, calibration=Calibration((0.5, -0.5), (1.5, 1.5))),
}


@pytest.fixture
def run(tmp_path: Path) -> tuple[RunLog, dict[str, Any]]:
    writer = LogWriter(tmp_path / "run")
    metrics = ({"name": "accuracy", "range": [0, 1], "higher_is_better": True},)
    task = {"name": "tickets", "kind": "classification", "instruction": "Which team?"}
    writer.write(Started(1, task, (), (), {"device": "cpu"}, {}, {}, metrics, "2025-01-02T03:04:05+00:00"))
    rows = []
    for trial, candidate in CANDIDATES.items():
        writer.keep(candidate)
        born = born_event(
            trial, candidate, parents=(), method=trial, model="", family="hybrid", settings={}, stage="race",
            seed=0, examples_used=10, examples_chosen_on=5, seconds=1.0, usage={},
        )  # fmt: skip
        writer.write(born)
        writer.write(Measured(trial, born.candidate, "test", 0, 50, 0, 0.8, 1.0, {}))
        rows.append({"candidate": trial, "status": "finalist", "why": "", "failed_items": 0})
    verdict = {
        "metric": "accuracy", "higher_is_better": True, "best": {"candidate": "vote"}, "comparisons": [],
        "recommended": {"candidate": "vote"}, "leaderboard": rows, "scope": "Raced: causal and enc.", "test_looks": 1,
    }  # fmt: skip
    return RunLog.read(tmp_path / "run"), verdict


def out(run: Any, tmp_path: Path, trial: str) -> Path:
    export(*run, tmp_path / "out", trial)
    return tmp_path / "out"


def read(folder: Path, place: str = "prompt.json") -> Any:
    return json.loads((folder / place).read_text(encoding="utf-8"))


@pytest.mark.parametrize("trial", CANDIDATES)
def test_what_is_exported_is_read_back_the_same_without_the_run(run: Any, tmp_path: Path, trial: str) -> None:
    written = export(*run, tmp_path / "out", trial)
    for blob in (tmp_path / "run" / "blobs").iterdir():
        blob.unlink()
    assert load_export(tmp_path / "out")[0] == CANDIDATES[trial]
    assert set(written) == {path for path in (tmp_path / "out").rglob("*") if path.is_file()}


def test_each_part_lies_in_its_own_folder_in_the_plain_layout(run: Any, tmp_path: Path) -> None:
    folder = out(run, tmp_path, "cascade")
    assert Blob.of((folder / "parts/1/head.safetensors").read_bytes()) == HEAD.head.weights  # type: ignore[union-attr]
    assert read(folder, "parts/1/labels.json") == list(LABELS)
    assert {path.name for path in (folder / "parts/2/adapter").iterdir()} == set(TUNED.files)
    assert read(folder, "parts/2/prompt.json")["messages"][-1] == {"role": "user", "content": "{{text}}"}
    made = read(folder)
    assert made["made_of"] == "cascade" and "confidence" in made["how"]
    assert made["parts"] == [{"folder": "parts/1", "threshold": 0.9}, {"folder": "parts/2"}]
    assert made["guarantee"]["items"] == 300 and made["guarantee"]["passed_up"] == 0.25


def test_parts_of_parts_lie_deeper(run: Any, tmp_path: Path) -> None:
    folder = out(run, tmp_path, "vote")
    assert (folder / "parts/1/parts/2/adapter/adapter_model.safetensors").read_bytes() == b"w"
    made = read(folder)
    assert [part["weight"] for part in made["parts"]] == [2.0, 1.0, 1.0] and made["by"] == "answer"
    assert read(folder, "parts/1/prompt.json")["made_of"] == "cascade"


def test_steps_name_their_columns(run: Any, tmp_path: Path) -> None:
    folder = out(run, tmp_path, "steps")
    assert [part["column"] for part in read(folder)["parts"]] == ["notes", "answer"]
    assert "What matters in {{text}}?" in (folder / "parts/1/prompt.txt").read_text()
    assert "{{text}} {{notes}}" in (folder / "parts/2/prompt.txt").read_text()


def test_parts_without_files_stand_in_the_composition() -> None:
    made = composition(CANDIDATES["vote-odd"])  # type: ignore[arg-type]
    assert made["parts"][0] == {"always": "billing", "weight": 1.0}
    assert made["parts"][1] == {"function": "ours:answer", "folder_of_function": "/somewhere", "weight": 1.0}


def test_the_card_says_how_the_parts_work_together_and_what_was_promised(run: Any, tmp_path: Path) -> None:
    text = (out(run, tmp_path, "cascade") / "README.md").read_text()
    assert "It consists of 2 candidates from cheap to dear." in text
    assert "1. the model `enc`, a linear classification head, threshold 0.9" in text
    assert "lose at most 1 points to its last part, at a risk of 0.1" in text
    assert "300 examples" in text and "25% of the inputs were passed up, at 40% of what the last part costs" in text
    assert "adapted again" not in text and "base model's weights are not in this export" in text
    final = (out(run, tmp_path, "cascade-final") / "README.md").read_text()
    assert "Its parts were adapted again on more examples since" in final
    odd = (out(run, tmp_path, "vote-odd") / "README.md").read_text()
    assert "code is not in this export: it is looked for in '/somewhere'" in odd


def test_an_earlier_exports_parts_are_taken_away(run: Any, tmp_path: Path) -> None:
    out(run, tmp_path, "vote")
    folder = out(run, tmp_path, "scaled")
    assert not (folder / "parts").exists()


def test_passages_samples_and_constraints_go_out(run: Any, tmp_path: Path) -> None:
    folder = out(run, tmp_path, "passages")
    assert json.loads((folder / "passages.jsonl").read_text()) == {"text": "Refunds take a day.", "source": "faq.md"}
    assert Blob.of((folder / "passages.safetensors").read_bytes()) == VECTORS
    prompt = read(folder)
    assert (prompt["passages"]["k"], prompt["passages"]["by"], prompt["passages"]["embedder"]) == (2, "both", "enc")
    assert "5 samples the most common" in prompt["answer"]["how"]
    decoding = prompt["answer"]["decoding"]
    assert (decoding["samples"], decoding["temperature"], decoding["top_p"]) == (5, 0.7, 0.9)
    assert decoding["constraint"] == {"one_of": ["yes", "no"]}
    card = (folder / "README.md").read_text()
    assert "2 passages of your documents found for each input" in card and "5 samples of each answer" in card


def test_demonstrations_by_words_need_no_vectors(run: Any, tmp_path: Path) -> None:
    folder = out(run, tmp_path, "words")
    said = read(folder)["demonstrations"]
    assert "BM25" in said["how"] and "vectors" not in said and not (folder / "vectors.safetensors").exists()
    assert "`pool.jsonl` holds the demonstrations; " in (folder / "README.md").read_text()
    varied = read(out(run, tmp_path, "diverse"))["demonstrations"]
    assert varied["diversity"] == 0.3 and "0.7 of its likeness" in varied["how"] and varied["embedder"] == "enc"


def test_a_calibrations_scale_goes_out(run: Any, tmp_path: Path) -> None:
    answer = read(out(run, tmp_path, "scaled"))["answer"]
    assert answer["scale"] == [1.5, 1.5] and "times its scale, less its offset" in answer["how"]
