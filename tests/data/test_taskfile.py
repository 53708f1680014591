"""The task file: read strictly, written so that it reads back the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuningfork.data.taskfile import load_task, parse_budget, task_from_dict, task_to_dict, write_task
from tuningfork.errors import TaskError, UnknownName, UserError
from tuningfork.task import BUDGETS, Budget, Columns, Sources, Task

SMALL = "name: tickets\nkind: classification\ndata: train.jsonl\n"


def read(tmp_path: Path, text: str) -> Task:
    path = tmp_path / "task.yaml"
    path.write_text(text, encoding="utf-8")
    return load_task(path)


def test_what_is_left_out_has_a_default(tmp_path: Path) -> None:
    task = read(tmp_path, SMALL)
    plain = Task("tickets", "classification", Sources("train.jsonl"), Columns(("text",), "label"), folder=str(tmp_path))
    assert task == plain


def test_every_field(tmp_path: Path) -> None:
    task = read(
        tmp_path,
        """
name: orders
kind: generation
data: {train: a.csv, test: b.csv, unlabelled: c.csv, documents: d.csv, encoding: cp1252}
columns: {input: [subject, body], target: answer, id: nr, group: lang, cluster: thread}
instruction: Answer.
metric: [token_f1, exact_match]
models: fake
methods: [zero_shot, few_shot+calibrate]
contenders: [ours.yaml]
budget: {seconds: 600, tokens: 2e6, usd: 5}
tolerance: 0.02
limits: {latency_ms_p95: 200, private: true}
traffic: {requests_per_month: 100000}
seed: 7
""",
    )
    assert task.data == Sources("a.csv", "b.csv", "c.csv", "d.csv", "cp1252")
    assert task.columns == Columns(("subject", "body"), "answer", "nr", "lang", "thread")
    assert (task.metrics, task.models) == (("token_f1", "exact_match"), ("fake",))
    assert (task.methods, task.contenders) == (("zero_shot", "few_shot+calibrate"), ("ours.yaml",))
    assert task.budget == Budget(600.0, 2_000_000, 5.0, "own")
    assert (task.tolerance, task.seed) == (0.02, 7)
    assert (dict(task.limits), dict(task.traffic)) == (
        {"latency_ms_p95": 200.0, "private": True},
        {"requests_per_month": 1e5},
    )


def test_methods_auto_and_labels_as_they_stand(tmp_path: Path) -> None:
    task = read(tmp_path, SMALL + "methods: auto\nlabels: [yes, no, on, 1, true, 01, 2024-01-05, '1.10']\n")
    assert task.methods == ()
    assert task.labels == ("yes", "no", "on", "1", "true", "01", "2024-01-05", "1.10")


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (SMALL + "metrics: accuracy\n", UnknownName, ["field 'metrics'", "Did you mean 'metric'", "task.yaml"]),
        (SMALL.replace("train.jsonl", "{trian: a}"), UnknownName, ["'trian'", "'train'", "data"]),
        (SMALL + "columns: {inputs: a, target: b}\n", UnknownName, ["'inputs'", "'input'"]),
        (SMALL + "limits: {latency: 3}\n", UnknownName, ["'latency'", "latency_ms_p95"]),
        (SMALL.replace("classification", "clasification"), UnknownName, ["Did you mean 'classification'"]),
        (SMALL.replace("classification", "multilable"), UnknownName, ["Did you mean 'multilabel'"]),
        (SMALL + "columns: {input: text, flags: [a, 1, [2]]}\n", TaskError, ["flags is [2]"]),
        ("name: a\nkind: generation\n", TaskError, ["lacks 'data'", "init"]),
        (SMALL + "columns: {input: text}\n", TaskError, ["lacks 'target'"]),
        (SMALL + "columns: text\n", TaskError, ["'text'", "mapping"]),
        (SMALL + "seed: 1.5\n", TaskError, ["seed is 1.5", "whole number"]),
        (SMALL + "tolerance: much\n", TaskError, ["tolerance is 'much'", "a number"]),
        (SMALL + "tolerance: -1\n", TaskError, ["at least 0"]),
        (SMALL + "models: [1, [2]]\n", TaskError, ["models is [2]"]),
        (SMALL + "labels: [a, b, a]\n", TaskError, ["'a' stands there twice"]),
        (SMALL + "labels: [1.10]\n", TaskError, ["1.1", "quotes"]),
        (SMALL + "budget: lihgt\n", UnknownName, ["Did you mean 'light'"]),
        (SMALL + "budget: {seconds: 0}\n", TaskError, ["seconds is 0", "above 0"]),
        (SMALL + "limits: {private: maybe}\n", TaskError, ["private is 'maybe'"]),
        (SMALL + "limits: {skill: sme}\n", UnknownName, ["'sme'", "Did you mean 'some'"]),
        (SMALL + "costs: {usd_per_lable: 1}\n", UnknownName, ["'usd_per_lable'", "Did you mean 'usd_per_label'"]),
        (SMALL + "costs: {utilisation: 30}\n", TaskError, ["utilisation is 30", "from 0 to 1"]),
        (SMALL + "costs: {months: 0}\n", TaskError, ["months is 0", "above 0"]),
        (SMALL + "traffic: {cached_share: 2}\n", TaskError, ["cached_share is 2", "from 0 to 1"]),
        (SMALL + "traffic: {requests: 2}\n", UnknownName, ["Did you mean 'requests_per_month'"]),
        (SMALL + "name: again\n", TaskError, ["line 4", "'name' stands there twice"]),
        (SMALL + "instruction: a: b\n", TaskError, ["line 4", "quotes"]),
        (SMALL.replace("tickets", "a/b"), TaskError, ["'a/b'"]),
        ("- a\n", TaskError, ["must hold fields"]),
        ("", TaskError, ["must hold fields"]),
    ],
)
def test_letters(tmp_path: Path, text: str, error: type[Exception], says: list[str]) -> None:
    with pytest.raises(error) as caught:
        read(tmp_path, text)
    assert "task.yaml" in str(caught.value)
    for part in says:
        assert part in str(caught.value)


def test_a_missing_task_file(tmp_path: Path) -> None:
    (tmp_path / "mine.task.yaml").write_text(SMALL)
    with pytest.raises(TaskError, match=r"no task file.*mine\.task\.yaml"):
        load_task(tmp_path / "task.yaml")


def test_overrides(tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text(SMALL + "seed: 3\nbudget: heavy\n")
    task = load_task(tmp_path / "task.yaml", budget="medium", models=["fake"], seed=None)
    assert (task.budget, task.models, task.seed) == (BUDGETS["medium"], ("fake",), 3)
    with pytest.raises(UnknownName, match="'budgit'"):
        load_task(tmp_path / "task.yaml", budgit="light")


@pytest.mark.parametrize("value", [600, 600.0, "600", "6e2", {"seconds": 600}])
def test_budgets_in_seconds(value: object) -> None:
    assert parse_budget(value) == Budget(600.0, name="own")


def test_a_budget_of_tokens_alone_has_no_seconds() -> None:
    assert parse_budget({"tokens": "2e6"}) == Budget(None, 2_000_000, None, "own")


texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20).filter(
    lambda t: bool(t.strip())
)
labels = st.lists(texts.map(str.strip), max_size=5, unique=True).map(tuple)
tasks = st.builds(
    Task,
    name=st.from_regex(r"[a-z0-9][a-z0-9 ._-]{0,10}", fullmatch=True),
    kind=st.sampled_from(["classification", "generation"]),
    data=st.builds(
        Sources, texts, st.none() | texts, st.none() | texts, st.none() | texts, st.sampled_from(["utf-8", "cp1252"])
    ),
    columns=st.builds(
        Columns, st.lists(texts, min_size=1, max_size=3).map(tuple), texts, st.none() | texts, st.none() | texts
    ),
    instruction=st.just("") | texts.map(str.strip),
    labels=labels,
    metrics=st.sampled_from([(), ("accuracy",), ("a", "b")]),
    methods=st.sampled_from([(), ("zero_shot",), ("few_shot+calibrate", "lora")]),
    contenders=labels,
    budget=st.sampled_from([*BUDGETS.values(), Budget(5.5, 7, 0.25, "own"), Budget(None, 9, None, "own")]),
    tolerance=st.floats(0, 1),
    limits=st.sampled_from([{}, {"latency_ms_p95": 200.0, "private": True}, {"quality": -0.5, "skill": "none"}]),
    prices=st.sampled_from([{}, {"openai:m@http://a.b:1/v1": {"in": 0.4, "out": 1.6, "cached": 0.0}}]),
    traffic=st.sampled_from([{}, {"requests_per_month": 1e5}]),
    costs=st.sampled_from([{}, {"usd_per_label": 0.1, "usd_per_hour": 0.5, "utilisation": 0.3}]),
    seed=st.integers(0, 10**6),
)


@given(tasks)
@settings(deadline=None, max_examples=50)
def test_round_trips(tmp_path_factory: pytest.TempPathFactory, task: Task) -> None:
    folder = tmp_path_factory.mktemp("task")
    task = task.with_(folder=str(folder))
    assert task_from_dict(json.loads(json.dumps(task_to_dict(task))), folder) == task
    write_task(task, folder / "task.yaml")
    assert load_task(folder / "task.yaml") == task


def test_the_file_is_made_for_people(tmp_path: Path) -> None:
    write_task(read(tmp_path, SMALL), tmp_path / "out.yaml")
    text = (tmp_path / "out.yaml").read_text()
    assert "kind: classification\n" in text and "columns: {input: text, target: label}\n" in text
    assert "# limits: {latency_ms_p95: 200" in text and "budget: light\n" in text and "folder:" not in text


@pytest.mark.parametrize("price", ["{in: 1}", "3", "{in: 1, out: -2}", "{in: 1, out: free}", "{in: 1, out: 2, of: 3}"])
def test_a_price_that_is_none_is_refused(tmp_path: Path, price: str) -> None:
    with pytest.raises(UserError, match="prices"):
        read(tmp_path, f"{SMALL}prices: {{openai:m: {price}}}\n")
