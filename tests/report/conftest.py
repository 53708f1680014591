"""A small run and its verdict, made by hand through the log's own writer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tuningfork.candidate import Constant, Single
from tuningfork.log import Ended, Finalists, Left, LogWriter, Measured, Noted, Row, RunLog, Started, Trained, born_event
from tuningfork.log import TestOpened as Opened

Made = tuple[RunLog, dict[str, Any]]
TRIALS = (("lora", "causal", "tune", 0.9), ("few_shot", "causal", "prompt", 0.6), ("majority", "", "baseline", 0.3))


def trial_name(method: str, model: str) -> str:
    return f"{method}@{model}" if model else method


def make(folder: Path, trials=TRIALS, texts=(), tested=True, latency=True, left=(), n=20, task="tickets") -> Made:
    """A run of `n` items; a trial is (method, model, family, share of right answers), a `left` one (method, why)."""
    writer = LogWriter(folder)
    split = "test" if tested else "dev"
    items = [
        {"id": f"i{k}", "split": split, "target": "yes", "group": "mail", "cluster": None, "text": f"text {k}"}
        for k in range(n)
    ]
    for k, text in enumerate(texts):
        items[n - 1 - k]["text"] = text
    metrics = ({"name": "accuracy", "range": [0, 1], "higher_is_better": True},)
    plan = {"seconds": 300, "trials": [{"trial": "lora@causal", "seconds": 9, "tokens": 10, "trained_tokens": 5}]}
    facts = {"name": task, "kind": "classification", "instruction": "Yes?", "tolerance": 0.01}
    writer.write(
        Started(1, facts, tuple(items), ("A note.",), {"device": "cpu"}, {}, plan, metrics, "2025-01-02T03:04:05+00:00")
    )
    rows = []
    for method, model, family, share in trials:
        trial = trial_name(method, model)
        candidate = Single(model, ("yes", "no"), ("yes", "no")) if model else Constant("yes", ("yes", "no"))
        born = born_event(
            trial, candidate, parents=(), method=method, model=model, family=family, settings={"rank": 8}, stage="race",
            seed=0, examples_used=10, examples_chosen_on=5, seconds=3.0, usage={},
        )  # fmt: skip
        writer.write(born)
        right = round(share * n)
        writer.rows(
            Row(
                trial, born.candidate, split, 0, f"i{k}", "yes" if k < right else "no", float(k < right), 0.8, None, 0.1
            )
            for k in range(n)
        )
        writer.write(Measured(trial, born.candidate, split, 0, n, 0, right / n, 1.0, {}))
        measured = {"value": share, "low": max(0.0, share - 0.1), "high": min(1.0, share + 0.1), "n": n}
        rows.append(
            row(trial, method, model, family, test=measured if tested else None, dev=measured)
            | {"latency_ms": {"p50": 5.0 + len(rows), "p95": 9.0} if latency else None}
        )
    if any(method == "lora" for method, *_ in trials):
        curve = tuple({"step": s, "train_nats": 2 / s, "hold_nats": 2.5 / s, "seconds": float(s)} for s in (1, 2, 4))
        writer.write(Trained("lora@causal", "race", {"rank": 8}, curve, "epochs", {}))
    for method, why in left:
        writer.write(Left(f"{method}@causal", "failed", why, {}, method, "causal", "prompt", f"Traceback: {why}"))
        rows.append(row(f"{method}@causal", method, "causal", "prompt") | {"status": "failed", "why": why})
    writer.write(Finalists(tuple(r["candidate"] for r in rows if r["status"] == "finalist"), {}))
    if tested:
        writer.write(Opened(n, n, 1))
    writer.write(Noted("Seconds stopped lora."))
    writer.write(Ended(42.0, {}, "finished", "2025-01-02T03:05:00+00:00"))
    writer.close()
    return RunLog.read(folder), verdict(rows, tested, n, task)


def row(trial: str, method: str, model: str, family: str, test: Any = None, dev: Any = None) -> dict[str, Any]:
    return {
        "candidate": trial, "method": method, "model": model, "family": family, "settings": {}, "seeds": 1,
        "dev": dev, "test": test, "failed_items": 0, "adapt_seconds": 3.0, "latency_ms": None,
        "tokens": {"in": 100, "out": 0, "reused": 0}, "usd_per_1k": None, "bytes": 2048, "probes": {},
        "feasible": True, "status": "finalist", "why": "best of its family",
    }  # fmt: skip


def verdict(rows: list[dict[str, Any]], tested: bool, n: int, task: str) -> dict[str, Any]:
    best = rows[0]["candidate"]
    others = [r["candidate"] for r in rows[1:] if r["test"]]
    comparisons = [
        {"a": best, "b": b, "difference": 0.031, "low": 0.012, "high": 0.05, "p_adjusted": 0.004, "n": n, "seeds": 1}
        for b in others
    ]
    return {
        "version": 1, "task": task, "metric": "accuracy", "higher_is_better": True, "outcome": "clear",
        "sentence": f"Use {best}.", "scope": "Raced: causal.", "best": {"candidate": best},
        "recommended": {"candidate": best}, "indistinguishable": others[1:], "comparisons": comparisons,
        "leaderboard": rows, "answers": {"prompt_or_tune": {"sentence": "Fine-tune."}},
        "minimum_detectable_difference": 0.031, "test_looks": int(tested),
        "budget": {"seconds": 300.0, "spent_seconds": 42.0, "spent_tokens": 1000, "spent_usd": 0.0},
    }  # fmt: skip


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Made]:
    """Makes a run: see `make`."""
    return lambda **about: make(tmp_path / "runs" / "tickets-1", **about)
