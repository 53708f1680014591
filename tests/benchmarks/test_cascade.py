"""The arithmetic of the cascade benchmark, on made-up answers; no model is opened."""

from __future__ import annotations

import random
from typing import Any

import pytest


def side(right: float, sure_when_wrong: float, seconds: float) -> dict[str, Any]:
    """1,500 answers, `right` of them right, on the same rows as any other's, and confidences that mostly know it."""
    rows, rng = random.Random(0), random.Random(1)
    signs = [rows.random() < right for _ in range(1500)]
    confidence = [0.99 if sign or rng.random() < sure_when_wrong else rng.uniform(0.4, 0.9) for sign in signs]
    return {"right": "".join(str(int(s)) for s in signs), "confidence": confidence, "seconds": seconds, "tokens": 100}


@pytest.fixture
def cascade(script: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = script("cascade")
    monkeypatch.setattr(module, "DEALINGS", 10)
    return module


def test_a_cheap_one_that_knows_when_it_errs_holds(cascade: Any) -> None:
    row = cascade.row_of("x", side(0.8, 0.0, 1.0), side(0.9, 0.5, 10.0))
    assert row["better"] == "dear" and row["cheap_cost"] == pytest.approx(0.1)
    assert row["shown"] == row["guarantee_kept"] == row["guarantee_kept_on_pool"] == 10
    assert row["cost"] == pytest.approx(0.1 + 0.2, abs=0.05) and row["points_under_better"] < 1 and row["holds"]
    assert "holds" in cascade.line(row)


def test_one_that_does_not_know_leaves_the_dear_one_alone(cascade: Any) -> None:
    row = cascade.row_of("x", side(0.6, 1.0, 1.0), side(0.9, 0.5, 10.0))
    assert row["shown"] == 0 and row["cost"] == 1.0 and row["points_under_better"] == 0.0
    assert row["guarantee_kept"] == 10 and not row["holds"]
