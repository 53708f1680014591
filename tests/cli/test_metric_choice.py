"""A metric that can't be, told before a race; one of the user's own, and a judge, raced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tuningfork
from tuningfork.errors import MissingExtra
from tuningfork.log import Measured
from tuningfork.metrics import item_range, open_metric

WRITING = "name: a\nkind: generation\ndata: train.jsonl\nmetric: {}\nmodels: [fake]\n"
QUICK = {"methods": ["majority", "head"], "budget": {"seconds": 20}}


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("rouge_l", "The metric rouge_l is for generation, and this task is classification. What fits: accuracy,"),
        ("acuracy", "Did you mean 'accuracy'"),
        ("log_loss(labels=[a])", "There is no setting 'labels'"),
        ("scoring:points", "raised ZeroDivisionError on the answer"),
        ("scoring:high", "gave 7.0 for example"),
        ("nowhere:points", "can't be imported"),
    ],
)
def test_check_tells_what_is_wrong_with_a_metric(
    make: Any, cli: Callable[..., Any], tmp_path: Path, metric: str, said: str
) -> None:
    (tmp_path / "scoring.py").write_text("def points(a, t): return 1 / 0\ndef high(a, t): return 7\n")
    found = cli("check", make.task(tmp_path, metric=metric))
    assert found.exit_code == 2 and said in found.output + (found.stderr or "")


def test_a_target_that_a_metric_cannot_read_is_told(cli: Callable[..., Any], tmp_path: Path) -> None:
    rows = "".join(f'{{"input": "question {n}", "output": "no number here"}}\n' for n in range(12))
    (tmp_path / "train.jsonl").write_text(rows)
    (tmp_path / "task.yaml").write_text(
        "name: a\nkind: generation\ndata: train.jsonl\nmetric: numeric\nmodels: [fake]\n"
    )
    found = cli("check", "task.yaml")
    assert found.exit_code == 2 and "numeric compares numbers, and the target of example" in found.output


def test_a_library_that_lacks_is_told_at_check(
    cli: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacks() -> Any:
        raise MissingExtra("BLEU and chrF", "sacrebleu", "metrics")

    monkeypatch.setattr("tuningfork.metrics.bleu._sacrebleu", lacks)
    (tmp_path / "train.jsonl").write_text('{"input": "a", "output": "b"}\n')
    (tmp_path / "task.yaml").write_text(WRITING.format("chrf"))
    found = cli("check", "task.yaml")
    assert found.exit_code == 2 and "tuningfork[metrics]" in found.output + (found.stderr or "")


def test_a_function_of_the_users_is_raced_and_not_needed_again(make: Any, tmp_path: Path) -> None:
    (tmp_path / "scoring.py").write_text("def points(answer, target): return 10 * (answer == target)\n")
    task = make.task(tmp_path, metric="scoring.py:points(range=[0, 10])", **QUICK)
    run = tuningfork.compare(task, runs=tmp_path / "runs")
    (tmp_path / "scoring.py").unlink()
    again = tuningfork.Run.load(run.folder)
    assert again.verdict.metric == "points" and again.verdict.to_dict() == run.verdict.to_dict()
    assert {row.score for row in run.log.rows} == {0.0, 10.0}


@pytest.mark.parametrize(
    "metric",
    [
        "ece",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("mcc", "balanced_accuracy", "log_loss", "brier")),
    ],
)
def test_metrics_of_labels_decide_a_race(make: Any, tmp_path: Path, metric: str) -> None:
    run = tuningfork.compare(make.task(tmp_path, metric=metric, **QUICK), runs=tmp_path / "runs")
    board = run.leaderboard().set_index("candidate")
    assert run.verdict.metric == metric and board["failed_items"].sum() == 0
    low, high = item_range(open_metric(metric))
    assert all(low <= row.score <= high for row in run.log.rows if row.score is not None)
    values = board["test"].dropna()
    assert values[run.best.name] == (values.max() if open_metric(metric).higher_is_better else values.min())


def test_candidates_without_probabilities_say_why_they_have_no_number(make: Any, tmp_path: Path) -> None:
    (tmp_path / "ours.py").write_text("def answer(row): return 'bugs'\n")
    task = make.task(tmp_path, metric="log_loss", contenders=["ours:answer"], **QUICK)
    board = tuningfork.compare(task, runs=tmp_path / "runs").leaderboard().set_index("candidate")
    assert "log_loss needs the probability of every label" in board.loc["yours:ours.answer", "why"]
    assert board.loc["yours:ours.answer", ["test", "dev"]].isna().all()


def test_a_judge_is_asked_metered_and_paid_apart(tmp_path: Path) -> None:
    rows = "".join(f'{{"input": "question number {n}", "output": "answer {n % 3}"}}\n' for n in range(60))
    (tmp_path / "train.jsonl").write_text(rows)
    (tmp_path / "task.yaml").write_text(WRITING.format("judge(model=fake)"))
    methods = ["zero_shot", "few_shot"]
    run = tuningfork.compare(tmp_path / "task.yaml", methods=methods, budget=30, runs=tmp_path / "runs")
    measured = run.log.of(Measured)
    assert measured and all(e.usage["judge_tokens_in"] > 0 and e.usage["judge_planned"] > 0 for e in measured)
    assert all(1 <= e.value <= 5 and e.failed == 0 for e in measured)
    spent = run.verdict.to_dict()["budget"]["spent_tokens"]
    judged = sum(e.usage["judge_tokens_in"] for e in measured)
    answering = sum(e.usage["tokens_in"] + e.usage["tokens_out"] for e in measured)
    assert spent >= judged + answering
