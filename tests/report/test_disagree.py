from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tuningfork.report.disagree import disagreements
from tuningfork.report.words import scale_of


def found(made: tuple[Any, dict[str, Any]], most: int = 20) -> tuple[str, list[Any]]:
    log, verdict = made
    split, examples = disagreements(log, verdict, scale_of(log, verdict), most)
    return split, examples


def test_only_examples_on_which_finalists_differ_and_no_more_than_asked(make_run: Callable[..., Any]) -> None:
    split, examples = found(make_run())
    # of 20 items the trials get the first 18, 12 and (a baseline) 6 right
    assert split == "test"
    assert {example.item for example in examples} == {f"i{k}" for k in range(12, 18)}
    for example in examples:
        assert [(said.trial, said.mark) for said in example.said][:2] == [
            ("lora@causal", "right"),
            ("few_shot@causal", "wrong"),
        ]


def test_a_baseline_counts_where_there_is_nothing_else_to_compare(make_run: Callable[..., Any]) -> None:
    _, examples = found(make_run(trials=[("lora", "causal", "tune", 0.9), ("majority", "", "baseline", 0.3)]))
    assert {example.item for example in examples} == {f"i{k}" for k in range(6, 18)}


def test_where_the_chosen_differ_comes_first(make_run: Callable[..., Any]) -> None:
    trials = [("lora", "causal", "tune", 0.9), ("few_shot", "causal", "prompt", 0.6), ("head", "enc", "tune", 0.3)]
    log, verdict = make_run(trials=trials)
    verdict["recommended"] = {"candidate": "few_shot@causal"}
    _, examples = found((log, verdict))
    # the best (18 right) and the recommended (12 right) differ on items 12 to 17, the third road from 6 on
    assert {example.item for example in examples[:6]} == {f"i{k}" for k in range(12, 18)}
    assert {example.item for example in examples} == {f"i{k}" for k in range(6, 18)}
    assert len(found((log, verdict), most=6)[1]) == 6


def test_dev_stands_in_where_no_test_was_opened(make_run: Callable[..., Any]) -> None:
    split, examples = found(make_run(tested=False))
    assert split == "dev"
    assert len(examples) == 6


def test_a_long_text_is_cut_and_none_of_it_lost(make_run: Callable[..., Any]) -> None:
    long = " ".join(f"w{k}" for k in range(700))
    _, examples = found(make_run(texts=["short", "short", long]))
    example = next(example for example in examples if example.item == "i17")
    assert example.text + example.rest == long
    assert len(example.text.split()) <= 80


def test_a_sure_mistake_comes_before_a_doubtful_one(make_run: Callable[..., Any]) -> None:
    log, verdict = make_run()
    rows = tuple(replace(row, confidence=0.99 if row.item == "i15" else 0.5) for row in log.rows)
    _, examples = found((replace(log, rows=rows), verdict))
    assert examples[0].item == "i15"
