from __future__ import annotations

from pathlib import Path
from typing import Any

from tuningfork.candidate import Constant, Function, Single, Template
from tuningfork.export.card import card
from tuningfork.log import LogWriter, RunLog, Started, born_event
from tuningfork.model import Adapter
from tuningfork.store.blobs import Blob
from tuningfork.task import Message

VERDICT: dict[str, Any] = {
    "metric": "accuracy", "higher_is_better": True, "best": {"candidate": "few@causal"}, "scope": "Raced: causal.",
    "recommended": {"candidate": "lora@causal"}, "test_looks": 1,
    "comparisons": [{"a": "few@causal", "b": "lora@causal", "difference": 0.031, "low": 0.012, "high": 0.05, "n": 50}],
    "leaderboard": [
        {"candidate": "lora@causal", "test": {"value": 0.8, "low": 0.7, "high": 0.9, "n": 50},
         "dev": {"value": 0.85, "low": 0.7, "high": 0.9, "n": 40}, "latency_ms": {"p50": 5.0, "p95": 7.0},
         "failed_items": 2},
    ],
}  # fmt: skip
LORA = Single("causal", prompt=Template((Message("user", "{{text}}"),)), adapter=Adapter("b", {"a": Blob.of(b"w")}))


def written(tmp_path: Path, candidate: Any, verdict: dict[str, Any] = VERDICT, name: str = "tickets") -> str:
    writer = LogWriter(tmp_path)
    metrics = ({"name": "accuracy", "range": [0, 1], "higher_is_better": True},)
    writer.write(Started(1, {"name": name}, (), (), {"device": "cpu"}, {}, {}, metrics, "2025-01-02T03:04:05+00:00"))
    born = born_event(
        "lora@causal", candidate, parents=(), method="lora", model="causal", family="tune", settings={"rank": 8},
        stage="final", seed=3, examples_used=10, examples_chosen_on=1, seconds=1.0, usage={},
    )  # fmt: skip
    return card(RunLog.read(tmp_path), verdict, "lora@causal", born, candidate)


def test_a_value_stands_with_interval_count_date_and_looks(tmp_path: Path) -> None:
    text = written(tmp_path, LORA.__class__("causal", prompt=LORA.prompt))
    assert "| accuracy | test | 80.0% | 70.0 to 90.0 | 50 |" in text
    assert "opened once. Measured on 2025-01-02" in text
    assert "the dev value is likely too good" in text
    assert "Items that failed: 2" in text
    assert "Raced: causal." in text
    assert "seed 3, stage final" in text


def test_a_comparison_is_seen_from_this_candidates_side(tmp_path: Path) -> None:
    text = written(tmp_path, Constant("yes"))
    assert "few@causal: -3.1 points, 95% between -5.0 and -1.2, paired, 50 examples" in text
    assert "The best of the run is few@causal" in text


def test_an_adapter_comes_with_the_lines_that_load_it(tmp_path: Path) -> None:
    config = Blob.of(b'{"task_type": "CAUSAL_LM"}')
    text = written(tmp_path, Single("org/base", adapter=Adapter("b", {"adapter_config.json": config})))
    assert "PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), 'adapter')" in text
    assert "base = 'org/base'\n" in text
    assert "PeftModel" not in written(tmp_path / "b", Constant("yes"))


def test_a_function_says_that_its_code_is_not_there(tmp_path: Path) -> None:
    assert "code is not in this export: it is looked for in '/x'" in written(tmp_path, Function("ours:answer", "/x"))


def test_names_of_users_are_no_markup(tmp_path: Path) -> None:
    assert r"**\<b\>x\*y**" in written(tmp_path, Constant("yes"), name="<b>x*y")


def test_what_was_not_measured_says_so(tmp_path: Path) -> None:
    verdict = {**VERDICT, "leaderboard": [], "comparisons": []}
    assert "It was not measured." in written(tmp_path, Constant("yes"), verdict)
