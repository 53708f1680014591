"""All metrics through one suite, then each by its own numbers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.candidate import Prediction
from tuningfork.errors import DataError, TaskError, UnknownName
from tuningfork.metrics import MENU, Total, defaults_for, menu, open_metric, value
from tuningfork.model import Failure
from tuningfork.task import Example, Target


def example(target: Target) -> Example:
    return Example("e1", {"text": "t"}, target)


def score(name: str, target: Target, answer: str) -> float:
    return open_metric(name).item(example(target), Prediction(answer))


@pytest.mark.parametrize("name", sorted(MENU))
@pytest.mark.parametrize("answer", ["", "7", '{"a": 1}', "the", "[" * 5000, "\ud800"])
def test_every_metric_stays_in_its_range_and_knows_a_right_answer(name: str, answer: str) -> None:
    metric = open_metric(name)
    low, high = metric.range
    assert metric.name == name and low <= metric.item(example('{"a": 1}'), Prediction(answer)) <= high
    best = high if metric.higher_is_better else low
    assert metric.item(example('{"a": 1}'), Prediction('{"a": 1}')) == best


@pytest.mark.parametrize("name", ["accuracy", "exact_match", "field_f1", "token_f1"])
def test_any_acceptable_target_will_do(name: str) -> None:
    assert score(name, ('{"a": 1}', '{"a": 2}'), '{"a": 2}') == 1.0
    assert score(name, ('{"a": 1}', '{"a": 2}'), '{"b": 3}') < 1.0


def test_the_menu() -> None:
    assert set(menu()) >= set(MENU)
    with pytest.raises(UnknownName, match="Did you mean 'accuracy'"):
        open_metric("acuracy")


def test_macro_f1_is_a_total_and_counts_rare_labels_fully() -> None:
    metric = open_metric("macro_f1")
    assert isinstance(metric, Total) and not isinstance(open_metric("accuracy"), Total)
    examples = [example(t) for t in ("a", "a", "a", "b")]
    predictions = [Prediction(a) for a in ("a", "a", "a", "a")]
    # a: precision 3/4, recall 1, F1 6/7; b: 0
    assert value(metric, examples, predictions) == pytest.approx(3 / 7)
    # a label that is only answered is an error of the others and no label of its own: a 4/5, b 1
    predictions = [Prediction(a) for a in ("a", "a", "c", "b")]
    assert value(metric, examples, predictions) == pytest.approx((0.8 + 1) / 2)


def test_failed_items_are_left_out_of_a_value() -> None:
    metric = open_metric("accuracy")
    failed = Prediction("", failure=Failure("x", "y"))
    assert value(metric, [example("a"), example("b")], [Prediction("a"), failed]) == 1.0
    assert value(metric, [example("b")], [failed]) is None


@pytest.mark.parametrize(
    ("target", "answer", "same"),
    [
        ("yes", " yes\n", 1.0),
        ("yes", "Yes", 0.0),
        ('{"a": 1, "b": [2]}', '{ "b": [2.0], "a": 1 }', 1.0),
        ('{"a": true}', '{"a": 1}', 0.0),
        ('{"a.b": 1}', '{"a": {"b": 1}}', 0.0),
        ('{"a": {}}', '{"a": []}', 0.0),
        ("1.0", "1", 1.0),
        ("[1, 2]", "[2, 1]", 0.0),
    ],
)
def test_exact_match(target: str, answer: str, same: float) -> None:
    assert score("exact_match", target, answer) == same


@pytest.mark.parametrize(
    ("target", "answer", "f1"),
    [
        ("The cat sat.", "cat sat", 1.0),
        ("a b c d", "b c d e f g", 2 * 3 / (3 + 6)),  # `a` is an article
        ("red red blue", "red", 2 * 1 / (3 + 1)),
        ("yes", "no", 0.0),
        ("the", "an", 1.0),  # both have no words left
        ("the", "yes", 0.0),
    ],
)
def test_token_f1(target: str, answer: str, f1: float) -> None:
    assert score("token_f1", target, answer) == pytest.approx(f1)


@pytest.mark.parametrize(
    ("answer", "f1"),
    [
        ('{"items": [{"sku": "A", "n": 2}, {"sku": "B", "n": 1}], "rush": false}', 1.0),
        ('{"items": [{"sku": "A", "n": 2}], "rush": false}', 2 * 3 / (5 + 3)),
        ('{"items": [{"sku": "B", "n": 1}, {"sku": "A", "n": 2}], "rush": false}', 2 * 1 / (5 + 5)),
        ('{"rush": 0}', 0.0),
        ("Sure! {}", 0.0),
        ("", 0.0),
    ],
)
def test_field_f1(answer: str, f1: float) -> None:
    target = '{"items": [{"sku": "A", "n": 2}, {"sku": "B", "n": 1}], "rush": false}'
    assert score("field_f1", target, answer) == pytest.approx(f1)


def test_field_f1_refuses_a_target_that_is_no_json() -> None:
    with pytest.raises(DataError, match=r"'e1'.*'hello'"):
        score("field_f1", "hello", "{}")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_field_f1_is_symmetric_and_one_only_for_the_same_data(a: object, b: object) -> None:
    one, two = json.dumps(a), json.dumps(b)
    assert score("field_f1", one, two) == pytest.approx(score("field_f1", two, one))
    same = json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
    assert (score("field_f1", one, two) == 1.0) == same == (score("exact_match", one, two) == 1.0)


def test_defaults() -> None:
    assert defaults_for("classification", []) == ("accuracy", "macro_f1")
    assert defaults_for("generation", [example('{"a": 1}'), example("[]")]) == ("field_f1", "exact_match")
    assert defaults_for("generation", [example('{"a": 1}'), example("12")]) == ("token_f1", "exact_match")
    assert defaults_for("generation", []) == ("token_f1", "exact_match")
    with pytest.raises(TaskError, match="multilabel"):
        defaults_for("multilabel", [])
