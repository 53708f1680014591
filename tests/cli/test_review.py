"""`review`: blind, resumable, and what the report makes of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tuningfork.decide.ratings import FILE, Rating, add_rating, ratings, summary
from tuningfork.errors import DataError

Cli = Callable[..., Any]


def rating(item: str, choice: Any, a: str = "x", b: str = "y") -> Rating:
    return Rating(item, a, b, choice, a, 0, "now")


@pytest.fixture
def run(raced: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(raced, tmp_path / "run"))


def test_ratings_are_kept_and_gone_on_with(cli: Cli, run: Path) -> None:
    trials = "majority,zero_shot@fake"
    first = cli("review", run, "--trials", trials, input="a\nwhat\nb\nt\nq\n")
    assert first.exit_code == 0, first.output
    assert "3 ratings kept" in first.stdout and "a, b, t, s, q?" in first.stdout
    kept = ratings(run)
    assert [r.choice == "tie" for r in kept] == [False, False, True]
    again = cli("review", run, "--trials", trials, input="s\n")
    assert "(3 done)" in again.stdout
    assert len(ratings(run)) == 4 and ratings(run)[:3] == kept


def test_sides_are_turned_back_and_no_name_is_shown(cli: Cli, run: Path) -> None:
    cli("review", run, "--trials", "majority,zero_shot@fake", input="a\n" * 12)
    shown = cli("review", run, "--trials", "majority,zero_shot@fake", "--seed", "3", input="")
    assert "majority" not in shown.stdout.split("ratings kept")[0] and "zero_shot" not in shown.stdout.split("Next")[0]
    kept = ratings(run)
    assert {r.left for r in kept} == {"majority", "zero_shot@fake"}
    assert all((r.choice == "a") == (r.left == "majority") for r in kept)


def test_a_wrong_name_and_a_pair_of_one_are_refused(cli: Cli, run: Path) -> None:
    unknown = cli("review", run, "--trials", "majorty,zero_shot@fake")
    assert unknown.exit_code == 2 and "Did you mean 'majority'" in unknown.stderr
    assert cli("review", run, "--trials", "majority,majority").exit_code == 2


def test_the_last_rating_of_an_item_counts_and_a_torn_line_is_dropped(tmp_path: Path) -> None:
    for one in (rating("i", "a"), rating("j", "tie"), rating("i", "b")):
        add_rating(tmp_path, one)
    with (tmp_path / FILE).open("a") as file:
        file.write('{"item": "k", "a"')
    assert {(r.item, r.choice) for r in ratings(tmp_path)} == {("i", "b"), ("j", "tie")}
    add_rating(tmp_path, rating("l", "a"))
    assert [r.item for r in ratings(tmp_path)] == ["i", "j", "l"]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('nothing\n{"item": 1}\n')
    with pytest.raises(DataError, match="line 1"):
        ratings(tmp_path)


def test_the_summary_has_an_interval_and_a_sign_test() -> None:
    told = summary([rating(f"i{k}", "a" if k < 16 else "b") for k in range(20)] + [rating("t", "tie")])[0]
    assert (told["for_a"], told["for_b"], told["ties"], told["n"]) == (16, 4, 1, 20)
    assert told["low"] < 0.8 < told["high"] and told["p"] < 0.05
    assert summary([rating("i", "skip")])[0]["share"] is None


@pytest.mark.parametrize(
    ("count", "said"),
    [(4, "Too few ratings to tell"), (20, "People prefer zero_shot@fake")],
)
def test_the_verdict_shows_what_people_said(run: Path, count: int, said: str) -> None:
    from tuningfork.runs import Run

    for k in range(count):
        add_rating(run, rating(f"i{k}", "b", "majority", "zero_shot@fake"))
    assert len(Run.load(run).ratings) == count
    found = Run.load(run).verdict.to_dict()["answers"]["people"]
    assert found["sentence"].startswith(said) and json.dumps(found)


def test_grades_correct_the_metric_from_ten_items_on(cli: Cli, run: Path) -> None:
    from tuningfork.decide.results import Results
    from tuningfork.runs import Run

    first = cli("review", run, "--grade", input="1\nno\n7\nnan\ns\n0\nq\n")
    assert first.exit_code == 0, first.output
    assert "2 grades kept" in first.stdout and "0 to 1, s: skip, q: quit?" in first.stdout
    assert "majority" not in first.stdout and "zero_shot" not in first.stdout
    assert not Results.read(Run.load(run).log, "test").people
    again = cli("review", run, "--grade", input="1\n" * 200)
    assert "(2 done)" in again.stdout and again.exit_code == 0
    results = Results.read(Run.load(run).log, "test")
    assert len(results.people) >= 10 and "corrected by people's grades" in results.grading


def test_the_same_answer_of_several_candidates_is_graded_once(run: Path) -> None:
    from tuningfork.cli.grading import answers
    from tuningfork.decide.results import Results
    from tuningfork.runs import Run

    results = Results.read(Run.load(run).log, "test")
    asked = list(answers(results, 0))
    assert len(asked) == len(set(asked)) and asked == list(answers(results, 0)) != list(answers(results, 1))
    assert all(any(rows[item].answer == answer for rows in results.rows.values()) for item, answer in asked)


def test_grading_takes_no_pair(cli: Cli, run: Path) -> None:
    refused = cli("review", run, "--grade", "--trials", "majority,zero_shot@fake")
    assert refused.exit_code == 2 and "takes no --trials" in refused.stderr
