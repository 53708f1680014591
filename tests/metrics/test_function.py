"""The user's own function as a metric."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuningfork.candidate import Prediction
from tuningfork.errors import TaskError, UnknownName, UserError
from tuningfork.metrics import item_range, open_metric, scores
from tuningfork.task import Example, Target, set_text

CODE = """
def points(answer, target):
    return 10 * (answer == target)
points.range = (0, 10)

def cost(answer, target, inputs):
    return len(answer) / len(inputs["text"])
cost.higher_is_better = False

def seen(answer, target):
    return float(answer == ["a", "b"] and target == ["a", "c"])

def several(answer, target):
    return float(answer in target)

def raises(answer, target):
    raise ValueError("no")

def words(answer, target):
    return "many"

def one(answer):
    return 1

NUMBER = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    (tmp_path / "scoring.py").write_text(CODE)
    return str(tmp_path)


def score(spec: str, folder: str, target: Target, answer: str) -> object:
    return scores(open_metric(spec, folder=folder), [Example("e1", {"text": "four"}, target)], [Prediction(answer)])[0]


def test_it_scores_with_its_own_range_and_direction(folder: str) -> None:
    points = open_metric("scoring:points", folder=folder)
    assert (points.name, item_range(points), points.higher_is_better) == ("points", (0.0, 10.0), True)
    assert score("scoring.py:points", folder, "a", "a") == 10.0 and score("scoring:points", folder, "a", "b") == 0.0
    assert not open_metric("scoring:cost", folder=folder).higher_is_better
    assert score("scoring:cost", folder, "a", "ab") == 0.5


def test_the_task_file_may_say_it(folder: str) -> None:
    metric = open_metric("scoring.py:several(range=[-1, 1], higher_is_better=false)", folder=folder)
    assert item_range(metric) == (-1.0, 1.0) and not metric.higher_is_better


def test_what_it_is_given(folder: str) -> None:
    assert score("scoring:seen", folder, frozenset("ac"), set_text("ab")) == 1.0
    assert score("scoring:several", folder, ("yes", "yeah"), "yeah") == 1.0


@pytest.mark.parametrize(
    ("spec", "error", "said"),
    [
        ("scoring:raises", TaskError, "raised ValueError on the answer 'b' to example 'e1': no"),
        ("scoring:words", TaskError, "must return a number"),
        ("scoring:one", TaskError, "is called with the answer and the target"),
        ("scoring:NUMBER", UserError, "not a function"),
        ("scoring:point", UnknownName, "Did you mean 'points'"),
        ("scring:points", UserError, "can't be imported"),
        ("scoring:points(rnge=[0, 1])", UnknownName, "Did you mean 'range'"),
        ("scoring:points(range=[1, 0])", TaskError, "two finite numbers"),
        ("scoring:points(range=[0, .inf])", TaskError, "two finite numbers"),
        ("scoring:points(range=[0, 1])", TaskError, "gave 10.0 for example 'e1', outside its range"),
    ],
)
def test_mistakes_are_told(folder: str, spec: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        score(spec, folder, "b", "b")
