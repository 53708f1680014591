"""The main job in Python."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import tuningfork
from tuningfork import DataError, UnknownName
from tuningfork.api import begin, examine, open_task, resume_race, task_file_of
from tuningfork.errors import TaskError
from tuningfork.log import Ended, Event, Started


def test_compare_calls_the_watcher_with_every_event(small_task: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    run = tuningfork.compare(small_task, runs=tmp_path / "runs", watch=events.append)
    assert [type(event) for event in events] == [type(event) for event in run.log.events]
    assert isinstance(events[0], Started)
    assert run.folder.parent == tmp_path / "runs" and run.folder.name.startswith("small-")


def test_arguments_change_the_task(small_task: Path, tmp_path: Path) -> None:
    run = tuningfork.compare(
        small_task, budget=20, methods=["majority", "head"], models=["fake-encoder"], seed=5, runs=tmp_path / "runs"
    )
    task = run.task
    assert (task.budget.seconds, task.methods, task.models, task.seed) == (
        20,
        ("majority", "head"),
        ("fake-encoder",),
        5,
    )
    assert task.metrics[0] == "accuracy" and task.labels == ("billing", "bugs", "sales"), "what the file left open"


def test_a_race_that_ended_is_not_run_again(raced: Path) -> None:
    before = (raced / "log.jsonl").read_bytes()
    again = tuningfork.compare("not needed", resume=raced)
    assert again.folder == raced and (raced / "log.jsonl").read_bytes() == before


def test_looks_at_the_same_test_are_counted(small_task: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for look in (1, 2, 3):
        run = tuningfork.compare(small_task, methods=["majority"], runs=runs)
        assert run.verdict.to_dict()["test_looks"] == look
    other = tuningfork.compare(small_task, methods=["majority"], seed=9, runs=runs)
    assert other.verdict.to_dict()["test_looks"] == 4, "a given test file is the same, whatever the seed"


def test_data_that_cannot_be_raced_on(small_task: Path, make: Any, tmp_path: Path) -> None:
    make.csv(tmp_path / "tickets.csv", [{**row, "team": "sales"} for row in make.rows(40)])
    with pytest.raises(DataError, match="sales"):
        tuningfork.compare(small_task, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_table_gets_no_file_beside_it_from_python(small_task: Path, tmp_path: Path) -> None:
    small_task.unlink()
    task, said = open_task(tmp_path / "tickets.csv")
    assert task.columns.target == "team" and said and not task_file_of(tmp_path / "tickets.csv").exists()


@pytest.mark.parametrize(("source", "beside"), [("a/b.csv", "a/b.task.yaml"), ("hub:org/name", "name.task.yaml")])
def test_where_the_task_file_of_a_table_stands(source: str, beside: str) -> None:
    assert task_file_of(Path(source)) == Path(beside)


def test_two_races_in_one_second_have_folders_of_their_own(small_task: Path, tmp_path: Path) -> None:
    examined = examine(open_task(small_task)[0])
    folders = {begin(examined, runs=tmp_path / "runs").folder for _ in range(3)}
    assert len(folders) == 3


def test_a_model_that_cannot_be_had_leaves_no_folder(
    small_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(name: str) -> Any:
        raise tuningfork.ModelError(f"{name} is not to be had.")

    monkeypatch.setattr("tuningfork.models.open_model", nothing)
    with pytest.raises(tuningfork.ModelError, match="not to be had"):
        tuningfork.compare(small_task, runs=tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


def test_resuming_with_other_data_is_refused(small_task: Path, make: Any, tmp_path: Path) -> None:
    folder = tuningfork.compare(small_task, methods=["majority"], runs=tmp_path / "runs").folder
    make.csv(tmp_path / "tickets.csv", make.rows(110))
    with pytest.raises(DataError, match="changed"):
        tuningfork.compare(small_task, resume=folder)


# A run read back


def test_leaderboard_is_a_table_with_a_row_a_trial(raced: Path) -> None:
    board = tuningfork.Run.load(raced).leaderboard()
    assert set(board["candidate"]) >= {"majority", "zero_shot@fake", "head@fake-encoder", "lora@fake"}
    tested = board[board["status"] == "finalist"]
    assert ((tested["test_low"] <= tested["test"]) & (tested["test"] <= tested["test_high"])).all()


def test_the_verdict_is_worked_out_again_as_it_was(raced: Path) -> None:
    run = tuningfork.Run.load(raced)
    assert run.verdict.to_dict() == json.loads((raced / "verdict.json").read_text(encoding="utf-8"))
    assert run.to_dict()["run"] == str(raced)


def test_best_and_recommended_are_trials(raced: Path) -> None:
    run = tuningfork.Run.load(raced)
    assert run.best.name == run.verdict.to_dict()["best"]["candidate"]
    assert run.value(run.recommended.name) is not None and run.value("nobody") is None


def test_predict_takes_texts_and_dicts(raced: Path) -> None:
    chosen = tuningfork.Run.load(raced).recommended
    a, b = chosen.predict(["it crashes", {"text": "it crashes", "more": 1}])
    assert a.answer == b.answer in {"billing", "bugs", "sales"}
    with pytest.raises(UnknownName, match="'text' in row 1"):
        chosen.predict([{"txt": "it crashes"}])


def test_a_trial_that_is_not_there(raced: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'lora@fake'"):
        tuningfork.Run.load(raced).trial("lora@fakes")


def test_a_run_shows_itself(raced: Path) -> None:
    run = tuningfork.Run.load(raced)
    assert run.verdict.sentence in repr(run) and "<table" in run._repr_html_()


def test_an_empty_folder_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run"):
        tuningfork.Run.load(tmp_path)


def test_a_stop_between_the_last_event_and_the_report_loses_nothing(raced: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(raced, tmp_path / "run"))
    for name in ("report.html", "verdict.json"):
        (run / name).unlink()
    again = resume_race(run).go()
    assert (run / "report.html").exists() and (run / "verdict.json").exists()
    assert again.verdict.sentence == tuningfork.Run.load(raced).verdict.sentence


def test_a_report_of_a_race_on_its_way_gives_way_to_that_of_its_end(small_task: Path, tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if event.type == "finalists":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuningfork.compare(small_task, methods=["majority", "zero_shot"], runs=tmp_path / "runs", watch=stop)
    (folder,) = (tmp_path / "runs").iterdir()
    tuningfork.Run.load(folder).write()
    early = (folder / "report.html").read_text(encoding="utf-8")
    run = resume_race(folder).go()
    assert run.log.of(Ended) and (folder / "report.html").read_text(encoding="utf-8") != early
    assert json.loads((folder / "verdict.json").read_text(encoding="utf-8")) == run.verdict.to_dict()


def test_a_run_is_asked_and_gone_on_with_from_anywhere(
    small_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_task.parent)
    run = tuningfork.compare(small_task.name, methods=["majority"], runs=tmp_path / "runs")
    monkeypatch.chdir("/")
    assert resume_race(run.folder).ended


def test_a_seed_below_zero_is_refused_and_auto_is_what_the_file_leaves_out(small_task: Path) -> None:
    with pytest.raises(TaskError, match="not -1"):
        open_task(small_task, seed=-1)
    assert open_task(small_task, methods=["auto"])[0].methods == ()


def test_what_was_mended_beside_a_table_counts_everywhere(small_task: Path) -> None:
    table = small_task.with_name("tickets.csv")
    (small_task.parent / "tickets.task.yaml").write_text(small_task.read_text().replace("name: small", "name: mended"))
    task, said = open_task(table)
    assert task.name == "mended" and "Used" in said[0]
