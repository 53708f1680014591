"""All metrics through one suite, then each by its own numbers."""

from __future__ import annotations

import json
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuningfork.candidate import Prediction
from tuningfork.errors import DataError, MissingExtra, TaskError, UnknownName
from tuningfork.metrics import (
    MENU,
    Total,
    defaults_for,
    item_range,
    kinds_of,
    menu,
    must_fit,
    open_metric,
    rouge,
    scores,
    value,
)
from tuningfork.model import Failure
from tuningfork.task import Example, Kind, Target


def example(target: Target) -> Example:
    return Example("e1", {"text": "t"}, target)


def score(name: str, target: Target, answer: str) -> float:
    return open_metric(name).item(example(target), Prediction(answer))


LABELS = ('{"a": 1}', "the", "7")


def answered(answer: str) -> Prediction:
    """An answer with what metrics of probabilities need: sure of it where it is a label."""
    share = [0.98 if label == answer else 0.01 for label in LABELS]
    return Prediction(answer, tuple(math.log(p / sum(share)) for p in share), 1.0)


@pytest.mark.parametrize("name", sorted(set(MENU) - {"judge"}))
@pytest.mark.parametrize("answer", ["", "7", '{"a": 1}', "the", "[" * 5000, "\ud800"])
def test_every_metric_stays_in_its_range_and_knows_a_right_answer(name: str, answer: str) -> None:
    metric = open_metric(name, LABELS)
    targets: list[Target] = [frozenset(LABELS[:2])] if "multilabel" in kinds_of(metric) else ['{"a": 1}']
    low, high = item_range(metric)
    for item in map(example, targets):
        assert metric.name == name and low <= metric.item(item, answered(answer)) <= high
        right, wrong = metric.item(item, answered(item.answer)), metric.item(item, answered("nothing of it"))
        assert right > wrong if metric.higher_is_better else right < wrong
        assert value(metric, [item], [answered(item.answer)]) is not None


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
    assert defaults_for("multilabel", []) == ("samples_f1", "exact_set")


KIND_SETS = {name: kinds_of(open_metric(name)) for name in MENU}


WRONG = [("macro_f1", "generation"), ("rouge_l", "classification"), ("bleu", "multilabel")]


@pytest.mark.parametrize(("name", "kind"), WRONG)
def test_a_metric_of_another_kind_is_refused_with_those_that_fit(name: str, kind: Kind) -> None:
    with pytest.raises(TaskError, match=rf"{name} is for .* this task is {kind}") as refused:
        must_fit(open_metric(name), kind)
    said = str(refused.value).partition("What fits: ")[2]
    assert all((name in said.replace(",", "").split()) == (kind in kinds) for name, kinds in KIND_SETS.items())
    must_fit(open_metric("accuracy"), "classification")


def test_settings_stand_in_brackets() -> None:
    assert open_metric("numeric(tolerance=0.5)").item(example("10"), Prediction("so 12")) == 1.0
    assert open_metric("numeric(tolerance=0.1)").item(example("10"), Prediction("so 12")) == 0.0
    with pytest.raises(UnknownName, match="Did you mean 'tolerance'"):
        open_metric("numeric(tolerence=1)")
    with pytest.raises(UnknownName, match="setting 'labels'"):
        open_metric("log_loss(labels=[a])")
    with pytest.raises(TaskError, match=r"tolerance='wide'.*as a rule it is 1e-06"):
        open_metric("numeric(tolerance=wide)")


class Broken:
    name, range, higher_is_better = "broken", (0.0, 1.0), True

    def __init__(self, gives: float) -> None:
        self.gives = gives

    def item(self, example: Example, prediction: Prediction) -> float:
        return self.gives


@pytest.mark.parametrize("gives", [math.nan, math.inf, 1.1, -0.1])
def test_what_leaves_its_range_is_told_with_the_example(gives: float) -> None:
    with pytest.raises(TaskError, match=r"broken gave .* for example 'e1', outside its range of 0 to 1"):
        scores(Broken(gives), [example("a")], [Prediction("a")])


class BrokenTotal(Broken):
    def total(self, examples: object, predictions: object) -> float:
        return math.nan


def test_a_total_that_is_no_number_is_told() -> None:
    with pytest.raises(TaskError, match="broken gave nan over 1 items"):
        value(BrokenTotal(0.5), [example("a")], [Prediction("a")])


@pytest.mark.parametrize("name", ["log_loss", "brier", "perplexity", "ece"])
def test_without_probabilities_there_is_a_reason_and_no_number(name: str) -> None:
    metric = open_metric(name, ("a", "b"))
    (found,) = scores(metric, [example("a")], [Prediction("a")])
    assert isinstance(found, Failure) and name in found.message and "candidate" in found.message
    assert value(metric, [example("a")], [Prediction("a")]) is None


@pytest.mark.parametrize("name", ["bleu", "chrf", "rouge_1", "rouge_l"])
def test_a_library_that_lacks_is_named_when_the_metric_is_opened(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for module in ("sacrebleu.metrics", "rouge_score.rouge_scorer"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(rouge, "_scorer", rouge._scorer.__wrapped__)
    with pytest.raises(MissingExtra, match=r"tuningfork\[metrics\]"):
        open_metric(name)
