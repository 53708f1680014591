"""init, check, report, predict, export, models, methods, doctor: each as a user meets it."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]


# init and check


def test_init_writes_what_it_understood(cli: Cli, small_task: Path) -> None:
    result = cli("init", "tickets.csv")
    assert result.exit_code == 0, result.output
    assert "target: team" in Path("tickets.task.yaml").read_text(encoding="utf-8")
    assert "tuningfork check tickets.task.yaml" in result.stdout
    assert cli("check", "tickets.task.yaml").exit_code == 0


def test_init_never_overwrites_unless_asked(cli: Cli, small_task: Path) -> None:
    before = small_task.read_text(encoding="utf-8")
    refused = cli("init", "tickets.csv", "-o", "task.yaml")
    assert refused.exit_code == 2 and "--force" in refused.stderr
    assert small_task.read_text(encoding="utf-8") == before
    assert cli("init", "tickets.csv", "-o", "task.yaml", "--force").exit_code == 0
    assert small_task.read_text(encoding="utf-8") != before


def test_init_takes_columns_by_name(cli: Cli, small_task: Path) -> None:
    assert cli("init", "tickets.csv", "--target", "channel", "--input", "text,team").exit_code == 0
    written = Path("tickets.task.yaml").read_text(encoding="utf-8")
    assert "target: channel" in written and "input: [text, team]" in written


def test_init_into_another_folder_keeps_the_paths_right(cli: Cli, small_task: Path) -> None:
    Path("tasks").mkdir()
    assert cli("init", "tickets.csv", "-o", "tasks/mine.yaml").exit_code == 0
    assert "../tickets.csv" in Path("tasks/mine.yaml").read_text(encoding="utf-8")
    assert cli("check", "tasks/mine.yaml").exit_code == 0


def test_init_of_a_folder(cli: Cli, small_task: Path, make: Any) -> None:
    Path("data").mkdir()
    make.csv(Path("data/train.csv"), make.rows(60))
    assert cli("init", "data").exit_code == 0
    assert cli("check", "data/data.task.yaml").exit_code == 0


def test_check_names_sizes_and_finds_nothing_in_good_data(cli: Cli, small_task: Path) -> None:
    result = cli("check", small_task, "--json")
    assert result.exit_code == 0 and "small (classification): " in result.stdout and " test" in result.stdout
    assert isinstance(json.loads(result.stdout.splitlines()[-1]), list)


def test_check_says_what_stands_in_the_way(cli: Cli, small_task: Path, make: Any) -> None:
    make.csv(Path("tickets.csv"), [{**row, "team": "sales"} for row in make.rows(60)])
    result = cli("check", small_task)
    assert result.exit_code == 2 and "error: " in result.stdout and "sales" in result.stdout


# report and export


@pytest.mark.slow
def test_report_writes_both_files_again_without_a_model(raced: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(raced, tmp_path / "run"))
    old = json.loads((run / "verdict.json").read_text(encoding="utf-8"))
    for name in ("verdict.json", "report.html"):
        (run / name).unlink()
    code = (
        "import sys\n"
        "class NoModels:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name in ('torch', 'transformers', 'tuningfork.models', 'tuningfork.engine'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, NoModels())\n"
        "from tuningfork.cli import main\nmain(['report', sys.argv[1], '--json'])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(run)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "verdict.json").read_text(encoding="utf-8")) == old
    assert json.loads(done.stdout.splitlines()[-1]) == {"run": str(run), **old}
    assert "<html" in (run / "report.html").read_text(encoding="utf-8").lower()


def test_last_is_the_newest(cli: Cli, raced: Path) -> None:
    result = cli("report", "last", "--runs", raced.parent, "--quiet")
    assert result.exit_code == 0 and str(raced) in result.stdout


def test_a_run_that_is_not_there(cli: Cli, raced: Path) -> None:
    near = raced.name[:-1] + "x"
    result = cli("report", near, "--runs", raced.parent)
    assert result.exit_code == 2 and f"Did you mean '{raced}'" in result.stderr
    assert "no run under 'runs' yet" in cli("report", "last").stderr


def test_export(cli: Cli, raced: Path, tmp_path: Path) -> None:
    result = cli("export", raced, tmp_path / "out")
    assert result.exit_code == 0, result.output
    listed = {Path(line) for line in result.stdout.splitlines()}
    assert listed and all(path.is_file() for path in listed)


def test_export_of_another_trial(cli: Cli, raced: Path, tmp_path: Path) -> None:
    assert cli("export", raced, tmp_path / "out", "--trial", "lora@fake").exit_code == 0
    assert any(path.name == "adapter_config.json" for path in (tmp_path / "out").rglob("*"))
    wrong = cli("export", raced, tmp_path / "other", "--trial", "lora@fak")
    assert wrong.exit_code == 2 and "Did you mean 'lora@fake'" in wrong.stderr


# predict


def test_predict_csv_to_csv(cli: Cli, raced: Path, make: Any, tmp_path: Path) -> None:
    rows = [{"number": str(n), "text": row["text"]} for n, row in enumerate(make.rows(7))]
    make.csv(tmp_path / "new.csv", rows)
    result = cli("predict", raced, "-i", "new.csv", "-o", "out.csv")
    assert result.exit_code == 0, result.output
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [{key: row[key] for key in rows[0]} for row in found] == rows
    assert all(row["answer"] in {"billing", "bugs", "sales"} and row["failure"] == "" for row in found)
    assert all(0 <= float(row["confidence"]) <= 1 for row in found)
    assert "7 rows answered by" in result.stderr and result.stdout == ""


def test_predict_stdin_to_stdout(cli: Cli, raced: Path) -> None:
    given = '{"text": "my card was charged twice"}\n{"text": "it crashes"}\n'
    result = cli("predict", raced, "--quiet", input=given)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["text"] for line in lines] == ["my card was charged twice", "it crashes"]
    assert set(lines[0]) == {"text", "answer", "confidence", "failure"} and result.stderr == ""


def test_predict_takes_an_export_and_answers_as_the_run_does(cli: Cli, raced: Path, tmp_path: Path) -> None:
    row = json.dumps({"text": "my card was charged twice for the same invoice"})
    assert cli("export", str(raced), str(tmp_path / "out")).exit_code == 0
    theirs = cli("predict", str(tmp_path / "out"), "--quiet", input=row)
    assert theirs.exit_code == 0, theirs.output
    assert theirs.stdout == cli("predict", str(raced), "--quiet", input=row).stdout


def test_predict_is_what_the_race_measured(cli: Cli, tested: Path) -> None:
    """The same candidate says the same of the test rows as it did in the race."""
    from tuningfork import RunLog

    log = RunLog.read(tested)
    texts = {item["id"]: item["text"] for item in log.started.items if item["split"] == "test"}
    same = 0
    for trial, found in log.results("test").items():
        born = log.born(trial)
        assert born is not None and born.stage == "final"
        rows = {item: row for item, row in found.items() if row.candidate == born.candidate}
        same += bool(rows)
        given = "".join(json.dumps({"text": texts[item]}) + "\n" for item in rows)
        result = cli("predict", tested, "--trial", trial, "--quiet", input=given)
        assert [json.loads(line)["answer"] for line in result.stdout.splitlines()] == [r.answer for r in rows.values()]
    assert same


def test_predict_in_constant_memory(raced: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Rows are never piled up: no more than a chunk is read ahead of what was written."""
    from tuningfork.runs import Run

    behind = [0, 0]

    def rows() -> Any:
        for _ in range(2000):
            behind[0] += 1
            behind[1] = max(behind[1], behind[0])
            yield {"text": "x"}

    for _ in Run.load(raced).recommended.stream(rows()):
        behind[0] -= 1
    assert behind[0] == 0 and behind[1] <= 600


@pytest.mark.parametrize(
    ("arguments", "given", "says"),
    [
        (("-i", "nowhere.csv"), "", "nowhere.csv"),
        ((), '{"text": "a"}\n{"txet": "b"}\n', "text"),
        ((), '{"text": "a"}\n{"text": \n', "2"),
        (("-o", "out.docx"), '{"text": "a"}\n', ".docx"),
        (("--trial", "nobody"), '{"text": "a"}\n', "nobody"),
    ],
)
def test_predict_mistakes(cli: Cli, raced: Path, arguments: tuple[str, ...], given: str, says: str) -> None:
    result = cli("predict", raced, *arguments, input=given)
    assert result.exit_code == 2 and says in result.stderr and "Traceback" not in result.stderr


def test_predict_never_writes_over_what_it_reads(cli: Cli, raced: Path, make: Any, tmp_path: Path) -> None:
    make.csv(tmp_path / "new.csv", make.rows(3))
    result = cli("predict", raced, "-i", "new.csv", "-o", "./new.csv")
    assert result.exit_code == 2 and "is the file that is read" in result.stderr


# menus and doctor


@pytest.mark.parametrize("verb", ["models", "methods"])
def test_menus(cli: Cli, verb: str) -> None:
    entries = json.loads(cli(verb, "--json").stdout)
    lines = cli(verb).stdout.splitlines()
    for entry in entries:
        name = entry.get("name") or entry["id"]
        assert sum(line.startswith(f"{name} ") and entry["about"] in line for line in lines) == 1, "a line an entry"


def test_models_fetch(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from tuningfork.models import bundled

    asked = []

    def folder_of(name: str, on_progress: Callable[[int, int], None] | None = None) -> Path:
        asked.append(name)
        if on_progress:
            on_progress(10, 100)
        return tmp_path / name

    monkeypatch.setattr(bundled, "is_cached", lambda name: name == "minilm-l6")
    monkeypatch.setattr(bundled, "folder_of", folder_of)
    result = cli("models", "--fetch")
    assert result.exit_code == 0 and asked == ["smollm2-135m", "minilm-l6"]
    assert f"smollm2-135m: ready in {tmp_path / 'smollm2-135m'}" in result.stdout


@pytest.fixture
def doctor(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """The doctor in a house of its own, with an index that answers as told."""
    from tuningfork.models import wheel_index

    monkeypatch.setenv("TUNINGFORK_CACHE", str(tmp_path / "cache"))

    def call(*answers: object) -> Any:
        monkeypatch.setattr(wheel_index, "find_wheel", lambda *_: iter(answers))
        return cli("doctor", "--json")

    return call


def looks(result: Any) -> dict[str, dict[str, str]]:
    return {look["what"]: look for look in json.loads(result.stdout.splitlines()[-1])}


@pytest.mark.slow
def test_doctor_of_a_machine_that_can_fetch(doctor: Callable[..., Any], tmp_path: Path) -> None:
    result = doctor("one index has it not", object())
    found = looks(result)
    assert (
        result.exit_code == 0 and found["index"]["state"] == "ok" and str(tmp_path / "cache") in found["cache"]["text"]
    )
    assert found["model"]["state"] == "warning" and "tuningfork models --fetch" in found["model"]["todo"]


@pytest.mark.slow
def test_doctor_without_index_and_models(doctor: Callable[..., Any]) -> None:
    result = doctor("the index gave no answer (timed out)")
    found = looks(result)
    assert result.exit_code == 2 and found["index"]["state"] == "problem" and "timed out" in found["index"]["text"]
    assert "PIP_INDEX_URL" in found["index"]["todo"] and "PIP_INDEX_URL" in result.stdout.splitlines()[-2]


@pytest.mark.slow
def test_doctor_without_index_but_with_models(doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from tuningfork.models import bundled

    monkeypatch.setattr(bundled, "is_cached", lambda name: True)
    result = doctor("the index gave no answer (timed out)")
    assert result.exit_code == 0 and looks(result)["index"]["state"] == "warning"


def test_doctor_without_torch(doctor: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "torch" else real(name, *a))
    found = looks(doctor(object()))
    assert found["local"]["state"] == "warning" and "tuningfork[local]" in found["local"]["todo"]
    assert "device" not in found


def test_output_is_utf8_where_the_terminal_is(cli: Cli, raced: Path) -> None:
    stream = io.StringIO(cli("report", raced).stdout)
    assert "\ufffd" not in stream.read()
