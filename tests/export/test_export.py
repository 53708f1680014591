from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tuningfork.candidate import Calibration, Candidate, Constant, Function, Head, Nearest, Shot, Single, Template
from tuningfork.errors import DataError, UnknownName, UserError
from tuningfork.export import export, load_export
from tuningfork.log import LogWriter, Measured, RunLog, Started, born_event
from tuningfork.model import Adapter
from tuningfork.store.blobs import Blob
from tuningfork.task import Message

PROMPT = Template((Message("system", "Which team?"), Message("user", "{{text}} by {{who}}")))
SHOTS = (Shot((("text", "pay {{who}}"), ("who", "Zoë")), "billing"), Shot((("text", "log in"), ("who", "B")), "access"))
LABELS = ("billing", "access")
TUNED = Adapter(
    "base", {"adapter_config.json": Blob.of(b'{"task_type": "CAUSAL_LM"}'), "adapter_model.safetensors": Blob.of(b"w")}
)
VECTORS = Blob.of_arrays({"vectors": np.eye(2, dtype=np.float32)})
HEAD = Head(Blob.of_arrays({"weight": np.ones((2, 3), np.float32), "bias": np.zeros(2, np.float32)}))
CANDIDATES: dict[str, Candidate] = {
    "few_shot@causal": Single("causal", LABELS, LABELS, PROMPT, SHOTS, calibration=Calibration((0.5, -0.5))),
    "lora@causal": Single("causal", LABELS, LABELS, PROMPT, adapter=TUNED),
    "nearest@causal": Single("causal", LABELS, LABELS, PROMPT, Nearest("enc", SHOTS, VECTORS, 1)),
    "head@enc": Single("enc", LABELS, head=HEAD, answer_by="head"),
    "majority": Constant("billing", LABELS),
    "yours:f@": Function("ours:answer", "/somewhere"),
    "write@causal": Single("causal", prompt=PROMPT, answer_by="generate"),
}


@pytest.fixture
def made(tmp_path: Path) -> tuple[RunLog, dict[str, Any]]:
    writer = LogWriter(tmp_path / "run")
    metrics = ({"name": "accuracy", "range": [0, 1], "higher_is_better": True},)
    task = {"name": "tick*ts", "kind": "classification", "instruction": "Which team?"}
    writer.write(Started(1, task, (), (), {"device": "cpu"}, {}, {}, metrics, "2025-01-02T03:04:05+00:00"))
    rows = []
    for trial, candidate in CANDIDATES.items():
        method, _, model = trial.partition("@")
        writer.keep(candidate)
        born = born_event(
            trial, candidate, parents=(), method=method, model=model, family="prompt", settings={"k": 2}, stage="race",
            seed=0, examples_used=10, examples_chosen_on=5, seconds=1.0, usage={},
        )  # fmt: skip
        writer.write(born)
        writer.write(Measured(trial, born.candidate, "test", 0, 50, 0, 0.8, 1.0, {}))
        value = {"value": 0.8, "low": 0.7, "high": 0.9, "n": 50}
        rows.append(
            {"candidate": trial, "method": method, "model": model, "family": "prompt", "status": "finalist", "why": "",
             "dev": None, "test": value, "latency_ms": {"p50": 5.0, "p95": 7.0}, "failed_items": 0}
        )  # fmt: skip
    rows.append({"candidate": "broken@causal", "method": "broken", "model": "causal", "family": "prompt",
                 "status": "failed", "why": "it broke", "dev": None, "test": None})  # fmt: skip
    compared = {"a": "few_shot@causal", "b": "lora@causal", "difference": 0.031, "low": 0.012, "high": 0.05, "n": 50}
    verdict = {
        "metric": "accuracy", "higher_is_better": True, "best": {"candidate": "few_shot@causal"},
        "recommended": {"candidate": "lora@causal"}, "comparisons": [compared], "leaderboard": rows,
        "scope": "Raced: causal and enc.", "test_looks": 1,
    }  # fmt: skip
    return RunLog.read(tmp_path / "run"), verdict


@pytest.mark.parametrize("trial", CANDIDATES)
def test_what_is_exported_is_read_back_the_same(made: Any, tmp_path: Path, trial: str) -> None:
    written = export(*made, tmp_path / "out", trial)
    assert load_export(tmp_path / "out")[0] == CANDIDATES[trial]
    assert set(written) == {path for path in (tmp_path / "out").rglob("*") if path.is_file()}


def test_it_needs_nothing_of_the_run_any_more(made: Any, tmp_path: Path) -> None:
    export(*made, tmp_path / "out", "head@enc")
    for blob in (tmp_path / "run" / "blobs").iterdir():
        blob.unlink()
    loaded, _, _ = load_export(tmp_path / "out")
    assert isinstance(loaded, Single) and loaded.head
    assert loaded.head.weights.arrays()["weight"].shape == (2, 3)


def test_the_recommended_one_goes_out_with_its_adapter_in_the_peft_layout(made: Any, tmp_path: Path) -> None:
    export(*made, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out" / "adapter").iterdir()} == set(TUNED.files)
    assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").read_bytes() == b"w"


def test_the_prompt_is_plain_messages_with_places_and_demonstrations_as_turns(made: Any, tmp_path: Path) -> None:
    export(*made, tmp_path / "out", "few_shot@causal")
    prompt = json.loads((tmp_path / "out" / "prompt.json").read_text(encoding="utf-8"))
    assert [message["role"] for message in prompt["messages"]] == [
        "system",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]
    assert prompt["messages"][1]["content"] == "pay {{who}} by Zoë"  # data with braces is data
    assert prompt["messages"][-1]["content"] == "{{text}} by {{who}}"
    assert prompt["answer"]["labels"] == list(LABELS)
    assert prompt["answer"]["offset_nats"] == [0.5, -0.5]
    assert "[assistant]\nbilling" in (tmp_path / "out" / "prompt.txt").read_text(encoding="utf-8")


def test_demonstrations_to_pick_from_go_out_with_their_vectors(made: Any, tmp_path: Path) -> None:
    export(*made, tmp_path / "out", "nearest@causal")
    lines = [json.loads(line) for line in (tmp_path / "out" / "pool.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[1] == {"inputs": {"text": "log in", "who": "B"}, "answer": "access"}
    assert Blob.of((tmp_path / "out" / "vectors.safetensors").read_bytes()) == VECTORS
    prompt = json.loads((tmp_path / "out" / "prompt.json").read_text(encoding="utf-8"))
    assert (prompt["demonstrations"]["k"], prompt["demonstrations"]["embedder"]) == (1, "enc")
    assert len(prompt["messages"]) == 2


def test_a_head_goes_out_with_its_labels(made: Any, tmp_path: Path) -> None:
    export(*made, tmp_path / "out", "head@enc")
    assert json.loads((tmp_path / "out" / "labels.json").read_text(encoding="utf-8")) == list(LABELS)
    assert Blob.of((tmp_path / "out" / "head.safetensors").read_bytes()) == HEAD.weights


def test_a_folder_with_other_things_is_refused_untouched(made: Any, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        export(*made, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["README.md"]
    with pytest.raises(UserError, match="is a file"):
        export(*made, tmp_path / "out" / "README.md")


def test_an_earlier_export_is_overwritten_and_nothing_of_it_stays(made: Any, tmp_path: Path) -> None:
    export(*made, tmp_path / "out", "lora@causal")
    (tmp_path / "out" / "mine.txt").write_text("mine")
    export(*made, tmp_path / "out", "majority")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"README.md", "candidate.json", "mine.txt"}


def test_an_earlier_export_survives_a_run_whose_blobs_are_gone(made: Any, tmp_path: Path) -> None:
    export(*made, tmp_path / "out", "majority")
    for blob in (tmp_path / "run" / "blobs").iterdir():
        blob.write_bytes(b"damaged")
    with pytest.raises(DataError, match="damaged"):
        export(*made, tmp_path / "out", "lora@causal")
    assert load_export(tmp_path / "out")[0] == CANDIDATES["majority"]


def test_names_that_can_not_be_exported_are_refused(made: Any, tmp_path: Path) -> None:
    log, verdict = made
    with pytest.raises(UnknownName, match=r"'lora@causal'"):
        export(log, verdict, tmp_path / "out", "lor@causal")
    with pytest.raises(UserError, match="it broke"):
        export(log, verdict, tmp_path / "out", "broken@causal")
    with pytest.raises(UserError, match="recommends no candidate"):
        export(log, {**verdict, "recommended": {"candidate": None}}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_export_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no candidate\.json"):
        load_export(tmp_path)
    (tmp_path / "candidate.json").write_text("{")
    with pytest.raises(DataError, match="not JSON"):
        load_export(tmp_path)
