from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from tuningfork.report import charts
from tuningfork.report.words import scale_of


def values_of(spec: dict[str, Any]) -> list[dict[str, Any]]:
    data = spec.get("data") or spec["layer"][0]["data"]
    return data["values"] if "values" in data else spec["datasets"][data["name"]]


def test_latency_is_the_cost_and_points_carry_their_interval_in_percent(make_run: Callable[..., Any]) -> None:
    log, verdict = make_run()
    chart = charts.quality_cost(verdict, scale_of(log, verdict))
    assert chart is not None
    points = {point["trial"]: point for point in values_of(chart.spec)}
    assert points["lora@causal"]["cost"] == 5.0
    assert (points["lora@causal"]["value"], points["lora@causal"]["family"]) == (90.0, "fine-tune")
    assert '"type": "log"' in json.dumps(chart.spec)
    assert "intervals" in chart.reading


def test_seconds_to_adapt_stand_in_where_latency_is_missing(make_run: Callable[..., Any]) -> None:
    log, verdict = make_run(latency=False)
    chart = charts.quality_cost(verdict, scale_of(log, verdict))
    assert chart is not None
    assert "Seconds to adapt" in json.dumps(chart.spec)
    assert {point["cost"] for point in values_of(chart.spec)} == {3.0}


def test_what_can_not_be_drawn_is_left_out_and_said(make_run: Callable[..., Any]) -> None:
    log, verdict = make_run()
    verdict["leaderboard"][2]["latency_ms"] = None
    chart = charts.quality_cost(verdict, scale_of(log, verdict))
    assert chart is not None
    assert "1 candidate without a measured latency is left out" in chart.reading
    verdict["leaderboard"][1]["test"] = {"value": math.nan, "low": math.nan, "high": math.nan, "n": 0}
    assert charts.quality_cost(verdict, scale_of(log, verdict)) is None


def test_labels_that_would_cover_another_shrink(make_run: Callable[..., Any]) -> None:
    log, verdict = make_run(
        trials=[(f"method_with_a_long_name_{k}", "causal", "prompt", 0.9 if k == 0 else 0.5) for k in range(30)]
    )
    chart = charts.quality_cost(verdict, scale_of(log, verdict))
    assert chart is not None
    points = values_of(chart.spec)
    named = [point for point in points if "method" in point["label"]]
    assert any(point["rank"] == "1" for point in named)  # the recommended keeps its name
    assert len(named) < len(points)


def test_every_family_has_a_colour_and_a_shape_of_its_own() -> None:
    assert len(set(charts.FAMILY_COLOURS.values())) == len(set(charts.FAMILY_SHAPES.values())) == 6
    assert set(charts.FAMILY_COLOURS) == set(charts.FAMILY_SHAPES)


def test_curves_show_train_and_hold(make_run: Callable[..., Any]) -> None:
    log, _ = make_run()
    chart = charts.training(log)
    assert chart is not None
    values = values_of(chart.spec)
    assert {(value["part"], value["step"]) for value in values} == {
        (p, s) for p in ("train", "hold") for s in (1, 2, 4)
    }


def test_no_tuning_no_curves(make_run: Callable[..., Any]) -> None:
    log, _ = make_run(trials=[("majority", "", "baseline", 0.3)])
    assert charts.training(log) is None


PAID = {"prompt": "p", "tune": "t", "months": 12.0, "requests_a_month": 5000.0}
POINTS = [{"candidate": c, "requests_a_month": n, "usd": u} for c, u in (("p", 5.0), ("t", 50.0)) for n in (10.0, 1e6)]


def test_payback_says_which_side_of_the_crossing_is_whose() -> None:
    assert charts.payback({}, None) is None and charts.payback({**PAID, "sentence": "unknown"}, None) is None
    chart = charts.payback({**PAID, "points": POINTS}, 2000.0)
    assert chart is not None
    assert "at about 5,000 requests a month, p costs less; right of it t." in chart.reading
    assert "your traffic" in chart.reading and json.dumps(chart.spec).count('"type": "log"') >= 2
    never = charts.payback({**PAID, "requests_a_month": None, "points": POINTS}, None)
    assert never is not None and "do not cross: p costs less" in never.reading


def test_learning_curves_end_in_a_dashed_doubling_with_its_interval(make_run: Callable[..., Any]) -> None:
    scale = scale_of(*make_run())
    points = [{"examples": n, "value": v} for n, v in ((100, 0.5), (100, 0.6), (200, 0.7))]
    ahead = {"examples": 400, "value": 0.75, "low": 0.6, "high": 0.9}
    chart = charts.more_data({"curves": [{"candidate": "t", "points": points, "next": ahead}]}, scale)
    assert chart is not None
    text = json.dumps(chart.spec)
    assert '"value": 55.0' in text and '"low": 60.0' in text and '"strokeDash": [5, 4]' in text
    assert charts.more_data({"curves": []}, scale) is None


def test_reliability_takes_the_colours_of_families_where_they_differ() -> None:
    bins = [{"confidence": 0.8, "right": 0.7, "low": 0.5, "high": 0.9, "n": 20}]
    told = [{"candidate": "p", "bins": bins}, {"candidate": "t", "bins": bins}, {"candidate": "x", "said": "too few"}]
    chart = charts.reliability(told, {"p": "prompt", "t": "tune"})
    assert chart is not None
    text = json.dumps(chart.spec)
    assert charts.FAMILY_COLOURS["prompt"] in text and charts.FAMILY_COLOURS["tune"] in text
    assert charts.reliability(told, {"p": "tune", "t": "tune"}) is not None
    assert charts.reliability(told[2:], {}) is None


def test_what_breaks_a_limit_is_faded_and_the_front_is_a_line(make_run: Callable[..., Any]) -> None:
    log, verdict = make_run()
    front, checks = ["lora@causal", "few_shot@causal"], {"lora@causal": [], "few_shot@causal": [], "majority": []}
    verdict["answers"]["limits"] = {"front": front, "feasible": front, "checks": checks}
    chart = charts.quality_cost(verdict, scale_of(log, verdict))
    assert chart is not None
    points = {point["trial"]: point for point in values_of(chart.spec)}
    assert [points[t]["front"] for t in (*front, "majority")] == [True, True, False]
    assert points["majority"]["strength"] < 1 == points["lora@causal"]["strength"]
    assert "On the dotted line: no other is both better and cheaper than lora@causal and" in chart.reading
    assert "Faded ones break a limit." in chart.reading
