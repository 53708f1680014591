from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from tuningfork.report.text import print_verdict


def printed(made: tuple[Any, dict[str, Any]], width: int, **about: Any) -> str:
    out = io.StringIO()
    print_verdict(*made, Console(file=out, width=width, **about))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_every_line_fits_and_no_name_is_broken(make_run: Callable[..., Any], width: int) -> None:
    text = printed(
        make_run(trials=[("nearest_shots+calibrate", "causal-135m", "prompt", 0.7), ("head", "encoder", "tune", 0.6)]),
        width,
    )
    assert max(len(line.rstrip()) for line in text.splitlines() if "/" not in line) <= width
    assert "nearest_shots+calibrate" in text
    assert "…" not in text
    assert "70.0 [60.0, 80.0]" in text
    assert "recommended" in text


def test_columns_leave_as_it_gets_narrow_and_come_as_it_gets_wide(make_run: Callable[..., Any]) -> None:
    made = make_run(
        trials=[("nearest_shots+calibrate", "causal-135m", "prompt", 0.7), ("head", "encoder", "tune", 0.6)]
    )
    narrow, wide = printed(made, 80), printed(made, 140)
    assert "family" not in narrow
    assert "family" in wide
    assert "adapt" in wide


def test_a_pipe_gets_no_escape_codes_and_all_words(make_run: Callable[..., Any]) -> None:
    text = printed(make_run(left=[("broken", "it broke at step 3")]), 100)
    assert "\x1b" not in text
    for said in ("Use lora@causal.", "broken@causal: failed: it broke at step 3",
                 "+3.1 points, 95% between 1.2 and 5.0", "not told apart", "shown to differ",
                 "Raced: causal.", "Seconds stopped lora.",
                 "Fine-tune.", "log.jsonl", "opened once"):  # fmt: skip
        assert said in text, said


def test_names_are_not_read_as_markup_and_odd_characters_do_no_harm(make_run: Callable[..., Any]) -> None:
    made = make_run(task="[red]näme[/red] 试验")
    assert "[red]näme[/red] 试验" in printed(made, 100)
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    print_verdict(*made, Console(file=out, width=100))
    out.flush()
    assert b"[red]n?me[/red]" in raw.getvalue()


def test_without_a_test_the_leaderboard_shows_dev(make_run: Callable[..., Any]) -> None:
    text = printed(make_run(tested=False, latency=False), 80)
    assert "dev % [95%]" in text
    assert "test %" not in text
    assert "the test was not opened" in text


def test_a_verdict_without_any_candidate_is_still_told(make_run: Callable[..., Any]) -> None:
    log, verdict = make_run()
    verdict |= {
        "best": {"candidate": None},
        "recommended": None,
        "leaderboard": [],
        "comparisons": [],
        "outcome": "none",
    }
    assert "no winner" in printed((log, verdict), 80)


def test_a_finalist_that_failed_on_every_item_is_not_left_out(make_run: Callable[..., Any]) -> None:
    log, verdict = make_run()
    why = "yours, raced unchanged. Failed on 50 of 50 test items. The first: raised: RuntimeError: kaboom."
    row = {**verdict["leaderboard"][0], "candidate": "yours:fn.boom", "dev": None, "test": None, "status": "finalist"}
    verdict["leaderboard"] = [*verdict["leaderboard"], {**row, "failed_items": 50, "why": why}]
    assert f"yours:fn.boom: {why}" in printed((log, verdict), 140).replace("\n    ", " ")


def test_the_questions_come_in_the_order_of_every_report(make_run: Callable[..., Any]) -> None:
    log, verdict = make_run()
    verdict["answers"] |= {
        "which": {"sentence": "Which one."},
        "cost": {"sentence": "So much."},
        "more_data": {"sentence": "More."},
        "why": {"sentence": "Because."},
        "fairness": {"sentence": "Fair."},
    }
    text = printed((log, verdict), 100)
    said = ("Fine-tune.", "Which one.", "So much.", "More.", "Because.", "Fair.", "Seconds stopped lora.")
    places = [text.index(sentence) for sentence in said]
    assert places == sorted(places)


def test_forty_candidates_stay_short(make_run: Callable[..., Any]) -> None:
    log, verdict = make_run(trials=[(f"m{k}", "causal", "tune", 0.5) for k in range(40)])
    for row in verdict["leaderboard"][5:]:
        row |= {"status": "dropped", "why": "Shown worse."}
    text = printed((log, verdict), 100)
    assert "and 29 more: dropped: Shown worse." in " ".join(text.split())
    assert sum(line.strip().startswith(f"{k} ") for line in text.splitlines() for k in range(1, 41)) <= 12
